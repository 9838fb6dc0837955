//! Input that no client should send: a refusal or a closed connection, bounded memory, and
//! everyone else is served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::daemon::Cluster;
use crate::support::scheduler::{framework, shell_task};
use crate::support::{http, processes};

/// Memory that garbage may cost at most, over what the daemon had before.
const MEMORY: u64 = 128 << 20;

/// How long a request without an end is waited for.
const UNFINISHED: Duration = Duration::from_secs(90);

const SCHEDULER: &str = "/api/v1/scheduler";

/// A cluster with a well-behaved client's view of it.
struct Besieged {
    cluster: Cluster,
    resident: u64,
}

impl Besieged {
    fn start() -> Self {
        let cluster = Cluster::start();
        http::get(cluster.master(), "/state");
        let resident = processes::resident(cluster.daemon.pid());
        Self { cluster, resident }
    }

    fn address(&self) -> SocketAddr {
        self.cluster.master()
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address()).expect("a connection");
        socket
            .set_read_timeout(Some(UNFINISHED))
            .expect("a timeout");
        socket
            .set_write_timeout(Some(UNFINISHED))
            .expect("a timeout");
        socket
    }

    /// Sends bytes and reads until the connection ends; what was answered, if anything.
    fn send(&self, bytes: &[u8]) -> Outcome {
        let socket = self.connect();
        // The other side may refuse, and close, before all of it is sent.
        let _ = (&socket).write_all(bytes);
        outcome(&socket)
    }

    /// Everyone else is served, and memory is bounded.
    fn stands(&self) {
        assert_eq!(http::get(self.address(), "/health").status(), 200);
        self.memory_is_bounded();
    }

    fn memory_is_bounded(&self) {
        let now = processes::resident(self.cluster.daemon.pid());
        assert!(
            now < self.resident + MEMORY,
            "{} bytes grew to {now}",
            self.resident
        );
    }
}

/// How the server took it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered(u16, String),
    Closed,
}

impl Outcome {
    fn is_a_refusal(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Answered(status, _) => (400..500).contains(status),
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::Closed => 0,
            Self::Answered(status, _) => *status,
        }
    }
}

fn outcome(socket: &TcpStream) -> Outcome {
    let answer = socket.try_clone().and_then(|socket| {
        let mut open = http::answer(socket)?;
        let mut body = Vec::new();
        open.body.read_to_end(&mut body)?;
        Ok((
            open.head.status,
            String::from_utf8_lossy(&body).into_owned(),
        ))
    });
    match answer {
        Ok((status, body)) => Outcome::Answered(status, body),
        Err(error) => {
            let timed_out = matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            );
            assert!(
                !timed_out,
                "neither an answer nor the end of the connection"
            );
            Outcome::Closed
        }
    }
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {SCHEDULER} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}

fn json_post(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    post(
        &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        body,
    )
}

