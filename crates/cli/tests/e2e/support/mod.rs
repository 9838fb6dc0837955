//! What every end-to-end test stands on.

pub(crate) mod archives;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod custom;
pub(crate) mod daemon;
pub(crate) mod driver;
pub(crate) mod events;
pub(crate) mod examples;
pub(crate) mod gateway;
pub(crate) mod genuine;
pub(crate) mod golden;
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod processes;
pub(crate) mod programs;
pub(crate) mod scheduler;
pub(crate) mod servers;
pub(crate) mod terminal;
pub(crate) mod web;
pub(crate) mod zookeeper;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// How long a test waits for what has to come. Generous: it decides only how long a failure takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something; fails with what was awaited when patience ends.
pub(crate) fn eventually<T>(awaited: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, awaited, look)
}

/// [`eventually`], with a patience of its own.
pub(crate) fn within<T>(
    patience: Duration,
    awaited: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < end,
            "waited {patience:?} in vain for {awaited}"
        );
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// An address that nobody listens at just now: for those who cannot choose a port themselves, and for what
/// is not to be reached.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// Says that a test has nothing to test with here, and why. A test returns after it.
pub(crate) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
