//! What goes to the program: standard input, the terminal's size, and signals.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use meseta_proto::recordio;
use meseta_proto::v1::agent::call::attach_container_input::Type as Kind;
use meseta_proto::v1::agent::call::{self, AttachContainerInput, Type};
use meseta_proto::v1::agent::process_io::{self, Control, Data, control, data};
use meseta_proto::v1::agent::{Call, ProcessIo};
use meseta_proto::v1::tty_info::WindowSize;
use meseta_proto::v1::{ContainerId, TtyInfo};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use prost::Message as _;
use rustix::io::Errno;

use super::terminal::Terminal;
use super::{Place, SIGNAL_BASE};
use crate::operator::client::{Client, RecordReader, to_agent};
use crate::operator::error::Error;
use crate::operator::limits::{INPUT_HEARTBEAT, INPUT_RECORDS_WAITING, INPUT_STEP_BYTES};

/// What is done with standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stdin {
    /// Nothing of it is passed on, and the program is told that there is none.
    Ended,
    /// All of it is passed on.
    Plain,
    /// The same, until the keys that let go of a program that goes on: Ctrl-P Ctrl-Q, as in Mesos.
    Detachable,
}

const DETACH: [u8; 2] = [0x10, 0x11];

/// Has signals wait for who asks for them, instead of ending this process. To be called before there are
/// other threads.
fn hold_signals() -> Result<SigSet, Error> {
    let mut held = SigSet::empty();
    for signal in [
        Signal::SIGWINCH,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ] {
        held.add(signal);
    }
    let blocked = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&held), None);
    blocked.map_err(|errno| local(errno.into()))?;
    Ok(held)
}

/// The threads that send the input.
#[derive(Debug)]
pub(super) struct Input {
    refusal: Arc<Mutex<Option<Error>>>,
}

impl Input {
    pub(super) fn start(
        place: &Place,
        client: Client,
        terminal: Option<Terminal>,
        stdin: Option<Stdin>,
    ) -> Result<Self, Error> {
        let signals = hold_signals()?;
        let refusal = Arc::new(Mutex::new(None));
        let (records, receiver) = sync_channel(INPUT_RECORDS_WAITING);
        if let Some(terminal) = &terminal {
            terminal.take_over()?;
        }
        // Without a terminal and without input there is nothing to send.
        let sends = terminal.is_some() || stdin.is_some();
        let said = Arc::clone(&refusal);
        let (own, killer) = (place.clone(), client.fellow());
        if sends {
            let place = place.clone();
            spawn("input", move || {
                let reader = RecordReader::new(receiver);
                if let Err(error) = client.send_input(&place.agent, reader, &place.attempt)
                    && is_worth_telling(&error)
                {
                    *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })?;
            // Nobody hears of it if the other side is gone.
            let _ = records.send(first(&own.container));
            if stdin == Some(Stdin::Detachable)
                && let Some(size) = terminal.as_ref().and_then(Terminal::size)
            {
                // Who draws does so anew when the size changes, and only then.
                for size in [NO_SIZE, size] {
                    let _ = records.send(resized(size));
                }
            }
            let pulse = records.clone();
            spawn("heartbeats", move || beat(&pulse))?;
        }
        let watched = Watched {
            place: own,
            client: killer,
            terminal: terminal.clone(),
            records: sends.then(|| records.clone()),
        };
        spawn("signals", move || watched.wait(&signals))?;
        match stdin {
            Some(Stdin::Ended) => end_input(&records),
            Some(stdin) => spawn("stdin", move || {
                read_all(stdin, &records, terminal.as_ref());
            })?,
            None => {}
        }
        Ok(Self { refusal })
    }

    /// Why the program did not get what was sent, if somebody should know.
    pub(super) fn refusal(&self) -> Option<Error> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.take()
    }
}

/// A program that has closed its input, or has ended, is no news.
fn is_worth_telling(error: &Error) -> bool {
    matches!(error, Error::Refused { status, .. } if !matches!(status, 404 | 500))
}

fn spawn(name: &str, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(job).map(drop).map_err(local)
}

fn local(source: io::Error) -> Error {
    Error::Local {
        attempt: "take the terminal over".to_owned(),
        source,
    }
}

/// Passes standard input on to its end.
fn read_all(stdin: Stdin, records: &SyncSender<Bytes>, terminal: Option<&Terminal>) {
    let mut buffer = vec![0; INPUT_STEP_BYTES];
    let mut keys = Keys::default();
    loop {
        let read = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Err(Errno::INTR) => continue,
            read => read.unwrap_or_default(),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return end_input(records);
        }
        let passed = match stdin {
            Stdin::Ended | Stdin::Plain => Some(bytes.to_vec()),
            Stdin::Detachable => keys.pass(bytes),
        };
        let Some(passed) = passed else {
            end(terminal, 0);
        };
        if !passed.is_empty() && records.send(stdin_record(&passed)).is_err() {
            return;
        }
    }
}

/// Says that there is no more, and that this was the last.
fn end_input(records: &SyncSender<Bytes>) {
    let _ = records.send(stdin_record(&[]));
    let _ = records.send(Bytes::new());
}

