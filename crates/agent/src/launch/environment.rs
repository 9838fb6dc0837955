//! The environment of executors.

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_proto::duration;
use meseta_proto::v1::environment::variable;
use meseta_proto::v1::{AgentId, ExecutorInfo, container_info};

use crate::Config;
use crate::http::tokens;
use crate::records::Executor;

/// Where programs are looked for unless the agent's configuration says otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Every variable of an executor's environment: what is configured, Mesos's own, and what the
/// executor's command asks for, each prevailing over those before it.
pub(crate) fn environment(
    config: &Config,
    agent: &AgentId,
    executor: &ExecutorInfo,
    checkpoint: bool,
    run: &Executor,
) -> Vec<(String, String)> {
    let mut variables = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    // Where names are not known, programs on libprocess cannot find out by themselves.
    let address = config.libprocess_ip.iter().cloned();
    variables.extend(address.map(|ip| ("LIBPROCESS_IP".to_owned(), ip)));
    variables.extend(
        config
            .executor_environment_variables
            .clone()
            .unwrap_or_default(),
    );
    let directory = run.directory.to_string_lossy();
    let has_own_root = executor.container.as_ref().is_some_and(|container| {
        container.r#type() == container_info::Type::Docker
            || container.mesos.as_ref().is_some_and(|m| m.image.is_some())
    });
    let sandbox = if has_own_root {
        config.sandbox_directory.as_str()
    } else {
        &directory
    };
    let grace = executor
        .shutdown_grace_period
        .map_or(config.executor_shutdown_grace_period, Duration::from);
    let framework = executor.framework_id.clone().unwrap_or_default();
    let framework = framework.as_str();
    let mut set = |name: &str, value: &str| {
        variables.insert(name.to_owned(), value.to_owned());
    };
    // Executors that speak libprocess listen on a port of their own.
    set("LIBPROCESS_PORT", "0");
    set("MESOS_FRAMEWORK_ID", framework);
    set("MESOS_EXECUTOR_ID", executor.executor_id.as_str());
    set("MESOS_DIRECTORY", &directory);
    set("MESOS_SANDBOX", sandbox);
    set("MESOS_SLAVE_ID", agent.as_str());
    set("MESOS_SLAVE_PID", &config.pid.to_string());
    set("MESOS_AGENT_ENDPOINT", &config.pid.address.to_string());
    set("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" });
    // The command executor always speaks HTTP.
    set("MESOS_HTTP_COMMAND_EXECUTOR", "1");
    set(
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        &duration::format(grace),
    );
    if let Some(socket) = &config.domain_socket {
        set("MESOS_DOMAIN_SOCKET", &socket.to_string_lossy());
    }
    if let Some(key) = &config.executor_key {
        let claims = tokens::claims(&framework.into(), &executor.executor_id, &run.container_id);
        set("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", &key.sign(&claims));
    }
    if checkpoint {
        set(
            "MESOS_RECOVERY_TIMEOUT",
            &duration::format(config.recovery_timeout),
        );
        set(
            "MESOS_SUBSCRIPTION_BACKOFF_MAX",
            &duration::format(config.executor_reregistration_timeout),
        );
    }
    let command = executor.command.as_ref();
    for variable in command
        .iter()
        .flat_map(|c| &c.environment)
        .flat_map(|e| &e.variables)
    {
        if variable.r#type() == variable::Type::Value {
            set(&variable.name, variable.value());
        }
    }
    variables.into_iter().collect()
}
