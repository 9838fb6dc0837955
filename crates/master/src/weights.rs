//! Weights: how much roles count beside others.

use meseta_machine::Reply;
use meseta_proto::v1::{OfferId, WeightInfo};
use meseta_resources::roles::is_in_subtree_of;

use crate::master::Master;
use crate::offers::Rescinding;
use crate::operator::Outcome;
use crate::registry;
use crate::step::Step;
use crate::validation;

impl Master {
    /// Takes over the weights of earlier masters; those of the flag count when there are none, and
    /// last from then on.
    pub(crate) fn recover_weights(&mut self, step: &mut Step<'_>, recovered: Vec<(String, f64)>) {
        if !recovered.is_empty() {
            self.enter_weights(recovered);
            return;
        }
        let weights = self.state.config.policy.weights.clone();
        if !weights.is_empty() {
            let changes = weights.iter();
            step.persist(
                changes
                    .map(|(role, weight)| registry::set_weight(role, *weight))
                    .collect(),
            );
            self.enter_weights(weights);
        }
    }

    /// Sets weights of roles, all or none.
    pub(crate) fn update_weights(&mut self, step: &mut Step<'_>, given: &[WeightInfo]) -> Outcome {
        let invalid = |reason: String| {
            Reply::bad_request(format!(
                "Failed to validate update weights request JSON{reason}"
            ))
        };
        let mut weights = Vec::new();
        for info in given {
            let role = info.role().trim();
            validation::role(role).map_err(|e| invalid(format!(": Invalid role '{role}': {e}")))?;
            if !self.state.config.policy.allows(role) {
                return Err(invalid(format!(": Unknown role '{role}'")));
            }
            if !(info.weight > 0.0 && info.weight.is_finite()) {
                return Err(invalid(format!(
                    " for role '{role}': Invalid weight '{}': Weights must be positive",
                    info.weight
                )));
            }
            weights.push((role.to_owned(), info.weight));
        }
        let changes = weights.iter();
        step.persist(
            changes
                .map(|(role, weight)| registry::set_weight(role, *weight))
                .collect(),
        );
        let matters = weights.iter().any(|(role, _)| self.is_anyone_in(role));
        self.enter_weights(weights);
        if matters {
            // What is offered by the old weights is shared again by the new ones.
            let offers: Vec<OfferId> = self.state.offers.keys().cloned().collect();
            for offer in offers {
                self.remove_offer(step, &offer, Rescinding::Told);
            }
        }
        Ok(())
    }

    fn enter_weights(&mut self, weights: impl IntoIterator<Item = (String, f64)>) {
        for (role, weight) in weights {
            self.allocator.set_weight(&role, weight);
            self.state.weights.insert(role, weight);
        }
    }

    fn is_anyone_in(&self, role: &str) -> bool {
        let mut frameworks = self.state.frameworks.values();
        frameworks.any(|framework| {
            let mut roles = framework.roles();
            roles.any(|its| is_in_subtree_of(its, role))
        })
    }
}
