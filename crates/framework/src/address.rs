//! Where masters are.

use crate::Error;

/// Ports that masters listen on by default.
const DEFAULT_PORT: u16 = 5050;

/// Takes a list apart: `host:port,host:port`. Refused later, by [`check`], where an error can be
/// told.
pub(crate) fn split(masters: &str) -> Vec<String> {
    // An ensemble of ZooKeeper has commas of its own.
    if masters.starts_with("zk://") {
        return vec![masters.to_owned()];
    }
    masters.split(',').map(|m| m.trim().to_owned()).collect()
}

/// The `host:port` of one master.
pub(crate) fn check(master: &str) -> Result<String, Error> {
    let wrong = |reason| Error::Address {
        address: master.to_owned(),
        reason,
    };
    let authority = match master.split_once("://") {
        None => master,
        Some(("http", rest)) => rest.trim_end_matches('/'),
        Some(("zk", _)) => {
            return Err(wrong(
                "the leader is not looked up in ZooKeeper yet: list the masters, as in host:5050,host:5050",
            ));
        }
        Some(("https", _)) => {
            return Err(wrong(
                "masters are not called over TLS yet: write host:port",
            ));
        }
        Some(_) => return Err(wrong("write host:port")),
    };
    let is_name = |host: &str| {
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#,".contains(c))
    };
    match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address are no port's.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => {
            Err(wrong("write an IPv6 address in brackets, as in [::1]:5050"))
        }
        Some((host, port)) if is_name(host) && port.parse::<u16>().is_ok() => {
            Ok(authority.to_owned())
        }
        None if is_name(authority) => Ok(format!("{authority}:{DEFAULT_PORT}")),
        _ => Err(wrong("write host:port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_a_list_of_hosts_and_ports() {
        let masters = split("a:5050, 10.0.0.2:5051,http://c:1/,[::1]:5050,d");
        let checked: Result<Vec<_>, _> = masters.iter().map(|m| check(m)).collect();
        assert_eq!(
            checked.unwrap(),
            ["a:5050", "10.0.0.2:5051", "c:1", "[::1]:5050", "d:5050"]
        );
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_the_reason() {
        for (address, reason) in [
            ("zk://a:2181,b:2181/mesos", "ZooKeeper"),
            ("https://a:5050", "TLS"),
            ("", "host:port"),
            ("a:", "host:port"),
            ("a:99999", "host:port"),
            ("a b:5050", "host:port"),
            ("::1:5050", "brackets"),
            ("ftp://a:5050", "host:port"),
        ] {
            let masters = split(address);
            assert_eq!(masters.len(), 1, "{address}");
            let error = check(&masters[0]).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
