use meseta_proto::internal::UpdateSlaveMessage;
use meseta_resources::Resources;

use super::upgrade;
use crate::master::Master;
use crate::offers::Rescinding;
use crate::step::Step;

impl Master {
    /// An agent tells what it can lend beyond what it has, and in which state its resources are.
    pub(crate) fn on_update_agent(&mut self, step: &mut Step<'_>, mut message: UpdateSlaveMessage) {
        self.state.metrics.messages.update_slave += 1;
        let id = message.slave_id;
        if upgrade(&mut message.oversubscribed_resources).is_err() {
            self.drop_message();
            return;
        }
        let lent = Resources::from_v1(&message.oversubscribed_resources);
        let (Some(agent), Ok(lent)) = (self.agent_mut(&id), lent) else {
            self.drop_message();
            return;
        };
        if let Some(version) = message.resource_version_uuid {
            agent.resource_version = Some(version.value);
        }
        let told = message.operations.unwrap_or_default().operations;
        self.reconcile_operations_of_agent(step, &id, &told);
        self.note_less_on(&id);
        // Agents that do not say whether they mean it do.
        let Some(agent) = self.agent_mut(&id) else {
            return;
        };
        let means_lent = message.update_oversubscribed_resources.unwrap_or(true);
        if !means_lent || agent.total.revocable() == lent.revocable() {
            return;
        }
        let total = &agent.total.non_revocable() + &lent.revocable();
        self.set_total(&id, total.clone());
        let offers = self.revocable_offers_of(&id);
        for offer in offers {
            self.remove_offer(step, &offer, Rescinding::Told);
        }
        self.allocator.update_agent(&id, total);
    }
}
