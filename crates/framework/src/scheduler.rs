//! The half that sends calls.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{
    AgentId, ExecutorId, Filters, FrameworkId, FrameworkInfo, KillPolicy, OfferId, OperationId,
    OperationStatus, TaskId, TaskStatus,
};
use tokio::sync::Notify;

use crate::Error;
use crate::connection::{Connection, Endpoint, Target, leader, read_body};

/// What both halves of a subscription share.
#[derive(Debug, Default)]
pub(crate) struct Session {
    current: Mutex<Option<Current>>,
    /// Held while a call is under way: the master gets calls in the order in which they were made.
    calls: tokio::sync::Mutex<Option<Connection>>,
    /// Where a master sent a call to, for it leads no more.
    moved_to: Mutex<Option<Endpoint>>,
    moved: Notify,
    /// What the framework says of itself since it last subscribed.
    update: Mutex<Option<(FrameworkInfo, Vec<String>)>>,
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
        *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn current(&self) -> Option<Current> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the next subscription is to say, if it is something else than before.
    pub(crate) fn take_update(&self) -> Option<(FrameworkInfo, Vec<String>)> {
        self.update
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until a call was sent on to another master. It may be dropped while it waits.
    pub(crate) async fn moved(&self) -> Endpoint {
        loop {
            let moved_to = &self.moved_to;
            let leader = moved_to
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(leader) = leader {
                return leader;
            }
            self.moved.notified().await;
        }
    }

    /// A call to `from` was sent on to another master. Once the framework is subscribed elsewhere,
    /// that is no news.
    fn mark_moved(&self, from: &Target, to: Endpoint) {
        if self
            .current()
            .is_some_and(|current| current.target == *from)
        {
            *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
            self.moved.notify_one();
        }
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
    /// [`Error::NotSubscribed`] between two subscriptions, [`Error::NotLeading`] when the master leads
    /// no more: the framework subscribes at the one that does. A call that was under way when a
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
        if answer.status() == StatusCode::TEMPORARY_REDIRECT {
            let leader = leader(&answer, &current.target)?;
            let error = Error::NotLeading {
                peer: current.target.endpoint.to_string(),
                leader: leader.to_string(),
            };
            self.session.mark_moved(&current.target, leader);
            return Err(error);
        }
        if !answer.status().is_success() {
            return Err(open.refusal(answer).await);
        }
        if read_body(answer).await.is_some() {
            *connection = Some(open);
        }
        Ok(())
    }

    /// Uses offers, all of one agent, for [`operations`](crate::operations), in their order; without
    /// any this declines them.
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

    /// Confirms an update of an operation. One that needs no confirmation is left alone.
    pub async fn acknowledge_operation(&self, status: &OperationStatus) -> Result<(), Error> {
        let (Some(uuid), Some(operation_id)) = (&status.uuid, &status.operation_id) else {
            return Ok(());
        };
        let acknowledge = call::AcknowledgeOperationStatus {
            agent_id: status.agent_id.clone(),
            resource_provider_id: status.resource_provider_id.clone(),
            uuid: uuid.value.clone(),
            operation_id: operation_id.clone(),
        };
        self.call(Call {
            acknowledge_operation_status: Some(acknowledge),
            ..of(call::Type::AcknowledgeOperationStatus)
        })
        .await
    }

    /// Asks for the end of a task. Naming its agent lets the master forward it even while it knows
    /// nothing of the task.
    pub async fn kill(&self, task_id: TaskId, agent_id: Option<AgentId>) -> Result<(), Error> {
        self.kill_by(task_id, agent_id, None).await
    }

    /// Asks for the end of a task in another way than the task itself says: with another grace.
    pub async fn kill_by(
        &self,
        task_id: TaskId,
        agent_id: Option<AgentId>,
        kill_policy: Option<KillPolicy>,
    ) -> Result<(), Error> {
        let kill = call::Kill {
            task_id,
            agent_id,
            kill_policy,
        };
        self.call(Call {
            kill: Some(kill),
            ..of(call::Type::Kill)
        })
        .await
    }

    /// Asks for the end of an executor and of all its tasks.
    pub async fn shutdown(&self, executor_id: ExecutorId, agent_id: AgentId) -> Result<(), Error> {
        let shutdown = call::Shutdown {
            executor_id,
            agent_id,
        };
        self.call(Call {
            shutdown: Some(shutdown),
            ..of(call::Type::Shutdown)
        })
        .await
    }

    /// Says something to an executor, which may never hear it: nothing confirms messages.
    pub async fn message(
        &self,
        agent_id: AgentId,
        executor_id: ExecutorId,
        data: impl Into<Vec<u8>>,
    ) -> Result<(), Error> {
        let message = call::Message {
            agent_id,
            executor_id,
            data: data.into(),
        };
        self.call(Call {
            message: Some(message),
            ..of(call::Type::Message)
        })
        .await
    }

    /// Asks for the state of these tasks; of none, nothing. Those that the master does not know come
    /// back as lost, or as unknown to frameworks that are `PARTITION_AWARE`.
    pub async fn reconcile(
        &self,
        tasks: impl IntoIterator<Item = (TaskId, Option<AgentId>)>,
    ) -> Result<(), Error> {
        let tasks = tasks
            .into_iter()
            .map(|(task_id, agent_id)| call::reconcile::Task { task_id, agent_id });
        let tasks: Vec<_> = tasks.collect();
        // On the wire, an empty list asks for everything.
        if tasks.is_empty() {
            return Ok(());
        }
        self.call(Call {
            reconcile: Some(call::Reconcile { tasks }),
            ..of(call::Type::Reconcile)
        })
        .await
    }

    /// Asks for the state of all of the framework's tasks that the master knows: also of those that
    /// the scheduler has forgotten.
    pub async fn reconcile_all(&self) -> Result<(), Error> {
        self.call(Call {
            reconcile: Some(call::Reconcile::default()),
            ..of(call::Type::Reconcile)
        })
        .await
    }

    /// Asks for the state of these operations, or of all that the master knows if there are none.
    pub async fn reconcile_operations(
        &self,
        operations: impl IntoIterator<Item = (OperationId, Option<AgentId>)>,
    ) -> Result<(), Error> {
        let operations = operations.into_iter().map(|(operation_id, agent_id)| {
            call::reconcile_operations::Operation {
                operation_id,
                agent_id,
                resource_provider_id: None,
            }
        });
        let reconcile = call::ReconcileOperations {
            operations: operations.collect(),
        };
        self.call(Call {
            reconcile_operations: Some(reconcile),
            ..of(call::Type::ReconcileOperations)
        })
        .await
    }

    /// Agrees to leave machines.
    pub async fn accept_inverse_offers(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
    ) -> Result<(), Error> {
        let accept = call::AcceptInverseOffers {
            inverse_offer_ids: offers.into_iter().collect(),
            filters: None,
        };
        self.call(Call {
            accept_inverse_offers: Some(accept),
            ..of(call::Type::AcceptInverseOffers)
        })
        .await
    }

    /// Does not agree to leave machines.
    pub async fn decline_inverse_offers(
        &self,
        offers: impl IntoIterator<Item = OfferId>,
        filters: Option<Filters>,
    ) -> Result<(), Error> {
        let decline = call::DeclineInverseOffers {
            inverse_offer_ids: offers.into_iter().collect(),
            filters,
        };
        self.call(Call {
            decline_inverse_offers: Some(decline),
            ..of(call::Type::DeclineInverseOffers)
        })
        .await
    }

    /// Asks for offers again, in all roles, and forgets what earlier refusals filtered.
    pub async fn revive(&self) -> Result<(), Error> {
        self.call(of(call::Type::Revive)).await
    }

    /// [`Self::revive`], in these roles.
    pub async fn revive_roles(&self, roles: impl IntoIterator<Item = String>) -> Result<(), Error> {
        let roles = roles.into_iter().collect();
        self.call(Call {
            revive: Some(call::Revive { roles }),
            ..of(call::Type::Revive)
        })
        .await
    }

    /// Asks for no more offers, in all roles.
    pub async fn suppress(&self) -> Result<(), Error> {
        self.call(of(call::Type::Suppress)).await
    }

    /// [`Self::suppress`], in these roles.
    pub async fn suppress_roles(
        &self,
        roles: impl IntoIterator<Item = String>,
    ) -> Result<(), Error> {
        let roles = roles.into_iter().collect();
        self.call(Call {
            suppress: Some(call::Suppress { roles }),
            ..of(call::Type::Suppress)
        })
        .await
    }

    /// Changes what the framework says of itself, now and at later subscriptions: its roles, for
    /// example. Its id is filled in.
    pub async fn update_framework(
        &self,
        mut framework_info: FrameworkInfo,
        suppressed_roles: impl IntoIterator<Item = String>,
    ) -> Result<(), Error> {
        framework_info.id = self.framework_id();
        let suppressed_roles: Vec<_> = suppressed_roles.into_iter().collect();
        let later = (framework_info.clone(), suppressed_roles.clone());
        let update = call::UpdateFramework {
            framework_info,
            suppressed_roles,
            offer_constraints: None,
        };
        self.call(Call {
            update_framework: Some(update),
            ..of(call::Type::UpdateFramework)
        })
        .await?;
        let update = &self.session.update;
        *update.lock().unwrap_or_else(PoisonError::into_inner) = Some(later);
        Ok(())
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
