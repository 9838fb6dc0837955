//! Where masters are.

use crate::Error;
use crate::connection::Endpoint;

/// Ports that masters listen on by default.
const DEFAULT_PORT: u16 = 5050;

/// How the address of an ensemble of ZooKeeper begins.
pub(crate) const ZOOKEEPER: &str = "zk://";

/// Takes a list apart: `host:port,host:port`. Refused later, by [`check`], where an error can be
/// told.
pub(crate) fn split(masters: &str) -> Vec<String> {
    // An ensemble of ZooKeeper has commas of its own.
    if masters.starts_with(ZOOKEEPER) {
        return vec![masters.to_owned()];
    }
    masters.split(',').map(|m| m.trim().to_owned()).collect()
}

/// An address as it may be shown: without the password of ZooKeeper.
pub(crate) fn without_secret(address: &str) -> String {
    match address
        .strip_prefix(ZOOKEEPER)
        .and_then(|rest| rest.rsplit_once('@'))
    {
        Some((_, rest)) => format!("{ZOOKEEPER}…@{rest}"),
        None => address.to_owned(),
    }
}

/// Where one master is. Without a scheme, `is_secure` says whether to call it over TLS.
pub(crate) fn check(master: &str, is_secure: bool) -> Result<Endpoint, Error> {
    let wrong = |reason| Error::Address {
        address: without_secret(master),
        reason,
    };
    let (authority, is_secure) = match master.split_once("://") {
        None => (master, is_secure),
        Some(("http", rest)) => (rest.trim_end_matches('/'), false),
        Some(("https", rest)) => (rest.trim_end_matches('/'), true),
        Some(("zk", _)) => {
            return Err(wrong(
                "an ensemble of ZooKeeper knows every master: give it alone, or a list of host:port",
            ));
        }
        Some(_) => return Err(wrong("write host:port, https://host:port or zk://…/path")),
    };
    let is_name = |host: &str| {
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#,".contains(c))
    };
    let authority = match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address are no port's.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => {
            return Err(wrong("write an IPv6 address in brackets, as in [::1]:5050"));
        }
        Some((host, port)) if is_name(host) && port.parse::<u16>().is_ok() => authority.to_owned(),
        None if is_name(authority) => format!("{authority}:{DEFAULT_PORT}"),
        _ => return Err(wrong("write host:port")),
    };
    Ok(if is_secure {
        Endpoint::Tls(authority)
    } else {
        Endpoint::Tcp(authority)
    })
}

/// Where a redirect leads, as in `//10.0.0.1:5050/api/v1/scheduler`: without a scheme, over TLS if
/// that is how `from` was called. None if it says nothing that can be followed, and from TLS to
/// plain text, which would give secrets away.
pub(crate) fn follow(from: &Endpoint, location: &str) -> Option<Endpoint> {
    let is_secure = matches!(from, Endpoint::Tls(_));
    let (scheme, rest) = location.split_once("//")?;
    let authority = rest.split('/').next().filter(|a| !a.is_empty())?;
    match scheme {
        "" => check(authority, is_secure).ok(),
        "http:" if !is_secure => check(authority, false).ok(),
        "https:" => check(authority, true).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_a_list_of_hosts_and_ports() {
        let masters = split("a:5050, 10.0.0.2:5051,http://c:1/,[::1]:5050,d,https://e:2");
        let checked: Result<Vec<_>, _> = masters.iter().map(|m| check(m, false)).collect();
        let tcp = |address: &str| Endpoint::Tcp(address.to_owned());
        assert_eq!(
            checked.unwrap(),
            [
                tcp("a:5050"),
                tcp("10.0.0.2:5051"),
                tcp("c:1"),
                tcp("[::1]:5050"),
                tcp("d:5050"),
                Endpoint::Tls("e:2".into()),
            ]
        );
        assert_eq!(check("a", true), Ok(Endpoint::Tls("a:5050".into())));
        assert_eq!(check("http://a", true), Ok(tcp("a:5050")));
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_the_reason() {
        for (address, reason) in [
            ("", "host:port"),
            ("a:", "host:port"),
            ("a:99999", "host:port"),
            ("a b:5050", "host:port"),
            ("::1:5050", "brackets"),
            ("ftp://a:5050", "host:port"),
            ("zk://a:2181,b:2181/mesos", "ZooKeeper"),
        ] {
            let masters = split(address);
            assert_eq!(masters.len(), 1, "{address}");
            let error = check(&masters[0], false).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn redirects_name_the_leader_with_or_without_a_scheme_and_never_lead_out_of_tls() {
        let address = "10.0.0.1:5050";
        let (plain, secure) = (
            Endpoint::Tcp(address.to_owned()),
            Endpoint::Tls(address.to_owned()),
        );
        for location in ["//10.0.0.1:5050/api/v1/scheduler", "//10.0.0.1:5050"] {
            assert_eq!(follow(&plain, location), Some(plain.clone()), "{location}");
            assert_eq!(follow(&secure, location), Some(secure.clone()));
        }
        assert_eq!(
            follow(&plain, "http://10.0.0.1:5050/x"),
            Some(plain.clone())
        );
        assert_eq!(follow(&secure, "http://10.0.0.1:5050/x"), None);
        for from in [&plain, &secure] {
            assert_eq!(follow(from, "https://10.0.0.1:5050"), Some(secure.clone()));
            for location in ["", "/api/v1/scheduler", "//", "ftp://10.0.0.1:5050/x"] {
                assert_eq!(follow(from, location), None, "{location}");
            }
        }
    }
}
