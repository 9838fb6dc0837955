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

/// Near misses in one answer to why there are no offers, so that it can be read.
pub const MAX_NEAREST: usize = 100;

/// New clients up to which each agent is looked at for them alone. With more, a walk through all
/// clients in order costs less than putting them in order for each agent.
pub(crate) const FEW_CLIENTS: usize = 8;

/// Agents that are looked at again because of what was declined or of filters that ran out, for each
/// millisecond. It is ten thousand a second: what Mesos does with its largest clusters, which looks at
/// every agent once a second. It keeps frameworks that decline everything from taking all of the
/// master's time.
pub(crate) const REPEATED_PER_MILLISECOND: u64 = 10;

/// How many of them may come together, after a time with fewer: no one waits long behind them.
pub(crate) const MAX_REPEATED_AT_ONCE: u64 = 500;

/// Of so many turns one is for the agent that has waited longest. Few, because an agent that goes on
/// from client to client is declined by all the sooner.
pub(crate) const LONGEST_WAIT_EVERY: u64 = 8;
