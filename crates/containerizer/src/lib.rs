//! Launching, watching and destroying containers: trees of processes with a sandbox.
//!
//! This crate knows processes, users and files, and nothing of who asks for them. It never blocks
//! longer than the kernel takes, except where its name says so ([`Watcher::next`], [`wait`],
//! [`destroy`]).
//!
//! ```
//! use meseta_containerizer::{Sandbox, Spec, Watcher, launch, prepare_sandbox};
//!
//! let home = tempfile::tempdir()?;
//! let directory = home.path().join("runs/1");
//! let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
//! prepare_sandbox(&Sandbox {
//!     directory: &directory,
//!     latest: &home.path().join("runs/latest"),
//!     stdout: &stdout,
//!     stderr: &stderr,
//!     user: None,
//! })?;
//! let process = launch(&Spec {
//!     program: "sh".to_owned(),
//!     arguments: vec!["sh".to_owned(), "-c".to_owned(), "echo hello; exit 3".to_owned()],
//!     environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
//!     directory: directory.clone(),
//!     stdout: stdout.clone(),
//!     stderr,
//!     user: None,
//! })?;
//! let watcher = Watcher::new()?;
//! watcher.watch(process, "the first")?;
//! assert_eq!(watcher.next()?, ("the first", Some(3 << 8)));
//! assert_eq!(std::fs::read_to_string(&stdout)?, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What belongs to a container
//!
//! Its first process is the leader of a session of its own. Everything below that process belongs
//! to it, whatever is in its session or in a session that one of its processes has opened, and what
//! has left all of that by forking twice: such a process becomes a child of the agent (see
//! [`become_subreaper`]) and is known by the sandbox that its environment still names.

mod beneath;
mod children;
mod destroy;
mod files;
mod launch;
mod limits;
pub mod machine;
mod nested;
mod process;
mod rotation;
mod sandbox;
mod session;
mod shared;
mod spawn;
mod started;
mod supervisor;
mod table;
mod usage;
mod user;
mod volumes;
mod watch;

pub use children::become_subreaper;
pub use destroy::{Container, DestroyError, destroy, destroy_all, is_destroyed, kill_tree};
pub use files::raise_file_limit;
pub use launch::{LaunchError, Spec, launch, launch_recorded};
pub use nested::{
    NestedSandboxError, SharedFolder, link_shared_folder, nested_sandbox, prepare_nested_sandbox,
    set_nested_sandbox_aside,
};
pub use process::{Process, environment, is_alive, lineage, send_signal, start_time};
pub use rotation::{OutputBounds, OutputFolder, RotationError};
pub use rustix::process::Signal;
pub use sandbox::{Reason, Sandbox, SandboxError, prepare_sandbox};
pub use session::{
    Ends, Frame, Kept, Role, Session, TYPE, Terminal, WATCH, WindowSize, attend, keep, launch_kept,
    launch_session, resize,
};
pub use started::{Record, Started};
pub use supervisor::{Supervisor, exit_status, launch_supervised, supervise};
pub use usage::{Usage, usage};
pub use user::UserError;
pub use volumes::{
    VolumeError, VolumeLink, create_volume, empty_volume, link_volume, remove_volume,
};
pub use watch::{Watcher, wait};
