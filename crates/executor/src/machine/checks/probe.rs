//! What a probe does, and what it can see.

use meseta_proto::v1::network_info::Protocol;
use meseta_proto::v1::{
    CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, TaskInfo, check_info, check_status_info,
    health_check,
};

use super::super::Launch;
use super::super::command::variables;

/// What to do to learn how the task is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Probe {
    /// Run this to its end.
    Command(Launch),
    /// Ask for this.
    Http(HttpProbe),
    /// Connect to this `host:port`.
    Tcp(String),
}

/// An address of the task's own server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpProbe {
    pub(crate) scheme: Scheme,
    /// `host:port`.
    pub(crate) authority: String,
    pub(crate) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// What a probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observation {
    /// The command ended by itself, with this status.
    Exited(i32),
    /// The server answered with this status.
    Answered(u16),
    /// Whether a connection could be made.
    Connected(bool),
}

impl Observation {
    /// What it means for the task's health.
    pub(super) fn healthy(self) -> Result<(), String> {
        match self {
            Self::Exited(0) | Self::Answered(200..400) | Self::Connected(true) => Ok(()),
            Self::Exited(status) => Err(format!("Command exited with status {status}")),
            Self::Answered(status) => Err(format!("Unexpected HTTP response code: {status}")),
            Self::Connected(false) => Err("TCP connection failed".into()),
        }
    }

    pub(super) fn into_status(self, kind: check_info::Type) -> CheckStatusInfo {
        let mut status = CheckStatusInfo {
            r#type: Some(kind.into()),
            ..CheckStatusInfo::default()
        };
        match self {
            Self::Exited(code) => {
                let exit_code = Some(code);
                status.command = Some(check_status_info::Command { exit_code });
            }
            Self::Answered(code) => {
                let status_code = Some(code.into());
                status.http = Some(check_status_info::Http { status_code });
            }
            Self::Connected(connected) => {
                let succeeded = Some(connected);
                status.tcp = Some(check_status_info::Tcp { succeeded });
            }
        }
        status
    }
}

impl Probe {
    pub(super) fn of_check(check: &CheckInfo, task: &TaskInfo) -> Result<Self, String> {
        match check.r#type() {
            check_info::Type::Command => {
                let command = check.command.as_ref().map(|check| &check.command);
                command_probe(command, task, "check")
            }
            check_info::Type::Http => {
                let http = check
                    .http
                    .as_ref()
                    .ok_or_else(|| missing("http", "HTTP check"))?;
                http_probe(
                    None,
                    Protocol::IPv4,
                    http.port,
                    http.path.as_deref(),
                    "check",
                )
            }
            check_info::Type::Tcp => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| missing("tcp", "TCP check"))?;
                Ok(Self::Tcp(authority(Protocol::IPv4, tcp.port)))
            }
            check_info::Type::Unknown => Err("'UNKNOWN' is not a valid check type".into()),
        }
    }

    pub(super) fn of_health_check(check: &HealthCheck, task: &TaskInfo) -> Result<Self, String> {
        match check.r#type() {
            health_check::Type::Command => {
                command_probe(check.command.as_ref(), task, "health check")
            }
            health_check::Type::Http => {
                let http = check
                    .http
                    .as_ref()
                    .ok_or_else(|| missing("http", "HTTP health check"))?;
                let scheme = http.scheme.as_deref();
                let path = http.path.as_deref();
                http_probe(scheme, http.protocol(), http.port, path, "health check")
            }
            health_check::Type::Tcp => {
                let tcp = check
                    .tcp
                    .as_ref()
                    .ok_or_else(|| missing("tcp", "TCP health check"))?;
                Ok(Self::Tcp(authority(tcp.protocol(), tcp.port)))
            }
            health_check::Type::Unknown => Err("'UNKNOWN' is not a valid health check type".into()),
        }
    }
}

/// The command runs in the environment of the task, to which it may add.
fn command_probe(
    command: Option<&CommandInfo>,
    task: &TaskInfo,
    what: &str,
) -> Result<Probe, String> {
    let mut command = command
        .ok_or_else(|| missing("command", &format!("COMMAND {what}")))?
        .clone();
    if command.value.is_none() {
        return Err(format!("Command {what} must contain a command"));
    }
    let of_task = task.command.as_ref().and_then(|c| c.environment.clone());
    if let Some(mut environment) = of_task {
        let own = command.environment.take().unwrap_or_default();
        environment.variables.extend(own.variables);
        command.environment = Some(environment);
    }
    Ok(Probe::Command(Launch {
        command,
        variables: variables(task),
    }))
}

fn http_probe(
    scheme: Option<&str>,
    protocol: Protocol,
    port: u32,
    path: Option<&str>,
    what: &str,
) -> Result<Probe, String> {
    let scheme = match scheme {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => return Err(format!("Unsupported HTTP {what} scheme: '{other}'")),
    };
    // The server never sees what comes after a `#`.
    let path = path.unwrap_or_default();
    let path = path.split('#').next().unwrap_or_default();
    if !path.is_empty() && !path.starts_with('/') {
        return Err(format!(
            "The path '{path}' of HTTP {what} must start with '/'"
        ));
    }
    if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(format!(
            "The path '{path}' of HTTP {what} holds what no URL can"
        ));
    }
    Ok(Probe::Http(HttpProbe {
        scheme,
        authority: authority(protocol, port),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
    }))
}

/// By number, for a task's file system need not know the name `localhost`.
fn authority(protocol: Protocol, port: u32) -> String {
    let host = match protocol {
        Protocol::IPv4 => "127.0.0.1",
        Protocol::IPv6 => "[::1]",
    };
    format!("{host}:{port}")
}

fn missing(field: &str, what: &str) -> String {
    format!("Expecting '{field}' to be set for {what}")
}
