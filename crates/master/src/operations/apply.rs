use meseta_proto::internal::{ApplyOperationMessage, ResourceVersionUuid};
use meseta_proto::v1::agent_info::capability::Type as Capability;
use meseta_proto::v1::offer::Operation as Order;
use meseta_proto::v1::offer::operation::Type;
use meseta_proto::v1::{
    AgentId, FrameworkId, OfferId, Operation, OperationState, OperationStatus, Uuid,
};
use meseta_resources::{Conversion, Resource, Resources, conversions};

use crate::accept::Accepted;
use crate::limits::MAX_OPERATIONS_PER_FRAMEWORK;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::step::Step;
use crate::validation;

/// What an operation makes of what is left of the offers, and of its agent.
struct Outcome {
    conversions: Vec<Conversion>,
    left: Resources,
    resized: Resources,
    total: Resources,
}

impl Master {
    /// Carries out an operation that is no launch, as far as a master can, and sends it to the agent.
    /// Its resources are in post-refinement form and allocated.
    ///
    /// # Errors
    /// Says why nothing is done.
    pub(crate) fn carry_out_operation(
        &mut self,
        step: &mut Step<'_>,
        accepted: &mut Accepted,
        order: &Order,
    ) -> Result<(), String> {
        let (Some(framework), Some(agent)) = (
            self.framework(&accepted.framework),
            self.state.agents.get(&accepted.agent),
        ) else {
            return Ok(());
        };
        let outcome = outcome(order, accepted, framework, agent)?;
        if order.r#type() == Type::Destroy {
            self.rescind_destroyed(step, &accepted.agent, &outcome.conversions);
        }
        for Conversion {
            consumed,
            converted,
            ..
        } in &outcome.conversions
        {
            self.allocator
                .convert(&accepted.framework, &accepted.agent, consumed, converted);
        }
        accepted.left = outcome.left;
        accepted.resized += &outcome.resized;
        if matches!(order.r#type(), Type::Create | Type::Destroy) {
            accepted.shared = accepted.left.shared();
        }
        if let Some(agent) = self.agent_mut(&accepted.agent) {
            agent.checkpointed = outcome.total.filter(Resource::needs_checkpoint);
        }
        self.set_total(&accepted.agent, outcome.total);
        let framework = Some(&accepted.framework);
        self.send_operation(step, &accepted.agent, framework, order);
        Ok(())
    }

    /// Offers of shared volumes that are destroyed are taken back.
    pub(super) fn rescind_destroyed(
        &mut self,
        step: &mut Step<'_>,
        agent: &AgentId,
        conversions: &[Conversion],
    ) {
        let destroyed: Vec<Resources> = conversions
            .iter()
            .map(|conversion| conversion.consumed.unallocate())
            .collect();
        let offers_one = |id: &&OfferId| {
            let offered = self.offered.get(*id).map(Resources::unallocate);
            offered.is_some_and(|offered| destroyed.iter().any(|volume| offered.contains(volume)))
        };
        let agent = self.state.agents.get(agent);
        let offers = agent.into_iter().flat_map(|agent| agent.offers.iter());
        let offers: Vec<OfferId> = offers.filter(offers_one).cloned().collect();
        for offer in offers {
            self.remove_offer(step, &offer, Rescinding::Told);
        }
    }

    /// Sends an operation to its agent. An operator's has no framework.
    pub(super) fn send_operation(
        &mut self,
        step: &mut Step<'_>,
        agent_id: &AgentId,
        framework: Option<&FrameworkId>,
        order: &Order,
    ) {
        let Some(agent) = self.state.agents.get(agent_id) else {
            return;
        };
        if !agent.is_capable_of(Capability::ResourceProvider) {
            // Such an agent keeps on disk what its master tells it.
            self.send_checkpointed_resources(step, agent_id);
            return;
        }
        let uuid = Uuid {
            value: self.entropy.uuid_bytes().to_vec(),
        };
        let version = agent.resource_version.clone();
        let message = ApplyOperationMessage {
            framework_id: framework.cloned(),
            operation_info: order.clone(),
            operation_uuid: uuid.clone(),
            resource_version_uuid: ResourceVersionUuid {
                resource_provider_id: None,
                uuid: Uuid {
                    value: version.unwrap_or_else(|| vec![0; 16]),
                },
            },
        };
        step.send(&agent.pid, &message);
        let operation = Operation {
            framework_id: framework.cloned(),
            agent_id: Some(agent_id.clone()),
            info: order.clone(),
            latest_status: OperationStatus {
                operation_id: order.id.clone(),
                state: OperationState::OperationPending.into(),
                agent_id: Some(agent_id.clone()),
                ..Default::default()
            },
            statuses: Vec::new(),
            uuid,
        };
        self.add_operation(agent_id, operation);
    }
}

