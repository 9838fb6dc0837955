//! Containers whose input and output are in somebody's hands: shells of operators, mostly.
//!
//! The agent holds the other ends of their pipes and terminals. What a session prints waits there until
//! its reader has taken what came before, so that a slow one holds the program up and nobody's memory
//! fills; others who look on may do that for [`WATCHER_PATIENCE`] only. What is sent to a session is
//! read from its request no faster than the program reads.
//!
//! ```text
//! launch ──▶ [pipes or terminal] ──first reader──▶ copied ──ended, all is read──▶ gone
//!                                  └─its reader has gone─▶ SessionClosed ─▶ destroyed
//! ```

mod input;
mod output;
mod terminals;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use meseta_agent::{Input, OutputForm};
use meseta_containerizer::Ends;
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::ContainerId;
use meseta_transport::{Body, Response};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use self::input::Sink;
pub(super) use self::input::feed;
use self::terminals::Terminals;
use super::driver::Inputs;
use super::limits::{
    MAX_ATTACHED_INPUTS, MAX_SESSION_READERS, OUTPUT_RECORDS_WAITING, WATCHER_PATIENCE,
};

/// The sessions of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    inputs: Inputs<Input>,
    sessions: Mutex<HashMap<ContainerId, Arc<Session>>>,
    terminals: Terminals,
    /// Those whose terminals are typed on.
    typed_on: Mutex<HashSet<ContainerId>>,
    /// Places for requests that bring input.
    places: Arc<Semaphore>,
}

/// One of them, from its launch until all that it has printed is read.
#[derive(Debug)]
struct Session {
    sink: tokio::sync::Mutex<Sink>,
    readers: Mutex<Vec<Reader>>,
    /// Rings when there is a new reader.
    joined: Notify,
    /// Whether its container has ended.
    has_ended: watch::Sender<bool>,
}

/// Who is sent what it prints.
#[derive(Debug, Clone)]
struct Reader {
    sender: mpsc::Sender<bytes::Bytes>,
    form: OutputForm,
    /// Who has asked for the session, which ends with him. Others look on.
    is_owner: bool,
}

