use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use meseta_machine::{Entropy, Now, StreamId, Timers};
use meseta_proto::v1::{
    AgentId, AgentInfo, ContainerId, DrainConfig, ExecutorId, FrameworkId, Resource,
};
use meseta_proto::{Upid, Wire};
use meseta_resources::Resources;

use crate::authentication::Authentication;
use crate::executors::{Run, RunKey};
use crate::garbage::{self, Garbage};
use crate::operations::Operations;
use crate::records::{Executor, Framework};
use crate::recovery::facts::Change;
use crate::registration::Registration;
use crate::updates::{StreamKey, Streams};
use crate::{Action, Config, Counters, ExitReason, Input, Snapshot};

/// The agent. See the [crate](crate) for how it is driven.
///
/// ```text
/// Recovering ──executors are back, or gave up──▶ Disconnected ◀──────┐
///                                                    │ registered    │ new master, or none,
///                                                    ▼               │ or a silent one
///                          Terminating ◀──shutdown── Running ────────┘
/// ```
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Arc<Config>,
    pub(crate) entropy: Entropy,
    pub(crate) start_time: Duration,
    pub(crate) timers: Timers<Timer>,
    pub(crate) phase: Phase,
    /// It does not go on with what it found, and ends: it knows nothing of what runs.
    pub(crate) has_refused: bool,
    /// Whether there is room on the disk for what is to be known of more tasks.
    pub(crate) has_room: bool,
    pub(crate) info: Arc<AgentInfo>,
    pub(crate) registration: Registration,
    pub(crate) authentication: Authentication,
    pub(crate) frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    pub(crate) completed_frameworks: Vector<Arc<Framework>>,
    /// What the machine keeps of executors beside their records.
    pub(crate) runs: BTreeMap<RunKey, Run>,
    pub(crate) containers: BTreeMap<ContainerId, RunKey>,
    pub(crate) event_streams: BTreeMap<StreamId, RunKey>,
    /// The executor of each task that is not yet completed.
    pub(crate) tasks: BTreeMap<StreamKey, ExecutorId>,
    pub(crate) updates: Streams,
    /// How long to wait for the acknowledgement of the update that was last sent.
    pub(crate) retry_intervals: BTreeMap<StreamKey, Duration>,
    /// Numbers queued tasks.
    pub(crate) next_position: u64,
    pub(crate) checkpointed: Resources,
    pub(crate) checkpointed_resources: Arc<Vec<Resource>>,
    pub(crate) total: Resources,
    pub(crate) total_resources: Arc<Vec<Resource>>,
    /// Changes with every life of the agent: offers of an earlier one do not count.
    pub(crate) resource_version: [u8; 16],
    /// What masters were last told to lend, with what is lent already.
    pub(crate) oversubscribed: Option<Arc<Resources>>,
    pub(crate) operations: Operations,
    pub(crate) drain: Option<Arc<DrainConfig>>,
    /// When this life of the agent began to drain it, since the Unix epoch.
    pub(crate) drain_start: Option<Duration>,
    /// When each folder is removed that nothing needs any more.
    pub(crate) garbage: Timers<Garbage>,
    /// How old folders may become that nothing needs any more.
    pub(crate) max_allowed_age: Duration,
    /// How long it took until every executor was back or given up, once that is over.
    pub(crate) recovery_time: Option<Duration>,
    pub(crate) counters: Counters,
}

/// How far the agent is. See [`Agent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its former life is being put together.
    Recovering,
    /// No master has it registered.
    Disconnected,
    /// It is registered.
    Running,
    /// It ends when its executors have; the sentence says why.
    Terminating(String),
}

/// Everything that the agent waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The next attempt to register.
    Register,
    /// The time of an attempt to authenticate is over.
    Authentication,
    /// The master has been silent for too long.
    PingTimeout,
    /// Executors on the old driver that have not come back are asked again.
    ExecutorReconnect,
    /// Executors of the former life that have not come back by then do not.
    ExecutorReregistration,
    /// A new executor that has not subscribed by then does not.
    ExecutorRegistration(ContainerId),
    /// An executor that was told to shut down is killed.
    ExecutorShutdown(ContainerId),
    /// An executor's stream is kept alive.
    ExecutorHeartbeat(ContainerId),
    /// An update has not been acknowledged.
    UpdateRetry(StreamKey),
    /// An operation's outcome has not been acknowledged.
    OperationRetry(Vec<u8>),
    /// A folder is to be removed.
    Removal,
    /// Time to see how full the disk is.
    DiskWatch,
    /// Time to see what can be lent.
    Estimate,
    /// Time to see whether borrowers are in the way.
    QosCorrection,
}

