//! What an agent that restarts may have missed.

use std::collections::{BTreeMap, VecDeque};

use meseta_proto::v1::TaskInfo;
use meseta_proto::v1::executor::{Event, call};

use crate::limits::MAX_UNACKNOWLEDGED;

/// Tasks of which the agent has confirmed no update, and updates that it has not confirmed.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    tasks: BTreeMap<String, TaskInfo>,
    updates: VecDeque<call::Update>,
    /// How many of the updates, from the first, this subscription has handed in.
    sent: usize,
}

impl Unacknowledged {
    /// Takes note of what an event brings or confirms.
    pub(super) fn observe(&mut self, event: &Event) {
        if let Some(launch) = &event.launch {
            self.add_task(&launch.task);
        }
        for task in event.launch_group.iter().flat_map(|l| &l.task_group.tasks) {
            self.add_task(task);
        }
        if let Some(acknowledged) = &event.acknowledged {
            self.tasks.remove(acknowledged.task_id.as_str());
            let uuid = acknowledged.uuid.as_slice();
            let at = self.updates.iter().position(|u| u.status.uuid() == uuid);
            if let Some(at) = at {
                self.updates.remove(at);
                self.sent -= usize::from(at < self.sent);
            }
        }
    }

    fn add_task(&mut self, task: &TaskInfo) {
        self.tasks
            .insert(task.task_id.as_str().to_owned(), task.clone());
    }

    /// Keeps an update until it is confirmed; whether there was room for it.
    pub(super) fn push(&mut self, update: call::Update) -> bool {
        let has_room = self.updates.len() < MAX_UNACKNOWLEDGED;
        if has_room {
            self.updates.push_back(update);
        }
        has_room
    }

    /// What a new subscription hands in.
    pub(super) fn subscribe(&mut self) -> call::Subscribe {
        self.sent = self.updates.len();
        call::Subscribe {
            unacknowledged_tasks: self.tasks.values().cloned().collect(),
            unacknowledged_updates: self.updates.iter().cloned().collect(),
        }
    }

    /// The first update that this subscription has not handed in.
    pub(super) fn unsent(&self) -> Option<call::Update> {
        self.updates.get(self.sent).cloned()
    }

    /// The update of that id has been handed in.
    pub(super) fn mark_sent(&mut self, uuid: &[u8]) {
        let next = self.updates.get(self.sent);
        if next.is_some_and(|update| update.status.uuid() == uuid) {
            self.sent += 1;
        }
    }

    /// The update of that id will never be taken.
    pub(super) fn forget(&mut self, uuid: &[u8]) {
        let next = self.updates.get(self.sent);
        if next.is_some_and(|update| update.status.uuid() == uuid) {
            self.updates.remove(self.sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::v1::TaskStatus;
    use meseta_proto::v1::executor::event;

    use super::*;

    fn update(uuid: &'static [u8]) -> call::Update {
        call::Update {
            status: TaskStatus {
                task_id: "t".into(),
                uuid: Some(uuid.into()),
                ..TaskStatus::default()
            },
        }
    }

    fn launched() -> Event {
        let task = TaskInfo {
            task_id: "t".into(),
            ..TaskInfo::default()
        };
        Event {
            launch: Some(event::Launch { task }),
            ..Event::default()
        }
    }

    fn acknowledged(uuid: &'static [u8]) -> Event {
        Event {
            acknowledged: Some(event::Acknowledged {
                task_id: "t".into(),
                uuid: uuid.into(),
            }),
            ..Event::default()
        }
    }

    #[test]
    fn a_new_subscription_hands_in_what_was_not_confirmed_and_nothing_twice() {
        let mut kept = Unacknowledged::default();
        kept.observe(&launched());
        assert!(kept.push(update(b"1")) && kept.push(update(b"2")));
        let subscribe = kept.subscribe();
        assert_eq!(subscribe.unacknowledged_tasks.len(), 1);
        assert_eq!(
            subscribe.unacknowledged_updates,
            [update(b"1"), update(b"2")]
        );
        assert_eq!(kept.unsent(), None);

        // An update made meanwhile goes after those, also when one of them is confirmed first.
        assert!(kept.push(update(b"3")));
        kept.observe(&acknowledged(b"1"));
        assert_eq!(kept.unsent(), Some(update(b"3")));
        kept.mark_sent(b"3");
        assert_eq!(kept.unsent(), None);

        let subscribe = kept.subscribe();
        assert!(subscribe.unacknowledged_tasks.is_empty());
        assert_eq!(
            subscribe.unacknowledged_updates,
            [update(b"2"), update(b"3")]
        );
    }

    #[test]
    fn a_confirmation_of_something_else_changes_nothing_and_what_is_kept_is_bounded() {
        let mut kept = Unacknowledged::default();
        while kept.push(update(b"1")) {
            assert!(kept.updates.len() <= MAX_UNACKNOWLEDGED);
        }
        kept.observe(&acknowledged(b"2"));
        assert_eq!(kept.updates.len(), MAX_UNACKNOWLEDGED);
        kept.forget(b"2");
        assert_eq!(kept.updates.len(), MAX_UNACKNOWLEDGED);
        kept.forget(b"1");
        assert!(kept.push(update(b"3")));
    }
}
