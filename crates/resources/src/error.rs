/// Why text or a message is not a collection of resources or attributes. The sentences are those of
/// Mesos wherever a client or an operator can meet them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not have the form of resources.
    #[error("{0}")]
    Syntax(String),
    /// Well-formed, but no valid resource.
    #[error("{0}")]
    Invalid(String),
    /// Valid as a resource, but not at the place where it stands.
    #[error("{0}")]
    NotAllowed(String),
}
