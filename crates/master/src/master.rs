use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meseta_allocator::Allocator;
use meseta_machine::{Entropy, Now, Reply, Timers};
use meseta_proto::Upid;
use meseta_proto::v1::{AgentId, FrameworkId, OfferId};
use meseta_resources::{Quantities, Resources};

use crate::action::Action;
use crate::agents::Pings;
use crate::authentication::Authentications;
use crate::config::Config;
use crate::consumption::Consumption;
use crate::input::Input;
use crate::maintenance::{InverseIndex, MachineKey, Unavailabilities};
use crate::peers::Peers;
use crate::records::OperationKey;
use crate::snapshot::Snapshot;
use crate::step::Step;
use crate::timers::Timer;
use crate::watchers::{Subscription, Watchers};
use crate::why::Inquiries;
use crate::{allocation, frameworks};

/// A master: it admits agents and frameworks, offers the agents' resources to the frameworks, and
/// passes between them what concerns tasks.
///
/// Its state is the [`Snapshot`] that readers see, and beside it what they need not see: timers,
/// indexes, and the allocator's accounts.
#[derive(Debug)]
pub struct Master {
    pub(crate) state: Snapshot,
    pub(crate) allocator: Allocator,
    pub(crate) timers: Timers<Timer>,
    pub(crate) peers: Peers,
    pub(crate) authentications: Authentications,
    /// Operators who watch.
    pub(crate) watchers: Watchers,
    pub(crate) ids: Ids,
    /// The resources of each outstanding offer.
    pub(crate) offered: BTreeMap<OfferId, Resources>,
    /// What roles consume and agents have, in sum.
    pub(crate) consumption: Consumption,
    /// What all quotas guarantee together.
    pub(crate) guarantees: Quantities,
    /// How each registered agent answers its pings.
    pub(crate) pings: BTreeMap<AgentId, Pings>,
    /// Where drivers were before they were disconnected, until they come back or are removed.
    pub(crate) former_drivers: BTreeMap<FrameworkId, Upid>,
    /// Which frameworks have tasks on an agent that is unreachable.
    pub(crate) unreachable_frameworks: BTreeMap<AgentId, BTreeSet<FrameworkId>>,
    /// Which frameworks had tasks on an agent that were given up for good, and yet may live: what the
    /// agent tells when it is back contradicts the completed tasks of these frameworks alone.
    pub(crate) given_up: BTreeMap<AgentId, BTreeSet<FrameworkId>>,
    /// When machines will be away, by machine.
    pub(crate) unavailabilities: Unavailabilities,
    /// The registered agents of each machine.
    pub(crate) by_machine: BTreeMap<MachineKey, BTreeSet<AgentId>>,
    pub(crate) inverse_index: InverseIndex,
    /// Why some frameworks get no offers, as far as it has been found out.
    pub(crate) inquiries: Inquiries,
    /// Agents that are drained and may be empty after this step.
    pub(crate) maybe_drained: BTreeSet<AgentId>,
    /// Operations that agents hold of frameworks that are not in the books.
    pub(crate) orphaned_operations: BTreeMap<FrameworkId, BTreeSet<(AgentId, OperationKey)>>,
    pub(crate) entropy: Entropy,
    recovered: bool,
}

/// What is next in each sort of ids that a master gives.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) agents: u64,
    pub(crate) frameworks: u64,
    pub(crate) offers: u64,
    pub(crate) observers: u64,
}

impl Ids {
    pub(crate) fn next_offer(&mut self, run: &str) -> OfferId {
        let id = OfferId::from(format!("{run}-O{}", self.offers));
        self.offers += 1;
        id
    }
}

