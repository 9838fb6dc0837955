/// Why a call was not taken, or a subscription cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address of a master, or of an agent, is none that can be called.
    #[error("'{address}' is no address: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A master or agent refused, and would refuse again.
    #[error("{peer} refused with status {status}: {sentence}")]
    Refused {
        /// The `host:port` (or socket) of who refused.
        peer: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        sentence: String,
    },
    /// A master or what stands before it asks who calls, or does not believe it.
    #[error("{peer} refused with status 401: {sentence}; {}", advice(*has_credential))]
    Unauthenticated {
        /// The `host:port` of who refused.
        peer: String,
        /// What it says.
        sentence: String,
        /// Whether the call said who makes it.
        has_credential: bool,
    },
    /// A credential that cannot be sent.
    #[error("the credential cannot be used: {0}")]
    Credential(&'static str),
    /// TLS cannot be prepared.
    #[error("TLS cannot be used with {what}: {reason}")]
    Tls {
        /// Which files or authorities.
        what: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A text that is to be resources is none.
    #[error("'{text}' cannot be read as resources: {reason}")]
    Resources {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that is to be a regular expression is none.
    #[error("'{text}' cannot be read as a pattern: {reason}")]
    Pattern {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The master leads no more and has not taken the call. The framework is about to be subscribed at
    /// the one that leads.
    #[error("{peer} does not lead any more, {leader} does: the call was not taken")]
    NotLeading {
        /// Who was called.
        peer: String,
        /// Who leads.
        leader: String,
    },
    /// There is no subscription at the moment, so there is nobody to call.
    #[error("not subscribed at the moment")]
    NotSubscribed,
    /// It could not be reached or did not answer. Whether it took the call is unknown.
    #[error("{peer} is not reached: {reason}")]
    Unreachable {
        /// Its `host:port` (or socket).
        peer: String,
        /// What happened.
        reason: String,
    },
    /// A variable of an executor's environment is missing or unreadable.
    #[error("{variable} {reason}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An executor's agent has been away for too long, or for good.
    #[error("the agent at {peer} is lost: {reason}")]
    AgentLost {
        /// Its `host:port`, or its socket.
        peer: String,
        /// What happened last.
        reason: String,
    },
    /// So many updates of an executor wait for confirmation that no more are kept.
    #[error("{0} updates wait for the agent's confirmation already")]
    TooManyUpdates(usize),
    /// A task that could never run.
    #[error("the task '{name}' cannot be kept running: {reason}")]
    Task {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A keeper's store failed, or holds what is none of a keeper's.
    #[error("the store failed at '{key}': {reason}")]
    Store {
        /// The key that was to be read or written.
        key: String,
        /// What happened.
        reason: String,
    },
    /// The master has ended the framework.
    #[error("the master has ended the framework: {0}")]
    EndedByMaster(String),
    /// The framework has ended.
    #[error("the framework has ended")]
    Ended,
}

fn advice(has_credential: bool) -> &'static str {
    if has_credential {
        "it does not accept the credential: compare principal and secret with the file of the master's \
         --credentials, or get another token"
    } else {
        "it asks who calls: give Settings::credential, as Credential::basic(principal, secret) or \
         Credential::bearer(token)"
    }
}
