//! The half that reports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use meseta_proto::v1::TaskStatus;
use meseta_proto::v1::executor::{Call, call};
use meseta_proto::v1::task_status::Source;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Settings;
use super::unacknowledged::Unacknowledged;
use crate::Error;
use crate::connection::{Connection, Target, read_body};
use crate::limits::MAX_UNACKNOWLEDGED;

/// What both halves of a subscription share.
#[derive(Debug, Default)]
pub(super) struct Session {
    state: Mutex<State>,
    /// Held while calls are under way: the agent gets them in the order in which they were made.
    calls: tokio::sync::Mutex<Option<Connection>>,
    /// Told when a call found the agent gone, which the event stream may notice later or never.
    pub(super) broken: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where to call, while subscribed.
    pub(super) target: Option<Target>,
    pub(super) unacknowledged: Unacknowledged,
}

impl Session {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports on the tasks of one executor. Clones belong to the same subscription.
#[derive(Debug, Clone)]
pub struct Executor {
    settings: Arc<Settings>,
    session: Arc<Session>,
}

impl Executor {
    pub(super) fn new(settings: Arc<Settings>, session: Arc<Session>) -> Self {
        Self { settings, session }
    }

    /// Reports what became of a task. Its id and state are all that is needed; the update's id, the
    /// time and the executor are filled in.
    ///
    /// Without an error the update is on its way: one that cannot be sent now, for the agent is
    /// away, is handed in with the next subscription.
    ///
    /// # Errors
    /// [`Error::Refused`] when the agent does not take it, [`Error::TooManyUpdates`] when too many
    /// wait for confirmation already.
    pub async fn update(&self, mut status: TaskStatus) -> Result<(), Error> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        status.uuid = Some(Uuid::new_v4().as_bytes().to_vec());
        status.source = Some(Source::Executor.into());
        status.executor_id = Some(self.settings.executor_id.clone());
        status.agent_id = Some(self.settings.agent_id.clone());
        status.timestamp = since_epoch.ok().map(|since| since.as_secs_f64());
        let update = call::Update { status };
        if !self.session.state().unacknowledged.push(update) {
            return Err(Error::TooManyUpdates(MAX_UNACKNOWLEDGED));
        }
        // Calls are large: on the heap they do not make every future that holds this one large.
        Box::pin(self.flush()).await
    }

    /// Sends bytes to the scheduler, which may never see them: nothing confirms them.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`] while the agent is away.
    pub async fn message(&self, data: impl Into<Vec<u8>>) -> Result<(), Error> {
        let message = call::Message { data: data.into() };
        let mut connection = self.session.calls.lock().await;
        let target = self.session.state().target.clone();
        let target = target.ok_or(Error::NotSubscribed)?;
        let call = Call {
            message: Some(message),
            ..of(&self.settings, call::Type::Message)
        };
        self.post(&mut connection, &target, call).await
    }

    /// Hands in the updates that the present subscription has not.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let mut connection = self.session.calls.lock().await;
        loop {
            let next = {
                let state = self.session.state();
                state.target.clone().zip(state.unacknowledged.unsent())
            };
            let Some((target, update)) = next else {
                return Ok(());
            };
            let uuid = update.status.uuid.clone().unwrap_or_default();
            let call = Call {
                update: Some(update),
                ..of(&self.settings, call::Type::Update)
            };
            let taken = self.post(&mut connection, &target, call).await;
            let mut state = self.session.state();
            match taken {
                Ok(()) => state.unacknowledged.mark_sent(&uuid),
                Err(error) if is_final(&error) => {
                    state.unacknowledged.forget(&uuid);
                    return Err(error);
                }
                // The next subscription hands it in.
                Err(_) => {
                    state.target = None;
                    self.session.broken.notify_one();
                    return Ok(());
                }
            }
        }
    }

    async fn post(
        &self,
        connection: &mut Option<Connection>,
        target: &Target,
        call: Call,
    ) -> Result<(), Error> {
        // Taken out, so that a call that is dropped half-way takes its connection with it.
        let mut open = match connection.take().filter(|c| c.is_usable(target)) {
            Some(open) => open,
            None => Connection::open(target).await?,
        };
        let answer = open.post(target.encoding.encode(&call), None).await?;
        if !answer.status().is_success() {
            return Err(open.refusal(answer).await);
        }
        if read_body(answer).await.is_some() {
            *connection = Some(open);
        }
        Ok(())
    }
}

/// Whether a refusal means the update itself. An agent that has been started anew may be there before
/// the end of the former one's stream is seen: it recovers (503), or knows nothing of a subscription
/// yet (403).
fn is_final(error: &Error) -> bool {
    match error {
        Error::Refused { status, .. } => *status != 403 && *status < 500,
        Error::Unauthenticated { .. } => true,
        _ => false,
    }
}

pub(super) fn of(settings: &Settings, kind: call::Type) -> Call {
    Call {
        framework_id: settings.framework_id.clone(),
        executor_id: settings.executor_id.clone(),
        r#type: Some(kind.into()),
        ..Call::default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What becomes of an update that an agent answers with this status: the result, and whether it
    /// is kept for the next subscription.
    async fn update_answered_with(status: &str) -> (Result<(), Error>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let agent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        });
        let settings = Settings::from_variables(|name| {
            let value = match name {
                "MESOS_FRAMEWORK_ID" => "f",
                "MESOS_EXECUTOR_ID" => "e",
                "MESOS_SLAVE_ID" => "a",
                "MESOS_AGENT_ENDPOINT" => &address,
                "MESOS_DIRECTORY" => "/sandbox",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let settings = Arc::new(settings.unwrap());
        let session = Arc::new(Session::default());
        session.state().target = Some(settings.target());
        let executor = Executor::new(settings, Arc::clone(&session));
        let result = executor.update(TaskStatus::default()).await;
        drop(agent.await.unwrap());
        let state = session.state();
        let is_kept = state.target.is_none() && state.unacknowledged.unsent().is_some();
        (result, is_kept)
    }

    #[tokio::test]
    async fn an_agent_that_has_just_come_back_is_handed_updates_with_the_next_subscription() {
        for status in ["503 Service Unavailable", "403 Forbidden"] {
            let (result, is_kept) = update_answered_with(status).await;
            assert!(result.is_ok() && is_kept, "{status}: {result:?}");
        }
    }

    #[tokio::test]
    async fn an_update_that_no_agent_would_take_is_an_error() {
        let (result, is_kept) = update_answered_with("400 Bad Request").await;
        assert!(
            matches!(result, Err(Error::Refused { status: 400, .. })),
            "{result:?}"
        );
        assert!(!is_kept);
    }
}