impl Master {
    /// A master that waits for [`Input::Recovered`].
    ///
    /// Chance decides in which order roles and frameworks are served, where flags say so, and how
    /// operations are named to agents: all other ids are numbers below the id of its run.
    pub fn new(config: Config, mut entropy: Entropy, now: Now) -> Self {
        let master_info = config.master_info();
        Self {
            allocator: Allocator::new(allocation::options(&config, entropy.next_u64())),
            state: Snapshot {
                config: config.into(),
                master_info: master_info.into(),
                time: now.wall,
                agents: imbl::OrdMap::new(),
                recovered_agents: imbl::OrdMap::new(),
                unreachable_agents: imbl::OrdMap::new(),
                gone_agents: imbl::OrdMap::new(),
                deactivations: imbl::OrdMap::new(),
                frameworks: imbl::OrdMap::new(),
                completed_frameworks: imbl::Vector::new(),
                offers: imbl::OrdMap::new(),
                schedule: std::sync::Arc::default(),
                down_machines: imbl::OrdMap::new(),
                inverse_offers: imbl::OrdMap::new(),
                inverse_answers: imbl::OrdMap::new(),
                quotas: imbl::OrdMap::new(),
                weights: imbl::OrdMap::new(),
                offer_filters: imbl::OrdMap::new(),
                watchers: 0,
                metrics: crate::Metrics::default(),
            },
            timers: Timers::default(),
            peers: Peers::default(),
            authentications: Authentications::default(),
            watchers: Watchers::default(),
            ids: Ids::default(),
            offered: BTreeMap::new(),
            consumption: Consumption::default(),
            guarantees: Quantities::new(),
            pings: BTreeMap::new(),
            former_drivers: BTreeMap::new(),
            unreachable_frameworks: BTreeMap::new(),
            given_up: BTreeMap::new(),
            unavailabilities: Unavailabilities::new(),
            by_machine: BTreeMap::new(),
            inverse_index: InverseIndex::default(),
            inquiries: Inquiries::default(),
            maybe_drained: BTreeSet::new(),
            orphaned_operations: BTreeMap::new(),
            entropy,
            recovered: false,
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn step(&mut self, now: Now, input: Input, actions: &mut Vec<Action>) {
        let step = &mut Step::new(now, actions);
        match input {
            Input::Recovered { facts } => {
                self.on_recovered(step, &facts);
                self.recovered = true;
            }
            Input::SchedulerCall { request, .. }
            | Input::Teardown { request, .. }
            | Input::Operator { request, .. }
            | Input::Watch { request, .. }
            | Input::Why { request, .. }
                if !self.recovered =>
            {
                let sentence = "Master has not finished recovery";
                step.reply(request, Reply::refused(503, sentence));
            }
            Input::Message { .. } if !self.recovered => self.drop_message(),
            Input::Message {
                from,
                to,
                name,
                body,
            } => self.on_message(step, &from, &to, &name, &body),
            Input::Exited { address } => self.on_exited(step, address),
            Input::SchedulerCall {
                request,
                call,
                stream,
                new_stream,
            } => {
                let origin = frameworks::Origin { request, stream };
                self.on_scheduler_call(step, origin, *call, new_stream);
            }
            Input::StreamClosed { stream } => {
                if !self.on_watcher_gone(step, &stream) {
                    self.on_stream_closed(step, &stream);
                }
            }
            Input::Teardown {
                request,
                framework_id,
            } => self.on_operator_teardown(step, request, &framework_id),
            Input::Operator { request, change } => {
                self.on_operator_change(step, request, &change);
            }
            Input::Watch {
                request,
                stream,
                opening,
                after,
            } => {
                let subscription = Subscription { opening, after };
                self.on_watcher(step, request, stream, subscription);
            }
            Input::WatchesOpened => self.on_watches_opened(step),
            Input::Whitelist { hostnames } => self.allocator.set_whitelist(hostnames),
            Input::Why { request, question } => self.on_question(step, request, question),
            Input::Wake => self.on_wake(step),
        }
        self.end_drains(step);
        for (framework, kind) in std::mem::take(&mut step.told) {
            self.count_of(&framework, |counts| {
                *counts.events.entry(kind).or_default() += 1;
            });
        }
        self.tell_watchers(step);
        self.schedule_allocation(step);
        self.state.time = now.wall;
        self.check_invariants();
    }

    /// When [`Input::Wake`] is wanted next, in monotonic time.
    pub fn next_wake(&self) -> Option<Duration> {
        self.timers.next_due()
    }

    /// Its counters.
    pub fn metrics(&self) -> &crate::Metrics {
        &self.state.metrics
    }

    /// Whether something waits for the next allocation.
    pub fn is_allocation_due(&self) -> bool {
        self.timers.is_set(&Timer::Allocate)
    }

    /// What readers may see now; takes constant time.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            offer_filters: self.allocator.offer_filters(),
            ..self.state.clone()
        }
    }
}
