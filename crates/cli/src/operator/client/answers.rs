//! What masters and agents answer: taken, refused, not understood, or nothing at all.

use std::error::Error as _;
use std::io;

use meseta_proto::{Wire, decode};
use ureq::Body;
use ureq::http::header::LOCATION;
use ureq::http::{Response, StatusCode};

use crate::operator::error::Error;
use crate::operator::limits::{MAX_ANSWER, MAX_REFUSAL};

/// Whether the other side cannot have got the question.
pub(super) fn is_before_sending(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => true,
        _ => false,
    }
}

/// Of a server that does not answer a greeting of TLS with one.
const PLAIN: &str = "; it seems to speak plain HTTP";

/// What helps where TLS is at fault.
fn tls_advice(error: &ureq::Error) -> &'static str {
    let ureq::Error::Io(error) = error else {
        return "";
    };
    match error.get_ref().and_then(|it| it.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; --ca-cert names the certificate of who vouches for the cluster"
        }
        Some(rustls::Error::InvalidMessage(_)) => PLAIN,
        _ => "",
    }
}

/// Why there is no answer, and what helps.
pub(super) fn reason(error: &ureq::Error) -> String {
    let reason = match error {
        ureq::Error::Io(error) => error.to_string(),
        other => match other.source() {
            Some(source) => format!("{other}: {source}"),
            None => other.to_string(),
        },
    };
    reason + tls_advice(error)
}

/// What an agent answered, if it took the question.
pub(super) fn from_agent(
    base: String,
    answer: Result<Response<Body>, ureq::Error>,
    attempt: &str,
) -> Result<(String, Response<Body>), Error> {
    match answer {
        Ok(answer) => accepted(base, answer, attempt),
        Err(error) => Err(Error::AgentUnreachable {
            attempt: attempt.to_owned(),
            agent: base,
            reason: reason(&error),
            advice: if tls_advice(&error) == PLAIN {
                "; `meseta context set NAME --agents=http` says that agents do"
            } else {
                ""
            },
        }),
    }
}

/// Where a master that does not lead says that the leader is: `//host:port/path`, with or without
/// a scheme.
pub(super) fn leader_in(answer: &Response<Body>, base: &str) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let own = if base.starts_with("https://") {
        "https://"
    } else {
        "http://"
    };
    let (scheme, rest) = match location.split_once("//")? {
        ("", rest) => (own, rest),
        ("http:", rest) => ("http://", rest),
        ("https:", rest) => ("https://", rest),
        _ => return None,
    };
    let authority = rest.split('/').next().filter(|it| !it.is_empty())?;
    Some(format!("{scheme}{authority}"))
}

pub(super) fn accepted(
    address: String,
    answer: Response<Body>,
    attempt: &str,
) -> Result<(String, Response<Body>), Error> {
    if answer.status().is_success() {
        return Ok((address, answer));
    }
    let status = answer.status();
    let advice = match status {
        StatusCode::UNAUTHORIZED => {
            " (name who asks in a context: `meseta context set NAME --principal=… --secret=…`)"
        }
        _ => "",
    };
    Err(Error::Refused {
        attempt: attempt.to_owned(),
        address,
        status: status.as_u16(),
        sentence: sentence(answer) + advice,
    })
}

/// The text of a refusal.
pub(super) fn sentence(answer: Response<Body>) -> String {
    let status = answer.status();
    let text = answer
        .into_body()
        .into_with_config()
        .limit(MAX_REFUSAL)
        .read_to_string()
        .unwrap_or_default();
    match text.trim() {
        "" => status.canonical_reason().unwrap_or("no reason").to_owned(),
        text => text.to_owned(),
    }
}

pub(super) fn body(address: &str, answer: Response<Body>, attempt: &str) -> Result<Vec<u8>, Error> {
    answer
        .into_body()
        .into_with_config()
        .limit(MAX_ANSWER)
        .read_to_vec()
        .map_err(|error| Error::Broken {
            attempt: attempt.to_owned(),
            address: address.to_owned(),
            reason: reason(&error),
            advice: "",
        })
}

pub(super) fn understood<M: Wire>(
    address: &str,
    answer: Response<Body>,
    attempt: &str,
) -> Result<M, Error> {
    let body = body(address, answer, attempt)?;
    decode(&body).map_err(|error| Error::Unreadable {
        attempt: attempt.to_owned(),
        address: address.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_leader_with_and_without_a_scheme() {
        for (location, base, leader) in [
            ("//b:5050/api/v1", "http://a:1", Some("http://b:5050")),
            ("//b:5050/api/v1", "https://a:1", Some("https://b:5050")),
            ("https://b:5050", "http://a:1", Some("https://b:5050")),
            ("/api/v1", "http://a:1", None),
            ("ftp://b/", "http://a:1", None),
        ] {
            let answer = Response::builder()
                .header(LOCATION, location)
                .body(Body::builder().data(""))
                .unwrap();
            assert_eq!(leader_in(&answer, base).as_deref(), leader, "{location}");
        }
    }
}