#[test]
fn requests_without_an_end_are_closed() {
    let besieged = Besieged::start();
    let waiting: Vec<TcpStream> = [
        b"POST".as_slice(),
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/v1/scheduler HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        b"POST /api/v1/scheduler HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ]
    .into_iter()
    .map(|start| {
        let mut socket = besieged.connect();
        socket.write_all(start).expect("a beginning");
        socket
    })
    .collect();
    besieged.stands();
    for mut socket in waiting {
        let mut answer = Vec::new();
        let start = Instant::now();
        // A reset is an end, too; only the read timeout is none.
        let _ = socket.read_to_end(&mut answer);
        assert!(
            start.elapsed() < UNFINISHED,
            "still open, having sent {answer:?}"
        );
    }
    besieged.stands();
}

#[test]
fn deep_nesting_is_refused() {
    let besieged = Besieged::start();
    for bracket in ["[", "{\"a\":"] {
        let outcome = besieged.send(&json_post(bracket.repeat(500_000).as_bytes()));
        assert!(outcome.is_a_refusal(), "{outcome:?}");
        besieged.stands();
    }
}

#[test]
fn a_body_of_a_gigabyte_is_refused_before_it_fills_the_memory() {
    const GIGABYTE: usize = 1 << 30;
    let besieged = Besieged::start();
    let block = vec![b' '; 1 << 16];
    let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
    chunk.extend_from_slice(&block);
    chunk.extend_from_slice(b"\r\n");
    for (framing, piece) in [
        (format!("Content-Length: {GIGABYTE}"), &block),
        ("Transfer-Encoding: chunked".to_owned(), &chunk),
    ] {
        let socket = besieged.connect();
        let head = post(
            &format!("Content-Type: application/json\r\n{framing}\r\n"),
            b"",
        );
        (&socket).write_all(&head).expect("a head");
        let mut sent = 0;
        while sent < GIGABYTE && (&socket).write_all(piece).is_ok() {
            sent += block.len();
            if sent % (64 << 20) == 0 {
                besieged.memory_is_bounded();
            }
        }
        let outcome = outcome(&socket);
        assert!(
            outcome.is_a_refusal(),
            "{framing}: {outcome:?} after {sent} bytes"
        );
        besieged.stands();
    }
}

#[test]
fn a_header_block_of_a_megabyte_is_refused() {
    let besieged = Besieged::start();
    let one = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    let many = "X-Many: a\r\n".repeat(100_000);
    for headers in [one, many] {
        let outcome = besieged.send(&post(&headers, b""));
        assert!(outcome.is_a_refusal(), "{outcome:?}");
        besieged.stands();
    }
}

#[test]
fn a_chunked_body_with_trailers_is_read_or_refused() {
    let besieged = Besieged::start();
    let headers =
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n";
    let outcome = besieged.send(&post(headers, b"2\r\n{}\r\n0\r\nX-After: yes\r\n\r\n"));
    assert!(outcome.is_a_refusal(), "{outcome:?}");
    if let Outcome::Answered(_, body) = outcome {
        assert_eq!(
            body,
            "Failed to validate scheduler::Call: Expecting 'type' to be present"
        );
    }
    besieged.stands();
}

#[test]
fn paths_that_are_none_are_refused() {
    let besieged = Besieged::start();
    let found = |line: &str| {
        besieged.send(format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    };
    assert_eq!(found("GET /%zz HTTP/1.1").status(), 404);
    for line in [
        "GET  HTTP/1.1",
        "GET HTTP/1.1",
        "GET",
        "\0\0\0\0",
        "GET /\u{1} HTTP/1.1",
    ] {
        let outcome = found(line);
        assert!(outcome.is_a_refusal(), "{line:?}: {outcome:?}");
    }
    besieged.stands();
}

#[test]
fn ids_that_could_not_name_a_folder_are_refused() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("ids"));
    let long = "x".repeat(256);
    for (id, sentence) in [
        ("", "ID must not be empty"),
        (".", "'.' is disallowed"),
        ("..", "'..' is disallowed"),
        ("a/b", "'a/b' contains invalid characters"),
        ("a\u{1}b", "'a\u{1}b' contains invalid characters"),
        (&long, "ID must not be greater than 255 characters"),
    ] {
        scheduler.start(&shell_task(id, "true"));
        let error = scheduler.expect("TASK_ERROR");
        assert_eq!(error["message"], sentence);
        assert_eq!(error["reason"], "REASON_TASK_INVALID");
    }
}

#[test]
fn a_truncated_protobuf_is_refused() {
    let besieged = Besieged::start();
    // A SUBSCRIBE whose framework info should be 100 bytes long.
    let body = b"\x10\x01\x1a\x66\x0a\x64\x0a\x04root";
    let length = body.len();
    let headers = format!("Content-Type: application/x-protobuf\r\nContent-Length: {length}\r\n");
    let outcome = besieged.send(&post(&headers, body));
    let Outcome::Answered(400, sentence) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        sentence.starts_with("Failed to parse body into Call protobuf"),
        "{sentence}"
    );
    besieged.stands();
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off() {
    const TASKS_A_CALL: usize = 1000;
    const CALLS: usize = 2000;
    let besieged = Besieged::start();
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let id = "never-reads";
    let mut info = framework(id);
    info["id"] = json!({"value": id});
    let subscribe = json!({
        "type": "SUBSCRIBE",
        "framework_id": {"value": id},
        "subscribe": {"framework_info": info},
    });
    let body = subscribe.to_string().into_bytes();
    let stream =
        http::open(besieged.address(), "POST", SCHEDULER, &headers, Some(&body)).expect("a stream");
    assert_eq!(stream.head.status, 200);
    let stream_id = stream
        .head
        .header("mesos-stream-id")
        .expect("a stream id")
        .to_owned();

    // Every task that is asked for is an event for the stream.
    let tasks: Vec<_> = (0..TASKS_A_CALL)
        .map(|number| json!({"task_id": {"value": format!("task {number}")}}))
        .collect();
    let reconcile = json!({
        "type": "RECONCILE",
        "framework_id": {"value": id},
        "reconcile": {"tasks": tasks},
    });
    let body = reconcile.to_string().into_bytes();
    let headers = [
        ("content-type", "application/json"),
        ("mesos-stream-id", &stream_id),
    ];
    let refused = (0..CALLS).find_map(|_| {
        let answer = http::request(besieged.address(), "POST", SCHEDULER, &headers, Some(&body))
            .expect("an answer");
        besieged.memory_is_bounded();
        (answer.status() != 202).then_some(answer)
    });
    let refused = refused.expect("an end of the stream that nobody reads");
    assert!((400..500).contains(&refused.status()), "{refused:?}");
    besieged.stands();
}
