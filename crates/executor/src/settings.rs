//! What the agent tells an executor by its environment.

use std::path::PathBuf;
use std::time::Duration;

use meseta_proto::v1::{ExecutorId, FrameworkId};

use crate::duration::{DurationError, parse_duration};
use crate::limits::{DEFAULT_BACKOFF_MAX, DEFAULT_RECOVERY_TIMEOUT, DEFAULT_SHUTDOWN_GRACE};
use crate::machine::{Identity, Recovery};

/// Holds the executor's own secret, which its task must not see.
pub(crate) const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`.
    Tcp(String),
    /// The path of a socket in the file system.
    Unix(PathBuf),
}

/// The settings of one executor.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the agent listens.
    pub agent: Endpoint,
    /// Who this executor is, and how it is to behave.
    pub identity: Identity,
    /// The task's working directory; its own if unset.
    pub sandbox: Option<PathBuf>,
    /// The secret that proves the identity to the agent.
    pub token: Option<String>,
}

/// Leaves the secret out.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("agent", &self.agent)
            .field("identity", &self.identity)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}

/// Why an environment is not an executor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Started by something other than an agent.
    #[error("Expecting '{0}' to be set in the environment: agents set it for the executors they start")]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("Failed to parse the value of '{variable}': {error}")]
    Duration {
        /// The variable's name.
        variable: &'static str,
        /// What is wrong with its value.
        error: DurationError,
    },
}

impl Settings {
    /// Reads the settings from variables.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let required = |name| variable(name).ok_or(SettingsError::Missing(name));
        let duration = |name: &'static str, default: Duration| match variable(name) {
            None => Ok(default),
            Some(text) => parse_duration(&text).map_err(|error| SettingsError::Duration {
                variable: name,
                error,
            }),
        };

        let framework_id: FrameworkId = required("MESOS_FRAMEWORK_ID")?.into();
        let executor_id: ExecutorId = required("MESOS_EXECUTOR_ID")?.into();
        let agent = match variable("MESOS_DOMAIN_SOCKET") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(required("MESOS_AGENT_ENDPOINT")?),
        };
        let recovery = if variable("MESOS_CHECKPOINT").as_deref() == Some("1") {
            Some(Recovery {
                timeout: duration("MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_TIMEOUT)?,
                backoff_max: duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", DEFAULT_BACKOFF_MAX)?,
            })
        } else {
            None
        };
        let shutdown_grace =
            duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", DEFAULT_SHUTDOWN_GRACE)?;
        Ok(Self {
            agent,
            identity: Identity {
                framework_id,
                executor_id,
                shutdown_grace,
                recovery,
            },
            sandbox: variable("MESOS_SANDBOX")
                .or_else(|| variable("MESOS_DIRECTORY"))
                .map(PathBuf::from),
            token: variable(TOKEN_VARIABLE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_environment(|name| {
            let (_, value) = variables.iter().find(|(n, _)| *n == name)?;
            Some((*value).to_owned())
        })
    }

    const LEAST: [(&str, &str); 3] = [
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "t"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
    ];

    #[test]
    fn without_checkpointing_an_executor_does_not_outlive_its_agent() {
        let settings = read(&LEAST).unwrap();
        assert_eq!(settings.agent, Endpoint::Tcp("127.0.0.1:5051".into()));
        assert_eq!(settings.identity.recovery, None);
        assert_eq!(settings.identity.shutdown_grace, Duration::from_secs(5));
    }

    #[test]
    fn with_checkpointing_it_waits_as_long_as_the_agent_says() {
        let mut variables = LEAST.to_vec();
        variables.extend([
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_RECOVERY_TIMEOUT", "15mins"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ("MESOS_DOMAIN_SOCKET", "/run/agent.sock"),
        ]);
        let settings = read(&variables).unwrap();
        assert_eq!(settings.agent, Endpoint::Unix("/run/agent.sock".into()));
        assert_eq!(
            settings.identity.recovery,
            Some(Recovery {
                timeout: Duration::from_secs(900),
                backoff_max: Duration::from_secs(2),
            })
        );
    }

    #[test]
    fn what_is_missing_or_unreadable_is_named() {
        assert_eq!(
            read(&LEAST[1..]),
            Err(SettingsError::Missing("MESOS_FRAMEWORK_ID"))
        );
        let mut variables = LEAST.to_vec();
        variables.push(("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon"));
        let error = read(&variables).unwrap_err().to_string();
        assert!(error.contains("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), "{error}");
        assert!(error.contains("'soon'"), "{error}");
    }

    #[test]
    fn the_secret_is_not_printed() {
        let mut variables = LEAST.to_vec();
        variables.push((TOKEN_VARIABLE, "hush"));
        assert!(!format!("{:?}", read(&variables).unwrap()).contains("hush"));
    }
}
