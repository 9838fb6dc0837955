//! The tree of roles and the clients in it, ordered by share.
//!
//! ```text
//!                    root
//!            ┌────────┴────────┐
//!          role eng          role web
//!       ┌────┴─────┐           │
//!   own (eng)   role eng/dev  own (web)
//!     │            │         ┌──┴──┐
//!   client f1    own       client  client
//!                  │         f1      f2
//!                client f2
//! ```
//!
//! What a role holds itself competes as one node with the roles below it, as in Mesos. Each node
//! keeps those of its children that lead to an active client sorted; suppressed clients and roles
//! without frameworks cost nothing.
//!
//! By chance, children are sorted by when they next come: each comes again and again, at random,
//! on average as often as its weight says. Who comes next is then drawn by weight, every time anew,
//! and one that was chosen, or passed over, needs another time and the others do not.

use std::collections::{BTreeSet, HashMap, btree_set};
use std::sync::Arc;

use meseta_machine::Entropy;
use meseta_resources::Quantities;
use slab::Slab;

use crate::{Options, Sorter};

/// Levels of a tree without nested roles.
const USUAL_DEPTH: usize = 4;

/// When times come to be larger, they are drawn from the beginning, before they lose precision.
const LATEST: f64 = 1e6;

/// A framework in one of its roles; numbers are given in the order of coming, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientKey(pub(crate) u64);

/// Where in the tree something stands. Numbers are used again after their node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeKey(usize);

/// What a node stands for.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A role with all below it.
    Role(Arc<str>),
    /// A role without those below it: its clients.
    Own(Arc<str>),
    /// A framework in the role.
    Client(ClientKey),
}

impl Place {
    pub(crate) fn role(&self) -> Option<&str> {
        match self {
            Self::Role(role) | Self::Own(role) => Some(role),
            Self::Client(_) => None,
        }
    }
}

/// What decides between children of one node: the share, then how often each was chosen, so that
/// those with nothing take turns, then the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The bits of the share, or of when it comes next. Neither is negative, so that their bits are
    /// ordered as they are.
    share: u64,
    chosen: u64,
    /// How the name starts: mostly enough to tell names apart without a look at other memory.
    start: [u8; 16],
    name: Arc<str>,
    node: NodeKey,
}

#[derive(Debug)]
struct Node {
    place: Place,
    parent: Option<NodeKey>,
    children: usize,
    /// Active clients at or below the node. The parent has the node in order when there is one.
    active: usize,
    in_order: BTreeSet<Rank>,
    held: Quantities,
    weight: f64,
    rank: Rank,
    /// How far the children have come, when they are sorted by chance.
    time: f64,
}

impl Node {
    /// What its children are sorted by.
    fn sorter(&self, sorters: &Sorters) -> Sorter {
        match self.place {
            Place::Role(_) | Place::Client(_) => sorters.roles,
            Place::Own(_) => sorters.frameworks,
        }
    }
}

#[derive(Debug)]
struct Sorters {
    roles: Sorter,
    frameworks: Sorter,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Slab<Node>,
    root: NodeKey,
    roles: HashMap<Arc<str>, NodeKey>,
    /// The nodes of roles' own clients.
    owns: HashMap<Arc<str>, NodeKey>,
    weights: HashMap<String, f64>,
    /// What all agents have, of what counts in shares.
    total: Quantities,
    /// Names that do not count.
    excluded: BTreeSet<String>,
    /// Whether shares were computed for another total.
    stale: bool,
    sorters: Sorters,
    entropy: Entropy,
}

impl Tree {
    pub(crate) fn new(options: &Options) -> Self {
        let mut tree = Self {
            nodes: Slab::new(),
            root: NodeKey(0),
            roles: HashMap::new(),
            owns: HashMap::new(),
            weights: HashMap::new(),
            total: Quantities::new(),
            excluded: options.fair_sharing_excluded_resource_names.clone(),
            stale: false,
            sorters: Sorters {
                roles: options.role_sorter,
                frameworks: options.framework_sorter,
            },
            entropy: Entropy::new(options.seed),
        };
        tree.root = tree.insert(Place::Role("".into()), "".into(), None);
        tree
    }

