//! What the agent tells an executor by its environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use meseta_proto::duration::{self, DurationError};

use crate::limits::{DEFAULT_BACKOFF_MAX, DEFAULT_RECOVERY_TIMEOUT, DEFAULT_SHUTDOWN_GRACE};
use crate::machine::{Identity, Recovery};

/// Holds the executor's own secret, which its task must not see.
pub(crate) const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `host:port`.
    Tcp(String),
    /// The path of a socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// The host that requests name.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp(address) => address,
            Self::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The settings of one executor.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where the agent listens.
    pub(crate) agent: Endpoint,
    /// Where on the agent calls are posted.
    pub(crate) path: String,
    /// Who this executor is, and how it is to behave.
    pub(crate) identity: Identity,
    /// The task's working directory; its own if unset.
    pub(crate) sandbox: Option<PathBuf>,
    /// The address at which others find what runs in the executor's container.
    pub(crate) container_ip: String,
    /// The secret that proves the identity to the agent.
    pub(crate) token: Option<String>,
}

/// Leaves the secret out.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("agent", &self.agent)
            .field("path", &self.path)
            .field("identity", &self.identity)
            .field("sandbox", &self.sandbox)
            .field("container_ip", &self.container_ip)
            .finish_non_exhaustive()
    }
}

/// Why an environment is not an executor's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Started by something other than an agent.
    #[error(
        "Expecting '{0}' to be set in the environment: agents set it for the executors they start"
    )]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("Failed to parse the value '{value}' of '{variable}': {error}")]
    Duration {
        /// The variable's name.
        variable: &'static str,
        /// What was found in it.
        value: String,
        /// What is wrong with its value.
        error: DurationError,
    },
}

impl Settings {
    /// Where on the agent calls of its own API are posted.
    pub(crate) fn operator_path(&self) -> String {
        let path = self.path.strip_suffix("/executor").unwrap_or(&self.path);
        path.to_owned()
    }

    /// Reads the settings from variables.
    pub(crate) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let required = |name| variable(name).ok_or(SettingsError::Missing(name));
        let duration = |name: &'static str, default: Duration| match variable(name) {
            None => Ok(default),
            Some(value) => duration::parse(&value).map_err(|error| SettingsError::Duration {
                variable: name,
                value,
                error,
            }),
        };

        let framework_id = required("MESOS_FRAMEWORK_ID")?.into();
        let executor_id = required("MESOS_EXECUTOR_ID")?.into();
        let agent = match variable("MESOS_DOMAIN_SOCKET") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(required("MESOS_AGENT_ENDPOINT")?),
        };
        // Several agents in one process are told apart by their process ids: `slave(2)@host:port`.
        let pid = variable("MESOS_SLAVE_PID");
        let id = pid
            .as_deref()
            .and_then(|pid| pid.split_once('@'))
            .map_or("slave(1)", |(id, _)| id);
        let container_ip = variable("LIBPROCESS_IP").unwrap_or_else(|| {
            // Containers share the agent's network as long as none has one of its own.
            let address = pid.as_deref().and_then(|pid| pid.split_once('@'));
            let host = address.and_then(|(_, address)| address.rsplit_once(':'));
            host.map_or("127.0.0.1", |(host, _)| host).to_owned()
        });
        let path = format!("/{id}/api/v1/executor");
        let recovery = if variable("MESOS_CHECKPOINT").as_deref() == Some("1") {
            Some(Recovery {
                timeout: duration("MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_TIMEOUT)?,
                backoff_max: duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", DEFAULT_BACKOFF_MAX)?,
            })
        } else {
            None
        };
        let shutdown_grace = duration(
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
            DEFAULT_SHUTDOWN_GRACE,
        )?;
        Ok(Self {
            agent,
            path,
            identity: Identity {
                framework_id,
                executor_id,
                shutdown_grace,
                recovery,
            },
            sandbox: variable("MESOS_SANDBOX")
                .or_else(|| variable("MESOS_DIRECTORY"))
                .map(PathBuf::from),
            container_ip,
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
        assert_eq!(settings.path, "/slave(1)/api/v1/executor");
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
            ("MESOS_SLAVE_PID", "slave(2)@127.0.0.1:5052"),
        ]);
        let settings = read(&variables).unwrap();
        assert_eq!(settings.agent, Endpoint::Unix("/run/agent.sock".into()));
        assert_eq!(settings.path, "/slave(2)/api/v1/executor");
        assert_eq!(settings.operator_path(), "/slave(2)/api/v1");
        assert_eq!(settings.container_ip, "127.0.0.1");
        assert_eq!(
            settings.identity.recovery,
            Some(Recovery {
                timeout: Duration::from_mins(15),
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
        assert!(
            error.contains("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"),
            "{error}"
        );
        assert!(error.contains("'soon'"), "{error}");
    }

    #[test]
    fn the_secret_is_not_printed() {
        let mut variables = LEAST.to_vec();
        variables.push((TOKEN_VARIABLE, "hush"));
        assert!(!format!("{:?}", read(&variables).unwrap()).contains("hush"));
    }
}