/// Checks an operation, and tries it on what is left of the offers.
fn outcome(
    order: &Order,
    accepted: &Accepted,
    framework: &FrameworkRecord,
    agent: &AgentRecord,
) -> Result<Outcome, String> {
    let place = || format!("{} at {} ({})", agent.id, agent.pid, agent.info.hostname);
    if order.id.is_some() {
        check_feedback(agent)?;
    }
    if framework.operations.len() >= MAX_OPERATIONS_PER_FRAMEWORK {
        return Err(format!(
            "The framework has {MAX_OPERATIONS_PER_FRAMEWORK} operations whose status it has not \
             acknowledged"
        ));
    }
    let kind = order.r#type();
    let of_disk = match kind {
        Type::CreateDisk => order.create_disk.as_ref().map(|create| &create.source),
        Type::DestroyDisk => order.destroy_disk.as_ref().map(|destroy| &destroy.source),
        _ => None,
    };
    if of_disk.is_some() && !agent.is_capable_of(Capability::ResourceProvider) {
        return Err(format!(
            "Not supported on agent {} because it does not have RESOURCE_PROVIDER capability",
            place()
        ));
    }
    validation::operation(order, Some(framework), agent)
        .map_err(|invalid| format!("{invalid}; on agent {}", place()))?;
    if let Some(source) = of_disk {
        // Offers hold nothing of resource providers yet.
        let consumed = Resources::from_v1(std::slice::from_ref(source)).unwrap_or_default();
        return Err(format!(
            "Invalid {} Operation: {} does not contain {consumed}",
            kind.as_str_name(),
            accepted.left
        ));
    }
    let conversions = conversions(order).map_err(|e| e.to_string())?;
    let mut outcome = Outcome {
        left: accepted.left.clone(),
        resized: Resources::new(),
        total: agent.total.clone(),
        conversions,
    };
    for conversion in &outcome.conversions {
        let left = &outcome.left;
        if matches!(kind, Type::GrowVolume | Type::ShrinkVolume) {
            // What comes of it can be used in later offers only, as in Mesos.
            if !left.contains(&conversion.consumed) {
                return Err(format!(
                    "Invalid {} operation: {left} does not contain {}",
                    kind.as_str_name(),
                    conversion.consumed
                ));
            }
            outcome.left = left - &conversion.consumed;
            outcome.resized += &conversion.converted;
        } else {
            outcome.left = conversion.apply(left).map_err(|e| e.to_string())?;
        }
        let of_agent = conversion.unallocate();
        outcome.total = of_agent.apply(&outcome.total).map_err(|e| e.to_string())?;
    }
    Ok(outcome)
}

/// Checks that the agent can tell how an operation went.
fn check_feedback(agent: &AgentRecord) -> Result<(), String> {
    if !agent.is_capable_of(Capability::ResourceProvider) {
        return Err(format!(
            "Operation requested feedback, but agent {} does not have the required \
             RESOURCE_PROVIDER capability",
            agent.id
        ));
    }
    if !agent.is_capable_of(Capability::AgentOperationFeedback) {
        return Err(format!(
            "Operation on agent default resources requested feedback, but agent {} does not have \
             the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities",
            agent.id
        ));
    }
    Ok(())
}
