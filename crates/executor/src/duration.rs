//! Durations as Mesos writes them: a number and a unit, `5secs`, `1.5hrs`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a duration: write a number and one of ns, us, ms, secs, mins, hrs, days, weeks, as in '5secs'"
)]
pub(crate) struct DurationError(String);

/// Reads a duration.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.to_owned());
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(error)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| error())?;
    let (_, seconds) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(error)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_mesos_writes_them() {
        for (text, duration) in [
            ("0ns", Duration::ZERO),
            ("5secs", Duration::from_secs(5)),
            ("15mins", Duration::from_mins(15)),
            ("2secs", Duration::from_secs(2)),
            ("1.5hrs", Duration::from_mins(90)),
            ("250ms", Duration::from_millis(250)),
        ] {
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "secs",
            "-1secs",
            "5 secs",
            "5fortnights",
            "1e400secs",
            "NaNsecs",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
