//! Figures: distributions of times, and what processes use.

mod distribution;
mod process;

pub(crate) use distribution::Distribution;
pub(crate) use process::{ProcessError, Usage, Watched, listener_of, own_cpu};
