//! Frameworks: from subscription to completion.
//!
//! ```text
//!  (unknown) ──subscribe──▶ connected ◀──subscribe──── disconnected
//!      │                        │  └────stream ends────────▲ │
//!      │ an agent tells of it   │                            │ failover timeout
//!      └───────▶ recovered ─────┴── teardown ──▶ completed ◀─┘
//! ```

mod calls;
mod connection;
mod driver;
mod subscribe;
mod update;

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use meseta_proto::v1::framework_info::capability::Type::MultiRole;
use meseta_proto::v1::scheduler::OfferConstraints;
use meseta_proto::v1::{AgentId, ExecutorId, FrameworkId, FrameworkInfo};

pub(crate) use calls::Origin;

use crate::allocation;
use crate::master::Master;
use crate::records::{Endpoint, FrameworkRecord};
use crate::step::Step;
use crate::validation::{self, FrameworkRules, Invalid};
use crate::watchers::News;

impl Master {
    pub(crate) fn framework(&self, id: &FrameworkId) -> Option<&FrameworkRecord> {
        self.state.frameworks.get(id).map(Arc::as_ref)
    }

    pub(crate) fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut FrameworkRecord> {
        self.state.frameworks.get_mut(id).map(Arc::make_mut)
    }

    /// Whether the framework has ended, as far as this master remembers.
    pub(crate) fn is_completed(&self, id: &FrameworkId) -> bool {
        let mut completed = self.state.completed_frameworks.iter();
        completed.any(|framework| framework.id == *id)
    }

    /// Whether the framework has an executor on the agent.
    pub(crate) fn has_executor(
        &self,
        framework: &FrameworkId,
        agent: &AgentId,
        executor: &ExecutorId,
    ) -> bool {
        let key = (framework.clone(), executor.clone());
        let agent = self.state.agents.get(agent);
        agent.is_some_and(|agent| agent.executors.contains_key(&key))
    }

    fn next_framework_id(&mut self) -> FrameworkId {
        let number = self.ids.frameworks;
        self.ids.frameworks += 1;
        FrameworkId::from(format!("{}-{number:04}", self.state.config.id))
    }

    /// Enters a framework that an agent or a scheduler tells of, without a scheduler to talk to.
    pub(crate) fn recover_framework(&mut self, step: &Step<'_>, info: &FrameworkInfo) {
        let Some(id) = &info.id else {
            return;
        };
        if self.state.frameworks.contains_key(id) || self.is_completed(id) {
            return;
        }
        let mut record = new_record(step, id, info);
        record.recovered = true;
        record.active = false;
        self.add_framework(record);
    }

    fn add_framework(&mut self, record: FrameworkRecord) {
        let id = record.id.clone();
        let view = allocation::framework_view(&record);
        self.allocator.add_framework(id.clone(), view);
        if !record.active {
            self.allocator.deactivate_framework(&id);
        }
        self.watchers.note(|| News::FrameworkAdded(id.clone()));
        self.state.frameworks.insert(id.clone(), Arc::new(record));
        self.adopt_operations(&id);
    }

    /// Checks what a framework says about itself against the rules.
    fn check_framework(&self, info: &FrameworkInfo) -> Result<(), Invalid> {
        let policy = &self.state.config.policy;
        let rules = FrameworkRules {
            roles: policy.roles.as_ref(),
            root_submissions: policy.root_submissions,
        };
        validation::framework(info, rules)?;
        match &info.id {
            Some(id) if self.is_completed(id) => {
                Err(Invalid("Framework has been removed".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Which offers a framework wants.
#[derive(Debug, Clone, Default)]
struct Wishes {
    suppressed_roles: Vec<String>,
    offer_constraints: Option<OfferConstraints>,
}

impl Wishes {
    fn check(&self, info: &FrameworkInfo) -> Result<(), Invalid> {
        validation::suppressed_roles(info, &self.suppressed_roles)?;
        match &self.offer_constraints {
            Some(constraints) => validation::offer_constraints(info, constraints),
            None => Ok(()),
        }
    }
}

fn new_record(step: &Step<'_>, id: &FrameworkId, info: &FrameworkInfo) -> FrameworkRecord {
    FrameworkRecord {
        id: id.clone(),
        info: Arc::new(FrameworkInfo {
            id: Some(id.clone()),
            ..info.clone()
        }),
        endpoint: Endpoint::None,
        recovered: false,
        active: true,
        suppressed_roles: OrdSet::new(),
        offer_constraints: None,
        registered_time: step.now.wall,
        reregistered_time: None,
        unregistered_time: None,
        tasks: OrdMap::new(),
        completed_tasks: Vector::new(),
        unreachable_tasks: Vector::new(),
        executors: OrdMap::new(),
        offers: OrdSet::new(),
        operations: OrdMap::new(),
        operation_ids: OrdMap::new(),
        used: OrdMap::new(),
        offered: OrdMap::new(),
    }
}

/// The role of a framework that has exactly one.
#[allow(deprecated, reason = "frameworks of one role say it there")]
pub(crate) fn only_role(info: &FrameworkInfo) -> Option<&str> {
    let multi_role = info.capabilities.iter().any(|c| c.r#type() == MultiRole);
    match info.roles.as_slice() {
        _ if !multi_role => Some(info.role()),
        [role] => Some(role),
        _ => None,
    }
}
