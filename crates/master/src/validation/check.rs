use meseta_proto::v1::{CheckInfo, CommandInfo, HealthCheck, check_info, health_check};

use super::{Checked, Invalid, command};

/// Checks a task's health check.
pub(super) fn health_check(check: &HealthCheck) -> Checked {
    if check.r#type.is_none() {
        return Err(Invalid::new("HealthCheck must specify 'type'"));
    }
    match check.r#type() {
        health_check::Type::Command => {
            let command = check
                .command
                .as_ref()
                .ok_or_else(|| not_set("command", "COMMAND health"))?;
            checking_command(command, "Command health check", "Health check's")?;
        }
        health_check::Type::Http => {
            let http = check
                .http
                .as_ref()
                .ok_or_else(|| not_set("http", "HTTP health"))?;
            if let Some(scheme) = &http.scheme
                && scheme != "http"
                && scheme != "https"
            {
                return Err(Invalid(format!(
                    "Unsupported HTTP health check scheme: '{scheme}'"
                )));
            }
            http_path(http.path.as_deref(), "HTTP health check")?;
        }
        health_check::Type::Tcp if check.tcp.is_none() => {
            return Err(not_set("tcp", "TCP health"));
        }
        health_check::Type::Tcp => {}
        health_check::Type::Unknown => {
            return Err(Invalid::new("'UNKNOWN' is not a valid health check type"));
        }
    }
    not_negative("delay_seconds", check.delay_seconds)?;
    not_negative("grace_period_seconds", check.grace_period_seconds)?;
    not_negative("interval_seconds", check.interval_seconds)?;
    not_negative("timeout_seconds", check.timeout_seconds)
}

/// Checks a task's check.
pub(super) fn check(check: &CheckInfo) -> Checked {
    if check.r#type.is_none() {
        return Err(Invalid::new("CheckInfo must specify 'type'"));
    }
    match check.r#type() {
        check_info::Type::Command => {
            let command = check
                .command
                .as_ref()
                .ok_or_else(|| not_set("command", "COMMAND"))?;
            checking_command(&command.command, "Command check", "Check's")?;
        }
        check_info::Type::Http => {
            let http = check.http.as_ref().ok_or_else(|| not_set("http", "HTTP"))?;
            http_path(http.path.as_deref(), "HTTP check")?;
        }
        check_info::Type::Tcp if check.tcp.is_none() => return Err(not_set("tcp", "TCP")),
        check_info::Type::Tcp => {}
        check_info::Type::Unknown => {
            return Err(Invalid::new("'UNKNOWN' is not a valid check type"));
        }
    }
    not_negative("delay_seconds", check.delay_seconds)?;
    not_negative("interval_seconds", check.interval_seconds)?;
    not_negative("timeout_seconds", check.timeout_seconds)
}

fn checking_command(given: &CommandInfo, what: &str, whose: &str) -> Checked {
    if given.value.is_none() {
        let kind = if given.shell() {
            "'shell command'"
        } else {
            "'executable path'"
        };
        return Err(Invalid(format!("{what} must contain {kind}")));
    }
    command::command(given).map_err(|e| Invalid(format!("{whose} `CommandInfo` is invalid: {e}")))
}

fn http_path(path: Option<&str>, of: &str) -> Checked {
    match path {
        Some(path) if !path.starts_with('/') => Err(Invalid(format!(
            "The path '{path}' of {of} must start with '/'"
        ))),
        _ => Ok(()),
    }
}

fn not_set(field: &str, kind: &str) -> Invalid {
    Invalid(format!("Expecting '{field}' to be set for {kind} check"))
}

fn not_negative(field: &str, seconds: Option<f64>) -> Checked {
    match seconds {
        Some(seconds) if seconds < 0.0 => {
            Err(Invalid(format!("Expecting '{field}' to be non-negative")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    #[test]
    fn health_checks_that_cannot_run_are_refused() {
        let refusal = |text: &str| {
            health_check(&json::from_slice(text.as_bytes()).unwrap())
                .err()
                .map(|e| e.0)
        };
        for (text, sentence) in [
            ("{}", "HealthCheck must specify 'type'"),
            (
                r#"{"type":"COMMAND"}"#,
                "Expecting 'command' to be set for COMMAND health check",
            ),
            (
                r#"{"type":"COMMAND","command":{"shell":false}}"#,
                "Command health check must contain 'executable path'",
            ),
            (
                r#"{"type":"HTTP","http":{"port":1,"scheme":"ftp"}}"#,
                "Unsupported HTTP health check scheme: 'ftp'",
            ),
            (
                r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#,
                "The path 'x' of HTTP health check must start with '/'",
            ),
            (
                r#"{"type":"TCP"}"#,
                "Expecting 'tcp' to be set for TCP health check",
            ),
            (
                r#"{"type":"TCP","tcp":{"port":1},"timeout_seconds":-1}"#,
                "Expecting 'timeout_seconds' to be non-negative",
            ),
        ] {
            assert_eq!(refusal(text).as_deref(), Some(sentence));
        }
        assert_eq!(refusal(r#"{"type":"TCP","tcp":{"port":1}}"#), None);
    }

    #[test]
    fn checks_that_cannot_run_are_refused() {
        let refusal = |text: &str| {
            check(&json::from_slice(text.as_bytes()).unwrap())
                .err()
                .map(|e| e.0)
        };
        assert_eq!(refusal("{}").unwrap(), "CheckInfo must specify 'type'");
        assert_eq!(
            refusal(r#"{"type":"COMMAND","command":{"command":{}}}"#).unwrap(),
            "Command check must contain 'shell command'"
        );
        assert_eq!(
            refusal(r#"{"type":"HTTP","http":{"port":1,"path":"/"}}"#),
            None
        );
    }
}
