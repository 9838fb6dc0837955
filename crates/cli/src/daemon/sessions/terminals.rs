//! Terminals of containers that outlive the agent: their keepers hold them, and the agent connects.

use std::fs::{DirBuilder, File};
use std::io;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meseta_agent::{OutputForm, http};
use meseta_containerizer::{Frame, TYPE, WATCH};
use meseta_machine::Reply;
use meseta_proto::v1::ContainerId;
use meseta_transport::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::input::{Records, kernels, somebody_else};
use super::{Sessions, Shared, lock, output, streamed};
use crate::daemon::limits::OUTPUT_RECORDS_WAITING;

/// Where the keepers' sockets lie, below the work directory: closed to all but the agent.
const FOLDER: &str = "meta/terminals";

/// What follows a container's id in the name of its socket. No id has a dot in it.
const SUFFIX: &str = ".terminal";

/// The sockets of one agent's containers: one for each that has a terminal, in a folder for what it is in.
#[derive(Debug)]
pub(super) struct Terminals {
    folder: PathBuf,
}

impl Terminals {
    pub(super) fn new(work_dir: &Path) -> Self {
        Self {
            folder: work_dir.join(FOLDER),
        }
    }

    /// A socket that a keeper is to listen on.
    pub(super) fn listen(&self, id: &ContainerId) -> io::Result<OwnedFd> {
        let folder = self.around(id);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        // Of an earlier container of that id.
        let _ = std::fs::remove_file(folder.join(name(id)));
        let folder = File::open(folder)?;
        UnixListener::bind(short(&folder, id)).map(OwnedFd::from)
    }

    /// A connection to the keeper of a container's terminal.
    fn connect(&self, id: &ContainerId, purpose: u8) -> io::Result<tokio::net::UnixStream> {
        let folder = File::open(self.around(id))?;
        let mut socket = UnixStream::connect(short(&folder, id))?;
        socket.write_all(&[purpose])?;
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)
    }

    /// Forgets a container and those inside of it.
    pub(super) fn forget(&self, id: &ContainerId) {
        // Most have none.
        let folder = self.around(id);
        let _ = std::fs::remove_file(folder.join(name(id)));
        let _ = std::fs::remove_dir_all(folder.join(&id.value));
    }

    fn around(&self, id: &ContainerId) -> PathBuf {
        let parent = id.parent.as_deref();
        parent.map_or_else(
            || self.folder.clone(),
            |parent| self.around(parent).join(&parent.value),
        )
    }
}

fn name(id: &ContainerId) -> String {
    format!("{}{SUFFIX}", id.value)
}

/// The path of a socket in a folder that is open: the kernel takes no long ones.
fn short(folder: &File, id: &ContainerId) -> PathBuf {
    let folder = format!("/proc/self/fd/{}", folder.as_raw_fd());
    Path::new(&folder).join(name(id))
}

/// A terminal that somebody types on.
pub(super) struct Typing {
    socket: tokio::net::UnixStream,
    id: ContainerId,
    shared: Arc<Shared>,
}

impl Drop for Typing {
    fn drop(&mut self) {
        lock(&self.shared.typed_on).remove(&self.id);
    }
}

impl Sessions {
    /// The answer to who wants to see what is printed on a container's terminal, if it has one.
    pub(super) fn watch_terminal(&self, id: &ContainerId, form: OutputForm) -> Option<Response> {
        let _runtime = self.0.runtime.enter();
        let keeper = self.0.terminals.connect(id, WATCH).ok()?;
        let (sender, receiver) = mpsc::channel(OUTPUT_RECORDS_WAITING);
        let relay = output::relay(keeper, sender, form.messages);
        self.0.runtime.spawn(relay);
        Some(streamed(receiver, form))
    }

    /// A container's terminal to type on, if it has one.
    ///
    /// # Errors
    /// The refusal to answer with while somebody else types.
    pub(super) fn type_on(&self, id: &ContainerId) -> Result<Option<Typing>, Box<Reply>> {
        let Ok(socket) = self.0.terminals.connect(id, TYPE) else {
            return Ok(None);
        };
        if !lock(&self.0.typed_on).insert(id.clone()) {
            return Err(Box::new(somebody_else()));
        }
        Ok(Some(Typing {
            socket,
            id: id.clone(),
            shared: Arc::clone(&self.0),
        }))
    }
}

impl Typing {
    /// Passes on what is typed until the request's body has ended, or the terminal is no more.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub(super) async fn feed(
        mut self,
        attaching: &http::Attaching,
        mut records: Records,
    ) -> Result<(), Box<Reply>> {
        let (mut closing, mut terminal) = self.socket.split();
        loop {
            let taken = async {
                let Some(record) = records.next().await? else {
                    return Ok(false);
                };
                let frames = match attaching.input(&record)? {
                    http::AttachedInput::Data(bytes) => Frame::Data(&bytes).encode(),
                    http::AttachedInput::Resize(size) => Frame::Size(kernels(size)).encode(),
                    http::AttachedInput::Heartbeat => Vec::new(),
                };
                // It shows below when it is gone.
                Ok(terminal.write_all(&frames).await.is_ok())
            };
            let mut nothing = [0];
            tokio::select! {
                taken = taken => {
                    let goes_on: Result<bool, Box<Reply>> = taken;
                    if !goes_on? {
                        return Ok(());
                    }
                }
                // Keepers say nothing to who types.
                _ = closing.read(&mut nothing) => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_lie_as_deep_as_their_containers_and_go_with_what_those_are_in() {
        let home = tempfile::tempdir().unwrap();
        // Longer than the kernel takes for the path of a socket.
        let work_dir = home.path().join("a".repeat(200));
        let terminals = Terminals::new(&work_dir);
        let root = ContainerId::from("0b3c7b4e-7a5f-4c4e-9b52-2f5a4d0f7a11");
        let child = ContainerId {
            parent: Some(Box::new(root.clone())),
            ..ContainerId::from("child")
        };
        let _keeper = UnixListener::from(terminals.listen(&child).unwrap());
        let again = UnixListener::from(terminals.listen(&child).unwrap());
        let folder = File::open(terminals.around(&child)).unwrap();
        UnixStream::connect(short(&folder, &child)).unwrap();
        again.accept().unwrap();
        terminals.forget(&root);
        UnixStream::connect(short(&folder, &child)).unwrap_err();
    }
}
