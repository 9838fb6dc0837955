//! Which offers to take back so that quotas hold.

use std::collections::BTreeSet;

use meseta_resources::{Quantities, Resources, roles};

use crate::Allocator;
use crate::quota::{least, less};

/// An offer that a framework has not answered.
#[derive(Debug, Clone, Copy)]
pub struct Outstanding<'a, K> {
    /// What the caller knows it by.
    pub key: K,
    /// The role that it is allocated to.
    pub role: &'a str,
    /// What it offers.
    pub resources: &'a Resources,
}

impl Allocator {
    /// Which of the outstanding offers to take back after the quota of a role was set: of the role
    /// and those below it, until they are within the role's limits; of others, until what is free
    /// is enough for all guarantees. Others keep what their own guarantees cover, and offers with
    /// nothing that helps stay.
    pub fn to_rescind<K: Copy + Ord>(
        &self,
        role: &str,
        outstanding: &[Outstanding<'_, K>],
    ) -> Vec<K> {
        let mut chosen = BTreeSet::new();
        let mut freed = Quantities::new();
        let mut excess = self.quotas.excess(role);
        for offer in outstanding {
            let amount = offer.resources.under_quota();
            if roles::is_in_subtree_of(offer.role, role) && !least(&excess, &amount).is_empty() {
                excess -= &amount;
                freed += &amount;
                chosen.insert(offer.key);
            }
        }
        let mut shortage = less(&self.quotas.shortage(), &freed);
        let mut given_up: Vec<(&str, Quantities)> = Vec::new();
        for offer in outstanding {
            let amount = offer.resources.under_quota();
            if roles::is_in_subtree_of(offer.role, role) || least(&shortage, &amount).is_empty() {
                continue;
            }
            if let Some(mut spare) = self.quotas.spare(offer.role) {
                let root = |role: &str| role.split('/').next().map(str::to_owned);
                for (other, gone) in &given_up {
                    if root(other) == root(offer.role) {
                        spare -= gone;
                    }
                }
                if !spare.contains(&least(&shortage, &amount)) {
                    continue;
                }
            }
            shortage -= &amount;
            given_up.push((offer.role, amount));
            chosen.insert(offer.key);
        }
        outstanding
            .iter()
            .map(|offer| offer.key)
            .filter(|key| chosen.contains(key))
            .collect()
    }
}
