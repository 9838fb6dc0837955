//! `meseta events`: what happens on a cluster, a line an event.

use std::thread;
use std::time::SystemTime;

use meseta_master::EventId as Place;
use meseta_proto::json;
use meseta_proto::v1::master::Event;
use meseta_proto::v1::master::event::Type;

use super::arguments::{Events as Command, Format};
use super::client::Client;
use super::error::Error;
use super::limits::SUBSCRIBE_EVERY;
use super::output::Output;
use super::{agent, framework, text};
use crate::complain;

/// The status of a stream that can't go on where it was.
const GONE: u16 = 410;

const ATTEMPT: &str = "follow the cluster's events";

pub(super) fn run(command: &Command, client: &Client, output: &Output) -> Result<(), Error> {
    let kinds: Result<Vec<Type>, Error> = command.kinds.iter().map(|it| kind(it)).collect();
    let kinds = kinds?;
    let mut events = client.subscribe(None, ATTEMPT)?;
    loop {
        match events.next() {
            Ok(event) => {
                if kinds.is_empty() || kinds.contains(&event.r#type()) {
                    print(&event, output)?;
                }
                if !command.follow {
                    return Ok(());
                }
            }
            // A master that ends or loses its lead ends its streams; the next one has them again.
            Err(error @ Error::Broken { .. }) => {
                complain(&format!("{error}; subscribing again"));
                events = again(client, events.place().cloned());
            }
            Err(error) => return Err(error),
        }
    }
}

/// A new stream, as soon as there is a leader. It goes on after the last event that was seen, if the
/// leader still knows what came then, and begins with all that there is otherwise.
fn again(client: &Client, mut after: Option<Place>) -> super::client::Events {
    loop {
        match client.subscribe(after.as_ref(), ATTEMPT) {
            Ok(events) => return events,
            Err(Error::Refused { status: GONE, .. }) if after.is_some() => after = None,
            Err(_) => thread::sleep(SUBSCRIBE_EVERY),
        }
    }
}

fn kind(word: &str) -> Result<Type, Error> {
    Type::from_str_name(&word.to_uppercase()).ok_or_else(|| Error::Word {
        what: "type of events",
        value: word.to_owned(),
        reason: "expected such as TASK_ADDED, TASK_UPDATED, AGENT_ADDED or FRAMEWORK_UPDATED"
            .to_owned(),
    })
}

fn print(event: &Event, output: &Output) -> Result<(), Error> {
    match output.format() {
        // A line each, for programs that read lines.
        Format::Json => output.text(&json::to_string(event)),
        Format::Yaml => {
            output.text("---\n")?;
            output.message(event)
        }
        Format::Table | Format::Wide => match described(event, output) {
            Some(line) => {
                let now = text::time(SystemTime::now());
                let kind = event.r#type().as_str_name();
                output.text(&text::printable(&format!("{now}  {kind:<17}  {line}")))
            }
            None => Ok(()),
        },
    }
}

/// What an event tells a person; heartbeats tell nothing.
fn described(event: &Event, output: &Output) -> Option<String> {
    match event.r#type() {
        Type::Subscribed => {
            let state = event.subscribed.as_ref()?.get_state.as_ref()?;
            let agents = state.get_agents.as_ref().map_or(0, |it| it.agents.len());
            let frameworks = state.get_frameworks.as_ref();
            let frameworks = frameworks.map_or(0, |it| it.frameworks.len());
            let tasks = state.get_tasks.as_ref().map_or(0, |it| it.tasks.len());
            Some(format!(
                "{}, {}, {}",
                text::counted(agents, "agent"),
                text::counted(frameworks, "framework"),
                text::counted(tasks, "task")
            ))
        }
        Type::TaskAdded => {
            let task = &event.task_added.as_ref()?.task;
            let state = text::state(task.state());
            let id = output.id(task.framework_id.as_str());
            Some(format!("{} {state} (framework {id})", task.task_id))
        }
        Type::TaskUpdated => {
            let update = event.task_updated.as_ref()?;
            let id = output.id(update.framework_id.as_str());
            let state = text::state(update.state());
            let message = match update.status.message() {
                "" => String::new(),
                message => format!(": {message}"),
            };
            let task = &update.status.task_id;
            Some(format!("{task} {state} (framework {id}){message}"))
        }
        Type::AgentAdded => {
            let agent = &event.agent_added.as_ref()?.agent;
            let id = output.id(agent::id_text(agent));
            Some(format!("{id} on {}", agent.agent_info.hostname))
        }
        Type::AgentRemoved => {
            let id = &event.agent_removed.as_ref()?.agent_id;
            Some(output.id(id.as_str()))
        }
        Type::FrameworkAdded | Type::FrameworkUpdated => {
            let added = event.framework_added.as_ref().map(|it| &it.framework);
            let updated = event.framework_updated.as_ref().map(|it| &it.framework);
            let framework = added.or(updated)?;
            let id = output.id(framework::id_text(framework));
            let state = framework::state(framework);
            Some(format!("{id} {} {state}", framework.framework_info.name))
        }
        Type::FrameworkRemoved => {
            let info = &event.framework_removed.as_ref()?.framework_info;
            let id = info.id.as_ref().map_or("", |it| it.as_str());
            Some(format!("{} {}", output.id(id), info.name))
        }
        Type::Heartbeat | Type::Unknown => None,
    }
}
