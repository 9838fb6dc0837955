//! Which offers to take back so that quotas hold.

use std::collections::HashMap;

use meseta_resources::{Quantities, Resources, roles};

use crate::Allocator;
use crate::quota::{least, less, top};

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
    /// Which outstanding offers to take back after the quota of a role was set: of the role and those
    /// below it, until they are within the role's limits; of others, until what is free is enough for
    /// all guarantees. Others keep what their own guarantees cover, and offers with nothing that helps
    /// stay.
    ///
    /// `own` are the offers of the role and those below it, and `all` are all offers. Neither is asked
    /// for when nothing has to be taken back there, nor gone through further than that takes.
    pub fn to_rescind<'a, K: Ord, Own, All>(
        &self,
        role: &str,
        own: impl FnOnce() -> Own,
        all: impl FnOnce() -> All,
    ) -> Vec<K>
    where
        Own: IntoIterator<Item = Outstanding<'a, K>>,
        All: IntoIterator<Item = Outstanding<'a, K>>,
    {
        let mut chosen = Vec::new();
        let mut freed = Quantities::new();
        let mut excess = self.quotas.excess(role);
        if !excess.is_empty() {
            for offer in own() {
                if excess.is_empty() {
                    break;
                }
                let amount = offer.resources.under_quota();
                if roles::is_in_subtree_of(offer.role, role) && !least(&excess, &amount).is_empty()
                {
                    excess -= &amount;
                    freed += &amount;
                    chosen.push(offer.key);
                }
            }
        }
        let shortage = less(&self.quotas.shortage(), &freed);
        if !shortage.is_empty() {
            self.cover(shortage, role, all(), &mut chosen);
        }
        chosen.sort();
        chosen
    }

    /// Chooses offers of other roles until what is missing is free.
    fn cover<'a, K>(
        &self,
        mut shortage: Quantities,
        role: &str,
        all: impl IntoIterator<Item = Outstanding<'a, K>>,
        chosen: &mut Vec<K>,
    ) {
        // By the first part of the role's name.
        let mut given_up: HashMap<&str, Quantities> = HashMap::new();
        for offer in all {
            if shortage.is_empty() {
                return;
            }
            let amount = offer.resources.under_quota();
            if roles::is_in_subtree_of(offer.role, role) || least(&shortage, &amount).is_empty() {
                continue;
            }
            let top = top(offer.role);
            if let Some(mut spare) = self.quotas.spare(offer.role) {
                if let Some(gone) = given_up.get(top) {
                    spare -= gone;
                }
                if !spare.contains(&least(&shortage, &amount)) {
                    continue;
                }
            }
            shortage -= &amount;
            *given_up.entry(top).or_default() += &amount;
            chosen.push(offer.key);
        }
    }
}
