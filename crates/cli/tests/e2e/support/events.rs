//! Event streams: RecordIO, read on a thread of its own into a queue.

use std::io::{BufRead, BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use meseta_proto::v1::scheduler;
use serde_json::Value;

use super::PATIENCE;

/// How a message is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Json,
    Protobuf,
}

impl Wire {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    fn event(self, record: &[u8]) -> Value {
        match self {
            Self::Json => serde_json::from_slice(record).expect("an event in JSON"),
            Self::Protobuf => {
                let event: scheduler::Event =
                    meseta_proto::decode(record).expect("an event in protobuf");
                serde_json::from_slice(&meseta_proto::json::to_vec(&event)).expect("its JSON")
            }
        }
    }
}

/// What ends a stream from this side.
#[derive(Debug)]
pub(crate) enum Source {
    Socket(TcpStream),
    Process(Child),
}

impl Source {
    fn close(&mut self) {
        match self {
            Self::Socket(socket) => {
                let _ = socket.shutdown(Shutdown::Both);
            }
            Self::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The events of a subscription.
#[derive(Debug)]
pub(crate) struct Events {
    queue: Receiver<Value>,
    source: Source,
}

impl Events {
    pub(crate) fn read(body: impl Read + Send + 'static, wire: Wire, source: Source) -> Self {
        let (sender, queue) = channel();
        std::thread::spawn(move || {
            let mut body = BufReader::new(body);
            while let Some(record) = next_record(&mut body) {
                if sender.send(wire.event(&record)).is_err() {
                    return;
                }
            }
        });
        Self { queue, source }
    }

    /// The next event; `None` when the other side ends the stream.
    pub(crate) fn next(&self) -> Option<Value> {
        self.next_within(PATIENCE)
            .unwrap_or_else(|Quiet| panic!("no event within {PATIENCE:?}"))
    }

    /// The next event, if one comes (or the stream ends) within a time.
    pub(crate) fn next_within(&self, time: Duration) -> Result<Option<Value>, Quiet> {
        match self.queue.recv_timeout(time) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(Quiet),
        }
    }
}

/// Nothing came in time.
#[derive(Debug)]
pub(crate) struct Quiet;

impl Drop for Events {
    fn drop(&mut self) {
        self.source.close();
    }
}

/// One record: its length in decimal, a newline, and that many bytes. `None` at the end.
pub(crate) fn next_record(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = String::new();
    match from.read_line(&mut length) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    let length: usize = length
        .strip_suffix('\n')
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("{length:?} for the length of a record"));
    let mut record = vec![0; length];
    from.read_exact(&mut record).ok()?;
    Some(record)
}