/// The time of a step, and where its actions go.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Makes changes durable before anything that follows; together with those before, if nothing
    /// is done between them.
    pub(crate) fn persist(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let new = changes.into_iter().map(|Change(k, v)| (k, v));
        if let Some(Action::Persist { changes }) = self.actions.last_mut() {
            changes.extend(new);
        } else {
            let changes = new.collect();
            self.actions.push(Action::Persist { changes });
        }
    }

    /// Makes changes outlive this process before anything that follows, where the loss of the machine's power
    /// makes what follows void.
    pub(crate) fn record(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let changes = changes.into_iter().map(|Change(k, v)| (k, v)).collect();
            self.actions.push(Action::Record { changes });
        }
    }

    /// Writes changes down soon, where nothing that follows depends on it: a crash that loses
    /// them must leave a state that a crash before them could have left.
    pub(crate) fn note(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let changes = changes.into_iter().map(|Change(k, v)| (k, v)).collect();
            self.actions.push(Action::Note { changes });
        }
    }

    pub(crate) fn after(&self, wait: Duration) -> Duration {
        self.now.monotonic.saturating_add(wait)
    }
}

impl Agent {
    /// An agent that waits for [`Input::Recovered`].
    pub fn new(config: Config, mut entropy: Entropy, now: Now) -> Self {
        let info = AgentInfo {
            hostname: config.hostname.clone(),
            port: Some(config.pid.address.port().into()),
            resources: config.resources.clone(),
            attributes: config.attributes.clone(),
            id: None,
            domain: config.domain.clone(),
        };
        // The shell has parsed them; what could not be parsed would not be offered anyway.
        let total = Resources::from_v1(&config.resources).unwrap_or_default();
        let resource_version = entropy.uuid_bytes();
        Self {
            registration: Registration::new(&config),
            authentication: Authentication::default(),
            max_allowed_age: garbage::max_allowed_age(&config, 0.0),
            config: Arc::new(config),
            entropy,
            start_time: now.wall,
            timers: Timers::default(),
            phase: Phase::Recovering,
            has_refused: false,
            has_room: true,
            info: Arc::new(info),
            frameworks: OrdMap::new(),
            completed_frameworks: Vector::new(),
            runs: BTreeMap::new(),
            containers: BTreeMap::new(),
            event_streams: BTreeMap::new(),
            tasks: BTreeMap::new(),
            updates: Streams::default(),
            retry_intervals: BTreeMap::new(),
            next_position: 0,
            checkpointed: Resources::new(),
            checkpointed_resources: Arc::default(),
            total_resources: Arc::new(total.to_v1()),
            total,
            resource_version,
            oversubscribed: None,
            operations: Operations::default(),
            drain: None,
            drain_start: None,
            garbage: Timers::default(),
            recovery_time: None,
            counters: Counters::default(),
        }
    }

