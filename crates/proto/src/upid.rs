//! The address of a libprocess process: `id@ip:port`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

/// A process id. Two are equal when id, IP and port are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upid {
    /// Which process at that address, such as `master` or `slave(1)`.
    pub id: String,
    /// Where its operating system process listens.
    pub address: SocketAddrV4,
}

impl Upid {
    /// The process with this id at this address.
    pub fn new(id: impl Into<String>, address: SocketAddrV4) -> Self {
        Self {
            id: id.into(),
            address,
        }
    }

    /// Parses a pid from a protocol field, where C++ peers write `@0.0.0.0:0`, an empty text or
    /// nothing to mean that there is none.
    pub fn from_field(text: Option<&str>) -> Option<Self> {
        text?.parse().ok()
    }
}

/// Why a text is not a pid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a process id of the form id@ip:port")]
pub struct ParseError(String);

impl FromStr for Upid {
    type Err = ParseError;

    /// Accepts numeric IPv4 addresses only: names are resolved where they are configured, and a
    /// pid on the wire always carries the number.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let (id, address) = text.split_once('@')?;
            let (ip, port) = address.split_once(':')?;
            let ip: Ipv4Addr = ip.parse().ok()?;
            let port: u16 = port.parse().ok()?;
            let clean =
                !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic());
            (clean && !ip.is_unspecified() && port != 0)
                .then(|| Self::new(id, SocketAddrV4::new(ip, port)))
        };
        parse().ok_or_else(|| ParseError(text.chars().take(MAX_ID).collect()))
    }
}

/// Longest id that is taken from the wire. Ids are made by the peers' programs: `scheduler-<uuid>`
/// is the longest known form.
const MAX_ID: usize = 255;

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_parse_and_print() {
        let pid: Upid = "slave(1)@10.0.0.2:5051".parse().unwrap();
        assert_eq!(pid.id, "slave(1)");
        assert_eq!(pid.to_string(), "slave(1)@10.0.0.2:5051");
    }

    #[test]
    fn what_stands_for_no_pid_is_none() {
        for text in [
            None,
            Some(""),
            Some("@0.0.0.0:0"),
            Some("x@1.2.3.4"),
            Some("x@h:1"),
            Some("a b@1.2.3.4:5"),
        ] {
            assert_eq!(Upid::from_field(text), None, "{text:?}");
        }
    }
}
