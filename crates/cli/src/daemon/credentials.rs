//! Credentials in files that flags name.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use meseta_authentication::{Authenticator, Credential, Credentials, TokenKey};

use crate::flags::{FlagError, Flags};

/// Who may join, by `--credentials`. Without them everybody is refused who wants to authenticate.
pub(super) fn authenticator(flags: &Flags) -> Result<Authenticator, FlagError> {
    // The key makes challenges that nobody can foresee.
    let key = uuid::Uuid::new_v4().into_bytes();
    let credentials = read(flags, "credentials", |text| {
        in_text(text, Credentials::parse)
    })?;
    if credentials.is_none() {
        for name in ["authenticate_agents", "authenticate_frameworks"] {
            if flags.get::<bool>(name)?.unwrap_or_default() {
                tracing::warn!("--{name} without --credentials: all of them are refused");
            }
        }
    }
    Ok(Authenticator::new(credentials.unwrap_or_default(), key))
}

/// What an agent authenticates with, by `--credential`.
pub(super) fn credential(flags: &Flags) -> Result<Option<Credential>, FlagError> {
    read(flags, "credential", |text| in_text(text, Credential::parse))
}

/// What an agent signs its executors' tokens with, by `--jwt_secret_key`: the file as it is.
pub(super) fn executor_key(flags: &Flags) -> Result<Option<TokenKey>, FlagError> {
    read(flags, "jwt_secret_key", |key| match key {
        [] => Err("the file is empty, and what everybody knows proves nothing".into()),
        key => Ok(TokenKey::new(key)),
    })
}

fn in_text<T, E: Display>(
    bytes: &[u8],
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("the file is no text: {e}"))?;
    parse(text).map_err(|error| error.to_string())
}

fn read<T>(
    flags: &Flags,
    name: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, FlagError> {
    let Some(path) = flags.get::<PathBuf>(name)? else {
        return Ok(None);
    };
    let refuse = |reason: String| FlagError::Value {
        name,
        value: path.display().to_string(),
        reason,
    };
    let content = fs::read(&path);
    let content = content.map_err(|e| refuse(format!("failed to read the file: {e}")))?;
    let mode = fs::metadata(&path).map(|m| m.permissions().mode());
    if mode.is_ok_and(|mode| mode & OTHERS != 0) {
        tracing::warn!(
            "permissions of {} are too open: every user of this machine can reach the secrets in it",
            path.display()
        );
    }
    parse(&content).map(Some).map_err(refuse)
}

/// The permissions of those who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;
