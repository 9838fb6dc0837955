//! The two ways that tests speak to a master: a socket of their own, or nothing but curl.

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::events::{Events, Source, Wire};
use super::http::{self, Answer, Head};

/// Who sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Socket,
    Curl,
}

/// What became of a SUBSCRIBE.
#[derive(Debug)]
pub(crate) enum Subscribed {
    Stream(Head, Events),
    Refused(Answer),
}

impl Client {
    /// Posts a body and reads the answer.
    pub(crate) fn post(
        self,
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        match self {
            Self::Socket => http::request(address, "POST", target, headers, Some(body))
                .unwrap_or_else(|e| panic!("POST {target} of {address}: {e}")),
            Self::Curl => {
                let mut child = curl(address, target, headers, body);
                let mut output = BufReader::new(child.stdout.take().expect("curl's output"));
                let head = Head::read(&mut output).expect("an answer's head from curl");
                let mut body = Vec::new();
                output
                    .read_to_end(&mut body)
                    .expect("an answer's body from curl");
                assert!(
                    child.wait().expect("curl's end").success(),
                    "curl failed: {target}"
                );
                Answer { head, body }
            }
        }
    }

    /// Posts a body and follows the events that are the answer.
    pub(crate) fn subscribe(
        self,
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        wire: Wire,
    ) -> Subscribed {
        match self {
            Self::Socket => {
                let open = http::open(address, "POST", target, headers, Some(body))
                    .unwrap_or_else(|e| panic!("POST {target} of {address}: {e}"));
                if open.head.status != 200 {
                    return Subscribed::Refused(open.finish().expect("a refusal's body"));
                }
                let source = Source::Socket(open.socket);
                Subscribed::Stream(open.head, Events::read(open.body, wire, source))
            }
            Self::Curl => {
                let mut child = curl(address, target, headers, body);
                let mut output = BufReader::new(child.stdout.take().expect("curl's output"));
                let head = Head::read(&mut output).expect("an answer's head from curl");
                assert_eq!(head.status, 200, "SUBSCRIBE by curl");
                Subscribed::Stream(head, Events::read(output, wire, Source::Process(child)))
            }
        }
    }
}

/// `curl -N -X POST http://ADDRESS/TARGET`, as the tutorial's reader types it. The body goes
/// through standard input, for it may be longer than a command line.
fn curl(
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::process::Child {
    let mut command = Command::new("curl");
    command
        .args(["-s", "-S", "-i", "-N", "-X", "POST"])
        .arg(format!("http://{address}{target}"));
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let mut child = command
        .args(["--data-binary", "@-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    child
        .stdin
        .take()
        .expect("curl's input")
        .write_all(body)
        .expect("curl takes the body");
    child
}
