//! From a session's streams to its readers.

use bytes::Bytes;
use meseta_machine::ContentType;
use meseta_proto::v1::agent::ProcessIo;
use meseta_proto::v1::agent::process_io::{self, Control, Data, control, data};
use meseta_proto::{json, recordio};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{Session, lock};
use crate::daemon::limits::{OUTPUT_HEARTBEAT, OUTPUT_STEP_BYTES, UNREAD_PATIENCE};

/// Copies what a session prints to its readers, until its container has ended and all is read. Calls
/// `gone` when who has asked for it has gone.
pub(super) async fn copy(
    session: &Session,
    output: Receiver,
    errors: Option<Receiver>,
    gone: impl Fn(),
) {
    // Nothing is read before somebody is there to be told.
    tokio::select! {
        () = session.joined.notified() => {}
        () = unread(session) => return,
    }
    let mut streams = Streams {
        output: Some(output),
        errors,
    };
    let mut beat = interval_at(Instant::now() + OUTPUT_HEARTBEAT, OUTPUT_HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_abandoned = false;
    loop {
        tokio::select! {
            (kind, bytes) = streams.next() => tell(session, kind, &bytes).await,
            () = session.ended() => break,
            () = session.abandoned(), if !is_abandoned => {
                is_abandoned = true;
                gone();
            }
            () = session.joined.notified() => {}
            _ = beat.tick() => session.send(heartbeat).await,
        }
    }
    // Nothing of it runs any more; so what is there now is all, whoever else may have it open.
    while let Some((kind, bytes)) = streams.take() {
        tell(session, kind, &bytes).await;
    }
    lock(&session.readers).clear();
}

/// Waits until it is in vain to wait for readers.
async fn unread(session: &Session) {
    session.ended().await;
    sleep(UNREAD_PATIENCE).await;
}

/// The streams that have not ended.
struct Streams {
    output: Option<Receiver>,
    errors: Option<Receiver>,
}

impl Streams {
    /// What is printed next; never returns when nothing will be.
    async fn next(&mut self) -> (data::Type, Bytes) {
        loop {
            tokio::select! {
                read = read(self.output.as_mut()) => match read {
                    Some(bytes) => return (data::Type::Stdout, bytes),
                    None => self.output = None,
                },
                read = read(self.errors.as_mut()) => match read {
                    Some(bytes) => return (data::Type::Stderr, bytes),
                    None => self.errors = None,
                },
            }
        }
    }

    /// What has been printed, without waiting for more.
    fn take(&mut self) -> Option<(data::Type, Bytes)> {
        let output = self.output.as_ref().and_then(take);
        let errors = || self.errors.as_ref().and_then(take);
        output
            .map(|bytes| (data::Type::Stdout, bytes))
            .or_else(|| errors().map(|bytes| (data::Type::Stderr, bytes)))
    }
}

/// Waits for what comes next on a stream; `None` when it has ended.
async fn read(stream: Option<&mut Receiver>) -> Option<Bytes> {
    let Some(stream) = stream else {
        return std::future::pending().await;
    };
    let mut bytes = vec![0; OUTPUT_STEP_BYTES];
    let read = stream.read(&mut bytes).await;
    // A terminal ends with an error.
    whole(bytes, read.unwrap_or_default())
}

/// Asks the kernel itself: the runtime asks it only once it has been told that there is something, and a
/// program that ends at once may have printed and ended before that.
fn take(stream: &Receiver) -> Option<Bytes> {
    let mut bytes = vec![0; OUTPUT_STEP_BYTES];
    let read = rustix::io::read(stream, &mut bytes);
    whole(bytes, read.unwrap_or_default())
}

fn whole(mut bytes: Vec<u8>, length: usize) -> Option<Bytes> {
    bytes.truncate(length);
    (!bytes.is_empty()).then(|| bytes.into())
}

async fn tell(session: &Session, kind: data::Type, bytes: &Bytes) {
    let message = printed(kind, bytes);
    session.send(|encoding| record(&message, encoding)).await;
}

fn printed(kind: data::Type, bytes: &[u8]) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(Data {
            r#type: Some(kind.into()),
            data: Some(bytes.to_vec()),
        }),
        control: None,
    }
}

/// Copies what a terminal's keeper sends to a reader, until either has gone.
pub(super) async fn relay(mut keeper: UnixStream, reader: Sender<Bytes>, encoding: ContentType) {
    let mut beat = interval_at(Instant::now() + OUTPUT_HEARTBEAT, OUTPUT_HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = vec![0; OUTPUT_STEP_BYTES];
    loop {
        let next = tokio::select! {
            read = keeper.read(&mut buffer) => match read {
                Ok(length @ 1..) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    record(&printed(data::Type::Stdout, bytes), encoding)
                }
                Ok(_) | Err(_) => return,
            },
            () = reader.closed() => return,
            _ = beat.tick() => heartbeat(encoding),
        };
        if reader.send(next).await.is_err() {
            return;
        }
    }
}

fn heartbeat(encoding: ContentType) -> Bytes {
    let message = ProcessIo {
        r#type: Some(process_io::Type::Control.into()),
        data: None,
        control: Some(Control {
            r#type: Some(control::Type::Heartbeat.into()),
            tty_info: None,
            heartbeat: Some(control::Heartbeat {
                interval: Some(OUTPUT_HEARTBEAT.into()),
            }),
        }),
    };
    record(&message, encoding)
}

fn record(message: &ProcessIo, encoding: ContentType) -> Bytes {
    recordio::encode(&match encoding {
        ContentType::Protobuf => message.encode_to_vec(),
        _ => json::to_vec(message),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;

    use super::*;

    #[tokio::test]
    async fn what_was_printed_before_the_end_is_taken_though_the_runtime_has_not_seen_it_yet() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let receiver = Receiver::from_owned_fd(OwnedFd::from(reader)).unwrap();
        let mut streams = Streams {
            output: None,
            errors: Some(receiver),
        };
        writer.write_all(b"said").unwrap();
        // The runtime looks at its descriptors between two awaits, of which there is none here.
        let said = Some((data::Type::Stderr, Bytes::from_static(b"said")));
        assert_eq!(streams.take(), said);
        assert_eq!(streams.take(), None, "its writer has it open still");
        drop(writer);
        assert_eq!(streams.take(), None);
    }
}
