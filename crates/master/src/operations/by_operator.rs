use meseta_machine::Reply;
use meseta_proto::v1::offer::Operation as Order;
use meseta_proto::v1::offer::operation::Type;
use meseta_proto::v1::{AgentId, OfferId, Resource as Message};
use meseta_resources::{Conversion, Resource, Resources, conversions};

use crate::master::Master;
use crate::offers::Rescinding;
use crate::operator::Outcome;
use crate::step::Step;
use crate::validation;

impl Master {
    /// Makes something of the free resources of an agent, for an operator. What lies in offers is
    /// taken back first, as far as it is needed.
    pub(crate) fn operate_on_agent(
        &mut self,
        step: &mut Step<'_>,
        id: &AgentId,
        order: &Order,
    ) -> Outcome {
        let Some(agent) = self.state.agents.get(id) else {
            return Err(Reply::bad_request("No agent found with specified ID"));
        };
        let mut order = order.clone();
        prepare(&mut order).map_err(Reply::bad_request)?;
        let kind = order.r#type();
        validation::operation(&order, None, agent).map_err(|invalid| {
            let place = match kind {
                Type::Unreserve | Type::Destroy => String::new(),
                _ => format!(" on agent {id} at {} ({})", agent.pid, agent.info.hostname),
            };
            let name = kind.as_str_name();
            Reply::bad_request(format!("Invalid {name} operation{place}: {invalid}"))
        })?;
        let conversions = conversions(&order).map_err(|reason| {
            let name = kind.as_str_name();
            Reply::bad_request(format!("Invalid {name} operation: {reason}"))
        })?;
        if kind == Type::Destroy {
            self.rescind_destroyed(step, id, &conversions);
        }
        self.rescind_needed(step, id, &conversions);
        let conflict = |reason: String| Reply::refused(409, reason);
        self.apply_to_free(id, &conversions).map_err(conflict)?;
        self.send_operation(step, id, None, &order);
        Ok(())
    }

    /// Takes offers back, one after the other, until what is needed is free, or no offer holds any
    /// of it.
    fn rescind_needed(&mut self, step: &mut Step<'_>, id: &AgentId, conversions: &[Conversion]) {
        let agent = self.state.agents.get(id);
        let offers: Vec<OfferId> = agent
            .into_iter()
            .flat_map(|agent| agent.offers.iter().cloned())
            .collect();
        for offer in offers {
            let free = self.allocator.free(id).cloned().unwrap_or_default();
            let missing = missing(free, conversions);
            if missing.is_empty() {
                return;
            }
            let offered = self.offered.get(&offer).map(Resources::unallocate);
            if offered.is_some_and(|offered| &missing - &offered != missing) {
                self.remove_offer(step, &offer, Rescinding::Told);
            }
        }
    }

    fn apply_to_free(&mut self, id: &AgentId, conversions: &[Conversion]) -> Result<(), String> {
        let Some(agent) = self.state.agents.get(id) else {
            return Ok(());
        };
        let mut free = self.allocator.free(id).cloned().unwrap_or_default();
        let mut total = agent.total.clone();
        for conversion in conversions {
            free = conversion.apply(&free).map_err(|e| e.to_string())?;
            total = conversion.apply(&total).map_err(|e| e.to_string())?;
        }
        if let Some(agent) = self.agent_mut(id) {
            agent.checkpointed = total.filter(Resource::needs_checkpoint);
        }
        self.set_total(id, total.clone());
        self.allocator.update_agent(id, total);
        Ok(())
    }
}

/// What is to be consumed and is neither there nor comes of an earlier step.
fn missing(mut there: Resources, conversions: &[Conversion]) -> Resources {
    let mut missing = Resources::new();
    for conversion in conversions {
        let lacking = &conversion.consumed - &there;
        there = &(&(&there + &lacking) - &conversion.consumed) + &conversion.converted;
        missing += &lacking;
    }
    missing
}

/// Checks an operation's resources by themselves, and brings them into post-refinement form.
fn prepare(order: &mut Order) -> Result<(), String> {
    let mut lists: Vec<&mut [Message]> = Vec::new();
    if let Some(reserve) = &mut order.reserve {
        lists.extend([&mut reserve.source[..], &mut reserve.resources]);
    }
    if let Some(unreserve) = &mut order.unreserve {
        lists.push(&mut unreserve.resources);
    }
    if let Some(create) = &mut order.create {
        lists.push(&mut create.volumes);
    }
    if let Some(destroy) = &mut order.destroy {
        lists.push(&mut destroy.volumes);
    }
    if let Some(grow) = &mut order.grow_volume {
        lists.push(std::slice::from_mut(&mut grow.volume));
        lists.push(std::slice::from_mut(&mut grow.addition));
    }
    if let Some(shrink) = &mut order.shrink_volume {
        lists.push(std::slice::from_mut(&mut shrink.volume));
    }
    for list in lists {
        meseta_resources::validate(list).map_err(|e| e.to_string())?;
        for resource in list {
            meseta_resources::upgrade(resource).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}
