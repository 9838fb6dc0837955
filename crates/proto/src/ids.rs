//! Ids are one-string messages; these make them as handy as strings without being strings.

use std::fmt;

use crate::v1::{
    AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId,
};

macro_rules! id {
    ($($name:ident),*) => {$(
        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.value
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.value)
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self { value }
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self { value: value.to_owned() }
            }
        }
    )*};
}

id!(
    AgentId,
    ExecutorId,
    FrameworkId,
    OfferId,
    OperationId,
    ResourceProviderId,
    TaskId
);

impl From<&str> for ContainerId {
    fn from(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            parent: None,
        }
    }
}

impl ContainerId {
    /// The container that this one is in, however deep; itself, if it is in none.
    pub fn root(&self) -> &Self {
        self.lineage().last().unwrap_or(self)
    }

    /// This container, the one that it is in, and so on to the root.
    pub fn lineage(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |id| id.parent.as_deref())
    }
}

/// As Mesos prints nested containers: `parent.child`.
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(&self.value)
    }
}
