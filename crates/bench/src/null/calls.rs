//! What the null target does on calls of schedulers.

use meseta_proto::Upid;
use meseta_proto::internal::{KillTaskMessage, RunTaskMessage, StatusUpdateAcknowledgementMessage};
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{AgentId, FrameworkId, TaskId, TaskState, TaskStatus};

use super::books::{Books, Known};

/// Filters are not kept, but a framework that declines for a day gets nothing until it revives.
const FOR_GOOD: f64 = 86_400.0;

/// A message that a call leads to.
#[derive(Debug)]
pub(super) enum ToAgent {
    Run(Box<RunTaskMessage>),
    Kill(KillTaskMessage),
    Acknowledge(StatusUpdateAcknowledgementMessage),
}

/// Does what a call asks for; gives the messages to agents.
pub(super) fn carry_out(books: &mut Books, call: Call) -> Vec<(Upid, ToAgent)> {
    let Some(id) = call.framework_id.clone() else {
        return Vec::new();
    };
    let mut messages = Vec::new();
    match call.r#type() {
        call::Type::Accept => {
            if let Some(accept) = call.accept {
                on_accept(books, &id, accept, &mut messages);
            }
        }
        call::Type::Decline => on_decline(books, &id, call.decline.unwrap_or_default()),
        call::Type::Revive => books.suppress(&id, false),
        call::Type::Suppress => books.suppress(&id, true),
        call::Type::Teardown => books.remove_framework(&id),
        call::Type::Kill => {
            let kill = call.kill.unwrap_or_default();
            let agent = kill.agent_id.and_then(|agent| books.agents.get(&agent));
            if let Some(agent) = agent {
                let message = KillTaskMessage {
                    framework_id: id,
                    task_id: kill.task_id,
                    kill_policy: kill.kill_policy,
                };
                messages.push((agent.pid.clone(), ToAgent::Kill(message)));
            }
        }
        call::Type::Acknowledge => {
            let acknowledge = call.acknowledge.unwrap_or_default();
            if let Some(agent) = books.agents.get(&acknowledge.agent_id) {
                let message = StatusUpdateAcknowledgementMessage {
                    slave_id: acknowledge.agent_id,
                    framework_id: id,
                    task_id: acknowledge.task_id,
                    uuid: acknowledge.uuid,
                };
                messages.push((agent.pid.clone(), ToAgent::Acknowledge(message)));
            }
        }
        call::Type::Reconcile => reconcile(books, &id, &call.reconcile.unwrap_or_default()),
        _ => {}
    }
    messages
}

fn on_decline(books: &mut Books, id: &FrameworkId, decline: call::Decline) {
    let filters = decline.filters.unwrap_or_default();
    if filters.refuse_seconds.is_some_and(|s| s >= FOR_GOOD) {
        books.suppress(id, true);
    }
    for offer in decline.offer_ids {
        if let Some(agent) = books.take_offer(id, &offer) {
            books.offer(agent);
        }
    }
}

fn on_accept(
    books: &mut Books,
    id: &FrameworkId,
    accept: call::Accept,
    messages: &mut Vec<(Upid, ToAgent)>,
) {
    for operation in accept.operations {
        for task in operation.launch.map(|l| l.task_infos).unwrap_or_default() {
            let Some(framework) = books.frameworks.get(id).map(|f| f.info.clone()) else {
                return;
            };
            let Some(agent) = books.agents.get(&task.agent_id) else {
                continue;
            };
            let pid = agent.pid.clone();
            let (agent, name) = (task.agent_id.clone(), task.task_id.clone());
            enter_task(books, &agent, id.clone(), name, TaskState::TaskStaging);
            let message = RunTaskMessage {
                framework,
                task,
                launch_executor: Some(true),
                ..RunTaskMessage::default()
            };
            messages.push((pid, ToAgent::Run(Box::new(message))));
        }
    }
    for offer in accept.offer_ids {
        if let Some(agent) = books.take_offer(id, &offer) {
            books.offer(agent);
        }
    }
}

pub(super) fn enter_task(
    books: &mut Books,
    agent: &AgentId,
    framework: FrameworkId,
    task: TaskId,
    state: TaskState,
) {
    let known = Known {
        agent: agent.clone(),
        state,
    };
    books.remember(framework, task, known);
}

/// Tells the states of the tasks that are named, or of all.
fn reconcile(books: &Books, id: &FrameworkId, reconcile: &call::Reconcile) {
    let Some(framework) = books.frameworks.get(id) else {
        return;
    };
    let tell = |task: &TaskId, known: Option<&Known>| {
        let state = known.map_or(TaskState::TaskUnknown, |known| known.state);
        let status = TaskStatus {
            task_id: task.clone(),
            state: state.into(),
            source: Some(Source::Master.into()),
            reason: Some(Reason::Reconciliation.into()),
            agent_id: known.map(|known| known.agent.clone()),
            ..TaskStatus::default()
        };
        let event = Event {
            r#type: Some(event::Type::Update.into()),
            update: Some(event::Update { status }),
            ..Event::default()
        };
        books.send(id, &event);
    };
    if reconcile.tasks.is_empty() {
        for (task, known) in &framework.tasks {
            tell(task, Some(known));
        }
    }
    for task in &reconcile.tasks {
        tell(&task.task_id, framework.tasks.get(&task.task_id));
    }
}
