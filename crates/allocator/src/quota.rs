//! What roles may hold and what is kept for them.
//!
//! A role's consumption is what is reserved to it and to the roles below it, in use or not, and
//! what they hold beside their reservations. The limits of a role bind it and all below it. As long
//! as a role consumes less than its guarantees, what is missing is required: that much of what is
//! free stays free for it. Of a role's requirement, what roles below it require is a part.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use meseta_proto::v1::quota::QuotaConfig;
use meseta_resources::{Limits, Quantities, Resources, Scalar, roles};

/// What a role is guaranteed and limited to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quota {
    /// What is kept for the role when it has less.
    pub guarantees: Quantities,
    /// What the role and those below it may hold at most.
    pub limits: Limits,
}

impl Quota {
    /// As an operator sets it. Amounts that are none are left out; validation has refused them.
    pub fn from_config(config: &QuotaConfig) -> Self {
        let amount = |value: f64| Scalar::from_f64(value);
        Self {
            guarantees: config
                .guarantees
                .iter()
                .filter_map(|(name, scalar)| Some((name.as_str(), amount(scalar.value)?)))
                .collect(),
            limits: config
                .limits
                .iter()
                .filter_map(|(name, scalar)| Some((name.as_str(), amount(scalar.value)?)))
                .collect(),
        }
    }

    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        self.guarantees.is_empty() && self.limits.is_empty()
    }
}

/// How much of what is under quota a client may be offered.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// What is left below the limits of its role and those above it.
    pub(crate) limits: Limits,
    /// What is free beyond what guarantees require.
    pub(crate) surplus: Limits,
}

#[derive(Debug, Default, PartialEq)]
struct Book {
    quota: Quota,
    /// The nearest role above that has a quota.
    parent: Option<Arc<str>>,
    consumed: Quantities,
    /// What the roles below require, those with the nearest quotas.
    below: Quantities,
    /// What must stay free for the role and those below it.
    required: Quantities,
    /// Whether the limits leave no room for what usually makes an offer.
    is_closed: bool,
}

impl Book {
    fn unmet(&self) -> Quantities {
        less(&self.quota.guarantees, &self.consumed)
    }

    fn has_no_room_for(&self, sets: &[Quantities]) -> bool {
        let room = |name| {
            let limit = self.quota.limits.get(name)?;
            Some(limit.saturating_sub(self.consumed.get(name)))
        };
        let lacks = |(name, amount)| room(name).is_some_and(|room| room < amount);
        !sets.is_empty() && sets.iter().all(|set| set.iter().any(lacks))
    }
}

/// The books of all roles with a quota. See the [module](self).
///
/// While there are any, what every role consumes itself is counted, so that a role that is given a
/// quota has its book at once, and only what changes is counted anew.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    books: HashMap<Arc<str>, Book>,
    /// The names of the books.
    names: BTreeSet<Arc<str>>,
    /// What roles consume, with or without quota, each without those below it.
    own: BTreeMap<Arc<str>, Quantities>,
    /// What roles without a parent require, by the first part of their name.
    tops: HashMap<Arc<str>, Quantities>,
    /// The sum of what is required.
    required: Quantities,
    /// What is free on active agents and under quota.
    available: Quantities,
    /// Whether what was held back may be offered since it was last looked at.
    pub(crate) eased: bool,
    /// What usually makes an offer.
    minimum: Vec<Quantities>,
}

