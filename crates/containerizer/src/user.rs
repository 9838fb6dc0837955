//! Who a name stands for, as the C library's tables say.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::User;
use rustix::process::{Gid, Uid, geteuid};

/// Why a user is not known.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of this name. The sentence is Mesos's: clients see it in status updates.
    #[error("No such user '{0}'")]
    Unknown(String),
    /// The tables of users or groups could not be read.
    #[error("Failed to get user information for '{user}': {source}")]
    Lookup {
        /// The name.
        user: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// A user with the groups that a login would give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: Vec<Gid>,
}

impl Identity {
    pub(crate) fn of(user: &str) -> Result<Self, UserError> {
        let failed = |errno: Errno| UserError::Lookup {
            user: user.to_owned(),
            source: errno.into(),
        };
        let Ok(name) = CString::new(user) else {
            return Err(UserError::Unknown(user.to_owned()));
        };
        let entry = match User::from_name(user) {
            Ok(entry) => entry,
            Err(errno @ (Errno::EIO | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)) => {
                return Err(failed(errno));
            }
            // C libraries differ in what they say of a name that is not in the table.
            Err(_) => None,
        };
        let entry = entry.ok_or_else(|| UserError::Unknown(user.to_owned()))?;
        let groups = nix::unistd::getgrouplist(&name, entry.gid).map_err(failed)?;
        Ok(Self {
            uid: Uid::from_raw(entry.uid.as_raw()),
            gid: Gid::from_raw(entry.gid.as_raw()),
            groups: groups
                .into_iter()
                .map(|group| Gid::from_raw(group.as_raw()))
                .collect(),
        })
    }

    /// Whether this process is that user already and could not become another: then nothing is to
    /// be switched, and the attempt would be refused.
    pub(crate) fn is_ours(&self) -> bool {
        let own = geteuid();
        own == self.uid && !own.is_root()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_with_its_group() {
        let root = Identity::of("root").unwrap();
        assert_eq!((root.uid, root.gid), (Uid::ROOT, Gid::ROOT));
        assert!(root.groups.contains(&Gid::ROOT));
    }

    #[test]
    fn an_unknown_name_gets_the_sentence_of_mesos() {
        for name in ["nosuchuser", "", "with\0nul"] {
            let error = Identity::of(name).unwrap_err();
            assert_eq!(error.to_string(), format!("No such user '{name}'"));
        }
    }
}
