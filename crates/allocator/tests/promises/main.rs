//! What the allocator promises, one promise a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not there fails the test"
)]

mod builders;
mod maintenance;
mod order;
mod quota;
mod reasons;
mod recovery;
mod sharing;
mod volumes;