    /// A framework in a role, inactive at first.
    pub(crate) fn add_client(&mut self, role: &str, name: &str, client: ClientKey) -> NodeKey {
        let mut parent = self.root;
        let ends = role.match_indices('/').map(|(slash, _)| slash);
        for end in ends.chain([role.len()]) {
            let path = role.get(..end).unwrap_or(role);
            parent = match self.roles.get(path) {
                Some(node) => *node,
                None => self.add_role(path, parent),
            };
        }
        let own = self.own_node(parent, role);
        self.insert(Place::Client(client), name.into(), Some(own))
    }

    /// Takes an inactive client out that holds nothing, with the roles that it leaves empty.
    pub(crate) fn remove_client(&mut self, client: NodeKey) {
        let mut current = client;
        while let Some(parent) = self.parent(current) {
            match self.nodes.try_remove(current.0).map(|node| node.place) {
                Some(Place::Role(path)) => self.roles.remove(&path),
                Some(Place::Own(path)) => self.owns.remove(&path),
                Some(Place::Client(_)) | None => None,
            };
            let Some(above) = self.nodes.get_mut(parent.0) else {
                return;
            };
            above.children -= 1;
            if above.children > 0 {
                return;
            }
            current = parent;
        }
    }

    /// Whether the client takes part.
    pub(crate) fn set_active(&mut self, client: NodeKey, active: bool) {
        if self.is_active(client) == active {
            return;
        }
        let mut current = Some(client);
        while let Some(key) = current {
            let parent = self.parent(key);
            if active && !self.is_active(key) && self.is_by_chance(parent) {
                self.draw_time(key);
            }
            let Some(node) = self.nodes.get_mut(key.0) else {
                return;
            };
            let before = node.active;
            node.active = if active { before + 1 } else { before - 1 };
            let (rank, parent, after) = (node.rank.clone(), node.parent, node.active);
            if let Some(above) = parent.and_then(|parent| self.nodes.get_mut(parent.0)) {
                if before == 0 {
                    above.in_order.insert(rank);
                } else if after == 0 {
                    above.in_order.remove(&rank);
                }
            }
            current = parent;
        }
    }

    pub(crate) fn is_active(&self, client: NodeKey) -> bool {
        self.nodes.get(client.0).is_some_and(|node| node.active > 0)
    }

    /// The client and all above it hold more.
    pub(crate) fn charge(&mut self, client: NodeKey, amount: &Quantities) {
        self.change_upwards(client, |node| node.held += amount);
    }

    /// Like [`charge`](Self::charge), because the client was chosen for an offer.
    pub(crate) fn charge_chosen(&mut self, client: NodeKey, amount: &Quantities) {
        self.change_upwards(client, |node| {
            node.held += amount;
            node.rank.chosen += 1;
        });
        if self.sorters.roles == Sorter::Random || self.sorters.frameworks == Sorter::Random {
            self.go_on(client);
        }
    }

    /// The client and all above it hold less.
    pub(crate) fn discharge(&mut self, client: NodeKey, amount: &Quantities) {
        self.change_upwards(client, |node| node.held -= amount);
    }

    /// Agents have more.
    pub(crate) fn grow(&mut self, amount: &Quantities) {
        self.total += &self.counted(amount);
        self.stale = true;
    }

    /// Agents have less.
    pub(crate) fn shrink(&mut self, amount: &Quantities) {
        self.total -= &self.counted(amount);
        self.stale = true;
    }

    fn counted(&self, amount: &Quantities) -> Quantities {
        if self.excluded.is_empty() {
            return amount.clone();
        }
        amount
            .iter()
            .filter(|(name, _)| !self.excluded.contains(*name))
            .collect()
    }

