//! A master for the unit tests of frameworks: it speaks the real protocol on a socket of its own, and
//! does as the test says.
//!
//! With `meseta-framework = { …, features = ["testing"] }` among the `dev-dependencies`:
//!
//! ```
//! use meseta_framework::keep::{Keeper, MemoryStore, Task};
//! use meseta_framework::testing::Master;
//! use meseta_framework::v1::{FrameworkInfo, TaskState};
//! use meseta_framework::{Error, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let mut master = Master::start().await;
//! let settings = Settings::new(master.address(), FrameworkInfo::default());
//! let mut keeper = Keeper::start(settings, MemoryStore::default()).await?;
//! keeper.declare(Task::command("web", "exec python3 -m http.server")).await?;
//!
//! let subscribe = master.subscribed().await;
//! assert_eq!(subscribe.framework_info.id, None);
//! master.offer("cpus:4;mem:1024");
//! let task = master.launched().await.remove(0);
//! assert_eq!(task.name, "web");
//!
//! let uuid = master.update(&task, TaskState::TaskRunning);
//! let status = keeper.next().await?.expect("an update");
//! assert_eq!(status.state(), TaskState::TaskRunning);
//! # let next = tokio::spawn(async move { keeper.next().await });
//! // Acknowledged once the keeper is asked for the next.
//! assert_eq!(master.acknowledged().await.uuid, uuid);
//! # next.abort();
//! # Ok(())
//! # }
//! ```
//!
//! What a test waits for must come within half a minute of real time; then the test panics, and says what
//! it waited for.

mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::v1::{FrameworkId, Offer, TaskInfo, TaskState, TaskStatus, task_status};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::resource;
use server::Shared;

/// How long a test waits for what has to come. It decides only how long a failure takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often masters send a heartbeat when they are not told otherwise.
const HEARTBEATS: Duration = Duration::from_secs(15);

/// A call with what came around it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The call.
    pub call: Call,
    /// Headers of the request.
    pub headers: HeaderMap,
    /// The path that it was posted to.
    pub path: String,
}

/// What a master is to answer to a call instead of what masters usually answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A refusal with a status and a sentence.
    Refusal(u16, String),
    /// The way to the master that leads, as `host:port`.
    Redirect(String),
    /// None: the connection ends.
    Nothing,
}

/// A master that does as the test says. It takes every call, with 202, and opens a stream of events for
/// each SUBSCRIBE; the latest stream is the one that it writes to. It ends when it is dropped.
#[derive(Debug)]
pub struct Master {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    calls: mpsc::UnboundedReceiver<Received>,
    server: JoinHandle<()>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.server.abort();
        self.disconnect();
    }
}

