use std::sync::Arc;

use meseta_machine::Reply;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{FrameworkId, FrameworkInfo};

use super::Wishes;
use crate::allocation;
use crate::master::Master;
use crate::step::Step;
use crate::validation;
use crate::watchers::News;

impl Master {
    /// A scheduler says anew what its framework is like, without subscribing again.
    pub(super) fn update_framework(
        &mut self,
        step: &mut Step<'_>,
        id: &FrameworkId,
        update: call::UpdateFramework,
    ) -> Reply {
        let info = update.framework_info;
        let wishes = Wishes {
            suppressed_roles: update.suppressed_roles,
            offer_constraints: update.offer_constraints,
        };
        let Some(old) = self.framework(id).map(|f| Arc::clone(&f.info)) else {
            return Reply::bad_request("Framework cannot be found");
        };
        if let Err(invalid) = self.check_framework(&info) {
            let sentence = format!("Supplied FrameworkInfo is not valid: {invalid}");
            return Reply::bad_request(sentence);
        }
        if let Err(invalid) = validation::framework_update(&old, &info) {
            let sentence = format!("FrameworkInfo update is not valid: {invalid}");
            return Reply::bad_request(sentence);
        }
        if let Err(invalid) = wishes.check(&info) {
            let sentence = format!("'UpdateFramework' call is not valid: {invalid}");
            return Reply::bad_request(sentence);
        }
        self.set_framework_info(id, &info, &wishes);
        self.watchers.note(|| News::FrameworkUpdated(id.clone()));
        if *old != info {
            self.send_framework_to_agents(step, id);
        }
        Reply::ok()
    }

    /// Enters what a framework is like and which offers it wants.
    pub(super) fn set_framework_info(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        wishes: &Wishes,
    ) {
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        framework.info = Arc::new(info.clone());
        framework.suppressed_roles = wishes.suppressed_roles.iter().cloned().collect();
        framework.offer_constraints = wishes.offer_constraints.clone().map(Arc::new);
        let view = allocation::framework_view(framework);
        self.allocator.update_framework(id, view);
    }
}
