//! Bounds on what a collection of resources may hold.

/// Intervals in one resource. Ports are at most 65,536 numbers, so at most half as many intervals
/// that do not touch; nothing real needs more.
pub const MAX_RANGES: usize = 32_768;

/// Items in one set resource.
pub const MAX_SET_ITEMS: usize = 32_768;

/// Resources in one message. Mesos's own benchmarks go to some thousands on an agent (one for
/// each volume or refined reservation); adding one costs a look at all others.
pub const MAX_RESOURCES: usize = 16_384;
