//! Who gets what of one agent.

use std::collections::BTreeSet;

use meseta_resources::{Resources, roles};

use crate::agent::{Agent, AgentKey};
use crate::client::{Client, holds_any};
use crate::quota::{Room, least};
use crate::round::Candidates;
use crate::tree::{ClientKey, Place};
use crate::{Allocator, Refusal};

/// In the first stage of an allocation roles get what they lack of their guarantees, in the second
/// all get what is left beyond guarantees. The first goes over all agents before the second, so that
/// roles with guarantees choose among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Guarantees,
    FairShares,
}

/// Who gets what of an agent.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    pub(crate) grants: Vec<(ClientKey, Resources)>,
    /// Whether someone would get more without quotas.
    pub(crate) held_back: bool,
}

/// A look at what is free on an agent.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    allocator: &'a Allocator,
    agent: &'a Agent,
    stage: Stage,
    with_quotas: bool,
    /// Those who have got something in this stage already.
    served: &'a [ClientKey],
    free: Resources,
    shares: Shares,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        allocator: &'a Allocator,
        key: AgentKey,
        stage: Stage,
        served: &'a [ClientKey],
    ) -> Option<Self> {
        let agent = allocator.agents.get(&key)?;
        Some(Self {
            allocator,
            agent,
            stage,
            with_quotas: !allocator.quotas.is_empty(),
            served,
            free: agent.free().clone(),
            shares: Shares::default(),
        })
    }

    /// Shares the agent out; with quotas to the first who gets something, because that changes
    /// what others may get.
    pub(crate) fn share(mut self, candidates: &Candidates) -> Shares {
        if self.with_quotas {
            let surplus = self.allocator.quotas.surplus();
            self.shares.held_back = !surplus.contain(&self.free.under_quota());
        }
        let mut enough = self.is_enough();
        if let (true, Candidates::All) = (enough, candidates) {
            enough = self.walk();
            if enough {
                return self.shares;
            }
        }
        // Mostly there is too little for anyone but those with a minimum of their own.
        let own_minimum = &self.allocator.own_minimum;
        let clients = match candidates {
            Candidates::All => self.allocator.in_order(own_minimum),
            Candidates::Only(clients) if enough => self.allocator.in_order(clients),
            Candidates::Only(clients) => self.allocator.in_order(&(clients & own_minimum)),
        };
        for client in clients {
            if self.is_done() {
                break;
            }
            self.consider(client);
        }
        self.shares
    }

    /// Goes through all clients as long as there is enough, and says whether there still is.
    fn walk(&mut self) -> bool {
        let allocator = self.allocator;
        // A role at its limits can have nothing of an agent without reservations.
        let skips_closed = self.with_quotas
            && self.stage == Stage::FairShares
            && allocator.own_minimum.is_empty()
            && self
                .free
                .iter()
                .all(|resource| resource.is_unreserved() && !resource.is_revocable());
        let mut skipped = false;
        let mut walk = allocator.tree.walk();
        let mut enough = true;
        while enough && !self.free.is_empty() && !self.is_done() {
            let next = walk.next(|place| {
                let role = place.role().filter(|_| self.with_quotas);
                let skip = skips_closed && role.is_some_and(|it| allocator.quotas.is_closed(it));
                skipped |= skip;
                let claims = || role.is_none_or(|role| allocator.quotas.may_claim(role));
                !skip && (self.stage == Stage::FairShares || claims()) && can_use(place, &self.free)
            });
            let Some(client) = next else {
                break;
            };
            if self.consider(client) {
                enough = self.is_enough();
            }
        }
        self.shares.held_back |= skipped;
        enough || self.is_done()
    }

    /// Whether what quotas allow can have changed.
    fn is_done(&self) -> bool {
        self.with_quotas && !self.shares.grants.is_empty()
    }

    /// Whether there is enough for those without a minimum of their own.
    fn is_enough(&self) -> bool {
        let minimum = &self.allocator.options.min_allocatable_resources;
        if self.with_quotas && self.stage == Stage::FairShares {
            holds_any(&self.free.cut_to(&self.allocator.quotas.surplus()), minimum)
        } else {
            holds_any(&self.free, minimum)
        }
    }

    /// Gives a client what it gets, if anything.
    fn consider(&mut self, key: ClientKey) -> bool {
        let Some(client) = self.allocator.clients.get(&key) else {
            return false;
        };
        let is_served = |(served, _): &(ClientKey, Resources)| *served == key;
        if self.served.contains(&key) || self.shares.grants.iter().any(is_served) {
            return false;
        }
        let offer = match self.stage {
            Stage::Guarantees => {
                let offer = self
                    .allocator
                    .guaranteed_offer(key, client, self.agent, &self.free);
                let Some(offer) = offer else {
                    return false;
                };
                offer
            }
            Stage::FairShares => {
                match self
                    .allocator
                    .fair_offer(key, client, self.agent, &self.free)
                {
                    Ok(offer) => offer,
                    Err(refusal) => {
                        self.shares.held_back |= self.is_held_back(client, &refusal);
                        return false;
                    }
                }
            }
        };
        // What is shared can go to several.
        self.free -= &offer.non_shared();
        // Who is not cut short takes all that is under quota.
        self.shares.held_back |= self.with_quotas && !self.free.under_quota().is_empty();
        self.shares.grants.push((key, offer));
        true
    }
}

