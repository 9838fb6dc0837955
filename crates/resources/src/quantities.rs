//! Amounts by name, without regard to who holds them: what shares and quota are counted in.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

use smallvec::SmallVec;

use crate::name::Name;
use crate::values::Scalar;

/// Scalars by name. A name with nothing of it is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantities(
    /// In the order of names. Most have cpus, mem and disk, which fit without memory of their own:
    /// allocation makes and compares millions of these.
    SmallVec<[(Name, Scalar); 4]>,
);

impl Quantities {
    /// Nothing of anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much of `name` there is.
    pub fn get(&self, name: &str) -> Scalar {
        let found = self.iter().find(|(mine, _)| *mine == name);
        found.map_or(Scalar::ZERO, |(_, amount)| amount)
    }

    /// The names with their amounts, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Scalar)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is as much of everything as in `other`.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|(name, amount)| {
            let mine = self.0.iter().find(|(mine, _)| mine == name);
            mine.is_some_and(|(_, mine)| mine >= amount)
        })
    }

    /// The larger amount of each.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        let mut result = self.clone();
        for (name, amount) in other.iter() {
            result.add(name, amount.saturating_sub(self.get(name)));
        }
        result
    }

    /// The dominant share: the largest fraction that this is of what `total` has of anything.
    pub fn share_of(&self, total: &Self) -> f64 {
        let mut dominant: f64 = 0.0;
        let mut mine = self.0.iter().peekable();
        for (name, amount) in &total.0 {
            while mine.next_if(|(before, _)| before < name).is_some() {}
            if let Some((_, held)) = mine.next_if(|(same, _)| same == name) {
                #[allow(clippy::cast_precision_loss, reason = "a fraction needs no more")]
                let (held, all) = (held.thousandths() as f64, amount.thousandths() as f64);
                dominant = dominant.max(held / all);
            }
        }
        dominant
    }

    fn add(&mut self, name: &str, amount: Scalar) {
        if amount.is_zero() {
            return;
        }
        let place = self.0.binary_search_by(|(mine, _)| mine.as_str().cmp(name));
        match place {
            Ok(place) => {
                if let Some((_, mine)) = self.0.get_mut(place) {
                    *mine += amount;
                }
            }
            Err(place) => self.0.insert(place, (Name::new(name), amount)),
        }
    }
}

impl AddAssign<&Self> for Quantities {
    fn add_assign(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            match self.0.iter_mut().find(|(mine, _)| mine == name) {
                Some((_, mine)) => *mine += *amount,
                None => self.add(name.as_str(), *amount),
            }
        }
    }
}

impl SubAssign<&Self> for Quantities {
    fn sub_assign(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        for (name, mine) in &mut self.0 {
            if let Some((_, theirs)) = other.0.iter().find(|(theirs, _)| theirs == name) {
                *mine = mine.saturating_sub(*theirs);
            }
        }
        self.0.retain(|(_, amount)| !amount.is_zero());
    }
}

impl<'a> Extend<(&'a str, Scalar)> for Quantities {
    fn extend<I: IntoIterator<Item = (&'a str, Scalar)>>(&mut self, amounts: I) {
        for (name, amount) in amounts {
            self.add(name, amount);
        }
    }
}

impl<'a> FromIterator<(&'a str, Scalar)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (&'a str, Scalar)>>(amounts: I) -> Self {
        let mut result = Self::new();
        result.extend(amounts);
        result
    }
}

/// The most that there may be, by name. A name that is not here has no limit; one may be limited to
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits(
    /// In the order of names.
    SmallVec<[(Name, Scalar); 4]>,
);

impl Limits {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit of `name`, if it has one.
    pub fn get(&self, name: &str) -> Option<Scalar> {
        let found = self.iter().find(|(mine, _)| *mine == name);
        found.map(|(_, limit)| limit)
    }

    /// The names with their limits, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Scalar)> {
        self.0.iter().map(|(name, limit)| (name.as_str(), *limit))
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the amounts are within the limits.
    pub fn contain(&self, amounts: &Quantities) -> bool {
        self.iter().all(|(name, limit)| amounts.get(name) <= limit)
    }

    /// What is left below the limits.
    #[must_use]
    pub fn less(&self, consumed: &Quantities) -> Self {
        let mut left = self.clone();
        for (name, limit) in &mut left.0 {
            *limit = limit.saturating_sub(consumed.get(name.as_str()));
        }
        left
    }

    /// Limits `name` to `limit`, unless it is limited to less already.
    pub fn tighten(&mut self, name: &str, limit: Scalar) {
        match self.0.binary_search_by(|(mine, _)| mine.as_str().cmp(name)) {
            Ok(place) => {
                if let Some((_, mine)) = self.0.get_mut(place) {
                    *mine = limit.min(*mine);
                }
            }
            Err(place) => self.0.insert(place, (Name::new(name), limit)),
        }
    }

    /// As much of `wanted` as is within the limit of `name`, which becomes smaller by it.
    pub(crate) fn draw(&mut self, name: &Name, wanted: Scalar) -> Scalar {
        match self.0.iter_mut().find(|(mine, _)| mine == name) {
            None => wanted,
            Some((_, limit)) => {
                let drawn = wanted.min(*limit);
                *limit = limit.saturating_sub(drawn);
                drawn
            }
        }
    }
}

impl<'a> FromIterator<(&'a str, Scalar)> for Limits {
    fn from_iter<I: IntoIterator<Item = (&'a str, Scalar)>>(limits: I) -> Self {
        let mut result = Self::new();
        for (name, limit) in limits {
            result.tighten(name, limit);
        }
        result
    }
}

/// As Mesos prints them: `cpus:1; mem:32`, `{}` for nothing.
impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (i, (name, amount)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{name}:{amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(amounts: &[(&str, i64)]) -> Quantities {
        let amounts = amounts.iter().copied();
        amounts
            .map(|(name, amount)| (name, Scalar::from_thousandths(amount)))
            .collect()
    }

    #[test]
    fn the_dominant_share_is_the_largest_fraction_of_what_there_is() {
        let total = quantities(&[("cpus", 10_000), ("disk", 10), ("mem", 1000)]);
        let share = |amounts| quantities(amounts).share_of(&total).to_bits();
        assert_eq!(share(&[]), 0.0_f64.to_bits());
        assert_eq!(share(&[("cpus", 5000), ("mem", 100)]), 0.5_f64.to_bits());
        assert_eq!(share(&[("mem", 250)]), 0.25_f64.to_bits());
        assert_eq!(share(&[("blimps", 9000)]), 0.0_f64.to_bits());
    }

    #[test]
    fn a_limit_of_nothing_is_not_no_limit() {
        let mut limits: Limits = [("cpus", Scalar::ZERO)].into_iter().collect();
        assert!(limits.contain(&quantities(&[("mem", 1)])));
        assert!(!limits.contain(&quantities(&[("cpus", 1)])));
        limits.tighten("mem", Scalar::from_thousandths(5));
        let left = limits.less(&quantities(&[("mem", 2)]));
        assert_eq!(left.get("mem"), Some(Scalar::from_thousandths(3)));
        assert_eq!(left.get("disk"), None);
    }
}