/// Looks for the keys that let go.
#[derive(Debug, Default)]
struct Keys {
    has_first: bool,
}

impl Keys {
    /// What of these is for the program; `None` if it is to be let go.
    fn pass(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let [first, second] = DETACH;
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for byte in bytes {
            if std::mem::take(&mut self.has_first) {
                if *byte == second {
                    return None;
                }
                passed.push(first);
            }
            if *byte == first {
                self.has_first = true;
            } else {
                passed.push(*byte);
            }
        }
        Some(passed)
    }
}

/// Ends this process, and leaves the terminal as it was.
fn end(terminal: Option<&Terminal>, status: i32) -> ! {
    if let Some(terminal) = terminal {
        terminal.release();
    }
    std::process::exit(status)
}

/// Says that this side is there, until the other one is not.
fn beat(records: &SyncSender<Bytes>) {
    // Nothing ever comes: it is a clock that stops with this process.
    let (_never, clock) = sync_channel::<()>(0);
    while clock.recv_timeout(INPUT_HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
        let control = Control {
            r#type: Some(control::Type::Heartbeat.into()),
            tty_info: None,
            heartbeat: Some(control::Heartbeat {
                interval: Some(INPUT_HEARTBEAT.into()),
            }),
        };
        if records.send(control_record(control)).is_err() {
            return;
        }
    }
}

/// What signals concern.
struct Watched {
    place: Place,
    client: Client,
    terminal: Option<Terminal>,
    records: Option<SyncSender<Bytes>>,
}

impl Watched {
    fn wait(&self, signals: &SigSet) {
        let mut is_interrupted = false;
        loop {
            match signals.wait() {
                Ok(Signal::SIGWINCH) => self.resize(),
                // Of keys that end a program, a terminal tells it itself. Without one it is told here; and
                // who asks again wants an end.
                Ok(signal @ (Signal::SIGINT | Signal::SIGQUIT))
                    if self.terminal.is_none()
                        && self.is_session()
                        && !std::mem::replace(&mut is_interrupted, true) =>
                {
                    self.pass_on(signal);
                }
                Ok(signal) => end(self.terminal.as_ref(), SIGNAL_BASE + signal as i32),
                Err(_) => {}
            }
        }
    }

    /// Whether the program is here because of this process.
    fn is_session(&self) -> bool {
        self.place.container.parent.is_some()
    }

    fn pass_on(&self, signal: Signal) {
        let kill = Call {
            kill_container: Some(call::KillContainer {
                container_id: self.place.container.clone(),
                signal: Some(signal as i32),
            }),
            ..to_agent(Type::KillContainer)
        };
        let Place { agent, attempt, .. } = &self.place;
        if self.client.tell_agent(agent, &kill, attempt).is_err() {
            end(None, SIGNAL_BASE + signal as i32);
        }
    }

    fn resize(&self) {
        let size = self.terminal.as_ref().and_then(Terminal::size);
        if let (Some(records), Some(size)) = (&self.records, size) {
            let _ = records.send(resized(size));
        }
    }
}

/// That of no terminal.
const NO_SIZE: WindowSize = WindowSize {
    rows: 0,
    columns: 0,
};

fn resized(size: WindowSize) -> Bytes {
    control_record(Control {
        r#type: Some(control::Type::TtyInfo.into()),
        tty_info: Some(TtyInfo {
            window_size: Some(size),
        }),
        heartbeat: None,
    })
}

/// Whom all that follows is for.
fn first(container: &ContainerId) -> Bytes {
    record(AttachContainerInput {
        r#type: Some(Kind::ContainerId.into()),
        container_id: Some(container.clone()),
        process_io: None,
    })
}

fn stdin_record(bytes: &[u8]) -> Bytes {
    process_io(ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(Data {
            r#type: Some(data::Type::Stdin.into()),
            data: Some(bytes.to_vec()),
        }),
        control: None,
    })
}

fn control_record(control: Control) -> Bytes {
    process_io(ProcessIo {
        r#type: Some(process_io::Type::Control.into()),
        data: None,
        control: Some(control),
    })
}

fn process_io(io: ProcessIo) -> Bytes {
    record(AttachContainerInput {
        r#type: Some(Kind::ProcessIo.into()),
        container_id: None,
        process_io: Some(io),
    })
}

fn record(attach: AttachContainerInput) -> Bytes {
    let call = Call {
        attach_container_input: Some(attach),
        ..to_agent(Type::AttachContainerInput)
    };
    recordio::encode(&call.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_let_go_and_one_of_them_is_passed_on_with_the_next() {
        let mut keys = Keys::default();
        assert_eq!(keys.pass(b"a\x11b"), Some(b"a\x11b".to_vec()));
        assert_eq!(keys.pass(b"\x10"), Some(Vec::new()));
        assert_eq!(keys.pass(b"x\x10\x10"), Some(b"\x10x\x10".to_vec()));
        assert_eq!(keys.pass(b"\x11"), None);
    }
}