    pub(crate) fn set_weight(&mut self, role: &str, weight: f64) {
        self.weights.insert(role.to_owned(), weight);
        let Some(key) = self.roles.get(role).copied() else {
            return;
        };
        self.change(key, |node| node.weight = weight);
        if self.is_active(key) && self.is_by_chance(self.parent(key)) {
            self.draw_again(key);
        }
    }

    /// Brings all shares up to date after the total has changed. To be called before
    /// [`walk`](Self::walk) and [`position`](Self::position).
    pub(crate) fn refresh(&mut self) {
        if !self.stale {
            return;
        }
        self.stale = false;
        let keys: Vec<NodeKey> = self.nodes.iter().map(|(key, _)| NodeKey(key)).collect();
        for key in keys {
            self.change(key, |_| {});
        }
    }

    /// The active clients in the order of shares.
    pub(crate) fn walk(&self) -> Walk<'_> {
        let root = self.nodes.get(self.root.0);
        let mut levels = Vec::with_capacity(USUAL_DEPTH);
        levels.extend(root.map(|root| root.in_order.iter()));
        Walk { tree: self, levels }
    }

    /// What sorts clients as [`walk`](Self::walk) meets them.
    pub(crate) fn position(&self, client: NodeKey) -> impl Ord + use<> {
        let mut path = Vec::new();
        let mut current = self.nodes.get(client.0);
        while let Some(node) = current {
            path.push(node.rank.clone());
            current = node.parent.and_then(|parent| self.nodes.get(parent.0));
        }
        path.reverse();
        path
    }

    /// What is counted for a client.
    pub(crate) fn held(&self, node: NodeKey) -> Quantities {
        self.nodes
            .get(node.0)
            .map(|node| node.held.clone())
            .unwrap_or_default()
    }

    fn add_role(&mut self, path: &str, parent: NodeKey) -> NodeKey {
        let path: Arc<str> = path.into();
        let weight = self.weights.get(&*path).copied();
        let key = self.insert(
            Place::Role(Arc::clone(&path)),
            Arc::clone(&path),
            Some(parent),
        );
        if let (Some(weight), Some(node)) = (weight, self.nodes.get_mut(key.0)) {
            node.weight = weight;
        }
        self.roles.insert(path, key);
        key
    }

    /// The node of the role's own clients, made when there is none.
    fn own_node(&mut self, role: NodeKey, path: &str) -> NodeKey {
        if let Some(own) = self.owns.get(path) {
            return *own;
        }
        let path: Arc<str> = path.into();
        let name = format!("{path}/.").into();
        let own = self.insert(Place::Own(Arc::clone(&path)), name, Some(role));
        self.owns.insert(path, own);
        own
    }

    fn insert(&mut self, place: Place, name: Arc<str>, parent: Option<NodeKey>) -> NodeKey {
        let entry = self.nodes.vacant_entry();
        let key = NodeKey(entry.key());
        entry.insert(Node {
            place,
            parent,
            children: 0,
            active: 0,
            in_order: BTreeSet::new(),
            held: Quantities::new(),
            weight: 1.0,
            rank: Rank {
                share: 0,
                chosen: 0,
                start: std::array::from_fn(|i| name.as_bytes().get(i).copied().unwrap_or(0)),
                name,
                node: key,
            },
            time: 0.0,
        });
        if let Some(above) = parent.and_then(|parent| self.nodes.get_mut(parent.0)) {
            above.children += 1;
        }
        key
    }

    fn parent(&self, key: NodeKey) -> Option<NodeKey> {
        self.nodes.get(key.0)?.parent
    }

    fn change_upwards(&mut self, client: NodeKey, change: impl Fn(&mut Node)) {
        let mut current = Some(client);
        while let Some(key) = current {
            self.change(key, &change);
            current = self.parent(key);
        }
    }

    /// Changes a node and puts it where it then belongs.
    fn change(&mut self, key: NodeKey, change: impl FnOnce(&mut Node)) {
        let Some(node) = self.nodes.get_mut(key.0) else {
            return;
        };
        let Some(parent) = node.parent else {
            // Nobody compares the root.
            return change(node);
        };
        let by_chance = self.is_by_chance(Some(parent));
        let Some(node) = self.nodes.get_mut(key.0) else {
            return;
        };
        let before = node.rank.clone();
        change(node);
        if !by_chance {
            let share = node.held.share_of(&self.total) / node.weight;
            node.rank.share = share.to_bits();
        }
        if node.active == 0 || node.rank == before {
            return;
        }
        let after = node.rank.clone();
        if let Some(above) = self.nodes.get_mut(parent.0) {
            above.in_order.remove(&before);
            above.in_order.insert(after);
        }
    }

    fn is_by_chance(&self, parent: Option<NodeKey>) -> bool {
        let parent = parent.and_then(|parent| self.nodes.get(parent.0));
        parent.is_some_and(|parent| parent.sorter(&self.sorters) == Sorter::Random)
    }

    /// Draws when a node comes next. It must not stand in order meanwhile.
    fn draw_time(&mut self, key: NodeKey) {
        let now = self
            .parent(key)
            .and_then(|parent| self.nodes.get(parent.0))
            .map_or(0.0, |parent| parent.time);
        let wait = exponential(&mut self.entropy);
        if let Some(node) = self.nodes.get_mut(key.0) {
            node.rank.share = (now + wait / node.weight).to_bits();
        }
    }

    /// Draws when a node that stands in order comes next.
    fn draw_again(&mut self, key: NodeKey) {
        let Some((before, parent)) = self
            .nodes
            .get(key.0)
            .and_then(|node| Some((node.rank.clone(), node.parent?)))
        else {
            return;
        };
        self.draw_time(key);
        let after = self.nodes.get(key.0).map(|node| node.rank.clone());
        if let (Some(above), Some(after)) = (self.nodes.get_mut(parent.0), after) {
            above.in_order.remove(&before);
            above.in_order.insert(after);
        }
    }

    /// The client was chosen: wherever chance decides on the way to it, the time has come to its
    /// turn, and those whose turn it was before have missed theirs.
    fn go_on(&mut self, client: NodeKey) {
        let mut current = Some(client);
        while let Some(key) = current {
            let parent = self.parent(key);
            current = parent;
            if !self.is_by_chance(parent) {
                continue;
            }
            let Some(turn) = self.nodes.get(key.0).map(|node| node.rank.clone()) else {
                return;
            };
            let Some(above) = parent.and_then(|parent| self.nodes.get_mut(parent.0)) else {
                return;
            };
            above.time = f64::from_bits(turn.share);
            let missed: Vec<NodeKey> = if above.time < LATEST {
                let passed = above.in_order.range(..=turn);
                passed.map(|rank| rank.node).collect()
            } else {
                above.time = 0.0;
                above.in_order.iter().map(|rank| rank.node).collect()
            };
            for node in missed {
                self.draw_again(node);
            }
        }
    }
}

/// How long it takes until something comes that comes once in a unit of time, on average.
fn exponential(entropy: &mut Entropy) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let uniform = ((entropy.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln()
}

/// A walk through the active clients.
#[derive(Debug)]
pub(crate) struct Walk<'t> {
    tree: &'t Tree,
    levels: Vec<btree_set::Iter<'t, Rank>>,
}

impl Walk<'_> {
    /// The next client. Below a place for which `enter` does not hold, there is none.
    pub(crate) fn next(&mut self, mut enter: impl FnMut(&Place) -> bool) -> Option<ClientKey> {
        loop {
            let Some(rank) = self.levels.last_mut()?.next() else {
                self.levels.pop();
                continue;
            };
            let node = self.tree.nodes.get(rank.node.0)?;
            match &node.place {
                Place::Client(client) => return Some(*client),
                place if enter(place) => self.levels.push(node.in_order.iter()),
                Place::Role(_) | Place::Own(_) => {}
            }
        }
    }
}
