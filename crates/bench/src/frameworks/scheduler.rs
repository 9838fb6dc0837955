//! One framework: events in, calls out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use meseta_proto::v1::framework_info::{Capability, capability};
use meseta_proto::v1::scheduler::{Call, Event, event};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    AgentId, Attribute, FrameworkId, FrameworkInfo, Offer, OfferId, TaskId, TaskState, TaskStatus,
};

use super::policy::{self, Policy, Work};
use super::{Book, calls};

/// For how long offers are refused that nothing is left for, in seconds: longer than any scenario. It
/// is over with the next REVIVE.
const ENOUGH: f64 = 7.0 * 24.0 * 3600.0;

/// One emulated framework.
#[derive(Debug)]
pub(crate) struct Scheduler {
    info: FrameworkInfo,
    /// What agents are marked with that it uses; none for all.
    home: Option<Attribute>,
    policy: Policy,
    /// Offers that are kept, or that wait for room.
    held: VecDeque<Offer>,
    tasks: HashMap<TaskId, Running>,
    /// How many tasks it has ever launched, by which they are named.
    launched: u64,
    offered: u64,
    asked_at: Option<Duration>,
    is_subscribed: bool,
}

/// A task that has not ended.
#[derive(Debug)]
struct Running {
    agent: AgentId,
    since: Duration,
    is_known_to_run: bool,
}

impl Scheduler {
    pub(crate) fn new(info: FrameworkInfo, home: Option<Attribute>, policy: Policy) -> Self {
        Self {
            info,
            home,
            policy,
            held: VecDeque::new(),
            tasks: HashMap::new(),
            launched: 0,
            offered: 0,
            asked_at: None,
            is_subscribed: false,
        }
    }

    /// The call that opens its stream of events.
    pub(crate) fn subscribe(&mut self, now: Duration) -> Call {
        self.asked_at = Some(now);
        calls::subscribe(self.info.clone())
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.is_subscribed
    }

    /// Cpus of the offers that it keeps.
    pub(crate) fn held_cpus(&self) -> f64 {
        self.held.iter().map(policy::cpus).sum()
    }

    /// Its stream has ended.
    pub(crate) fn on_disconnected(&mut self) {
        self.is_subscribed = false;
        self.held.clear();
    }

    /// From now on offers are dealt with differently, those that are held among them.
    pub(crate) fn set_policy(
        &mut self,
        policy: Policy,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        self.policy = policy;
        let Some(id) = self.info.id.clone() else {
            return;
        };
        out.push(calls::revive(&id));
        let held = std::mem::take(&mut self.held);
        self.use_offers(held, &id, now, book, out);
    }

    pub(crate) fn kill_all(&self, out: &mut Vec<Call>) {
        let Some(id) = &self.info.id else { return };
        for (task, running) in &self.tasks {
            out.push(calls::kill(id, task.clone(), Some(running.agent.clone())));
        }
    }

    /// Asks for the state of each of its tasks, so many in a call.
    pub(crate) fn reconcile_each(&self, at_once: usize, out: &mut Vec<Call>) {
        let Some(id) = &self.info.id else { return };
        let named = |(task, running): (&TaskId, &Running)| (task.clone(), running.agent.clone());
        let all: Vec<_> = self.tasks.iter().map(named).collect();
        let some = all.chunks(at_once.max(1));
        out.extend(some.map(|some| calls::reconcile(id, some.to_vec())));
    }

    /// Asks for the states of all tasks that the master knows.
    pub(crate) fn reconcile_all(&self, out: &mut Vec<Call>) {
        if let Some(id) = &self.info.id {
            out.push(calls::reconcile(id, Vec::new()));
        }
    }

    pub(crate) fn tear_down(&self, out: &mut Vec<Call>) {
        if let Some(id) = &self.info.id {
            out.push(calls::teardown(id));
        }
    }

