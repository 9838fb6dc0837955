//! Bounds on what clients can make the allocator remember.

use std::time::Duration;

/// The longest that a filter holds, as in Mesos; more is cut to it.
pub const MAX_REFUSAL: Duration = Duration::from_hours(365 * 24);

/// Filters that one framework may have at once for one role on one agent. Frameworks decline the
/// same few offers again and again; beyond this the filter that ends first is dropped, which costs
/// the framework one more offer.
pub const MAX_FILTERS: usize = 16;

/// Size of one compiled pattern of an offer constraint, in bytes.
pub const MAX_PATTERN_SIZE: usize = 64 * 1024;
