//! Those who watch, as models: what each was shown first, and changed by every event since, is what there
//! is.

use std::collections::{BTreeMap, BTreeSet};

use meseta_machine::StreamId;
use meseta_proto::v1::master::{Event, event::Type};
use meseta_proto::v1::{AgentId, FrameworkId};

use crate::{Action, Master};

#[derive(Debug, Default)]
pub(super) struct Followers {
    /// What each of them knows, by its stream.
    known: BTreeMap<StreamId, Known>,
    /// Those that began with nothing.
    bare: BTreeSet<StreamId>,
}

#[derive(Debug, Clone, PartialEq)]
struct Known {
    agents: BTreeSet<AgentId>,
    frameworks: BTreeSet<FrameworkId>,
}

impl Followers {
    /// Follows what a step has brought, after which the master is so.
    pub(super) fn see(&mut self, actions: &[Action], master: &Master) {
        for action in actions {
            match action {
                Action::OpenWatches {
                    watches, moment, ..
                } => {
                    let known = Known {
                        agents: moment.0.agents.keys().cloned().collect(),
                        frameworks: moment.0.frameworks.keys().cloned().collect(),
                    };
                    for (_, stream) in watches {
                        let before = self.known.insert(stream.clone(), known.clone());
                        assert_eq!(before, None, "{stream:?} begins once");
                    }
                }
                Action::TellWatchers { streams, event } => {
                    for stream in streams.iter() {
                        if let Some(known) = self.known.get_mut(stream) {
                            known.apply(event);
                        } else {
                            assert!(self.bare.contains(stream), "told before it has begun");
                        }
                    }
                }
                Action::OpenWatch { stream, .. } => {
                    self.bare.insert(stream.clone());
                }
                Action::CloseStream { stream } => self.forget(stream),
                _ => {}
            }
        }
        let now = Known {
            agents: master.state.agents.keys().cloned().collect(),
            frameworks: master.state.frameworks.keys().cloned().collect(),
        };
        for (stream, known) in &self.known {
            assert_eq!(*known, now, "{stream:?}");
        }
    }

    /// A stream has ended.
    pub(super) fn forget(&mut self, stream: &StreamId) {
        self.known.remove(stream);
        self.bare.remove(stream);
    }

    pub(super) fn streams(&self) -> Vec<StreamId> {
        self.known.keys().cloned().collect()
    }
}

impl Known {
    /// Whatever comes is there no more, or not yet: nothing is told twice.
    fn apply(&mut self, event: &Event) {
        let is_news = match event.r#type() {
            Type::AgentAdded => {
                let added = event.agent_added.as_ref().unwrap();
                let id = added.agent.agent_info.id.clone().unwrap();
                self.agents.insert(id)
            }
            Type::AgentRemoved => {
                let removed = event.agent_removed.as_ref().unwrap();
                self.agents.remove(&removed.agent_id)
            }
            Type::FrameworkAdded => {
                let added = event.framework_added.as_ref().unwrap();
                let id = added.framework.framework_info.id.clone().unwrap();
                self.frameworks.insert(id)
            }
            Type::FrameworkRemoved => {
                let removed = event.framework_removed.as_ref().unwrap();
                let id = removed.framework_info.id.clone().unwrap();
                self.frameworks.remove(&id)
            }
            _ => true,
        };
        assert!(is_news, "{event:?}");
    }
}
