//! Requests that a browser makes for a page of another site.
//!
//! Whatever page an operator opens can have the browser post forms to a daemon, from behind the
//! firewall that keeps strangers away. Browsers say so: by `Sec-Fetch-Site` to addresses that they
//! trust, and by `Origin` elsewhere. Programs that are no browsers send neither. The page of a daemon
//! itself is of the same origin, and one on another port of the same host of the same site.

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};

use crate::request::{Refusal, Request};

/// What the browser says about where a request comes from.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The name by which the browser asked, when a proxy asks by another; each further proxy adds the one
/// by which it was asked itself, after a comma. No page can have a browser send it to another site,
/// unless that one agrees.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Refuses a request that may change something and comes from a page of another site.
pub(crate) fn check(request: &Request) -> Result<(), Refusal> {
    let only_reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.method);
    if only_reads || !is_foreign(&request.headers) {
        return Ok(());
    }
    let origin = request.headers.get(ORIGIN).map(|origin| {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        format!(" ('{}')", origin.escape_default())
    });
    let origin = origin.unwrap_or_default();
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        format!(
            "A browser made this request for a page of another site{origin}, and no such page may \
             change anything here. Use this daemon's own page, or a client that is not a browser; if \
             there is a proxy in between, have it pass the header Host on as it came"
        ),
    ))
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SITE).iter().peekable();
    if sites.peek().is_some() {
        return sites.any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
    }
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        return false;
    }
    let own: Vec<String> = [HOST, FORWARDED_HOST]
        .iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|places| places.to_str().ok())
        .flat_map(|places| places.split(','))
        .filter_map(host)
        .collect();
    !origins.all(|origin| {
        let place = origin.to_str().ok().and_then(|it| it.split_once("://"));
        let host = place.and_then(|(_, place)| host(place));
        host.is_some_and(|host| own.contains(&host))
    })
}

/// The host of `host:port`, in lower case.
fn host(place: &str) -> Option<String> {
    let authority: Authority = place.trim().parse().ok()?;
    let host = authority.host();
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn status(method: Method, headers: &[(&'static str, &str)]) -> Option<StatusCode> {
        let mut request = Request {
            method,
            path: "/teardown".into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            peer: None,
        };
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers.append(*name, value);
        }
        check(&request).err().map(|refusal| refusal.status)
    }

    fn posted(headers: &[(&'static str, &str)]) -> Option<StatusCode> {
        status(Method::POST, headers)
    }

    const REFUSED: Option<StatusCode> = Some(StatusCode::FORBIDDEN);
    const OWN: (&str, &str) = ("host", "master.example:5050");

    #[test]
    fn clients_that_are_no_browsers_may_do_anything() {
        assert_eq!(posted(&[]), None);
        assert_eq!(posted(&[OWN]), None);
        assert_eq!(posted(&[("host", "")]), None);
    }

    #[test]
    fn pages_of_this_host_may_whatever_their_port() {
        for origin in [
            "http://master.example:5050",
            "http://master.example:5051",
            "https://master.example",
            "http://MASTER.example:5050",
        ] {
            assert_eq!(posted(&[OWN, ("origin", origin)]), None, "{origin}");
        }
        let ipv6 = [("host", "[::1]:5050"), ("origin", "http://[::1]:5051")];
        assert_eq!(posted(&ipv6), None);
    }

    #[test]
    fn the_browser_is_believed_where_it_says_what_a_page_is_to_this_daemon() {
        let foreign = ("origin", "http://other.example");
        for site in ["same-origin", "same-site", "none"] {
            assert_eq!(posted(&[OWN, foreign, ("sec-fetch-site", site)]), None);
        }
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(posted(&[OWN, cross]), REFUSED);
        let of_this_host = ("origin", "http://master.example:5050");
        assert_eq!(posted(&[OWN, of_this_host, cross]), REFUSED);
        let both = [OWN, ("sec-fetch-site", "same-origin"), cross];
        assert_eq!(posted(&both), REFUSED);
    }

    #[test]
    fn pages_of_other_hosts_may_change_nothing() {
        for origin in [
            "http://other.example",
            "http://master.example.other.example:5050",
            "http://master.example@other.example",
            "https://notmaster.example:5050",
            "file://",
            "null",
            "master.example:5050",
            "",
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                let headers = [OWN, ("origin", origin)];
                assert_eq!(status(method, &headers), REFUSED, "{origin}");
            }
        }
        let without_host = [("origin", "http://master.example:5050")];
        assert_eq!(posted(&without_host), REFUSED);
    }

    #[test]
    fn any_page_may_have_its_browser_read_what_it_cannot_see() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let cross = ("sec-fetch-site", "cross-site");
            assert_eq!(status(method, &[OWN, cross]), None);
        }
    }

    #[test]
    fn a_proxy_may_ask_by_another_name_and_say_by_which_it_was_asked() {
        let page = ("origin", "https://cluster.example");
        assert_eq!(posted(&[("host", "10.0.0.1:5050"), page]), REFUSED);
        let told = ("x-forwarded-host", "cluster.example");
        assert_eq!(posted(&[("host", "10.0.0.1:5050"), page, told]), None);
        let foreign = ("origin", "http://other.example");
        let through = [("host", "10.0.0.1:5050"), foreign, told];
        assert_eq!(posted(&through), REFUSED);
    }

    #[test]
    fn each_of_several_proxies_may_add_the_name_by_which_it_was_asked() {
        let page = ("origin", "http://cluster.example");
        let host = ("host", "10.0.0.1:5050");
        let told = ("x-forwarded-host", "cluster.example, inner.example:8080");
        assert_eq!(posted(&[host, page, told]), None);
        let foreign = ("origin", "http://other.example");
        assert_eq!(posted(&[host, foreign, told]), REFUSED);
    }
}
