//! What is asked for of containers.

use meseta_machine::{Reply, RequestId};
use meseta_proto::v1::{CommandInfo, ContainerId, ContainerInfo};

use crate::Action;
use crate::agent::{Agent, Turn};
use crate::executors::RunKey;
use crate::limits::{
    MAX_CONTAINER_DEPTH, MAX_NESTED_CONTAINERS, MAX_WAITERS_PER_CONTAINER, SIGKILL, SIGNALS,
};
use crate::nested::{Asker, ContainerCall, WaitAnswer};
use crate::records::{Executor, ExecutorState, NestedContainer, NestedState};

impl Agent {
    pub(crate) fn on_container_call(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        call: ContainerCall,
    ) {
        let reply = match call {
            ContainerCall::Launch {
                container_id,
                command,
                container,
            } => {
                let (command, container) = (&*command, container.as_deref());
                let asker = Asker {
                    request,
                    form: None,
                };
                self.launch_nested(turn, asker, container_id, command, container)
            }
            ContainerCall::Session {
                container_id,
                command,
                container,
                form,
            } => {
                let (command, container) = (&*command, container.as_deref());
                let asker = Asker {
                    request,
                    form: Some(form),
                };
                self.launch_nested(turn, asker, container_id, command, container)
            }
            ContainerCall::Wait {
                container_id,
                answer,
            } => self.wait_for_container(turn, request, container_id, answer),
            ContainerCall::Kill {
                container_id,
                signal,
            } => Some(self.kill_container(turn, &container_id, signal)),
            ContainerCall::Remove { container_id } => {
                Some(self.remove_container(turn, &container_id))
            }
        };
        // Others are answered when what they wait for has happened.
        if let Some(reply) = reply {
            turn.act(Action::Reply { request, reply });
        }
    }

    /// The executor whose container a container is, or is in.
    fn executor_of(&self, id: &ContainerId) -> Option<(&RunKey, &Executor)> {
        let key = self.containers.get(id.root())?;
        let executor = self.executor(key)?;
        (executor.state != ExecutorState::Terminated).then_some((key, &**executor))
    }

    pub(crate) fn nested(&self, id: &ContainerId) -> Option<&NestedContainer> {
        let (_, executor) = self.executor_of(id)?;
        executor.containers.get(id).map(|it| &**it)
    }

    fn launch_nested(
        &mut self,
        turn: &mut Turn<'_>,
        asker: Asker,
        id: ContainerId,
        command: &CommandInfo,
        container: Option<&ContainerInfo>,
    ) -> Option<Reply> {
        let refused = |sentence: String| Some(Reply::bad_request(sentence));
        let Some((key, executor)) = self.executor_of(&id) else {
            if id.parent.is_none() {
                let sentence = "This agent launches no containers but those of executors";
                return Some(Reply::refused(501, sentence));
            }
            return refused(format!("Root container {} not found", id.root()));
        };
        let Some(parent) = &id.parent else {
            return Some(Reply::accepted());
        };
        let known = executor.containers.get(&id);
        if known.is_some_and(|it| !it.has_ended()) {
            return Some(Reply::accepted());
        }
        if let Err(sentence) = may_have_another(executor, &id, parent) {
            return refused(sentence);
        }
        let key = key.clone();
        let made = match asker.form {
            None => self.nested_container(&key, executor, id, command, container),
            Some(_) => self.session(executor, id, command, container),
        };
        match made {
            Ok((record, launch)) => {
                self.start_nested(turn, &key, asker, record, launch);
                None
            }
            Err(sentence) => refused(sentence),
        }
    }