impl Look<'_> {
    /// Whether a client that gets nothing may get something when quotas allow more.
    fn is_held_back(&self, client: &Client, refusal: &Refusal) -> bool {
        let cuts = || {
            let limits = self.allocator.quotas.limits(&client.role);
            !limits.contain(&self.free.under_quota())
        };
        match refusal {
            Refusal::QuotaExhausted { .. } => true,
            // It has declined no more than they left it.
            Refusal::Filtered { .. } => self.with_quotas && cuts(),
            _ => false,
        }
    }
}

impl Allocator {
    /// What a client is offered because its role lacks some of its guarantees: that, and with it
    /// what is not under quota and what limits and the guarantees of others leave.
    pub(crate) fn guaranteed_offer(
        &self,
        key: ClientKey,
        client: &Client,
        agent: &Agent,
        free: &Resources,
    ) -> Option<Resources> {
        if !self.quotas.may_claim(&client.role) {
            return None;
        }
        let claim = self.quotas.claim(&client.role);
        let granted = least(&claim, &free.under_quota());
        if granted.is_empty() {
            return None;
        }
        let room = self.quotas.room_for(&client.role, &granted);
        let offer = client.offer(key, agent, free, &room, &self.options).ok()?;
        let helps = !least(&claim, &offer.under_quota()).is_empty();
        helps.then_some(offer)
    }

    /// What a client is offered in its turn.
    pub(crate) fn fair_offer(
        &self,
        key: ClientKey,
        client: &Client,
        agent: &Agent,
        free: &Resources,
    ) -> Result<Resources, Refusal> {
        let room = if self.quotas.is_empty() {
            Room::default()
        } else {
            self.quotas.room(&client.role)
        };
        client.offer(key, agent, free, &room, &self.options)
    }

    /// Those of the clients that are active, in the order of shares.
    pub(crate) fn in_order(&self, clients: &BTreeSet<ClientKey>) -> Vec<ClientKey> {
        let mut ordered: Vec<ClientKey> = clients
            .iter()
            .filter(|key| self.is_active(**key))
            .copied()
            .collect();
        if ordered.len() > 1 {
            ordered.sort_by_cached_key(|key| {
                let client = self.clients.get(key);
                client.map(|client| self.tree.position(client.node))
            });
        }
        ordered
    }

    fn is_active(&self, key: ClientKey) -> bool {
        let client = self.clients.get(&key);
        client.is_some_and(|client| self.tree.is_active(client.node))
    }
}

/// Whether anyone at or below the place could be allocated a part of the resources.
fn can_use(place: &Place, free: &Resources) -> bool {
    free.iter().any(|resource| match place {
        Place::Own(role) => resource.is_allocatable_to(role),
        Place::Role(role) => {
            resource.is_allocatable_to(role)
                || resource
                    .reservation_role()
                    .is_some_and(|reserved| roles::is_strict_subrole_of(reserved, role))
        }
        Place::Client(_) => true,
    })
}
