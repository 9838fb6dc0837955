//! Quotas: what operators guarantee to roles, and where they limit them.

use std::collections::{BTreeMap, BTreeSet};

use meseta_allocator::{Outstanding, Quota};
use meseta_machine::Reply;
use meseta_proto::v1::master::call::UpdateQuota;
use meseta_proto::v1::quota::{QuotaConfig, QuotaRequest};
use meseta_proto::v1::{OfferId, value};
use meseta_resources::Limits;

use crate::master::Master;
use crate::offers::Rescinding;
use crate::operator::Outcome;
use crate::registry;
use crate::step::Step;
use crate::validation;

impl Master {
    /// Takes over the quotas of earlier masters. Nothing is offered then before agents are back:
    /// guarantees would be met out of a part of the cluster.
    pub(crate) fn recover_quotas(&mut self, step: &Step<'_>, configs: &[QuotaConfig]) {
        self.enter_quotas(configs);
        let expected = self.state.recovered_agents.len();
        self.allocator.begin_recovery(expected, step.now);
    }

    /// Sets quotas of roles, all or none.
    pub(crate) fn update_quota(&mut self, step: &mut Step<'_>, update: &UpdateQuota) -> Outcome {
        let invalid = |reason: String| Reply::bad_request(format!("Invalid QuotaConfig: {reason}"));
        let configs = &update.quota_configs;
        for config in configs {
            let role = &config.role;
            if !self.state.config.policy.allows(role) {
                return Err(invalid(format!("'{role}' is not on the roles whitelist")));
            }
            if role.contains('/') {
                return Err(Reply::bad_request(format!(
                    "Updating quota on nested role '{role}' is not supported yet"
                )));
            }
            validation::quota_config(config).map_err(|e| invalid(e.0))?;
        }
        if !update.force() {
            self.check_consumption(configs).map_err(invalid)?;
            self.check_capacity(configs).map_err(|excess| {
                invalid(format!(
                    "total {excess} (use 'force' flag to bypass this check)"
                ))
            })?;
        }
        self.change_quotas(step, configs);
        Ok(())
    }

    /// Sets the quota of a role that has none, in the older way: the guarantee is the limit.
    pub(crate) fn set_quota(&mut self, step: &mut Step<'_>, request: &QuotaRequest) -> Outcome {
        let invalid = |reason: String| {
            Reply::bad_request(format!("Failed to validate set quota request: {reason}"))
        };
        let role = request.role();
        validation::quota_guarantee(role, &request.guarantee).map_err(|e| invalid(e.0))?;
        if !self.state.config.policy.allows(role) {
            return Err(invalid(format!("Unknown role '{role}'")));
        }
        if self.state.quotas.contains_key(role) {
            return Err(invalid(format!(
                "Cannot set quota for role '{role}' which already has quota"
            )));
        }
        if role.contains('/') {
            return Err(Reply::bad_request(format!(
                "Setting quota on nested role '{role}' is not supported yet"
            )));
        }
        let amounts: BTreeMap<String, value::Scalar> = request
            .guarantee
            .iter()
            .filter_map(|resource| Some((resource.name.clone(), resource.scalar?)))
            .collect();
        let config = [QuotaConfig {
            role: role.to_owned(),
            guarantees: amounts.clone(),
            limits: amounts,
        }];
        if !request.force() {
            self.check_capacity(&config).map_err(|excess| {
                Reply::refused(
                    409,
                    format!(
                        "Quota guarantees overcommit the cluster (use 'force' to bypass this \
                         check): Total {excess}"
                    ),
                )
            })?;
        }
        self.change_quotas(step, &config);
        Ok(())
    }

    /// Takes the quota of a role away.
    pub(crate) fn remove_quota(&mut self, step: &mut Step<'_>, role: &str, asked: &str) -> Outcome {
        if !self.state.config.policy.allows(role) {
            return Err(Reply::bad_request(format!(
                "Failed to validate remove quota request{asked}: Unknown role '{role}'"
            )));
        }
        if !self.state.quotas.contains_key(role) {
            return Err(Reply::bad_request(format!(
                "Failed to remove quota{asked}: Role '{role}' has no quota set"
            )));
        }
        let nothing = QuotaConfig {
            role: role.to_owned(),
            ..QuotaConfig::default()
        };
        self.change_quotas(step, &[nothing]);
        Ok(())
    }

