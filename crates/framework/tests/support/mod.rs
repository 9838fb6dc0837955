//! A master that a test plays by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::{decode, json, recordio};
use prost::Message as _;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Master {
    pub(crate) address: String,
    calls: Receiver<Request>,
}

/// A call with what came around it.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) call: Call,
    connection: TcpStream,
}

/// An open stream of events; dropping it closes the connection.
pub(crate) struct Stream {
    connection: TcpStream,
    is_json: bool,
}

impl Master {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, calls) = channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let sender = sender.clone();
                thread::spawn(move || serve(&connection, &sender));
            }
        });
        Self { address, calls }
    }

    pub(crate) fn next(&self) -> Request {
        self.calls.recv_timeout(PATIENCE).expect("a call")
    }

    /// The next call must be a subscription; accepts it.
    pub(crate) fn accept(&self, stream_id: &str, heartbeat: f64) -> (Request, Stream) {
        let mut request = self.next();
        assert_eq!(request.call.r#type(), call::Type::Subscribe);
        request.answer(&format!(
            "200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: {stream_id}"
        ));
        let mut stream = Stream {
            connection: request.connection.try_clone().unwrap(),
            is_json: request.head.contains("accept: application/json"),
        };
        stream.send(&Event {
            r#type: Some(event::Type::Subscribed.into()),
            subscribed: Some(event::Subscribed {
                framework_id: "f".into(),
                heartbeat_interval_seconds: Some(heartbeat),
                master_info: None,
            }),
            ..Event::default()
        });
        (request, stream)
    }
}

impl Request {
    /// Answers with a status (and headers) without a body.
    pub(crate) fn answer(&mut self, head: &str) {
        let length = if head.contains("chunked") {
            ""
        } else {
            "\r\nContent-Length: 0"
        };
        write!(self.connection, "HTTP/1.1 {head}{length}\r\n\r\n").unwrap();
    }

    pub(crate) fn refuse(&mut self, status: &str, sentence: &str) {
        let length = sentence.len();
        write!(
            self.connection,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{sentence}"
        )
        .unwrap();
    }
}

impl Stream {
    pub(crate) fn send(&mut self, event: &Event) {
        let record = if self.is_json {
            json::to_string(event).into_bytes()
        } else {
            event.encode_to_vec()
        };
        let record = recordio::encode(&record);
        let length = format!("{:x}\r\n", record.len());
        let chunk = [length.as_bytes(), &record, b"\r\n"].concat();
        self.connection.write_all(&chunk).unwrap();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The client may have closed it first.
        let _ = self.connection.shutdown(std::net::Shutdown::Both);
    }
}

/// Reads requests until the connection ends.
fn serve(connection: &TcpStream, calls: &Sender<Request>) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let call = if head.contains("content-type: application/json") {
            json::from_slice(&body).unwrap()
        } else {
            decode(&body).unwrap()
        };
        // The test may have seen enough.
        let _ = calls.send(Request {
            head,
            call,
            connection: connection.try_clone().unwrap(),
        });
    }
}