impl Master {
    /// Listens on a free port of this machine.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        Self::start_with_heartbeats(HEARTBEATS).await
    }

    /// Like [`Self::start`], with a heartbeat in each such interval.
    ///
    /// # Panics
    /// When there is no free port.
    #[allow(clippy::panic, reason = "a test's way to fail")]
    pub async fn start_with_heartbeats(interval: Duration) -> Self {
        let listening = async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>((listener, address))
        };
        let (listener, address) = match listening.await {
            Ok(listening) => listening,
            Err(error) => panic!("no port to listen on: {error}"),
        };
        let (tell, calls) = mpsc::unbounded_channel();
        let shared = Arc::new(Mutex::new(Shared::new(interval)));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared), tell));
        Self {
            address,
            shared,
            calls,
            server,
        }
    }

    /// Its `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The id that a framework without one gets.
    pub fn framework_id(&self) -> FrameworkId {
        server::FRAMEWORK_ID.into()
    }

    /// Answers the next call in another way. Several are kept in order.
    pub fn answer_next(&self, answer: Answer) {
        self.shared().answers.push_back(answer);
    }

    /// No heartbeats any more, as if the connection were cut without a word.
    pub fn fall_silent(&self) {
        self.shared().is_silent = true;
    }

    /// Ends the stream of events.
    pub fn disconnect(&self) {
        self.shared().stream = None;
    }

    /// Sends an event.
    ///
    /// # Panics
    /// When nobody is subscribed.
    pub fn send(&self, event: &Event) {
        let shared = self.shared();
        let sent = shared.stream.as_ref().is_some_and(|s| s.send(event));
        drop(shared);
        assert!(sent, "nobody is subscribed");
    }

    /// Offers resources of the agent `agent-1`, as agents' flags write them: `cpus:4;mem:1024`. Gives the
    /// offer.
    ///
    /// # Panics
    /// When these are no resources, and when nobody is subscribed.
    #[allow(clippy::panic, reason = "a test's way to fail")]
    pub fn offer(&self, resources: &str) -> Offer {
        let resources = match resource::parse(resources) {
            Ok(resources) => resources,
            Err(error) => panic!("{error}"),
        };
        let offer = Offer {
            id: format!("offer-{}", Uuid::new_v4()).into(),
            framework_id: self.framework_id(),
            agent_id: "agent-1".into(),
            hostname: "host-1".into(),
            resources,
            ..Offer::default()
        };
        self.send_offers([offer.clone()]);
        offer
    }

    /// Offers what the test has made up.
    ///
    /// # Panics
    /// When nobody is subscribed.
    pub fn send_offers(&self, offers: impl IntoIterator<Item = Offer>) {
        let offers = offers.into_iter().collect();
        self.send(&Event {
            r#type: Some(event::Type::Offers.into()),
            offers: Some(event::Offers { offers }),
            ..Event::default()
        });
    }

    /// Tells what became of a task, as its agent would. Gives the update's id.
    ///
    /// # Panics
    /// When nobody is subscribed.
    pub fn update(&self, task: &TaskInfo, state: TaskState) -> Vec<u8> {
        let uuid = Uuid::new_v4().as_bytes().to_vec();
        self.send_update(TaskStatus {
            task_id: task.task_id.clone(),
            agent_id: Some(task.agent_id.clone()),
            state: state.into(),
            source: Some(task_status::Source::Executor.into()),
            uuid: Some(uuid.clone()),
            ..TaskStatus::default()
        });
        uuid
    }

    /// Sends an update that the test has made up.
    ///
    /// # Panics
    /// When nobody is subscribed.
    pub fn send_update(&self, status: TaskStatus) {
        self.send(&Event {
            r#type: Some(event::Type::Update.into()),
            update: Some(event::Update { status }),
            ..Event::default()
        });
    }

    /// Waits for the next call, whichever.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Received {
        self.next_of("a call", |_| true).await
    }

    /// Waits for a call of a kind; what comes before it is passed over.
    ///
    /// # Panics
    /// When none comes.
    pub async fn expect(&mut self, kind: call::Type) -> Received {
        let is_it = |call: &Call| call.r#type() == kind;
        self.next_of(kind.as_str_name(), is_it).await
    }

    /// Waits until a framework subscribes; what comes before is passed over.
    ///
    /// # Panics
    /// When none does.
    pub async fn subscribed(&mut self) -> call::Subscribe {
        let received = self.expect(call::Type::Subscribe).await;
        received.call.subscribe.unwrap_or_default()
    }

    /// Waits until tasks are launched; what comes before is passed over.
    ///
    /// # Panics
    /// When none are.
    pub async fn launched(&mut self) -> Vec<TaskInfo> {
        let launches = |call: &Call| !tasks_of(call).is_empty();
        tasks_of(&self.next_of("a launch", launches).await.call)
    }

    /// Waits until an update is acknowledged; what comes before is passed over.
    ///
    /// # Panics
    /// When none is.
    pub async fn acknowledged(&mut self) -> call::Acknowledge {
        let received = self.expect(call::Type::Acknowledge).await;
        received.call.acknowledge.unwrap_or_default()
    }

    #[allow(clippy::panic, reason = "a test's way to fail")]
    async fn next_of(&mut self, awaited: &str, is_it: impl Fn(&Call) -> bool) -> Received {
        let mut passed = Vec::new();
        let found = timeout(PATIENCE, async {
            loop {
                let received = self.calls.recv().await?;
                if is_it(&received.call) {
                    return Some(received);
                }
                passed.push(received.call.r#type());
            }
        });
        match found.await {
            Ok(Some(received)) => received,
            _ => panic!("waited {PATIENCE:?} in vain for {awaited}; there came {passed:?}"),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tasks that a call launches, in groups or alone.
fn tasks_of(call: &Call) -> Vec<TaskInfo> {
    let operations = call.accept.iter().flat_map(|accept| &accept.operations);
    let tasks = operations.flat_map(|operation| {
        let alone = operation.launch.iter().flat_map(|it| &it.task_infos);
        let groups = operation.launch_group.iter();
        alone.chain(groups.flat_map(|it| &it.task_group.tasks))
    });
    tasks.cloned().collect()
}
