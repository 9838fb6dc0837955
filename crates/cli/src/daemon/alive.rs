//! The containers of an agent that have not ended, and which of them are inside of which.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use meseta_containerizer::Container;
use meseta_proto::v1::ContainerId;

/// From the start of a container's first process to its end.
#[derive(Debug, Default)]
pub(super) struct Alive {
    containers: Mutex<HashMap<ContainerId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    container: Container,
    /// It is being destroyed: nothing new starts inside of it.
    is_ending: bool,
}

impl Alive {
    pub(super) fn insert(&self, id: ContainerId, container: Container) {
        let entry = Entry {
            container,
            is_ending: false,
        };
        self.lock().insert(id, entry);
    }

    pub(super) fn remove(&self, id: &ContainerId) -> Option<Container> {
        self.lock().remove(id).map(|it| it.container)
    }

    pub(super) fn get(&self, id: &ContainerId) -> Option<Container> {
        self.lock().get(id).map(|it| it.container.clone())
    }

    /// Whether there is anything for a container of this id to be in.
    pub(super) fn has_parent_of(&self, id: &ContainerId) -> bool {
        let containers = self.lock();
        id.lineage()
            .skip(1)
            .all(|it| containers.get(it).is_some_and(|entry| !entry.is_ending))
    }

    /// Lets nothing new start inside of a container, and gives it with all that is: each after those
    /// inside of it.
    pub(super) fn begin_end(&self, id: &ContainerId) -> Vec<Container> {
        let mut containers = self.lock();
        if let Some(entry) = containers.get_mut(id) {
            entry.is_ending = true;
        }
        innermost_first(&containers, |it| it.lineage().any(|around| around == id))
    }

    /// Every container, each after those inside of it.
    pub(super) fn all(&self) -> Vec<Container> {
        innermost_first(&self.lock(), |_| true)
    }

    /// Every container that runs, with its id.
    pub(super) fn running(&self) -> Vec<(ContainerId, Container)> {
        let containers = self.lock();
        let containers = containers.iter();
        containers
            .map(|(id, entry)| (id.clone(), entry.container.clone()))
            .collect()
    }

    /// Whether one of these is the first process of a container.
    pub(super) fn has_first(&self, pids: &[i32]) -> bool {
        let containers = self.lock();
        let processes = containers.values().filter_map(|it| it.container.process);
        processes
            .into_iter()
            .any(|process| pids.contains(&process.pid))
    }

    /// The map is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Entry>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn innermost_first(
    containers: &HashMap<ContainerId, Entry>,
    is_wanted: impl Fn(&ContainerId) -> bool,
) -> Vec<Container> {
    let mut wanted: Vec<_> = containers.iter().filter(|(id, _)| is_wanted(id)).collect();
    wanted.sort_by_key(|(id, _)| Reverse(id.lineage().count()));
    wanted
        .into_iter()
        .map(|(_, entry)| entry.container.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(names: &[&str]) -> ContainerId {
        let mut id: Option<ContainerId> = None;
        for name in names {
            id = Some(ContainerId {
                parent: id.map(Box::new),
                ..ContainerId::from(*name)
            });
        }
        id.unwrap()
    }

    fn alive(ids: &[&[&str]]) -> Alive {
        let alive = Alive::default();
        for names in ids {
            let container = Container {
                process: None,
                directory: names.iter().collect(),
            };
            alive.insert(id(names), container);
        }
        alive
    }

    fn places(containers: &[Container]) -> Vec<&str> {
        let directories = containers.iter().map(|it| it.directory.to_str().unwrap());
        directories.collect()
    }

    #[test]
    fn a_container_ends_after_those_inside_of_it_and_alone_of_its_siblings() {
        let alive = alive(&[&["r"], &["r", "a", "x"], &["r", "a"], &["r", "b"], &["q"]]);
        assert_eq!(places(&alive.begin_end(&id(&["r", "a"]))), ["r/a/x", "r/a"]);
        let ends = alive.begin_end(&id(&["r"]));
        assert_eq!(places(&ends).first(), Some(&"r/a/x"));
        assert_eq!(places(&ends).last(), Some(&"r"));
        assert_eq!(ends.len(), 4);
        assert_eq!(alive.all().len(), 5);
    }

    #[test]
    fn nothing_starts_inside_of_what_ends_or_has_ended() {
        let alive = alive(&[&["r"], &["r", "a"]]);
        let grandchild = id(&["r", "a", "x"]);
        assert!(alive.has_parent_of(&id(&["anew"])));
        assert!(alive.has_parent_of(&grandchild));
        alive.begin_end(&id(&["r"]));
        assert!(!alive.has_parent_of(&grandchild));
        alive.remove(&id(&["r"]));
        assert!(!alive.has_parent_of(&id(&["r", "b"])));
    }
}
