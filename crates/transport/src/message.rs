//! Libprocess messages on the wire: each is a POST to `/<process>/<message name>` that names its sender.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Method, request::Parts};
use meseta_proto::Upid;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::limits;
use crate::request::{Refusal, unescape};

/// A message from another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it, by its own account.
    pub from: Upid,
    /// The id of the process it is for, such as `master`.
    pub to: String,
    /// Its type, such as `mesos.internal.PingSlaveMessage`.
    pub name: String,
    /// The encoded type.
    pub body: Bytes,
}

const FROM: &str = "libprocess-from";
const AGENT_PREFIX: &str = "libprocess/";

/// What is said outside of a message's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) sender: String,
    pub(crate) to: String,
    pub(crate) name: String,
}

/// The sender, if a request is a libprocess message. C++ names it in both headers, mesos-go and
/// compactor in `Libprocess-From` only, and early versions of Mesos in `User-Agent` only.
fn sender(parts: &Parts) -> Option<&HeaderValue> {
    if parts.method != Method::POST {
        return None;
    }
    parts.headers.get(FROM).or_else(|| {
        let agent = parts.headers.get(USER_AGENT)?;
        agent
            .as_bytes()
            .starts_with(AGENT_PREFIX.as_bytes())
            .then_some(agent)
    })
}

/// Reads the envelope, if a request is a libprocess message.
pub(crate) fn open(parts: &Parts) -> Option<Result<Envelope, Refusal>> {
    let sender = sender(parts)?;
    Some(addressed(parts, sender))
}

fn addressed(parts: &Parts, sender: &HeaderValue) -> Result<Envelope, Refusal> {
    let sender = sender
        .to_str()
        .map_err(|_| Refusal::bad("Failed to determine sender from request headers"))?;
    let sender = sender.strip_prefix(AGENT_PREFIX).unwrap_or(sender).trim();
    let path = parts.uri.path();
    let Some(path) = path.strip_prefix('/') else {
        return Err(Refusal::bad("Request URL path must start with '/'"));
    };
    let (to, name) = path.split_once('/').unwrap_or((path, ""));
    let to = unescape(to)
        .map_err(|reason| Refusal::bad(format!("Failed to decode URL path: {reason}")))?;
    if to.is_empty() || name.is_empty() {
        let sentence = format!("'/{path}' is not of the form /<process>/<message>");
        return Err(Refusal::bad(sentence));
    }
    Ok(Envelope {
        sender: sender.to_owned(),
        to,
        name: name.to_owned(),
    })
}

/// The sender as a pid. Drivers in Go may give a host name for their address, which Mesos looks up.
pub(crate) async fn locate(sender: &str) -> Result<Upid, Refusal> {
    if let Ok(pid) = sender.parse() {
        return Ok(pid);
    }
    let refusal = || Refusal::bad(format!("'{sender}' is not the process id of a sender"));
    let (id, host, port) = split(sender).ok_or_else(refusal)?;
    let found = timeout(limits::LOOKUP_TIME, lookup_host((host, port))).await;
    let mut addresses = found.map_err(|_| refusal())?.map_err(|_| refusal())?;
    let address = addresses.find_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    // Parsed again for the checks of ids and addresses.
    let pid = Upid::new(id, address.ok_or_else(refusal)?);
    pid.to_string().parse().map_err(|_| refusal())
}

fn split(sender: &str) -> Option<(&str, &str, u16)> {
    let (id, address) = sender.split_once('@')?;
    let (host, port) = address.split_once(':')?;
    let named = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    (named && !host.is_empty() && !id.is_empty()).then_some((id, host, port.parse().ok()?))
}

/// What may not stand in the segment of a path that names a process. Parentheses stay as they are: C++ sends them so.
const ID: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'/').add(b'?').add(b'#');

/// A message as bytes: the head, then the body as one chunk. C++ writes it so, and empty bodies
/// without any framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    head: String,
    body: Bytes,
}

impl Encoded {
    const AFTER_BODY: &[u8] = b"\r\n0\r\n\r\n";