impl Quotas {
    pub(crate) fn new(minimum: &[Quantities]) -> Self {
        Self {
            minimum: minimum.to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// Whether the role's own limits leave no room for what usually makes an offer.
    pub(crate) fn is_closed(&self, role: &str) -> bool {
        self.books.get(role).is_some_and(|book| book.is_closed)
    }

    pub(crate) fn get(&self, role: &str) -> Option<&Quota> {
        self.books.get(role).map(|book| &book.quota)
    }

    pub(crate) fn consumed(&self, role: &str) -> Option<&Quantities> {
        self.books.get(role).map(|book| &book.consumed)
    }

    /// Sets quotas, or takes them away with default ones. The first of all are to be followed by
    /// [`recount`](Self::recount).
    pub(crate) fn set(&mut self, quotas: impl IntoIterator<Item = (String, Quota)>) {
        for (role, quota) in quotas {
            if quota.is_default() {
                self.close(&role);
            } else if let Some(book) = self.books.get_mut(role.as_str()) {
                book.quota = quota;
                book.is_closed = book.has_no_room_for(&self.minimum);
                self.require(&role);
            } else {
                self.open(&role.into(), quota);
            }
        }
        self.eased = true;
    }

    /// Opens the book of a role.
    fn open(&mut self, role: &Arc<str>, quota: Quota) {
        let above = roles::ancestors(role).find_map(|it| self.books.get_key_value(it));
        let parent = above.map(|(parent, _)| Arc::clone(parent));
        let mut book = Book {
            quota,
            consumed: self.consumed_below(role),
            parent: parent.clone(),
            ..Book::default()
        };
        book.is_closed = book.has_no_room_for(&self.minimum);
        self.books.insert(Arc::clone(role), book);
        self.names.insert(Arc::clone(role));
        for below in self.names_below(role) {
            let child = self.books.get_mut(&below);
            if let Some(child) = child.filter(|child| child.parent == parent) {
                child.parent = Some(Arc::clone(role));
                let required = child.required.clone();
                self.pass_up(parent.as_deref(), &below, &required, &Quantities::new());
                self.pass_up(Some(role), &below, &Quantities::new(), &required);
            }
        }
        self.require(role);
    }

    /// Closes the book of a role that has no quota any more.
    fn close(&mut self, role: &str) {
        let Some(book) = self.books.remove(role) else {
            return;
        };
        self.names.remove(role);
        let parent = book.parent.as_deref();
        for below in self.names_below(role) {
            let child = self.books.get_mut(&below);
            if let Some(child) = child.filter(|child| child.parent.as_deref() == Some(role)) {
                child.parent.clone_from(&book.parent);
                let required = child.required.clone();
                self.pass_up(parent, &below, &Quantities::new(), &required);
            }
        }
        self.pass_up(parent, role, &book.required, &Quantities::new());
        if self.is_empty() {
            self.own.clear();
        }
    }

    /// The roles below one that have a quota.
    fn names_below(&self, role: &str) -> Vec<Arc<str>> {
        let Below { from, to } = &Below::of(role);
        let names = self
            .names
            .range::<str, _>((Included(&**from), Excluded(&**to)));
        names.cloned().collect()
    }

    /// What a role and those below it consume.
    fn consumed_below(&self, role: &str) -> Quantities {
        let mut consumed = self.own.get(role).cloned().unwrap_or_default();
        let Below { from, to } = &Below::of(role);
        let below = self
            .own
            .range::<str, _>((Included(&**from), Excluded(&**to)));
        for (_, amount) in below {
            consumed += amount;
        }
        consumed
    }

    /// Counts from the beginning what is consumed, `consumed` being all of it by role, and what is
    /// available.
    pub(crate) fn recount(
        &mut self,
        consumed: &HashMap<String, Quantities>,
        available: Quantities,
    ) {
        self.available = available;
        self.tops.clear();
        self.own.clear();
        self.required = Quantities::new();
        for book in self.books.values_mut() {
            book.consumed = Quantities::new();
            book.below = Quantities::new();
            book.required = Quantities::new();
            book.is_closed = book.has_no_room_for(&self.minimum);
        }
        let all: Vec<Arc<str>> = self.books.keys().cloned().collect();
        for role in all {
            self.require(&role);
        }
        for (role, amount) in consumed {
            self.consume(role, amount);
        }
    }

    /// The role and those below it hold more.
    pub(crate) fn consume(&mut self, role: &str, amount: &Quantities) {
        match self.own.get_mut(role) {
            Some(own) => *own += amount,
            None if amount.is_empty() => return,
            None => {
                self.own.insert(role.into(), amount.clone());
            }
        }
        self.change(role, |book| book.consumed += amount);
    }

    /// The same of what nobody had free before: less of what is free may have to be kept for the role.
    pub(crate) fn consume_unavailable(&mut self, role: &str, amount: &Quantities) {
        let before = self.required.clone();
        self.consume(role, amount);
        self.eased |= self.required != before;
    }

    /// The role and those below it hold less.
    pub(crate) fn release(&mut self, role: &str, amount: &Quantities) {
        if amount.is_empty() {
            return;
        }
        if let Some(own) = self.own.get_mut(role) {
            *own -= amount;
            if own.is_empty() {
                self.own.remove(role);
            }
        }
        if self.change(role, |book| book.consumed -= amount) {
            self.eased = true;
        }
    }

    /// Something became free, or was free and is not.
    pub(crate) fn change_available(&mut self, before: &Quantities, after: &Quantities) {
        self.available += after;
        self.available -= before;
        if !self.required.is_empty() && !before.contains(after) {
            self.eased = true;
        }
    }

    /// Whether some role is due more than it has.
    pub(crate) fn has_unmet(&self) -> bool {
        !self.required.is_empty()
    }

    /// Whether the role, or one above or below it, may be due more than it has.
    pub(crate) fn may_claim(&self, role: &str) -> bool {
        self.tops.contains_key(top(role))
    }

    /// What the role is due, by its own quota and those of the roles above it.
    pub(crate) fn claim(&self, role: &str) -> Quantities {
        let mut claim = Quantities::new();
        let mut beneath: Option<&Book> = None;
        for book in self.path(role) {
            let mut others = book.below.clone();
            if let Some(beneath) = beneath {
                others -= &beneath.required;
            }
            claim = claim.max(&less(&book.unmet(), &others));
            beneath = Some(book);
        }
        claim
    }

    /// What can be offered to anyone without breaking a guarantee.
    pub(crate) fn surplus(&self) -> Limits {
        self.required
            .iter()
            .map(|(name, required)| (name, self.available.get(name).saturating_sub(required)))
            .collect()
    }

    pub(crate) fn room(&self, role: &str) -> Room {
        Room {
            limits: self.limits(role),
            surplus: self.surplus(),
        }
    }

    /// The room of a role that is offered a part of its guarantees: `granted` of them is free.
    pub(crate) fn room_for(&self, role: &str, granted: &Quantities) -> Room {
        let mut surplus = Limits::new();
        for (name, above) in self.surplus().iter() {
            surplus.tighten(name, above + granted.get(name));
        }
        Room {
            limits: self.limits(role),
            surplus,
        }
    }

    /// What must be freed so that the guarantees of all can be met out of what is free.
    pub(crate) fn shortage(&self) -> Quantities {
        less(&self.required, &self.available)
    }

    /// By how much the role is above its limits.
    pub(crate) fn excess(&self, role: &str) -> Quantities {
        let Some(book) = self.books.get(role) else {
            return Quantities::new();
        };
        let over = |(name, limit)| (name, book.consumed.get(name).saturating_sub(limit));
        book.quota.limits.iter().map(over).collect()
    }

    /// What the role could give up and have its guarantees still.
    pub(crate) fn spare(&self, role: &str) -> Option<Quantities> {
        self.path(role)
            .filter(|book| !book.quota.guarantees.is_empty())
            .map(|book| less(&book.consumed, &book.quota.guarantees))
            .reduce(|one, other| least(&one, &other))
    }

    pub(crate) fn available(&self) -> &Quantities {
        &self.available
    }

    /// Whether what is counted is what there is, `consumed` being all of it by role.
    pub(crate) fn check(&self, consumed: &HashMap<String, Quantities>) -> Result<(), String> {
        let mut fresh = Self::new(&self.minimum);
        let quotas = self.books.iter();
        fresh.set(quotas.map(|(role, book)| (role.to_string(), book.quota.clone())));
        fresh.recount(consumed, self.available.clone());
        for (role, book) in &self.books {
            let Some(right) = fresh.books.get(role) else {
                return Err(format!("{role}: no quota of its own"));
            };
            if book != right {
                return Err(format!("{role}: {right:?}, counted {book:?}"));
            }
        }
        if (&self.own, &self.names) != (&fresh.own, &fresh.names) {
            return Err(format!(
                "{:?} is consumed, counted {:?}",
                fresh.own, self.own
            ));
        }
        if (&self.required, &self.tops) != (&fresh.required, &fresh.tops) {
            return Err(format!(
                "{} is required, counted {}",
                fresh.required, self.required
            ));
        }
        Ok(())
    }

    /// What is left below the limits of a role and those above it.
    pub(crate) fn limits(&self, role: &str) -> Limits {
        let mut limits = Limits::new();
        for book in self.path(role) {
            for (name, limit) in book.quota.limits.less(&book.consumed).iter() {
                limits.tighten(name, limit);
            }
        }
        limits
    }

    /// The books that bind a role, the nearest first.
    fn path<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Book> {
        std::iter::once(role)
            .chain(roles::ancestors(role))
            .filter_map(|role| self.books.get(role))
    }

    /// Changes all books that bind a role, and says whether there are any.
    fn change(&mut self, role: &str, change: impl Fn(&mut Book)) -> bool {
        let mut found = false;
        for role in std::iter::once(role).chain(roles::ancestors(role)) {
            if let Some(book) = self.books.get_mut(role) {
                change(book);
                book.is_closed = book.has_no_room_for(&self.minimum);
                found = true;
                self.require(role);
            }
        }
        found
    }

    /// Brings what is required for a role, and what that means above it, up to date.
    fn require(&mut self, role: &str) {
        let mut current: Option<Arc<str>> = None;
        loop {
            let role = current.as_deref().unwrap_or(role);
            let Some(book) = self.books.get_mut(role) else {
                return;
            };
            let required = book.unmet().max(&book.below);
            if required == book.required {
                return;
            }
            let before = std::mem::replace(&mut book.required, required.clone());
            let parent = book.parent.clone();
            self.tell(parent.as_deref(), role, &before, &required);
            if parent.is_none() {
                return;
            }
            current = parent;
        }
    }

    /// Enters beside a role's parent, if it has one, what is required for the role.
    fn tell(&mut self, parent: Option<&str>, role: &str, before: &Quantities, after: &Quantities) {
        if let Some(parent) = parent {
            if let Some(above) = self.books.get_mut(parent) {
                above.below += after;
                above.below -= before;
            }
            return;
        }
        self.required += after;
        self.required -= before;
        let of_top = self.tops.entry(top(role).into()).or_default();
        *of_top += after;
        *of_top -= before;
        if of_top.is_empty() {
            self.tops.remove(top(role));
        }
    }

    /// The same, with what follows above.
    fn pass_up(
        &mut self,
        parent: Option<&str>,
        role: &str,
        before: &Quantities,
        after: &Quantities,
    ) {
        self.tell(parent, role, before, after);
        if let Some(parent) = parent {
            self.require(parent);
        }
    }
}

/// Between which names those of the roles below one are: they begin with its name and a slash.
struct Below {
    from: String,
    to: String,
}

impl Below {
    fn of(role: &str) -> Self {
        // The character after the slash.
        Self {
            from: format!("{role}/"),
            to: format!("{role}0"),
        }
    }
}

/// What resources that are reserved consume, by role.
pub(crate) fn reserved(resources: &Resources) -> impl Iterator<Item = (&str, Quantities)> {
    resources.iter().filter_map(|resource| {
        let amount = Quantities::from_iter([(resource.name(), resource.scalar()?)]);
        Some((resource.reservation_role()?, amount))
    })
}

pub(crate) fn less(amounts: &Quantities, others: &Quantities) -> Quantities {
    let mut left = amounts.clone();
    left -= others;
    left
}

/// The smaller amount of each.
pub(crate) fn least(one: &Quantities, other: &Quantities) -> Quantities {
    one.iter()
        .map(|(name, amount)| (name, amount.min(other.get(name))))
        .collect()
}

/// The first part of a role's name.
pub(crate) fn top(role: &str) -> &str {
    role.split('/').next().unwrap_or(role)
}
