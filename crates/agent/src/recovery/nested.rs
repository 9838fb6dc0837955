//! Nested containers among the facts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meseta_proto::v1::AgentId;
use prost::Message;

use super::Survivor;
use super::facts::{LinkFact, NESTED, NestedFact, ProcessFact};
use crate::agent::Agent;
use crate::executors::RunKey;
use crate::records::{NestedContainer, NestedState};
use crate::{nested, sandbox};

impl NestedFact {
    pub(crate) fn new((framework, executor): &RunKey, it: &NestedContainer, boot_id: &str) -> Self {
        let links = it.links.iter().map(|(name, target)| LinkFact {
            name: name.as_os_str().as_bytes().to_vec(),
            target: target.as_os_str().as_bytes().to_vec(),
        });
        Self {
            framework_id: framework.to_string(),
            executor_id: executor.to_string(),
            container_id: it.container_id.clone(),
            user: it.user.clone(),
            process: it.process.map(|it| ProcessFact::new(it, boot_id)),
            has_ended: it.has_ended(),
            status: match it.state {
                NestedState::Ended(status) => status,
                NestedState::Starting | NestedState::Running | NestedState::Ending => None,
            },
            links: links.collect(),
            is_session: it.is_session,
        }
    }
}

/// The nested containers that had not ended, to be looked for. Those whose roots are not alive are
/// not, either.
pub(super) fn survivors<'a>(
    work_dir: &'a Path,
    boot_id: &'a str,
    agent: &'a AgentId,
    facts: &'a [(String, Vec<u8>)],
) -> impl Iterator<Item = Survivor> + 'a {
    let facts = facts.iter().filter(|(key, _)| key.starts_with(NESTED));
    let facts = facts.filter_map(|(_, bytes)| NestedFact::decode(bytes.as_slice()).ok());
    facts.filter(|fact| !fact.has_ended).map(move |fact| {
        let (framework, executor) = (fact.framework_id.into(), fact.executor_id.into());
        let root = fact.container_id.root();
        let (of_root, _) = sandbox::sandbox(work_dir, agent, &framework, &executor, root);
        Survivor {
            // Its executor does not go on as if nothing had been asked for.
            may_be_unstarted: false,
            process: fact.process.and_then(|it| it.process(boot_id)),
            directory: nested::directory(&of_root, &fact.container_id),
            container_id: fact.container_id,
            is_session: fact.is_session,
            // What it is in says how its output is kept.
            variables: Vec::new(),
        }
    })
}

impl Agent {
    pub(super) fn rebuild_nested(&mut self, bytes: &[u8]) -> Option<()> {
        let fact = NestedFact::decode(bytes).ok()?;
        let key: RunKey = (fact.framework_id.into(), fact.executor_id.into());
        let boot_id = &self.config.boot_id;
        let process = fact.process.and_then(|it| it.process(boot_id));
        let executor = self.executor_mut(&key)?;
        if *fact.container_id.root() != executor.container_id {
            return None;
        }
        let id = fact.container_id;
        let container = NestedContainer {
            directory: nested::directory(&executor.directory, &id),
            user: fact.user,
            state: if fact.has_ended {
                NestedState::Ended(fact.status)
            } else {
                // What became of it since is told by whoever looks for it.
                NestedState::Running
            },
            process,
            links: fact.links.iter().map(link).collect(),
            is_session: fact.is_session,
            container_id: id.clone(),
        };
        executor.containers.insert(id.clone(), Arc::new(container));
        self.remember_ended(&key, id);
        Some(())
    }
}

fn link(fact: &LinkFact) -> (PathBuf, PathBuf) {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    (path(&fact.name), path(&fact.target))
}