    /// Takes one input.
    pub fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        let turn = &mut Turn { now, actions };
        match input {
            Input::Recovered {
                facts,
                alive,
                unstarted,
                damaged,
            } => self.on_recovered(turn, &facts, &alive, &unstarted, &damaged),
            Input::MasterDetected { master } => self.on_master_detected(turn, master),
            Input::Message {
                from,
                to,
                name,
                body,
            } => self.on_message(turn, &from, &to, &name, &body),
            Input::ExecutorCall {
                request,
                call,
                new_stream,
                principal,
            } => self.on_executor_call(turn, request, *call, new_stream, principal.as_ref()),
            Input::ContainerCall { request, call } => {
                self.on_container_call(turn, request, *call);
            }
            Input::SessionClosed { container_id } => self.on_session_closed(turn, &container_id),
            Input::StreamClosed { stream } => self.on_stream_closed(&stream),
            Input::ContainerLaunched {
                container_id,
                pid,
                start_time,
            } => self.on_container_launched(turn, &container_id, pid, start_time),
            Input::ContainerLaunchFailed {
                container_id,
                failure,
            } => self.on_container_launch_failed(turn, &container_id, failure),
            Input::ContainerExited {
                container_id,
                status,
            } => self.on_container_exited(turn, &container_id, status),
            Input::SandboxesFound { found } => self.on_sandboxes_found(turn, found),
            Input::Removed { has_succeeded } => self.on_removed(has_succeeded),
            Input::VolumesChanged { operation, result } => {
                self.on_volumes_changed(turn, operation, result);
            }
            Input::VolumesNotLinked {
                container_id,
                reason,
            } => self.on_volumes_not_linked(turn, &container_id, &reason),
            Input::Room { has_room } => self.has_room = has_room,
            Input::DiskMeasured { used } => self.on_disk_measured(turn, used),
            Input::LoadMeasured { load } => self.on_load_measured(turn, load),
            Input::Shutdown => self.on_shutdown_signal(turn),
            Input::Exited { address } => self.on_exited(turn, address),
            Input::Wake => {}
        }
        while let Some(timer) = self.timers.pop_due(turn.now) {
            self.on_timer(turn, timer);
        }
        self.end_drain_when_empty(turn);
        #[cfg(debug_assertions)]
        self.check_invariants();
    }

    fn on_timer(&mut self, turn: &mut Turn<'_>, timer: Timer) {
        match timer {
            Timer::Register => self.register(turn),
            Timer::Authentication => self.on_authentication_timeout(turn),
            Timer::PingTimeout => self.on_master_silent(turn),
            Timer::ExecutorReconnect => self.on_reconnect_retry(turn),
            Timer::ExecutorReregistration => self.on_executor_reregistration_timeout(turn),
            Timer::ExecutorRegistration(container) => {
                self.on_executor_registration_timeout(turn, &container);
            }
            Timer::ExecutorShutdown(container) => {
                self.on_executor_shutdown_timeout(turn, &container);
            }
            Timer::ExecutorHeartbeat(container) => self.send_heartbeat(turn, &container),
            Timer::UpdateRetry(key) => self.retry_update(turn, &key),
            Timer::OperationRetry(uuid) => self.retry_operation(turn, &uuid),
            Timer::Removal => self.remove_what_is_due(turn),
            Timer::DiskWatch => self.measure_disk(turn),
            Timer::Estimate => self.estimate(turn),
            Timer::QosCorrection => self.look_at_load(turn),
        }
    }

    /// When the agent wants [`Input::Wake`], in monotonic time.
    pub fn next_wake(&self) -> Option<Duration> {
        self.timers.next_due()
    }

    /// The agent as it is now, for its readers.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            config: Arc::clone(&self.config),
            info: Arc::clone(&self.info),
            registered: self.phase == Phase::Running,
            start_time: self.start_time,
            master: self.registration.master_info(),
            frameworks: self.frameworks.clone(),
            completed_frameworks: self.completed_frameworks.clone(),
            checkpointed_resources: Arc::clone(&self.checkpointed_resources),
            total_resources: Arc::clone(&self.total_resources),
            operations: self.operations.records(),
            oversubscribed: self.oversubscribed.clone(),
            drain: self.drain.clone(),
            drain_start: self.drain_start,
            pending_removals: self.garbage.len(),
            max_allowed_age: self.max_allowed_age,
            recovery_time: self.recovery_time,
            counters: self.counters,
        }
    }

    pub(crate) fn id(&self) -> Option<&AgentId> {
        self.info.id.as_ref()
    }

    pub(crate) fn executor(&self, (framework, executor): &RunKey) -> Option<&Arc<Executor>> {
        self.frameworks.get(framework)?.executors.get(executor)
    }

    pub(crate) fn executor_mut(&mut self, (framework, executor): &RunKey) -> Option<&mut Executor> {
        let framework = Arc::make_mut(self.frameworks.get_mut(framework)?);
        Some(Arc::make_mut(framework.executors.get_mut(executor)?))
    }

    pub(crate) fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        Some(Arc::make_mut(self.frameworks.get_mut(id)?))
    }

    /// Sends a message to a process.
    pub(crate) fn send<M: Wire>(&self, turn: &mut Turn<'_>, to: Upid, message: &M) {
        let from = self.config.pid.id.clone();
        Self::send_from(turn, from, to, message);
    }

    /// Sends a message as another process of the agent.
    pub(crate) fn send_from<M: Wire>(turn: &mut Turn<'_>, from: String, to: Upid, message: &M) {
        turn.act(Action::Send {
            from,
            to,
            name: M::SCHEMA.name,
            body: message.encode_to_vec().into(),
        });
    }

    /// Sends a message to the master, if there is one.
    pub(crate) fn send_to_master(&self, turn: &mut Turn<'_>, message: &impl Wire) {
        if let Some(master) = self.registration.master() {
            self.send(turn, master.clone(), message);
        }
    }

    /// Ends the agent once it is to end and nothing runs any more.
    pub(crate) fn exit_when_idle(&mut self, turn: &mut Turn<'_>) {
        if let Phase::Terminating(reason) = &self.phase
            && self.frameworks.is_empty()
        {
            let reason = ExitReason::Shutdown(reason.clone());
            // As the master forgets the agent, the agent forgets that it was one.
            self.forget_everything(turn);
            turn.act(Action::Exit { reason });
        }
    }

    /// What must hold after every step.
    #[cfg(debug_assertions)]
    fn check_invariants(&self) {
        let executors: usize = self.frameworks.values().map(|f| f.executors.len()).sum();
        assert_eq!(executors, self.runs.len(), "every executor has its run");
        assert_eq!(executors, self.containers.len(), "and its container");
        let tasks: usize = self
            .frameworks
            .values()
            .flat_map(|f| f.executors.values())
            .map(|e| e.queued_tasks.len() + e.launched_tasks.len() + e.terminated_tasks.len())
            .sum();
        assert_eq!(
            tasks,
            self.tasks.len(),
            "every task is known by its executor"
        );
        for (key, run) in &self.runs {
            if let Some(executor) = self.executor(key) {
                run.nested.check_invariants(executor);
            }
        }
        for (stream, key) in &self.event_streams {
            let open = self.executor(key).and_then(|e| e.stream.as_ref());
            assert_eq!(open, Some(stream), "streams belong to executors");
        }
    }
}
