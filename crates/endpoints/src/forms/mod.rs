//! The v0 forms of JSON: flat ids, resources as an object, `slave_id`.
//!
//! A form borrows a record. What it writes is an object's entries ([`Entries`]), so that one form
//! can go on where another ends, and [`Object`] puts the braces around them.

mod agent;
mod executor;
mod resources;
mod task;

pub use agent::{Agent, Attributes, Build, Domain, Master};
pub use executor::{Command, Executor, write_executor_rest};
pub use resources::{Amounts, Full, FullByRole, Quantity, Summary, SummaryByRole, quantities};
pub use task::{Labels, QueuedTask, Task};

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Writes the entries of a JSON object.
pub trait Entries {
    /// Writes them into the object.
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

impl<T: Entries> Entries for &T {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        (**self).write(map)
    }
}

/// The object of some entries.
#[derive(Debug, Clone, Copy)]
pub struct Object<T>(pub T);

impl<T: Entries> Serialize for Object<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write(&mut map)?;
        map.end()
    }
}

/// The array of what a function's iterator gives.
pub struct Each<F>(pub F);

impl<F> std::fmt::Debug for Each<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Each")
    }
}

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// An array without elements, where Mesos has nothing to show any more.
pub const NONE: [(); 0] = [];

/// A moment, as v0 shows it: seconds since the Unix epoch.
pub fn seconds(moment: Duration) -> f64 {
    moment.as_secs_f64()
}
