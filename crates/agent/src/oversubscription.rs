//! What the agent lends beyond what it has, and how it gets it back.
//!
//! A [`ResourceEstimator`] says what of the machine is reserved and yet not used. Masters offer that as
//! revocable resources to frameworks that can live with losing it. When the borrowers are in the way
//! of the others, a [`QosController`] has them ended.

use std::sync::Arc;

use meseta_proto::internal;
use meseta_proto::v1::TaskState;
use meseta_proto::v1::resource::RevocableInfo;
use meseta_proto::v1::task_status::Reason;
use meseta_resources::Resources;

use crate::Action;
use crate::agent::{Agent, Phase, Timer, Turn};
use crate::executors::RunKey;
use crate::limits::QOS_INTERVAL_MIN;
use crate::records::{Executor, ExecutorState};
use crate::task::{self, Verdict};

/// What finds out how much can be lent.
#[derive(Debug, Clone)]
pub enum ResourceEstimator {
    /// It is always as much: Mesos's `org_apache_mesos_FixedResourceEstimator`.
    Fixed {
        /// What can be lent.
        resources: Resources,
    },
}

/// What finds out when borrowers are in the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QosController {
    /// They are when the machine is loaded too much: Mesos's `org_apache_mesos_LoadQoSController`.
    Load {
        /// The load of the last five minutes that is too much.
        threshold_5min: Option<f64>,
        /// The load of the last quarter of an hour that is too much.
        threshold_15min: Option<f64>,
    },
}

/// How many processes wanted to run, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// In the last five minutes.
    pub five_minutes: f64,
    /// In the last quarter of an hour.
    pub fifteen_minutes: f64,
}

impl ResourceEstimator {
    /// Always as much.
    ///
    /// # Errors
    /// When the resources cannot be lent.
    pub fn fixed(resources: &Resources) -> Result<Self, meseta_resources::Error> {
        let mut resources = resources.to_v1();
        for resource in &mut resources {
            resource.revocable = Some(RevocableInfo::default());
        }
        let resources = Resources::from_v1(&resources)?;
        Ok(Self::Fixed { resources })
    }

    /// What can be lent beyond what is.
    fn free(&self, lent: &Resources) -> Resources {
        match self {
            Self::Fixed { resources } => resources - lent,
        }
    }
}

impl QosController {
    fn is_too_much(self, load: Load) -> bool {
        let Self::Load {
            threshold_5min,
            threshold_15min,
        } = self;
        threshold_5min.is_some_and(|most| load.five_minutes > most)
            || threshold_15min.is_some_and(|most| load.fifteen_minutes > most)
    }
}

impl Agent {
    /// Begins to lend.
    pub(crate) fn begin_to_lend(&mut self, turn: &mut Turn<'_>) {
        self.estimate(turn);
        self.await_look_at_load(turn);
    }

    /// Finds out what can be lent, and tells the master if that has changed.
    pub(crate) fn estimate(&mut self, turn: &mut Turn<'_>) {
        let lent = self.lent();
        let estimator = self.config.resource_estimator.as_ref();
        let free = estimator.map(|it| it.free(&lent)).unwrap_or_default();
        // Without an estimator, what an earlier life has lent comes back as it becomes free.
        if estimator.is_some() || !lent.is_empty() {
            let at = turn.after(self.config.oversubscribed_resources_interval);
            self.timers.set(Timer::Estimate, at);
        }
        // Masters want the sum, of which they subtract what they have given away.
        let oversubscribed = &lent + &free;
        if self.oversubscribed.as_deref() != Some(&oversubscribed) {
            let message = internal::UpdateSlaveMessage {
                slave_id: self.id().cloned().unwrap_or_default(),
                update_oversubscribed_resources: Some(true),
                oversubscribed_resources: oversubscribed.to_v1(),
                ..internal::UpdateSlaveMessage::default()
            };
            self.oversubscribed = Some(Arc::new(oversubscribed));
            // One that comes back tells when it is registered.
            if self.phase == Phase::Running {
                self.send_to_master(turn, &message);
            }
        }
    }

    /// What executors and their tasks have of what is lent.
    fn lent(&self) -> Resources {
        let mut lent = Resources::new();
        for executor in self.frameworks.values().flat_map(|f| f.executors.values()) {
            lent += &revocable(executor);
        }
        lent.unallocate()
    }

    fn await_look_at_load(&mut self, turn: &Turn<'_>) {
        if self.config.qos_controller.is_some() {
            let wait = self.config.qos_correction_interval_min;
            self.timers
                .set(Timer::QosCorrection, turn.after(wait.max(QOS_INTERVAL_MIN)));
        }
    }

    /// Looks at the load, if anything could be done about it.
    pub(crate) fn look_at_load(&mut self, turn: &mut Turn<'_>) {
        if self.borrowers().is_empty() {
            self.await_look_at_load(turn);
        } else {
            turn.act(Action::MeasureLoad);
        }
    }

    /// Ends the borrowers when there is too much load.
    pub(crate) fn on_load_measured(&mut self, turn: &mut Turn<'_>, load: Load) {
        let is_ready = matches!(self.phase, Phase::Disconnected | Phase::Running);
        let controller = self.config.qos_controller;
        if is_ready && controller.is_some_and(|it| it.is_too_much(load)) {
            for key in self.borrowers() {
                self.preempt(turn, &key);
            }
        }
        self.await_look_at_load(turn);
    }

    /// The live executors with something that is lent.
    fn borrowers(&self) -> Vec<RunKey> {
        let frameworks = self.frameworks.values().filter(|f| !f.terminating);
        let executors = frameworks.flat_map(|f| f.executors.values());
        let borrowers = executors.filter(|executor| match executor.state {
            ExecutorState::Registering | ExecutorState::Running => !revocable(executor).is_empty(),
            ExecutorState::Terminating | ExecutorState::Terminated => false,
        });
        borrowers
            .map(|executor| (executor.framework_id(), executor.id().clone()))
            .collect()
    }

    fn preempt(&mut self, turn: &mut Turn<'_>, key: &RunKey) {
        let framework = self.frameworks.get(&key.0);
        let state: TaskState = task::gone_for(framework.map(|framework| &*framework.info));
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.state = ExecutorState::Terminating;
        let container_id = executor.container_id.clone();
        if let Some(run) = self.runs.get_mut(key) {
            run.end = Some(Verdict::new(
                state,
                Reason::ContainerPreempted,
                "Container preempted by QoS correction",
            ));
        }
        self.counters.executors_preempted += 1;
        turn.act(Action::Destroy { container_id });
    }
}

/// What of an executor's resources is lent.
fn revocable(executor: &Executor) -> Resources {
    let queued = executor.queued_tasks.values().map(|task| &task.resources);
    let launched = executor.launched_tasks.values().map(|task| &task.resources);
    let mut all = executor.info.resources.clone();
    all.extend(queued.chain(launched).flatten().cloned());
    all.retain(|resource| resource.revocable.is_some());
    // They were checked when they arrived.
    Resources::from_v1(&all).unwrap_or_default()
}
