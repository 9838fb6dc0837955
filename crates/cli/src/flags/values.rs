//! The forms of flags' values.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// A type that a flag's value can have.
pub(crate) trait FlagValue: Sized {
    /// Reads the value, or says what was expected.
    fn parse(text: &str) -> Result<Self, String>;
}

impl FlagValue for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FlagValue for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("expected a path".into())
        } else {
            Ok(text.into())
        }
    }
}

impl FlagValue for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected true or false".into())
    }
}

impl FlagValue for u16 {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected a number from 0 to 65535".into())
    }
}

impl FlagValue for usize {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a number".into())
    }
}

impl FlagValue for Ipv4Addr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected an IPv4 address such as 10.0.0.1".into())
    }
}

/// Units of durations, from the largest, in nanoseconds.
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

impl FlagValue for Duration {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "flags are given by hand, and the range is checked"
    )]
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a duration such as 500ms, 10secs, 5mins or 2weeks".to_owned();
        let unit_at = text
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or_else(expected)?;
        let (number, unit) = text.split_at(unit_at);
        let number: f64 = number.trim().parse().map_err(|_| expected())?;
        let (_, nanoseconds) = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(expected)?;
        let total = number * *nanoseconds as f64;
        if !(0.0..=i64::MAX as f64).contains(&total) {
            return Err("out of the range from 0 to 292 years".into());
        }
        Ok(Self::from_nanos(total as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_mesos() {
        for (text, milliseconds) in [
            ("10secs", 10_000),
            ("1.5secs", 1_500),
            ("500ms", 500),
            ("2weeks", 1_209_600_000),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
        }
        for text in [
            "",
            "10",
            "secs",
            "-1secs",
            "1fortnight",
            "9999999999weeks",
            "NaNsecs",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }
}
