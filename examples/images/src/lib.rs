//! A framework of three parts that inverts the colours of images:
//!
//! * the [`scheduler`], which launches a task for each image wherever one fits; what it knows of the
//!   images is [`work`], which knows no network,
//! * the [`executor`], a program of its own that agents fetch and start once each, and that works at
//!   many images at a time: it downloads an image, has its colours [inverted](picture) and uploads the
//!   result,
//! * the [file server](server), part of the scheduler's process, which gives out the executor and the
//!   images and takes the results.

pub mod executor;
pub mod limits;
pub mod picture;
pub mod samples;
pub mod scheduler;
pub mod server;
mod transfer;
pub mod work;

/// What the executor says (in `TaskStatus.data`) of an image that another try would not make readable.
pub const UNREADABLE: &[u8] = b"unreadable";
