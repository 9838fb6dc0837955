//! What every state machine of Meseta shares.
//!
//! A machine is deterministic: it takes the time and an input, and appends actions to a list. It
//! owns no socket, file, clock, thread or source of randomness. Its shell (in the `cli` crate)
//! turns the world into inputs and carries actions out, in the order in which they were given.
//!
//! ```
//! use std::time::Duration;
//! use meseta_machine::{Now, Timers};
//!
//! let mut timers = Timers::default();
//! timers.set("heartbeat", Duration::from_secs(15));
//! let now = Now { monotonic: Duration::from_secs(20), wall: Duration::from_secs(1_700_000_020) };
//! assert_eq!(timers.pop_due(now), Some("heartbeat"));
//! assert_eq!(timers.next_due(), None);
//! ```

mod entropy;
mod reply;
mod timers;
mod uuids;

pub use entropy::Entropy;
pub use reply::{ContentType, Reply};
pub use timers::Timers;
pub use uuids::is_uuid;

use std::fmt;
use std::time::Duration;

/// The time of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since some fixed moment in this process's life; never goes back. Timers run on it.
    pub monotonic: Duration,
    /// Since the Unix epoch, for the times that users see.
    pub wall: Duration,
}

impl Now {
    /// Seconds since the Unix epoch, as protocol fields want it.
    pub fn unix_seconds(self) -> f64 {
        self.wall.as_secs_f64()
    }

    /// Nanoseconds since the Unix epoch, as `TimeInfo` wants it; saturates in the year 2262.
    pub fn unix_nanoseconds(self) -> i64 {
        i64::try_from(self.wall.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A request that waits for its reply. The shell numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An event stream to a subscriber: the value of its `Mesos-Stream-Id`, a random UUID by the shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub String);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
