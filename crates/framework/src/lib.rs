//! Frameworks in Rust, for Meseta and for Mesos.
//!
//! * [`keep`]: say which tasks are to run, and they are kept running. Start here; a whole framework
//!   is `examples/hello.rs`.
//! * [`subscribe`]: the v1 scheduler API itself, for schedulers that decide everything.
//! * [`executor`]: the v1 executor API, for programs that run tasks in their own way.
//! * [`resource`] and [`operations`]: resources and what is done with them, in words.
//! * `testing`, with the feature of that name: a master for the unit tests of frameworks.
//!
//! With the feature `zookeeper`, masters are looked up at `zk://…`, too.
//!
//! # Schedulers
//!
//! [`subscribe`] gives two halves: [`Events`], which the scheduler reads one by one, and a
//! [`Scheduler`], which can be cloned and sends its calls. Behind [`Events::next`] the framework
//! stays subscribed: redirects lead to the leading master, a connection that breaks or falls silent
//! is made anew with the id that the master gave, and attempts slow down while no master is there.
//!
//! A scheduler that runs one task and ends with it:
//!
//! ```no_run
//! use meseta_framework::resource::{Remainder, cpus, mem};
//! use meseta_framework::v1::{CommandInfo, FrameworkInfo, TaskInfo};
//! use meseta_framework::{Happening, Settings, operations, subscribe};
//!
//! # async fn run() -> Result<(), meseta_framework::Error> {
//! let framework = FrameworkInfo {
//!     user: "nobody".into(),
//!     name: "example".into(),
//!     ..FrameworkInfo::default()
//! };
//! let (scheduler, mut events) = subscribe(Settings::new("127.0.0.1:5050", framework));
//! let mut launched = false;
//! while let Some(incoming) = events.next().await? {
//!     match incoming.into_happening() {
//!         Happening::Offers(offers) => {
//!             for offer in offers {
//!                 let fits = Remainder::of(&offer).take(&[cpus(0.1), mem(32.0)]);
//!                 let (Some(resources), false) = (fits, launched) else {
//!                     scheduler.decline([offer.id], None).await?;
//!                     continue;
//!                 };
//!                 let task = TaskInfo {
//!                     name: "hello".into(),
//!                     task_id: "hello".into(),
//!                     agent_id: offer.agent_id,
//!                     command: Some(CommandInfo {
//!                         value: Some("echo hello".into()),
//!                         ..CommandInfo::default()
//!                     }),
//!                     resources,
//!                     ..TaskInfo::default()
//!                 };
//!                 scheduler.accept([offer.id], [operations::launch([task])], None).await?;
//!                 launched = true;
//!             }
//!         }
//!         Happening::Update(status) => {
//!             // Whatever is to be remembered of it, remember it before.
//!             scheduler.acknowledge(&status).await?;
//!             println!("{}", status.state().as_str_name());
//!             if status.state().is_terminal() {
//!                 scheduler.teardown().await?;
//!                 break;
//!             }
//!         }
//!         Happening::Disconnected { reason } => eprintln!("no master answers: {reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod backoff;
mod connection;
mod credential;
mod encoding;
mod error;
mod events;
pub mod executor;
mod happening;
pub mod keep;
mod limits;
mod masters;
pub mod operations;
pub mod resource;
mod scheduler;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
#[cfg(feature = "zookeeper")]
mod zookeeper;

use std::fmt;
use std::sync::Arc;

pub use credential::Credential;
pub use encoding::Encoding;
pub use error::Error;
pub use events::{Events, Incoming};
pub use happening::Happening;
pub use meseta_proto::v1;
pub use scheduler::Scheduler;
pub use tls::Tls;

/// Who subscribes, and where.
#[derive(Clone)]
pub struct Settings {
    /// `host:port` or `https://host:port` of each master, 5050 without a port: any of them knows the
    /// leading one. Or, alone, the ensemble of ZooKeeper in which masters contend for the lead:
    /// `zk://host:port,host:port/path`, with `user:password@` before the hosts if need be.
    pub masters: Vec<String>,
    /// The framework. With an id, the framework of that id is taken over.
    pub framework: v1::FrameworkInfo,
    /// Roles for which no offers are wanted at first.
    pub suppressed_roles: Vec<String>,
    /// How calls and events are written.
    pub encoding: Encoding,
    /// What proves the framework's principal, where masters ask for it.
    pub credential: Option<Credential>,
    /// Whom to trust over TLS. With it, masters that are given without a scheme, looked up in
    /// ZooKeeper or redirected to are called over TLS.
    pub tls: Option<Tls>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masters = self.masters.iter();
        let masters: Vec<_> = masters.map(|m| address::without_secret(m)).collect();
        f.debug_struct("Settings")
            .field("masters", &masters)
            .field("framework", &self.framework)
            .field("suppressed_roles", &self.suppressed_roles)
            .field("encoding", &self.encoding)
            .field("credential", &self.credential)
            .field("tls", &self.tls)
            .finish()
    }
}

impl Settings {
    /// A framework at masters listed as `host:port,host:port` or looked up at
    /// `zk://host:port,host:port/path`, in protobuf, without a credential.
    ///
    /// An address that is none is told by the first [`Events::next`].
    pub fn new(masters: impl AsRef<str>, framework: v1::FrameworkInfo) -> Self {
        Self {
            masters: address::split(masters.as_ref()),
            framework,
            suppressed_roles: Vec::new(),
            encoding: Encoding::Protobuf,
            credential: None,
            tls: None,
        }
    }
}

/// Prepares a subscription; the first [`Events::next`] connects.
///
/// Both halves need a tokio runtime with its network and timers enabled.
pub fn subscribe(settings: Settings) -> (Scheduler, Events) {
    let session = Arc::new(scheduler::Session::default());
    let scheduler = Scheduler::new(Arc::clone(&session));
    (scheduler, Events::new(settings, session))
}

/// The book's page, so that its examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/frameworks.md")]
struct Book;
