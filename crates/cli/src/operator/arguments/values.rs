//! The forms of arguments' values.

use std::time::Duration;

use crate::operator::limits::MIN_INTERVAL;

/// A time as people write it.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "expected a time, such as 90s or 5m")
}

/// A time between looks: no master is asked without a pause.
pub(super) fn interval(text: &str) -> Result<Duration, &'static str> {
    match time(text)? {
        time if time >= MIN_INTERVAL => Ok(time),
        _ => Err("expected 100ms or more"),
    }
}

/// An amount of disk.
pub(super) fn megabytes(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(amount) if f64::is_finite(amount) && amount > 0.0 => Ok(amount),
        _ => Err("expected a number of megabytes above 0, such as 512"),
    }
}

/// How many of something.
pub(super) fn count(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "expected a number, such as 20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_those_between_looks_are_not_too_short() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert!(time("90").is_err());
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(interval("99ms"), Err("expected 100ms or more"));
    }

    #[test]
    fn amounts_of_disk_are_positive_numbers() {
        assert_eq!(megabytes("1.5"), Ok(1.5));
        for text in ["", "0", "-1", "1GB", "NaN", "inf"] {
            assert!(megabytes(text).is_err(), "{text}");
        }
    }
}
