//! The forms of flags' values.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use meseta_proto::duration;

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

impl FlagValue for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        duration::parse(text).map_err(|error| error.to_string())
    }
}

/// A number of bytes, such as `2GB`; units count by 1,024 and may be in lower case, as in Mesos.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// Units of bytes, as powers of 1,024. The last matches what the others do not.
const BYTE_UNITS: [(&str, u32); 5] = [("KB", 1), ("MB", 2), ("GB", 3), ("TB", 4), ("B", 0)];

impl FlagValue for Bytes {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a size such as 512MB or 2GB".to_owned();
        let text = text.to_ascii_uppercase();
        let (number, power) = BYTE_UNITS
            .iter()
            .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(expected)?;
        let number: u64 = number.parse().map_err(|_| expected())?;
        number
            .checked_mul(1_024_u64.pow(power))
            .map(Self)
            .ok_or_else(|| "larger than there are numbers for".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_in_mesos() {
        for (text, bytes) in [
            ("0B", 0),
            ("3KB", 3_072),
            ("3kb", 3_072),
            ("2GB", 2_147_483_648),
            ("2Gb", 2_147_483_648),
        ] {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "2",
            "GB",
            "2 GB",
            " 2GB",
            "2GB ",
            "+2GB",
            "-1B",
            "1.5GB",
            "2é",
            "99999999999TB",
        ] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }
}