    pub(crate) fn new(from: &Upid, to: &Upid, name: &str, body: Bytes) -> Self {
        let id = utf8_percent_encode(&to.id, ID);
        let address = to.address;
        let mut head = format!(
            "POST /{id}/{name} HTTP/1.1\r\nUser-Agent: {AGENT_PREFIX}{from}\r\nLibprocess-From: {from}\r\n\
             Connection: Keep-Alive\r\nHost: {address}\r\n"
        );
        let framing = match body.len() {
            0 => "\r\n".to_owned(),
            length => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
        };
        head.push_str(&framing);
        Self { head, body }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).iter().sum()
    }

    /// What to write, in order.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let after: &[u8] = if self.body.is_empty() {
            b""
        } else {
            Self::AFTER_BODY
        };
        [self.head.as_bytes(), &self.body, after]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(builder: http::request::Builder) -> Option<Result<Envelope, Refusal>> {
        open(&builder.body(()).unwrap().into_parts().0)
    }

    fn post(path: &str) -> http::request::Builder {
        http::Request::builder().method("POST").uri(path)
    }

    fn text(message: &Encoded) -> String {
        message
            .parts()
            .iter()
            .map(|part| std::str::from_utf8(part).unwrap())
            .collect()
    }

    #[test]
    fn a_sender_makes_a_post_a_message() {
        let expected = Envelope {
            sender: "scheduler(1)@10.0.0.1:7".into(),
            to: "slave(1)".into(),
            name: "mesos.internal.X".into(),
        };
        for (name, value) in [
            ("Libprocess-From", "scheduler(1)@10.0.0.1:7 "),
            ("User-Agent", "libprocess/scheduler(1)@10.0.0.1:7"),
        ] {
            for path in [
                "/slave(1)/mesos.internal.X",
                "/slave%281%29/mesos.internal.X",
            ] {
                let envelope = opened(post(path).header(name, value)).unwrap().unwrap();
                assert_eq!(envelope, expected, "{name} {path}");
            }
        }
    }

    #[test]
    fn requests_without_a_sender_are_no_messages() {
        assert_eq!(
            opened(post("/master/x").header("User-Agent", "Go libprocess/")),
            None
        );
        let get = http::Request::builder()
            .uri("/master/x")
            .header("Libprocess-From", "a@1.2.3.4:5");
        assert_eq!(opened(get), None);
    }

    #[test]
    fn messages_to_nobody_are_refused() {
        for path in [
            "/",
            "/master",
            "/master/",
            "//mesos.internal.X",
            "/%zz/x",
            "*",
        ] {
            let opened = opened(post(path).header("Libprocess-From", "a@1.2.3.4:5"));
            assert!(opened.unwrap().is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn senders_that_are_no_process_are_refused() {
        for sender in [
            "",
            "junk",
            "@0.0.0.0:0",
            "a@b c:1",
            "a@:5",
            "a@1.2.3.4:99999",
        ] {
            assert!(locate(sender).await.is_err(), "{sender}");
        }
    }

    #[tokio::test]
    async fn a_sender_may_give_its_host_by_name() {
        let pid = locate("scheduler(1)@localhost:7").await.unwrap();
        assert_eq!(pid.to_string(), "scheduler(1)@127.0.0.1:7");
    }

    #[test]
    fn messages_are_written_as_mesos_writes_them() {
        let from = "master@10.0.0.1:5050".parse().unwrap();
        let to = "slave(1)@10.0.0.2:5051".parse().unwrap();
        let message = Encoded::new(
            &from,
            &to,
            "mesos.internal.X",
            Bytes::from_static(b"0123456789abcdef!"),
        );
        let expected = "POST /slave(1)/mesos.internal.X HTTP/1.1\r\nUser-Agent: libprocess/master@10.0.0.1:5050\r\n\
            Libprocess-From: master@10.0.0.1:5050\r\nConnection: Keep-Alive\r\nHost: 10.0.0.2:5051\r\n\
            Transfer-Encoding: chunked\r\n\r\n11\r\n0123456789abcdef!\r\n0\r\n\r\n";
        assert_eq!(text(&message), expected);
        assert_eq!(message.len(), expected.len());
    }

    #[test]
    fn an_empty_body_ends_with_the_head() {
        let from = "master@10.0.0.1:5050".parse().unwrap();
        let to = "x@10.0.0.2:5051".parse().unwrap();
        let message = Encoded::new(&from, &to, "mesos.internal.X", Bytes::new());
        let text = text(&message);
        assert!(text.ends_with("Host: 10.0.0.2:5051\r\n\r\n"), "{text}");
        assert_eq!(message.len(), text.len());
    }

    #[test]
    fn an_id_cannot_change_the_request() {
        let from = "master@10.0.0.1:5050".parse().unwrap();
        let to = Upid::new("a b/c?d\r\n%", "10.0.0.2:5051".parse().unwrap());
        let head = text(&Encoded::new(&from, &to, "m", Bytes::new()));
        assert!(
            head.starts_with("POST /a%20b%2Fc%3Fd%0D%0A%25/m HTTP/1.1\r\n"),
            "{head}"
        );
    }
}
