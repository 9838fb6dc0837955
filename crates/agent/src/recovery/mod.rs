//! What an agent's next life needs, as facts in a store.

mod compatibility;
mod damage;
pub(crate) mod facts;
mod misfit;
mod nested;
mod rebuild;

use std::path::{Path, PathBuf};

use meseta_proto::v1::{AgentInfo, CommandInfo, ContainerId};
use prost::Message;

use crate::records::Process;
use crate::sandbox;
use facts::{AGENT, COPY, EXECUTOR, ExecutorFact};

/// A container that was running, or about to, when the agent's former life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its id.
    pub container_id: ContainerId,
    /// Its first process, to be looked for. `None` if the machine was started anew since, or if the
    /// agent's life ended in the moment of the launch: then only the process itself may have left word.
    pub process: Option<Process>,
    /// Whether it may be that it was never started.
    pub may_be_unstarted: bool,
    /// Its sandbox.
    pub directory: PathBuf,
    /// Whether it is a session, which ends with the agent's life.
    pub is_session: bool,
    /// The variables of its command, which may say how its output is kept.
    pub variables: Vec<(String, String)>,
}

/// The containers among the facts, each before those inside of it. Which of those of executors still
/// live is wanted by [`crate::Input::Recovered`]; the ends of those inside of them are reported after
/// that, as any end is. `boot_id` is [`crate::Config::boot_id`].
pub fn survivors(work_dir: &Path, boot_id: &str, facts: &[(String, Vec<u8>)]) -> Vec<Survivor> {
    let find = |wanted: &str| facts.iter().find(|(key, _)| key == wanted);
    let agent = find(AGENT)
        .or_else(|| find(&format!("{COPY}{AGENT}")))
        .and_then(|(_, bytes)| AgentInfo::decode(bytes.as_slice()).ok()?.id);
    let Some(agent) = agent else {
        // Without an id the agent has never been given a task.
        return Vec::new();
    };
    facts
        .iter()
        .filter(|(key, _)| key.starts_with(EXECUTOR))
        .filter_map(|(_, bytes)| ExecutorFact::decode(bytes.as_slice()).ok())
        .filter(|fact| !fact.terminated)
        .filter_map(|fact| {
            let framework = fact.info.framework_id.as_ref()?;
            let executor = &fact.info.executor_id;
            let (directory, _) =
                sandbox::sandbox(work_dir, &agent, framework, executor, &fact.container_id);
            Some(Survivor {
                may_be_unstarted: fact.process.is_none() && fact.boot_id == boot_id,
                process: fact.process.and_then(|process| process.process(boot_id)),
                directory,
                container_id: fact.container_id,
                is_session: false,
                variables: variables(fact.info.command),
            })
        })
        .chain(nested::survivors(work_dir, boot_id, &agent, facts))
        .collect()
}

fn variables(command: Option<CommandInfo>) -> Vec<(String, String)> {
    let environment = command.and_then(|command| command.environment);
    let variables = environment.unwrap_or_default().variables.into_iter();
    variables
        .filter_map(|variable| Some((variable.name, variable.value?)))
        .collect()
}