    pub(crate) fn on_event(
        &mut self,
        event: Event,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = event.subscribed {
                    self.info.id = Some(subscribed.framework_id);
                    self.is_subscribed = true;
                    if let Some(asked) = self.asked_at.take() {
                        book.subscribed.add(now.saturating_sub(asked));
                    }
                }
            }
            event::Type::Offers => {
                let offers = event.offers.map(|offers| offers.offers);
                self.on_offers(offers.unwrap_or_default(), now, book, out);
            }
            event::Type::Rescind => {
                book.rescinded += 1;
                let gone = event.rescind.map(|rescind| rescind.offer_id);
                self.held.retain(|offer| Some(&offer.id) != gone.as_ref());
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    self.on_update(&update.status, now, book, out);
                }
            }
            event::Type::Failure => book.failures += 1,
            event::Type::Error => {
                let sentence = event.error.map(|error| error.message);
                book.refuse(sentence.unwrap_or_default());
            }
            event::Type::Unknown
            | event::Type::InverseOffers
            | event::Type::RescindInverseOffer
            | event::Type::UpdateOperationStatus
            | event::Type::Message
            | event::Type::Heartbeat => {}
        }
    }

    fn on_offers(
        &mut self,
        offers: Vec<Offer>,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        let Some(id) = self.info.id.clone() else {
            return;
        };
        let (offers, foreign): (Vec<_>, Vec<_>) =
            offers.into_iter().partition(|offer| self.is_at_home(offer));
        if !foreign.is_empty() {
            let foreign = foreign.into_iter().map(|offer| offer.id).collect();
            out.push(calls::decline(&id, foreign, ENOUGH));
        }
        book.offers += offers.len() as u64;
        if book.watches_freed {
            for offer in &offers {
                if let Some(freed) = book.waiting.remove(&offer.agent_id) {
                    book.freed.add(now.saturating_sub(freed));
                }
            }
        }
        self.use_offers(offers, &id, now, book, out);
    }

    /// Whether an offer is of an agent that is meant to be used.
    fn is_at_home(&self, offer: &Offer) -> bool {
        let home = self.home.as_ref();
        home.is_none_or(|home| offer.attributes.contains(home))
    }

    /// Deals with offers as the policy wants it.
    fn use_offers(
        &mut self,
        offers: impl IntoIterator<Item = Offer>,
        id: &FrameworkId,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        let mut refused = Vec::new();
        for offer in offers {
            if let Some(offer) = self.use_offer(offer, id, now, book, out) {
                refused.push(offer);
            }
        }
        self.refuse(refused, id, book, out);
    }

    /// Deals with offers that wait for room, once there is some or there is no need for them any
    /// more. They are not looked at before: thousands may wait while tasks end one by one.
    fn use_waiting(
        &mut self,
        id: &FrameworkId,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        let mut refused = Vec::new();
        while let Policy::Launch(work) | Policy::Mixed { work, .. } = &self.policy
            && (work.remaining == 0 || self.tasks.len() < work.at_once)
            && let Some(offer) = self.held.pop_front()
        {
            if let Some(offer) = self.use_offer(offer, id, now, book, out) {
                refused.push(offer);
            }
        }
        self.refuse(refused, id, book, out);
    }

    /// Deals with one offer; gives it back if it is to be refused.
    fn use_offer(
        &mut self,
        offer: Offer,
        id: &FrameworkId,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) -> Option<OfferId> {
        self.offered += 1;
        match &mut self.policy {
            Policy::Hold => self.held.push_back(offer),
            Policy::Decline { .. } => return Some(offer.id),
            Policy::Mixed { every, .. } if !self.offered.is_multiple_of((*every).max(1)) => {
                return Some(offer.id);
            }
            Policy::Launch(work) | Policy::Mixed { work, .. } => {
                let room = work.at_once.saturating_sub(self.tasks.len());
                let fits = work.fits(&offer);
                let count = fits.min(room).min(work.remaining).min(work.per_offer);
                if count > 0 {
                    work.remaining -= count;
                    let work = work.clone();
                    out.push(self.launch(id, &work, offer, count, now));
                    book.launched += count as u64;
                } else if fits > 0 && work.remaining > 0 {
                    // There will be room when a task ends.
                    self.held.push_back(offer);
                } else {
                    return Some(offer.id);
                }
            }
        }
        None
    }

    fn refuse(
        &self,
        refused: Vec<OfferId>,
        id: &FrameworkId,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        if refused.is_empty() {
            return;
        }
        let seconds = match &self.policy {
            Policy::Decline { seconds } | Policy::Mixed { seconds, .. } => *seconds,
            Policy::Hold | Policy::Launch(_) => ENOUGH,
        };
        book.declined += refused.len() as u64;
        out.push(calls::decline(id, refused, seconds));
    }

    fn launch(
        &mut self,
        id: &FrameworkId,
        work: &Work,
        offer: Offer,
        count: usize,
        now: Duration,
    ) -> Call {
        let mut tasks = Vec::with_capacity(count);
        for _ in 0..count {
            self.launched += 1;
            let task = work.task(&offer, &format!("t{}", self.launched));
            let running = Running {
                agent: offer.agent_id.clone(),
                since: now,
                is_known_to_run: false,
            };
            self.tasks.insert(task.task_id.clone(), running);
            tasks.push(task);
        }
        calls::launch(id, offer.id, tasks)
    }

    fn on_update(
        &mut self,
        status: &TaskStatus,
        now: Duration,
        book: &mut Book,
        out: &mut Vec<Call>,
    ) {
        let Some(id) = self.info.id.clone() else {
            return;
        };
        let state = status.state();
        out.extend(calls::acknowledge(&id, status));
        if status.reason() == Reason::Reconciliation {
            book.reconciled += 1;
        }
        let Some(running) = self.tasks.get_mut(&status.task_id) else {
            // Of a task from before a failover, or the last update said again.
            return;
        };
        if status.reason() != Reason::Reconciliation {
            *book.states.entry(state).or_default() += 1;
        }
        let since = now.saturating_sub(running.since);
        if state == TaskState::TaskRunning && !running.is_known_to_run {
            running.is_known_to_run = true;
            book.running.add(since);
        }
        if !state.is_terminal() {
            return;
        }
        book.completed.add(since);
        book.ended += 1;
        if let Some(message) = status.message.as_ref().filter(|_| failed(state)) {
            book.note(format!("{}: {message}", state.as_str_name()));
        }
        if let Some(running) = self.tasks.remove(&status.task_id)
            && book.watches_freed
        {
            book.waiting.insert(running.agent, now);
        }
        self.use_waiting(&id, now, book, out);
    }
}

fn failed(state: TaskState) -> bool {
    !matches!(state, TaskState::TaskFinished | TaskState::TaskKilled)
}

/// What a framework says of itself. It has no failover timeout: it is gone with its stream, also when a
/// run fails.
pub(crate) fn framework_info(name: String, roles: Vec<String>) -> FrameworkInfo {
    use capability::Type::{MultiRole, PartitionAware, ReservationRefinement, TaskKillingState};
    let capability = |capability: capability::Type| Capability {
        r#type: Some(capability.into()),
    };
    let capabilities = [
        MultiRole,
        PartitionAware,
        ReservationRefinement,
        TaskKillingState,
    ];
    FrameworkInfo {
        user: user(),
        name,
        roles,
        checkpoint: Some(true),
        capabilities: capabilities.into_iter().map(capability).collect(),
        ..FrameworkInfo::default()
    }
}

/// Who runs the tasks on real agents: whoever runs this program.
fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "root".to_owned())
}
