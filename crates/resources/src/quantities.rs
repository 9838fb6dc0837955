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
        other.iter().all(|(name, amount)| self.get(name) >= amount)
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
        for (name, amount) in other.iter() {
            self.add(name, amount);
        }
    }
}

impl SubAssign<&Self> for Quantities {
    fn sub_assign(&mut self, other: &Self) {
        for (name, mine) in &mut self.0 {
            *mine = mine.saturating_sub(other.get(name.as_str()));
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