    /// Makes the quotas last and takes back what is offered against them.
    fn change_quotas(&mut self, step: &mut Step<'_>, configs: &[QuotaConfig]) {
        let changes = configs.iter().map(|config| {
            if Quota::from_config(config).is_default() {
                registry::forget_quota(&config.role)
            } else {
                registry::set_quota(config)
            }
        });
        step.persist(changes.collect());
        self.enter_quotas(configs);
        for config in configs {
            self.rescind_for_quota(step, &config.role);
        }
    }

    fn enter_quotas(&mut self, configs: &[QuotaConfig]) {
        for config in configs {
            let quota = Quota::from_config(config);
            self.guarantees += &quota.guarantees;
            let before = if quota.is_default() {
                self.state.quotas.remove(&config.role)
            } else {
                self.state.quotas.insert(config.role.clone(), quota)
            };
            self.guarantees -= &before.unwrap_or_default().guarantees;
        }
        let quotas = configs
            .iter()
            .map(|config| (config.role.clone(), Quota::from_config(config)));
        self.allocator.set_quotas(quotas);
    }

    fn rescind_for_quota(&mut self, step: &mut Step<'_>, role: &str) {
        let outstanding = |id| {
            let (id, resources) = self.offered.get_key_value(id)?;
            let allocation = self.state.offers.get(id)?.allocation_info.as_ref()?;
            Some(Outstanding {
                key: id,
                role: allocation.role(),
                resources,
            })
        };
        let own = || {
            let frameworks = self.allocator.frameworks_in(role);
            let frameworks = frameworks.filter_map(|id| self.framework(id));
            let offers: BTreeSet<&OfferId> = frameworks.flat_map(|it| &it.offers).collect();
            offers.into_iter().filter_map(outstanding)
        };
        let all = || self.offered.keys().filter_map(outstanding);
        let chosen = self.allocator.to_rescind(role, own, all);
        let chosen: Vec<OfferId> = chosen.into_iter().cloned().collect();
        for offer in chosen {
            self.remove_offer(step, &offer, Rescinding::Told);
        }
    }

    /// Whether roles have less than they are to be limited to; if not, a sentence.
    fn check_consumption(&mut self, configs: &[QuotaConfig]) -> Result<(), String> {
        self.consumption.clear_doubts(&self.state.agents);
        for config in configs {
            let limits = Quota::from_config(config).limits;
            let consumed = self.consumption.of(&config.role, &self.state.agents);
            if !limits.contain(&consumed) {
                return Err(format!(
                    "Role '{}' is already consuming '{consumed}'; this is more than the requested \
                     limits '{}' (use 'force' flag to bypass this check)",
                    config.role,
                    limits_text(&limits)
                ));
            }
        }
        Ok(())
    }

    /// Whether the cluster has what roles would be guaranteed; if not, the end of a sentence.
    fn check_capacity(&self, configs: &[QuotaConfig]) -> Result<(), String> {
        // The last one counts of several for a role.
        let quotas: BTreeMap<&str, Quota> = configs
            .iter()
            .map(|config| (&*config.role, Quota::from_config(config)))
            .collect();
        let mut guarantees = self.guarantees.clone();
        for (role, quota) in &quotas {
            guarantees += &quota.guarantees;
            if let Some(before) = self.state.quotas.get(*role) {
                guarantees -= &before.guarantees;
            }
        }
        let capacity = self.consumption.capacity();
        if capacity.contains(&guarantees) {
            return Ok(());
        }
        Err(format!(
            "quota guarantees '{guarantees}' exceed cluster capacity '{capacity}'"
        ))
    }
}

/// As Mesos prints limits: `cpus:1; mem:32`.
fn limits_text(limits: &Limits) -> String {
    let limits: Vec<String> = limits
        .iter()
        .map(|(name, limit)| format!("{name}:{limit}"))
        .collect();
    limits.join("; ")
}
