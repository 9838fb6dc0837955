//! What the agent tells an executor by its environment.

use std::path::PathBuf;
use std::time::Duration;

use meseta_proto::duration;

use crate::connection::{Endpoint, Target};
use crate::credential::sensitive;
use crate::limits::{DEFAULT_RECOVERY_TIMEOUT, DEFAULT_SHUTDOWN_GRACE, LONGEST_PAUSE};
use crate::v1::{AgentId, ExecutorId, FrameworkId};
use crate::{Encoding, Error};

/// Who this executor is, and where its agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The framework whose tasks these are.
    pub framework_id: FrameworkId,
    /// This executor.
    pub executor_id: ExecutorId,
    /// The agent.
    pub agent_id: AgentId,
    /// The folder for what tasks write, as this process sees it.
    pub sandbox: PathBuf,
    /// How long tasks may take to end after a `SHUTDOWN` event; then the agent kills.
    pub shutdown_grace: Duration,
    /// Whether and for how long to wait for an agent that is gone.
    pub recovery: Option<Recovery>,
    /// How calls and events are written.
    pub encoding: Encoding,
    pub(super) endpoint: Endpoint,
    pub(super) path: String,
    pub(super) token: Option<http::HeaderValue>,
}

/// How to wait for an agent that restarts. Only executors of frameworks with checkpointing do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// An agent that is away for longer has given the executor up.
    pub timeout: Duration,
    /// The longest pause between two attempts.
    pub longest_pause: Duration,
}

impl Settings {
    /// Reads this process's environment, which the agent has made.
    ///
    /// # Errors
    /// [`Error::Environment`] when a variable is missing or unreadable.
    pub fn from_environment() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere.
    ///
    /// # Errors
    /// [`Error::Environment`] when a variable is missing or unreadable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let wrong = |variable, reason| Error::Environment { variable, reason };
        let required = |name| {
            variable(name).ok_or(wrong(
                name,
                "is not set: agents set it for the executors they start",
            ))
        };
        let duration = |name, default| match variable(name) {
            None => Ok(default),
            Some(text) => duration::parse(&text)
                .map_err(|_| wrong(name, "is not a duration, such as 5secs or 15mins")),
        };
        let endpoint = match variable("MESOS_DOMAIN_SOCKET") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(required("MESOS_AGENT_ENDPOINT")?),
        };
        // Several agents in one process are told apart by their process ids: `slave(2)@host:port`.
        let pid = variable("MESOS_SLAVE_PID");
        let process = pid.as_deref().and_then(|pid| pid.split_once('@'));
        let path = format!(
            "/{}/api/v1/executor",
            process.map_or("slave(1)", |(process, _)| process)
        );
        let recovery = match variable("MESOS_CHECKPOINT").as_deref() {
            Some("1") => Some(Recovery {
                timeout: duration("MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_TIMEOUT)?,
                longest_pause: duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", LONGEST_PAUSE)?,
            }),
            _ => None,
        };
        let sandbox = variable("MESOS_SANDBOX").map_or_else(|| required("MESOS_DIRECTORY"), Ok)?;
        let token = variable("MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
        Ok(Self {
            framework_id: required("MESOS_FRAMEWORK_ID")?.into(),
            executor_id: required("MESOS_EXECUTOR_ID")?.into(),
            agent_id: required("MESOS_SLAVE_ID")?.into(),
            sandbox: sandbox.into(),
            shutdown_grace: duration(
                "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                DEFAULT_SHUTDOWN_GRACE,
            )?,
            recovery,
            encoding: Encoding::default(),
            endpoint,
            path,
            token: token.and_then(|token| sensitive(&format!("Bearer {token}"))),
        })
    }

    pub(super) fn target(&self) -> Target {
        Target {
            endpoint: self.endpoint.clone(),
            path: self.path.clone(),
            encoding: self.encoding,
            authorization: self.token.clone(),
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [(&str, &str); 5] = [
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_SLAVE_ID", "a"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_DIRECTORY", "/sandbox"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_variables(|name| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn the_least_that_agents_tell_is_enough() {
        let settings = read(&LEAST).unwrap();
        assert_eq!(settings.executor_id, "e".into());
        assert_eq!(settings.endpoint, Endpoint::Tcp("127.0.0.1:5051".into()));
        assert_eq!(settings.path, "/slave(1)/api/v1/executor");
        assert_eq!(settings.sandbox, PathBuf::from("/sandbox"));
        assert_eq!(settings.shutdown_grace, Duration::from_secs(5));
        assert_eq!((settings.recovery, settings.token), (None, None));
    }

    #[test]
    fn socket_process_recovery_and_token_are_taken_from_the_agent() {
        let more = [
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_RECOVERY_TIMEOUT", "1mins"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            ("MESOS_DOMAIN_SOCKET", "/run/agent.sock"),
            ("MESOS_SLAVE_PID", "slave(2)@127.0.0.1:5052"),
            ("MESOS_SANDBOX", "/mnt/mesos/sandbox"),
            ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "hush"),
        ];
        let settings = read(&[&LEAST[..], &more].concat()).unwrap();
        assert_eq!(settings.endpoint, Endpoint::Unix("/run/agent.sock".into()));
        assert_eq!(settings.path, "/slave(2)/api/v1/executor");
        assert_eq!(settings.sandbox, PathBuf::from("/mnt/mesos/sandbox"));
        let recovery = Recovery {
            timeout: Duration::from_mins(1),
            longest_pause: Duration::from_secs(2),
        };
        assert_eq!(settings.recovery, Some(recovery));
        assert_eq!(settings.token.as_ref().unwrap(), "Bearer hush");
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn what_is_missing_or_unreadable_is_named() {
        let error = read(&LEAST[1..]).unwrap_err().to_string();
        assert!(
            error.starts_with("MESOS_FRAMEWORK_ID is not set"),
            "{error}"
        );
        let wrong = [("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon")];
        let error = read(&[&LEAST[..], &wrong].concat())
            .unwrap_err()
            .to_string();
        assert!(error.contains("GRACE_PERIOD is not a duration"), "{error}");
    }
}
