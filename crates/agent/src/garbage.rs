//! Sandboxes outlive what ran in them, so that people can look at them, but not for ever.
//!
//! A folder may be removed [`gc_delay`](crate::Config::gc_delay) after nothing needs it any more:
//! that of a run when its executor is over, that of an executor or a framework when none of it is
//! left here, that of a former id of the agent at once. As the disk fills up, the delay shrinks.
//!
//! None of this is persisted. What an earlier life has left is found on the disk
//! ([`Input::SandboxesFound`](crate::Input::SandboxesFound)).

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use meseta_machine::Now;
use meseta_proto::v1::{AgentId, ContainerId, ExecutorId, FrameworkId};

use crate::agent::{Agent, Timer, Turn};
use crate::executors::RunKey;
use crate::limits::MAX_DISCARDED;
use crate::{Action, Config, FoundSandbox, sandbox};

/// A folder that nothing needs any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Garbage {
    /// Everything of a former id of this agent.
    Agent(AgentId),
    Framework(FrameworkId),
    Executor(FrameworkId, ExecutorId),
    Run(FrameworkId, ExecutorId, ContainerId),
}

impl Garbage {
    /// Reads what a folder is for from its place below the work directory.
    fn at(path: &Path, own: Option<&AgentId>) -> Option<Self> {
        let parts: Option<Vec<&str>> = path
            .components()
            .map(|component| match component {
                Component::Normal(part) => part.to_str(),
                _ => None,
            })
            .collect();
        match parts?.as_slice() {
            ["slaves", agent] if own.is_none_or(|own| own.as_str() != *agent) => {
                Some(Self::Agent((*agent).into()))
            }
            ["slaves", agent, "frameworks", rest @ ..]
                if own.is_some_and(|own| own.as_str() == *agent) =>
            {
                match rest {
                    [framework] => Some(Self::Framework((*framework).into())),
                    [framework, "executors", executor] => {
                        Some(Self::Executor((*framework).into(), (*executor).into()))
                    }
                    [framework, "executors", executor, "runs", run] => Some(Self::Run(
                        (*framework).into(),
                        (*executor).into(),
                        (*run).into(),
                    )),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// How old a folder may become that nothing needs any more while this share of the disk is used.
pub(crate) fn max_allowed_age(config: &Config, used: f64) -> Duration {
    let share = 1.0 - config.gc_disk_headroom - used;
    // What cannot be measured leaves everything as it is.
    if share.is_nan() {
        config.gc_delay
    } else {
        config.gc_delay.mul_f64(share.clamp(0.0, 1.0))
    }
}

impl Agent {
    /// The executor is over, and so is its sandbox.
    pub(crate) fn discard_executor(
        &mut self,
        turn: &mut Turn<'_>,
        (framework, executor): &RunKey,
        run: ContainerId,
    ) {
        self.discard_run(turn, &(framework.clone(), executor.clone()), run);
        let now = turn.now.wall;
        let all_runs = Garbage::Executor(framework.clone(), executor.clone());
        self.discard(turn, all_runs, now);
    }

    /// A run of the executor is over.
    pub(crate) fn discard_run(
        &mut self,
        turn: &mut Turn<'_>,
        (framework, executor): &RunKey,
        run: ContainerId,
    ) {
        let run = Garbage::Run(framework.clone(), executor.clone(), run);
        self.discard(turn, run, turn.now.wall);
    }

    pub(crate) fn discard_framework(&mut self, turn: &mut Turn<'_>, id: &FrameworkId) {
        let now = turn.now.wall;
        self.discard(turn, Garbage::Framework(id.clone()), now);
    }

    /// Something new will be in these folders.
    pub(crate) fn keep_folders_of(&mut self, (framework, executor): &RunKey) {
        self.garbage.cancel(&Garbage::Framework(framework.clone()));
        self.garbage
            .cancel(&Garbage::Executor(framework.clone(), executor.clone()));
        self.await_removal();
    }

    /// Takes up what an earlier life has left. What is in use by now, or will be discarded when it
    /// no longer is, stays.
    pub(crate) fn on_sandboxes_found(&mut self, turn: &mut Turn<'_>, found: Vec<FoundSandbox>) {
        for folder in found {
            let Some(garbage) = Garbage::at(&folder.path, self.id()) else {
                continue;
            };
            if !self.garbage.is_set(&garbage) && !self.is_in_use(&garbage) {
                self.discard(turn, garbage, folder.last_used);
            }
        }
    }

    fn is_in_use(&self, garbage: &Garbage) -> bool {
        match garbage {
            Garbage::Agent(id) => self.id() == Some(id),
            Garbage::Framework(id) => self.frameworks.contains_key(id),
            Garbage::Executor(framework, executor) => self
                .executor(&(framework.clone(), executor.clone()))
                .is_some(),
            Garbage::Run(_, _, run) => self.containers.contains_key(run),
        }
    }

    fn discard(&mut self, turn: &mut Turn<'_>, garbage: Garbage, last_used: Duration) {
        let age = turn.now.wall.saturating_sub(last_used);
        let at = turn.after(self.config.gc_delay.saturating_sub(age));
        self.garbage.set(garbage, at);
        if self.garbage.len() > MAX_DISCARDED
            && let Some(earliest) = self.garbage.next_due()
        {
            self.remove_due_within(turn, earliest.saturating_sub(turn.now.monotonic));
        }
        self.await_removal();
    }

    fn await_removal(&mut self) {
        match self.garbage.next_due() {
            Some(at) => self.timers.set(Timer::Removal, at),
            None => self.timers.cancel(&Timer::Removal),
        }
    }

    pub(crate) fn remove_what_is_due(&mut self, turn: &mut Turn<'_>) {
        self.remove_due_within(turn, Duration::ZERO);
    }

    fn remove_due_within(&mut self, turn: &mut Turn<'_>, ahead: Duration) {
        let until = Now {
            monotonic: turn.after(ahead),
            ..turn.now
        };
        while let Some(garbage) = self.garbage.pop_due(until) {
            if let Some(path) = self.folder(garbage) {
                turn.act(Action::Remove { path });
            }
        }
        self.await_removal();
    }

    fn folder(&self, garbage: Garbage) -> Option<PathBuf> {
        let work_dir = &self.config.work_dir;
        let own = self.id();
        Some(match garbage {
            Garbage::Agent(id) => sandbox::of_agent(work_dir, &id),
            Garbage::Framework(framework) => sandbox::of_framework(work_dir, own?, &framework),
            Garbage::Executor(framework, executor) => {
                sandbox::of_executor(work_dir, own?, &framework, &executor)
            }
            Garbage::Run(framework, executor, run) => {
                sandbox::sandbox(work_dir, own?, &framework, &executor, &run).0
            }
        })
    }

    pub(crate) fn measure_disk(&mut self, turn: &mut Turn<'_>) {
        turn.act(Action::MeasureDisk);
        let at = turn.after(self.config.disk_watch_interval);
        self.timers.set(Timer::DiskWatch, at);
    }

    /// The fuller the disk, the younger may be what is removed.
    pub(crate) fn on_disk_measured(&mut self, turn: &mut Turn<'_>, used: f64) {
        let delay = self.config.gc_delay;
        self.max_allowed_age = max_allowed_age(&self.config, used);
        self.remove_due_within(turn, delay.saturating_sub(self.max_allowed_age));
    }

    pub(crate) fn on_removed(&mut self, has_succeeded: bool) {
        if has_succeeded {
            self.counters.path_removals_succeeded += 1;
        } else {
            self.counters.path_removals_failed += 1;
        }
    }
}