    fn wait_for_container(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        id: ContainerId,
        answer: WaitAnswer,
    ) -> Option<Reply> {
        let nested = self.nested(&id);
        let is_known = nested.is_some() || (id.parent.is_none() && self.executor_of(&id).is_some());
        let key = self.containers.get(id.root()).cloned();
        let Some(key) = key.filter(|_| is_known) else {
            return Some(Reply::refused(
                404,
                format!("Container {id} cannot be found"),
            ));
        };
        if let Some(NestedState::Ended(status)) = nested.map(|it| it.state) {
            return Some(answer.reply(status));
        }
        let waiters = self.runs.get_mut(&key)?.nested.waiters.entry(id);
        let waiters = waiters.or_default();
        waiters.push_back((request, answer));
        if waiters.len() > MAX_WAITERS_PER_CONTAINER
            && let Some((request, _)) = waiters.pop_front()
        {
            let reply = Reply::refused(503, "Too many others wait for the container");
            turn.act(Action::Reply { request, reply });
        }
        None
    }

    fn kill_container(&mut self, turn: &mut Turn<'_>, id: &ContainerId, signal: i32) -> Reply {
        let is_root = id.parent.is_none() && self.executor_of(id).is_some();
        let state = self.nested(id).map(|it| it.state);
        let is_running = match state {
            None if is_root => true,
            None | Some(NestedState::Ended(_)) => {
                return Reply::refused(
                    404,
                    format!("Container '{id}' cannot be found (or is already killed)"),
                );
            }
            Some(NestedState::Starting) => false,
            Some(NestedState::Running | NestedState::Ending) => true,
        };
        if !SIGNALS.contains(&signal) {
            let sentence = "Unable to send signal to container: Invalid argument";
            return Reply::refused(500, sentence);
        }
        let container_id = id.clone();
        if signal == SIGKILL || !is_running {
            if let Some(nested) = self.nested_mut(id) {
                nested.state = NestedState::Ending;
            }
            turn.act(Action::Destroy { container_id });
        } else {
            turn.act(Action::Signal {
                container_id,
                signal,
            });
        }
        Reply::ok()
    }

    fn remove_container(&mut self, turn: &mut Turn<'_>, id: &ContainerId) -> Reply {
        let failed = |sentence: String| Reply::refused(500, sentence);
        let Some((key, executor)) = self.executor_of(id) else {
            return failed(format!("Root container {} not found", id.root()));
        };
        if id.parent.is_none() {
            return failed(format!("Container {id} is an executor's"));
        }
        let key = key.clone();
        let of_it = executor.containers.iter();
        let of_it = of_it.filter(|(other, _)| other.lineage().any(|around| around == id));
        let of_it: Vec<(ContainerId, bool)> = of_it
            .map(|(other, nested)| (other.clone(), nested.has_ended()))
            .collect();
        if of_it.iter().any(|(_, has_ended)| !has_ended) {
            return failed("Nested container has not terminated yet".into());
        }
        let directory = super::directory(&executor.directory, id);
        let of_it: Vec<_> = of_it.into_iter().map(|(id, _)| id).collect();
        self.forget_nested(turn, &key, &of_it);
        turn.act(Action::RemoveNested {
            container_id: id.clone(),
            directory,
        });
        Reply::ok()
    }
}

/// Whether there can be a container of this id below its parent.
fn may_have_another(
    executor: &Executor,
    id: &ContainerId,
    parent: &ContainerId,
) -> Result<(), String> {
    if parent.parent.is_some() {
        match executor.containers.get(parent).map(|it| it.state) {
            None | Some(NestedState::Ended(_)) => {
                return Err(format!("Parent container {parent} does not exist"));
            }
            Some(NestedState::Ending) => {
                return Err(format!(
                    "Parent container {parent} is in 'DESTROYING' state"
                ));
            }
            Some(NestedState::Starting | NestedState::Running) => {}
        }
    }
    if id.lineage().count() > MAX_CONTAINER_DEPTH {
        return Err(format!(
            "Containers are nested {MAX_CONTAINER_DEPTH} deep at most"
        ));
    }
    let alive = executor.containers.values().filter(|it| !it.has_ended());
    if alive.count() >= MAX_NESTED_CONTAINERS {
        return Err(format!(
            "An executor has {MAX_NESTED_CONTAINERS} containers at most"
        ));
    }
    Ok(())
}
