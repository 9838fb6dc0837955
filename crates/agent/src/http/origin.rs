//! Which pages may do something with containers: no browser is to open a shell on an agent for a page that
//! is not the agent's own.
//!
//! A browser says with each such request which page makes it (`Origin`). Only the page that the agent
//! itself has served may, and only under a name that is surely the agent's: any owner of a name can
//! have it lead to the agent after a page was loaded from elsewhere. Nobody can do so with an address. Clients
//! that are not browsers send no `Origin`, and are not concerned.

use std::net::IpAddr;

use meseta_machine::Reply;

use super::MoreHeaders;
use crate::snapshot::Snapshot;

/// The name of every machine for itself. Browsers ask nobody for it.
const LOCALHOST: &str = "localhost";

/// Whether a request may do something with containers, as far as that depends on the page that makes it.
///
/// # Errors
/// The refusal to answer with.
pub(super) fn check(snapshot: &Snapshot, headers: &MoreHeaders<'_>) -> Result<(), Box<Reply>> {
    let Some(origin) = headers.origin else {
        return Ok(());
    };
    let place = origin.split_once("://").map(|(_, place)| place);
    let own = place.filter(|place| headers.host == Some(place));
    let Some(own) = own else {
        return refused(format!("The page at '{origin}' is not this agent's own"));
    };
    let name = without_port(own);
    let hostname = snapshot.info.hostname.as_str();
    let is_ours = name.parse::<IpAddr>().is_ok()
        || [LOCALHOST, hostname]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name));
    if is_ours {
        return Ok(());
    }
    refused(format!(
        "'{name}' may be anybody's name: open the page by this agent's address, or start the agent \
         with --hostname={name}"
    ))
}

fn without_port(place: &str) -> &str {
    if let Some(rest) = place.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    place.split(':').next().unwrap_or_default()
}

fn refused(sentence: String) -> Result<(), Box<Reply>> {
    Err(Box::new(Reply::refused(403, sentence)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::endpoints::tests::idle;

    fn status(origin: Option<&str>, host: &str) -> Option<u16> {
        let headers = MoreHeaders {
            origin,
            host: Some(host),
            ..MoreHeaders::default()
        };
        let checked = check(&idle(), &headers);
        checked.err().map(|refusal| refusal.status)
    }

    #[test]
    fn a_page_of_the_agents_own_may_and_so_may_what_is_no_page() {
        assert_eq!(status(None, "anything"), None);
        for place in [
            "127.0.0.1:5051",
            "[::1]:5051",
            "10.1.2.3",
            "h:5051",
            "localhost:5051",
        ] {
            assert_eq!(status(Some(&format!("http://{place}")), place), None);
            assert_eq!(status(Some(&format!("https://{place}")), place), None);
        }
    }

    #[test]
    fn no_other_page_may_whatever_name_it_gives_the_agent() {
        for (origin, host) in [
            ("http://evil.example", "127.0.0.1:5051"),
            ("http://127.0.0.1:5050", "127.0.0.1:5051"),
            ("null", "127.0.0.1:5051"),
            ("", "127.0.0.1:5051"),
            // Its owner has it lead here.
            ("http://evil.example:5051", "evil.example:5051"),
            ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
            ("http://127.0.0.1@evil.example", "127.0.0.1@evil.example"),
        ] {
            assert_eq!(status(Some(origin), host), Some(403), "{origin}");
        }
    }
}
