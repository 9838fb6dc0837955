//! The resource algebra of Mesos.
//!
//! [`Resources`] is what an agent has, an offer holds and a task uses. It is kept in the form that
//! Mesos calls post-refinement (no `role`, a stack of `reservations`), with scalars in thousandths,
//! ranges merged and sets without repetition, and it shares its memory with its clones.
//!
//! ```
//! use meseta_resources::Resources;
//!
//! let agent = Resources::parse("cpus:4;mem:4096;ports:[31000-32000]", "*")?;
//! let task = Resources::parse("cpus:0.1;mem:32;ports:[31000-31000]", "*")?;
//! assert!(agent.contains(&task));
//! let left = &agent - &task;
//! assert_eq!(left.to_string(), "cpus:3.9; mem:4064; ports:[31001-32000]");
//! assert_eq!(&left + &task, agent);
//! # Ok::<(), meseta_resources::Error>(())
//! ```
//!
//! Beside the algebra: [`roles`] (names and their hierarchy), [`validate`] (what a client may send),
//! [`Quantities`] and [`Limits`] (amounts by name, for sharing and quota), [`upgrade`] and [`downgrade`] (the forms
//! on the wire), [`conversions`] (what operations on offers make of resources), [`parse_attributes`], and [`Summary`] (resources as the v0 endpoints show them).

mod algebra;
mod attributes;
mod error;
mod format;
pub mod limits;
mod name;
mod number;
mod operation;
mod parse;
mod quantities;
mod resource;
mod resources;
pub mod roles;
mod summary;
mod validate;
mod values;

pub use attributes::{attribute_summary, parse_attributes};
pub use error::Error;
pub use format::{downgrade, to_endpoint, upgrade};
pub use operation::{Conversion, conversions, without_volume};
pub use quantities::{Limits, Quantities};
pub use resource::Resource;
pub use resources::Resources;
pub use summary::{Summary, SummaryValue};
pub use validate::{validate, validate_one};
pub use values::{Range, Ranges, Scalar, Set, Value, parse_value};
