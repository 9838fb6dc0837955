//! Adding, taking, containing.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::Arc;

use crate::values::Value;
use crate::{Resource, Resources};

impl Resources {
    /// Whether all of `other` is here, and can be taken.
    pub fn contains(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        match &*other.0 {
            [] => true,
            [one] => self.iter().any(|mine| contains_one(mine, one)),
            many => {
                let mut left = self.0.to_vec();
                many.iter().all(|wanted| {
                    left.iter().any(|mine| contains_one(mine, wanted)) && {
                        subtract_one(&mut left, wanted);
                        true
                    }
                })
            }
        }
    }
}

/// Equality is of what they hold: neither order nor how it was put together counts.
impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.contains(other) && other.contains(self))
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Self) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        let mut sum = self.0.to_vec();
        for resource in other {
            add_one(&mut sum, resource);
        }
        self.0 = sum.into();
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if Arc::ptr_eq(&self.0, &other.0) {
            *self = Self::new();
            return;
        }
        let mut left = self.0.to_vec();
        for resource in other {
            subtract_one(&mut left, resource);
        }
        self.0 = left.into();
    }
}

impl Add for &Resources {
    type Output = Resources;

    fn add(self, other: Self) -> Resources {
        let mut sum = self.clone();
        sum += other;
        sum
    }
}

impl Sub for &Resources {
    type Output = Resources;

    fn sub(self, other: Self) -> Resources {
        let mut left = self.clone();
        left -= other;
        left
    }
}

impl<'a> std::iter::Sum<&'a Resources> for Resources {
    /// In one piece of memory, where adding one by one would take another for each of them.
    fn sum<I: Iterator<Item = &'a Resources>>(mut parts: I) -> Self {
        let Some(first) = parts.by_ref().find(|part| !part.is_empty()) else {
            return Self::new();
        };
        let Some(second) = parts.next() else {
            return first.clone();
        };
        let mut sum = first.0.to_vec();
        for resource in std::iter::once(second).chain(parts).flatten() {
            add_one(&mut sum, resource);
        }
        Self(sum.into())
    }
}

/// Adds to the one that it can be added to, or puts it at the end.
pub(crate) fn add_one(resources: &mut Vec<Resource>, other: &Resource) {
    match resources.iter_mut().find(|mine| is_addable(mine, other)) {
        Some(mine) if mine.is_shared() => {
            mine.set_copies(mine.copies().saturating_add(other.copies()));
        }
        Some(mine) => {
            if let Some(sum) = sum(mine.value(), other.value()) {
                mine.set_value(sum);
            }
        }
        None => resources.push(other.clone()),
    }
}

/// Takes from the first that it can be taken from; what is used up leaves the collection.
fn subtract_one(resources: &mut Vec<Resource>, other: &Resource) {
    let Some(position) = resources
        .iter()
        .position(|mine| is_subtractable(mine, other))
    else {
        return;
    };
    let Some(mine) = resources.get_mut(position) else {
        return;
    };
    if mine.is_shared() {
        mine.set_copies(mine.copies().saturating_sub(other.copies()));
    } else if let Some(left) = difference(mine.value(), other.value()) {
        mine.set_value(left);
    }
    if mine.copies() == 0 || mine.value().is_empty() {
        // The last takes its place, as in Mesos, whose order shows in messages.
        resources.swap_remove(position);
    }
}

fn is_addable(mine: &Resource, other: &Resource) -> bool {
    mine.is_same_kind(other)
        && if mine.is_shared() {
            mine.value() == other.value()
        } else {
            !mine.is_indivisible()
        }
}

fn is_subtractable(mine: &Resource, other: &Resource) -> bool {
    mine.is_same_kind(other)
        && (!(mine.is_shared() || mine.is_indivisible()) || mine.value() == other.value())
}

fn contains_one(mine: &Resource, other: &Resource) -> bool {
    is_subtractable(mine, other)
        && mine.copies() >= other.copies()
        && match (mine.value(), other.value()) {
            (Value::Scalar(mine), Value::Scalar(other)) => mine >= other,
            (Value::Ranges(mine), Value::Ranges(other)) => mine.contains(other),
            (Value::Set(mine), Value::Set(other)) => mine.contains(other),
            _ => false,
        }
}

pub(crate) fn sum(left: &Value, right: &Value) -> Option<Value> {
    Some(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(*left + *right),
        (Value::Ranges(left), Value::Ranges(right)) => Value::Ranges(left.union(right)),
        (Value::Set(left), Value::Set(right)) => Value::Set(left.union(right)),
        _ => return None,
    })
}

fn difference(left: &Value, right: &Value) -> Option<Value> {
    Some(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(left.saturating_sub(*right)),
        (Value::Ranges(left), Value::Ranges(right)) => Value::Ranges(left.difference(right)),
        (Value::Set(left), Value::Set(right)) => Value::Set(left.difference(right)),
        _ => return None,
    })
}
