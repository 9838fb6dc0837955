//! Amounts by name, without regard to who holds them: what shares and quota are counted in.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{AddAssign, SubAssign};

use crate::values::Scalar;

/// Scalars by name. A name with nothing of it is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quantities(BTreeMap<String, Scalar>);

impl Quantities {
    /// Nothing of anything.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How much of `name` there is.
    pub fn get(&self, name: &str) -> Scalar {
        self.0.get(name).copied().unwrap_or_default()
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
}

impl AddAssign<&Self> for Quantities {
    fn add_assign(&mut self, other: &Self) {
        self.extend(other.iter());
    }
}

impl SubAssign<&Self> for Quantities {
    fn sub_assign(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            if let Some(mine) = self.0.get_mut(name) {
                *mine = mine.saturating_sub(amount);
                if mine.is_zero() {
                    self.0.remove(name);
                }
            }
        }
    }
}

impl<'a> Extend<(&'a str, Scalar)> for Quantities {
    fn extend<I: IntoIterator<Item = (&'a str, Scalar)>>(&mut self, amounts: I) {
        for (name, amount) in amounts {
            if amount.is_zero() {
                continue;
            }
            if let Some(mine) = self.0.get_mut(name) {
                *mine += amount;
            } else {
                self.0.insert(name.to_owned(), amount);
            }
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