impl Sessions {
    /// Must be called on the runtime.
    pub(super) fn new(work_dir: &Path, inputs: Inputs<Input>) -> Self {
        Self(Arc::new(Shared {
            runtime: Handle::current(),
            inputs,
            sessions: Mutex::default(),
            terminals: Terminals::new(work_dir),
            typed_on: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_ATTACHED_INPUTS)),
        }))
    }

    /// Takes over the ends of a session's streams.
    pub(super) fn insert(&self, id: ContainerId, ends: Ends) -> std::io::Result<()> {
        let _runtime = self.0.runtime.enter();
        let has_terminal = ends.errors.is_none();
        // A terminal is read and written as pipes are.
        let input = Sender::from_owned_fd_unchecked(ends.input)?;
        let output = Receiver::from_owned_fd_unchecked(ends.output)?;
        let errors = ends.errors.map(Receiver::from_owned_fd_unchecked);
        let errors = errors.transpose()?;
        let session = Arc::new(Session {
            sink: tokio::sync::Mutex::new(Sink::new(input, has_terminal)),
            readers: Mutex::default(),
            joined: Notify::new(),
            has_ended: watch::Sender::new(false),
        });
        lock(&self.0.sessions).insert(id.clone(), Arc::clone(&session));
        let shared = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            let gone = || {
                let container_id = id.clone();
                shared.inputs.send(Input::SessionClosed { container_id });
            };
            output::copy(&session, output, errors, gone).await;
            let mut sessions = lock(&shared.sessions);
            // Another of its id may have come after it.
            if sessions
                .get(&id)
                .is_some_and(|it| Arc::ptr_eq(it, &session))
            {
                sessions.remove(&id);
            }
        });
        Ok(())
    }

    /// The streams of a container that has ended, to be told when others know.
    pub(super) fn of_ended(&self, id: &ContainerId) -> Ended {
        self.0.terminals.forget(id);
        Ended(self.get(id))
    }

    /// The answer to who has asked for a session. It ends when he no longer takes it.
    pub(super) fn open(&self, id: &ContainerId, form: OutputForm) -> Response {
        if let Some(response) = self.read(id, form, true) {
            return response;
        }
        let container_id = id.clone();
        // It was launched, and nobody could take its streams.
        let closed = Input::SessionClosed { container_id };
        let inputs = self.0.inputs.clone();
        self.0.runtime.spawn_blocking(move || inputs.send(closed));
        Reply::refused(500, "The agent has no descriptors left for a session").into()
    }

    /// The answer to who wants to look on; `None` if there is nothing to be seen of this container.
    pub(super) fn watch(&self, id: &ContainerId, form: OutputForm) -> Option<Response> {
        self.read(id, form, false)
            .or_else(|| self.watch_terminal(id, form))
    }

    /// The socket for the terminal of a container that is about to be launched.
    pub(super) fn listen(&self, id: &ContainerId) -> std::io::Result<OwnedFd> {
        self.0.terminals.listen(id)
    }

    fn read(&self, id: &ContainerId, form: OutputForm, is_owner: bool) -> Option<Response> {
        let session = self.get(id)?;
        let (sender, receiver) = mpsc::channel(OUTPUT_RECORDS_WAITING);
        let mut readers = lock(&session.readers);
        readers.retain(|it| it.is_owner || !it.sender.is_closed());
        if readers.len() >= MAX_SESSION_READERS {
            let sentence = "Too many others read the container's output";
            return Some(Reply::refused(503, sentence).into());
        }
        readers.push(Reader {
            sender,
            form,
            is_owner,
        });
        drop(readers);
        session.joined.notify_one();
        Some(streamed(receiver, form))
    }

    fn get(&self, id: &ContainerId) -> Option<Arc<Session>> {
        lock(&self.0.sessions).get(id).cloned()
    }
}

/// The streams of a container that has ended, if it was a session.
#[derive(Debug)]
pub(super) struct Ended(Option<Arc<Session>>);

impl Ended {
    /// What it has printed is all that will be.
    pub(super) fn end(self) {
        if let Some(session) = self.0 {
            session.has_ended.send_replace(true);
        }
    }
}

/// The answer that goes on with what is sent.
fn streamed(receiver: mpsc::Receiver<bytes::Bytes>, form: OutputForm) -> Response {
    let response = Response::new(StatusCode::OK, Body::Channel(receiver))
        .header("Content-Type", form.stream.as_str());
    match form.stream {
        ContentType::RecordIo => response.header("Message-Content-Type", form.messages.as_str()),
        _ => response,
    }
}

impl Session {
    /// Waits until its container has ended.
    async fn ended(&self) {
        let mut has_ended = self.has_ended.subscribe();
        // The sender is here: this does not fail.
        let _ = has_ended.wait_for(|has_ended| *has_ended).await;
    }

    /// Waits until who has asked for it has gone.
    async fn abandoned(&self) {
        let owner = lock(&self.readers).iter().find(|it| it.is_owner).cloned();
        match owner {
            Some(owner) => owner.sender.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Gives every reader what it wants of a record, and waits until they have room for it.
    async fn send(&self, record: impl Fn(ContentType) -> bytes::Bytes) {
        let readers = lock(&self.readers).clone();
        for reader in readers {
            let sending = reader.sender.send(record(reader.form.messages));
            let is_sent = if reader.is_owner {
                sending.await.is_ok()
            } else {
                let sent = tokio::time::timeout(WATCHER_PATIENCE, sending).await;
                sent.is_ok_and(|sent| sent.is_ok())
            };
            // Who has asked for it stays known: the session ends with him.
            if !is_sent && !reader.is_owner {
                self.forget(&reader);
            }
        }
    }

    fn forget(&self, reader: &Reader) {
        lock(&self.readers).retain(|it| !it.sender.same_channel(&reader.sender));
    }
}

/// What is locked here is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
