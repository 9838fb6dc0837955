//! Durations: as messages have them, and in the text of Mesos's flags and variables, a number and a unit
//! such as `5secs` or `1.5hrs`.

use std::time::Duration;

use crate::v1::DurationInfo;

/// From the largest, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The longest that Mesos knows: it counts nanoseconds in 63 bits.
const LONGEST: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It has another form.
    #[error("expected a duration such as 500ms, 10secs, 5mins or 2weeks")]
    Form,
    /// It is negative, or too long.
    #[error("out of the range from 0 to 292 years")]
    Range,
}

/// Reads a duration.
///
/// # Errors
/// Says what was expected.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(unit_at.ok_or(DurationError::Form)?);
    let number: f64 = number.parse().map_err(|_| DurationError::Form)?;
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, length) = unit.ok_or(DurationError::Form)?;
    let seconds = number * Duration::from_nanos(*length).as_secs_f64();
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(DurationError::Range),
    }
}

/// Writes a duration as Mesos does: as a whole number of the largest unit that allows it.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    let whole = |length: u64| {
        let length = u128::from(length);
        nanoseconds >= length && nanoseconds.is_multiple_of(length)
    };
    let (unit, length) = UNITS
        .into_iter()
        .find(|(_, length)| whole(*length))
        .unwrap_or(("ns", 1));
    format!("{}{unit}", nanoseconds / u128::from(length))
}

/// Negative ones count as none at all.
impl From<DurationInfo> for Duration {
    fn from(info: DurationInfo) -> Self {
        Self::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
    }
}

/// Those of more than 292 years count as so many.
impl From<Duration> for DurationInfo {
    fn from(duration: Duration) -> Self {
        Self {
            nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_mesos_reads_them() {
        for (text, duration) in [
            ("0ns", Duration::ZERO),
            ("250us", Duration::from_micros(250)),
            ("500ms", Duration::from_millis(500)),
            ("1.5secs", Duration::from_millis(1_500)),
            ("15mins", Duration::from_mins(15)),
            ("1.5hrs", Duration::from_mins(90)),
            ("2weeks", Duration::from_hours(14 * 24)),
        ] {
            assert_eq!(parse(text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "secs",
            "5 secs",
            "1fortnight",
            "1e400secs",
            "NaNsecs",
        ] {
            assert_eq!(parse(text), Err(DurationError::Form), "{text}");
        }
        for text in ["-1secs", "9999999999weeks"] {
            assert_eq!(parse(text), Err(DurationError::Range), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_mesos_writes_them_and_read_again() {
        for (milliseconds, text) in [
            (0, "0ns"),
            (5_000, "5secs"),
            (900_000, "15mins"),
            (90_000, "90secs"),
            (1_500, "1500ms"),
            (3_600_000, "1hrs"),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(format(duration), text);
            assert_eq!(parse(text), Ok(duration));
        }
    }

    #[test]
    fn messages_hold_no_more_than_292_years_and_no_less_than_nothing() {
        let second = DurationInfo::from(Duration::from_secs(1));
        assert_eq!(second.nanoseconds, 1_000_000_000);
        assert_eq!(Duration::from(second), Duration::from_secs(1));
        assert_eq!(DurationInfo::from(Duration::MAX).nanoseconds, i64::MAX);
        let negative = DurationInfo { nanoseconds: -1 };
        assert_eq!(Duration::from(negative), Duration::ZERO);
    }
}
