//! Random histories of one task's updates: whatever is lost, repeated or out of order, and
//! whenever the agent dies, the framework gets every update, once acknowledged in order.

use std::time::Duration;

use meseta_proto::v1::{TaskState, TaskStatus};
use proptest::prelude::*;

use super::{Did, World, status};

#[derive(Debug, Clone)]
enum Step {
    /// The executor reports its next update, or repeats an earlier one.
    Report,
    Repeat(u8),
    /// The framework acknowledges what it got last, or the acknowledgement is lost.
    Acknowledge,
    /// An acknowledgement arrives late, again, or for nothing.
    AcknowledgeAnything(u8),
    /// Time passes, so that updates are repeated.
    Wait(u16),
    /// The master goes and comes.
    LoseMaster,
    /// What was noted has reached the disk.
    WriteNotes,
    /// The agent is killed and started again; what was noted since is lost.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Report),
        1 => any::<u8>().prop_map(Step::Repeat),
        4 => Just(Step::Acknowledge),
        1 => any::<u8>().prop_map(Step::AcknowledgeAnything),
        2 => (1..1200_u16).prop_map(Step::Wait),
        1 => Just(Step::LoseMaster),
        1 => Just(Step::WriteNotes),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

struct History {
    world: World,
    container: meseta_proto::v1::ContainerId,
    reported: u8,
    /// What the framework was sent, without repetitions of the latest.
    seen: Vec<u8>,
    acknowledged: Vec<u8>,
}

fn report(number: u8) -> TaskStatus {
    let state = if number.is_multiple_of(2) {
        TaskState::TaskRunning
    } else {
        TaskState::TaskStarting
    };
    status("t", state, number)
}

impl History {
    fn new() -> Self {
        let mut world = World::registered();
        let (container, _) = world.running("t");
        Self {
            world,
            container,
            reported: 0,
            seen: Vec::new(),
            acknowledged: Vec::new(),
        }
    }

    fn note(&mut self, did: &Did) {
        for update in did.updates() {
            let number = update.uuid()[0];
            if self.seen.last() == Some(&number) {
                continue;
            }
            let next = u8::try_from(self.seen.len()).unwrap() + 1;
            assert_eq!(number, next, "each update follows the one before it");
            let before = self.acknowledged.len();
            assert_eq!(before + 1, usize::from(number), "only one is on its way");
            self.seen.push(number);
        }
    }

    fn acknowledge(&mut self, number: u8) {
        if self.seen.last() == Some(&number) && self.acknowledged.last() != Some(&number) {
            self.acknowledged.push(number);
        }
        let did = self.world.acknowledge(&report(number));
        self.note(&did);
    }

    fn reconnect(&mut self) {
        self.world.detect();
        let did = self.world.wait(Duration::from_secs(3));
        self.note(&did);
        let did = self.world.reregister();
        self.note(&did);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Report => {
                self.reported += 1;
                let did = self.world.update("t", report(self.reported));
                assert_eq!(did.event_types(), ["ACKNOWLEDGED"]);
                self.note(&did);
            }
            Step::Repeat(which) if self.reported > 0 => {
                let number = which % self.reported + 1;
                let did = self.world.update("t", report(number));
                assert_eq!(did.event_types(), ["ACKNOWLEDGED"]);
                self.note(&did);
            }
            Step::Repeat(_) => {}
            Step::Acknowledge => {
                if let Some(latest) = self.seen.last().copied() {
                    self.acknowledge(latest);
                }
            }
            Step::AcknowledgeAnything(number) => self.acknowledge(*number),
            Step::Wait(seconds) => {
                let did = self.world.wait(Duration::from_secs(u64::from(*seconds)));
                self.note(&did);
                // Without pings the agent has gone to register anew.
                self.reconnect();
            }
            Step::LoseMaster => self.reconnect(),
            Step::WriteNotes => self.world.write_notes(),
            Step::Crash => {
                let container = self.container.clone();
                let did = self.world.crash(&[&container]);
                self.note(&did);
                let task = super::command("t", "sleep 1000");
                let (did, _) = self.world.resubscribe("t", &[task], &[]);
                self.note(&did);
                self.reconnect();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_update_arrives_in_order_whatever_is_lost_or_repeated(steps in steps()) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        // In the end, everything that was reported is acknowledged.
        for _ in 0..=history.reported {
            history.take(&Step::Acknowledge);
        }
        let all: Vec<u8> = (1..=history.reported).collect();
        prop_assert_eq!(&history.acknowledged, &all);
        history.world.write_notes();
        let pending = history.world.store.keys().any(|key| key.starts_with("update/"));
        prop_assert!(!pending);
    }
}
