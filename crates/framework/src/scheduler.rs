//! The half that sends calls.

use std::sync::{Arc, Mutex, PoisonError};

use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{AgentId, Filters, FrameworkId, OfferId, TaskId, TaskStatus};

use crate::Error;
use crate::connection::{Connection, Target, read_body};

/// What both halves of a subscription share.
#[derive(Debug, Default)]
pub(crate) struct Session {
    current: Mutex<Option<Current>>,
    /// Held while a call is under way: the master gets calls in the order in which they were made.
    calls: tokio::sync::Mutex<Option<Connection>>,
}

/// The subscription of the moment.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) target: Target,
    pub(crate) stream_id: Option<String>,
    pub(crate) framework_id: FrameworkId,
}

impl Session {
    pub(crate) fn set(&self, current: Option<Current>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }

    fn current(&self) -> Option<Current> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Sends the calls of one framework. Clones belong to the same subscription.
///
/// A call that returns without an error has been taken by the master, which is not yet its effect:
/// that comes as an event, if at all.
#[derive(Debug, Clone)]
pub struct Scheduler {
    session: Arc<Session>,
}

impl Scheduler {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The framework's id while it is subscribed.
    pub fn framework_id(&self) -> Option<FrameworkId> {
        self.session.current().map(|current| current.framework_id)
    }

    /// Sends any call but SUBSCRIBE; the framework's id is filled in.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`] between two subscriptions. A call that was under way when a
    /// connection broke is not repeated: the scheduler knows better whether it still wants it.
    pub fn call(&self, call: Call) -> impl Future<Output = Result<(), Error>> + Send {
        // A call is large: on the heap it does not make every future that holds this one large.
        Box::pin(self.send(Box::new(call)))
    }

    async fn send(&self, mut call: Box<Call>) -> Result<(), Error> {
        let mut connection = self.session.calls.lock().await;
        let current = self.session.current().ok_or(Error::NotSubscribed)?;
        call.framework_id = Some(current.framework_id);
        // Taken out, so that a call that is dropped half-way takes its connection with it.
        let mut open = match connection.take().filter(|c| c.is_usable(&current.target)) {
            Some(open) => open,
            None => Connection::open(&current.target).await?,
        };
        let body = current.target.encoding.encode(&*call);
        let answer = open.post(body, current.stream_id.as_deref()).await?;
        if !answer.status().is_success() {
            return Err(open.refusal(answer).await);
        }
        if read_body(answer).await.is_some() {
            *connection = Some(open);
        }
        Ok(())
    }

    /// Uses offers, all of one agent; without operations this declines them.
    pub async fn accept(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        operations: impl IntoIterator<Item = Operation>,
        filters: Option<Filters>,
    ) -> Result<(), Error> {
        let accept = call::Accept {
            offer_ids: offers.into_iter().collect(),
            operations: operations.into_iter().collect(),
            filters,
        };
        self.call(Call {
            accept: Some(accept),
            ..of(call::Type::Accept)
        })
        .await
    }

    /// Gives offers back.
    pub async fn decline(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        filters: Option<Filters>,
    ) -> Result<(), Error> {
        let decline = call::Decline {
            offer_ids: offers.into_iter().collect(),
            filters,
        };
        self.call(Call {
            decline: Some(decline),
            ..of(call::Type::Decline)
        })
        .await
    }

    /// Confirms a status update, so that it is not repeated. Those that need no confirmation, such
    /// as answers to [`Self::reconcile`], are left alone.
    pub async fn acknowledge(&self, status: &TaskStatus) -> Result<(), Error> {
        let (Some(uuid), Some(agent_id)) = (&status.uuid, &status.agent_id) else {
            return Ok(());
        };
        let acknowledge = call::Acknowledge {
            agent_id: agent_id.clone(),
            task_id: status.task_id.clone(),
            uuid: uuid.clone(),
        };
        self.call(Call {
            acknowledge: Some(acknowledge),
            ..of(call::Type::Acknowledge)
        })
        .await
    }

    /// Asks for the end of a task. Naming its agent lets the master forward it even while it knows
    /// nothing of the task.
    pub async fn kill(&self, task_id: TaskId, agent_id: Option<AgentId>) -> Result<(), Error> {
        let kill = call::Kill {
            task_id,
            agent_id,
            kill_policy: None,
        };
        self.call(Call {
            kill: Some(kill),
            ..of(call::Type::Kill)
        })
        .await
    }

    /// Asks for the state of these tasks, or of all that the master knows if there are none.
    pub async fn reconcile(
        &self,
        tasks: impl IntoIterator<Item = (TaskId, Option<AgentId>)>,
    ) -> Result<(), Error> {
        let tasks = tasks
            .into_iter()
            .map(|(task_id, agent_id)| call::reconcile::Task { task_id, agent_id })
            .collect();
        let reconcile = call::Reconcile { tasks };
        self.call(Call {
            reconcile: Some(reconcile),
            ..of(call::Type::Reconcile)
        })
        .await
    }

    /// Asks for offers again, in all roles, and forgets what earlier refusals filtered.
    pub async fn revive(&self) -> Result<(), Error> {
        self.call(of(call::Type::Revive)).await
    }

    /// Asks for no more offers, in all roles.
    pub async fn suppress(&self) -> Result<(), Error> {
        self.call(of(call::Type::Suppress)).await
    }

    /// Ends the framework: its tasks are killed, and its id cannot be used again.
    pub async fn teardown(&self) -> Result<(), Error> {
        self.call(of(call::Type::Teardown)).await
    }
}

fn of(kind: call::Type) -> Call {
    Call {
        r#type: Some(kind.into()),
        ..Call::default()
    }
}
