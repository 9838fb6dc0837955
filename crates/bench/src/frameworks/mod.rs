//! Emulated frameworks: schedulers of the v1 API as state machines.
//!
//! A [`Scheduler`] takes events and gives calls. What it does with offers is its [`Policy`], which a
//! scenario changes as it goes. What it sees it counts in the [`Book`] that all of a crowd share.

mod book;
mod calls;
mod policy;
mod scheduler;

pub(crate) use book::Book;
pub(crate) use calls::{Encoding, decode_event, encode};
pub(crate) use policy::{Command, Policy, Work};
pub(crate) use scheduler::{Scheduler, framework_info};
