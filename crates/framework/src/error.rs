/// Why a call was not taken, or a subscription cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A master refused, and would refuse again.
    #[error("{master} refused with status {status}: {sentence}")]
    Refused {
        /// The master's `host:port`.
        master: String,
        /// The HTTP status.
        status: u16,
        /// What the master says.
        sentence: String,
    },
    /// There is no subscription at the moment, so there is no master to call.
    #[error("not subscribed at the moment")]
    NotSubscribed,
    /// The master could not be reached or did not answer. Whether it took the call is unknown.
    #[error("{master} is not reached: {reason}")]
    Unreachable {
        /// The master's `host:port`.
        master: String,
        /// What happened.
        reason: String,
    },
}
