//! What becomes of nested containers.

use std::sync::Arc;

use meseta_machine::Reply;
use meseta_proto::v1::ContainerId;

use crate::agent::{Agent, Turn};
use crate::executors::RunKey;
use crate::limits::MAX_ENDED_CONTAINERS;
use crate::nested::Asker;
use crate::records::{NestedContainer, NestedState, Process};
use crate::recovery::facts::{Change, NestedFact, nested_key};
use crate::{Action, Launch, LaunchFailure};

impl Agent {
    pub(crate) fn nested_mut(&mut self, id: &ContainerId) -> Option<&mut NestedContainer> {
        let key = self.containers.get(id.root())?.clone();
        let executor = self.executor_mut(&key)?;
        executor.containers.get_mut(id).map(Arc::make_mut)
    }

    /// Asks for a container. A crash from here on leaves word of it.
    pub(super) fn start_nested(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        asker: Asker,
        record: NestedContainer,
        launch: Launch,
    ) {
        let id = record.container_id.clone();
        if let Some(run) = self.runs.get_mut(key) {
            // One of this id that has ended is forgotten for it.
            run.nested.ended.retain(|ended| *ended != id);
            run.nested.launches.insert(id.clone(), asker);
        }
        if let Some(executor) = self.executor_mut(key) {
            executor.containers.insert(id.clone(), Arc::new(record));
        }
        self.persist_nested(turn, key, &id);
        turn.act(Action::Launch(Box::new(launch)));
    }

    fn persist_nested(&self, turn: &mut Turn<'_>, key: &RunKey, id: &ContainerId) {
        let record = self.executor(key).and_then(|it| it.containers.get(id));
        if let Some(record) = record {
            let fact = NestedFact::new(key, record, &self.config.boot_id);
            turn.persist(vec![Change::put(nested_key(&key.0, &key.1, id), &fact)]);
        }
    }

    pub(crate) fn on_nested_launched(
        &mut self,
        turn: &mut Turn<'_>,
        id: &ContainerId,
        process: Process,
    ) {
        let Some(nested) = self.nested_mut(id) else {
            // Forgotten meanwhile: nothing of it must stay.
            let container_id = id.clone();
            turn.act(Action::Destroy { container_id });
            return;
        };
        nested.process = Some(process);
        if nested.state == NestedState::Starting {
            nested.state = NestedState::Running;
        }
        self.tell_launched(turn, id, Reply::ok());
    }

    /// Answers who asked for a container, when what is known of it is on disk.
    fn tell_launched(&mut self, turn: &mut Turn<'_>, id: &ContainerId, reply: Reply) {
        let Some(key) = self.containers.get(id.root()).cloned() else {
            return;
        };
        self.persist_nested(turn, &key, id);
        let run = self.runs.get_mut(&key);
        let Some(asker) = run.and_then(|run| run.nested.launches.remove(id)) else {
            return;
        };
        let request = asker.request;
        turn.act(match asker.form.filter(|_| reply.status == 200) {
            None => Action::Reply { request, reply },
            Some(form) => Action::OpenSession {
                request,
                container_id: id.clone(),
                form,
            },
        });
    }

    pub(crate) fn on_nested_launch_failed(
        &mut self,
        turn: &mut Turn<'_>,
        id: &ContainerId,
        failure: LaunchFailure,
    ) {
        if self.nested(id).is_none_or(NestedContainer::has_ended) {
            return;
        }
        self.counters.container_launch_errors += 1;
        let (LaunchFailure::Sandbox(sentence) | LaunchFailure::Container(sentence)) = failure;
        self.end_nested(turn, id, None, Reply::bad_request(sentence));
    }

    pub(crate) fn on_nested_exited(
        &mut self,
        turn: &mut Turn<'_>,
        id: &ContainerId,
        status: Option<i32>,
    ) {
        let Some(nested) = self.nested(id).filter(|it| !it.has_ended()) else {
            return;
        };
        let reply = if nested.process.is_some() {
            Reply::ok()
        } else {
            Reply::bad_request("Container destroyed during launching")
        };
        self.end_nested(turn, id, status, reply);
    }

    /// A session ends with who has asked for it.
    pub(crate) fn on_session_closed(&mut self, turn: &mut Turn<'_>, id: &ContainerId) {
        let nested = self.nested_mut(id);
        let Some(nested) = nested.filter(|it| it.is_session && !it.has_ended()) else {
            return;
        };
        nested.state = NestedState::Ending;
        let container_id = id.clone();
        turn.act(Action::Destroy { container_id });
    }

    /// Enters the end of a container, and tells who waits for it; first, if need be, who asked for it.
    fn end_nested(
        &mut self,
        turn: &mut Turn<'_>,
        id: &ContainerId,
        status: Option<i32>,
        to_launcher: Reply,
    ) {
        if let Some(nested) = self.nested_mut(id) {
            nested.state = NestedState::Ended(status);
            nested.process = None;
        }
        self.tell_launched(turn, id, to_launcher);
        let Some(key) = self.containers.get(id.root()).cloned() else {
            return;
        };
        self.tell_waiters(turn, &key, id, status);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.nested.ended.push_back(id.clone());
        let surplus = run.nested.ended.len().saturating_sub(MAX_ENDED_CONTAINERS);
        let oldest: Vec<_> = run.nested.ended.iter().take(surplus).cloned().collect();
        self.forget_nested(turn, &key, &oldest);
    }

    /// Enters a container that a former life of the agent knew, if it has ended.
    pub(crate) fn remember_ended(&mut self, key: &RunKey, id: ContainerId) {
        let has_ended = self.nested(&id).is_some_and(NestedContainer::has_ended);
        if has_ended && let Some(run) = self.runs.get_mut(key) {
            run.nested.ended.push_back(id);
        }
    }

    fn tell_waiters(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        id: &ContainerId,
        status: Option<i32>,
    ) {
        let run = self.runs.get_mut(key);
        let waiters = run.and_then(|run| run.nested.waiters.remove(id));
        for (request, answer) in waiters.into_iter().flatten() {
            let reply = answer.reply(status);
            turn.act(Action::Reply { request, reply });
        }
    }

    /// Nothing that waits for it depends on this: what a crash brings back is forgotten with its
    /// executor.
    pub(super) fn forget_nested(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        containers: &[ContainerId],
    ) {
        if let Some(run) = self.runs.get_mut(key) {
            run.nested.ended.retain(|id| !containers.contains(id));
        }
        let mut changes = Vec::new();
        if let Some(executor) = self.executor_mut(key) {
            for id in containers {
                executor.containers.remove(id);
                changes.push(Change::forget(nested_key(&key.0, &key.1, id)));
            }
        }
        turn.note(changes);
    }

    /// The executor's own container has ended, and with it all that were in it.
    pub(crate) fn end_containers_of(
        &mut self,
        turn: &mut Turn<'_>,
        key: &RunKey,
        status: Option<i32>,
    ) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let root = executor.container_id.clone();
        let all: Vec<ContainerId> = executor.containers.keys().cloned().collect();
        let Some(run) = self.runs.get_mut(key) else {
            return;
        };
        for (id, asker) in std::mem::take(&mut run.nested.launches) {
            let request = asker.request;
            let reply = Reply::bad_request(format!("Root container {} not found", id.root()));
            turn.act(Action::Reply { request, reply });
        }
        for id in &all {
            self.tell_waiters(turn, key, id, None);
        }
        self.tell_waiters(turn, key, &root, status);
        self.forget_nested(turn, key, &all);
    }
}
