use meseta_proto::v1::executor::{Event, event};
use meseta_proto::v1::{
    AgentInfo, ContainerId, ExecutorInfo, FrameworkInfo, KillPolicy, TaskId, TaskInfo,
};

use crate::Incoming;

/// What an executor gets to know, sorted by kind: see [`Incoming::into_happening`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// The executor is subscribed, for the first time or again.
    Subscribed(Box<Subscribed>),
    /// A task is to run.
    Launch(Box<TaskInfo>),
    /// Tasks are to run together, and to end together.
    LaunchGroup(Vec<TaskInfo>),
    /// A task is to end.
    Kill {
        /// Which.
        task_id: TaskId,
        /// How, if in another way than the task itself says.
        kill_policy: Option<KillPolicy>,
    },
    /// The agent has taken note of an update.
    Acknowledged(TaskId),
    /// The scheduler says something.
    Message(Vec<u8>),
    /// All tasks are to end, and the executor within
    /// [`Settings::shutdown_grace`](super::Settings::shutdown_grace).
    Shutdown,
    /// The agent wants no such executor, for that reason; nothing follows.
    Ended(String),
    /// The agent is away; see [`Incoming::Disconnected`].
    Disconnected {
        /// What happened.
        reason: String,
    },
    /// An event of a kind that this version does not know.
    Unknown(Box<Event>),
}

/// Who an executor is, as its agent sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribed {
    /// The executor.
    pub executor: ExecutorInfo,
    /// Its framework.
    pub framework: FrameworkInfo,
    /// Its agent.
    pub agent: AgentInfo,
    /// The container that it runs in.
    pub container_id: Option<ContainerId>,
}

impl Incoming<Event> {
    /// Sorted by kind, for a `match`.
    pub fn into_happening(self) -> Happening {
        match self {
            Self::Event(event) => sort(event),
            Self::Disconnected { reason } => Happening::Disconnected { reason },
        }
    }
}

fn sort(mut event: Box<Event>) -> Happening {
    let sorted = match event.r#type() {
        event::Type::Subscribed => event.subscribed.take().map(|it| {
            Happening::Subscribed(Box::new(Subscribed {
                executor: it.executor_info,
                framework: it.framework_info,
                agent: it.agent_info,
                container_id: it.container_id,
            }))
        }),
        event::Type::Launch => event
            .launch
            .take()
            .map(|it| Happening::Launch(Box::new(it.task))),
        event::Type::LaunchGroup => event
            .launch_group
            .take()
            .map(|it| Happening::LaunchGroup(it.task_group.tasks)),
        event::Type::Kill => event.kill.take().map(|it| Happening::Kill {
            task_id: it.task_id,
            kill_policy: it.kill_policy,
        }),
        event::Type::Acknowledged => event
            .acknowledged
            .take()
            .map(|it| Happening::Acknowledged(it.task_id)),
        event::Type::Message => event.message.take().map(|it| Happening::Message(it.data)),
        event::Type::Error => event.error.take().map(|it| Happening::Ended(it.message)),
        event::Type::Shutdown => Some(Happening::Shutdown),
        event::Type::Heartbeat | event::Type::Unknown => None,
    };
    sorted.unwrap_or(Happening::Unknown(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_what_its_kind_promises_is_unknown() {
        let of = |kind: event::Type| Event {
            r#type: Some(kind.into()),
            ..Event::default()
        };
        let happening = |event: Event| Incoming::Event(Box::new(event)).into_happening();
        assert_eq!(happening(of(event::Type::Shutdown)), Happening::Shutdown);
        for kind in [event::Type::Kill, event::Type::Unknown] {
            let expected = Happening::Unknown(Box::new(of(kind)));
            assert_eq!(happening(of(kind)), expected);
        }
    }
}
