//! What published monitors and exporters ask for, and the fields that they read, in the types that
//! they read them as. A field that is missing or of another type fails to be read.

#![allow(
    clippy::float_cmp,
    reason = "amounts are shown as they were given, to the last digit"
)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::world::{World, read};
use crate::support::eventually;
use crate::support::http::{self, get};

#[test]
fn mesos_dns_finds_hosts_ports_and_discovery_information() {
    #[derive(Deserialize)]
    struct State {
        leader: String,
        slaves: Vec<Agent>,
        frameworks: Vec<Framework>,
    }
    #[derive(Deserialize)]
    struct Agent {
        id: String,
        hostname: String,
        pid: String,
    }
    #[derive(Deserialize)]
    struct Framework {
        name: String,
        hostname: String,
        /// Only of those on the old driver.
        pid: Option<String>,
        tasks: Vec<Task>,
    }
    #[derive(Deserialize)]
    struct Task {
        framework_id: String,
        id: String,
        name: String,
        slave_id: String,
        state: String,
        statuses: Vec<Status>,
        resources: Resources,
        discovery: Discovery,
    }
    #[derive(Deserialize)]
    struct Resources {
        ports: String,
    }
    #[derive(Deserialize)]
    struct Status {
        timestamp: f64,
        state: String,
        #[serde(rename = "container_status")]
        container: Placed,
    }
    #[derive(Deserialize)]
    struct Placed {
        network_infos: Vec<NetworkInfo>,
    }
    #[derive(Deserialize)]
    struct NetworkInfo {
        ip_addresses: Vec<Address>,
    }
    #[derive(Deserialize)]
    struct Address {
        #[serde(rename = "ip_address")]
        ip: String,
    }
    #[derive(Deserialize)]
    struct Discovery {
        visibility: String,
        name: String,
        ports: Ports,
    }
    #[derive(Deserialize)]
    struct Ports {
        ports: Vec<Port>,
    }
    #[derive(Deserialize)]
    struct Port {
        number: u16,
        name: String,
        protocol: String,
    }

    let world = World::start();
    let state: State = read(&get(world.master(), "/master/state"));
    let address = state.leader.strip_prefix("master@").expect("a pid");
    assert_eq!(address.parse(), Ok(world.master()));
    let [agent] = state.slaves.as_slice() else {
        panic!("one agent");
    };
    assert_eq!(
        (&agent.id, &*agent.hostname),
        (&world.agent_id, "127.0.0.1")
    );
    assert_eq!(agent.pid, format!("slave(1)@{}", world.agent));
    let [framework] = state.frameworks.as_slice() else {
        panic!("one framework");
    };
    assert_eq!((&*framework.name, &*framework.hostname), ("shop", ""));
    assert_eq!(framework.pid, None);
    let [task] = framework.tasks.as_slice() else {
        panic!("one task");
    };
    assert_eq!((&*task.id, &*task.name), ("web.1", "web"));
    assert_eq!(
        (&task.framework_id, &task.slave_id),
        (&world.scheduler.id, &agent.id)
    );
    assert_eq!(task.state, "TASK_RUNNING");
    assert_eq!(task.resources.ports, "[31005-31005, 31007-31009]");
    let latest = task.statuses.last().expect("a status");
    assert_eq!(latest.state, "TASK_RUNNING");
    assert!(latest.timestamp > 1e9);
    let network = &latest.container.network_infos[0];
    assert_eq!(network.ip_addresses[0].ip, "127.0.0.1");
    assert_eq!(
        (&*task.discovery.name, &*task.discovery.visibility),
        ("web", "FRAMEWORK")
    );
    let port = &task.discovery.ports.ports[0];
    assert_eq!(
        (port.number, &*port.name, &*port.protocol),
        (31005, "http", "tcp")
    );
}

#[test]
fn mesos_exporter_reads_numbers_of_master_agent_and_containers() {
    #[derive(Deserialize)]
    struct State {
        slaves: Vec<Agent>,
        frameworks: Vec<Framework>,
    }
    #[derive(Deserialize)]
    struct Agent {
        pid: String,
        used_resources: Resources,
        unreserved_resources: Resources,
        resources: Resources,
        attributes: BTreeMap<String, Value>,
    }
    #[derive(Deserialize)]
    struct Resources {
        cpus: f64,
        disk: f64,
        mem: f64,
        ports: Option<String>,
    }
    #[derive(Deserialize)]
    struct Framework {
        active: bool,
        tasks: Vec<Task>,
        completed_tasks: Vec<Task>,
    }
    #[derive(Deserialize)]
    struct Task {
        name: String,
        id: String,
        executor_id: String,
        framework_id: String,
        slave_id: String,
        state: String,
        labels: Vec<Label>,
        resources: Resources,
        statuses: Vec<Value>,
    }
    #[derive(Deserialize)]
    struct Label {
        key: String,
        value: String,
    }
    #[derive(Deserialize)]
    struct AgentState {
        attributes: BTreeMap<String, Value>,
        frameworks: Vec<AgentFramework>,
    }
    #[derive(Deserialize)]
    struct AgentFramework {
        executors: Vec<Executor>,
    }
    #[derive(Deserialize)]
    struct Executor {
        id: String,
        source: String,
        tasks: Vec<Task>,
    }
    #[derive(Deserialize)]
    struct Container {
        executor_id: String,
        executor_name: String,
        framework_id: String,
        source: String,
        statistics: BTreeMap<String, f64>,
    }

    let world = World::start();
    let state: State = read(&get(world.master(), "/state"));
    let agent = &state.slaves[0];
    assert_eq!(agent.pid, format!("slave(1)@{}", world.agent));
    assert_eq!((agent.resources.cpus, agent.resources.mem), (4.0, 4096.0));
    assert_eq!(agent.resources.ports.as_deref(), Some("[31000-32000]"));
    assert_eq!(
        (agent.used_resources.cpus, agent.used_resources.disk),
        (0.5, 0.0)
    );
    assert_eq!(agent.unreserved_resources.disk, 10000.0);
    assert_eq!(agent.attributes["rack"], "r1");
    assert_eq!(agent.attributes["size"], 2.0);
    let framework = &state.frameworks[0];
    assert!(framework.active && framework.completed_tasks.is_empty());
    let task = &framework.tasks[0];
    assert_eq!(
        (&*task.id, &*task.name, &*task.executor_id),
        ("web.1", "web", "")
    );
    assert_eq!(
        (&task.framework_id, &task.slave_id),
        (&world.scheduler.id, &world.agent_id)
    );
    assert_eq!((&*task.state, task.statuses.len()), ("TASK_RUNNING", 2));
    assert_eq!((task.resources.mem, task.resources.disk), (64.0, 0.0));
    let [_, tier] = task.labels.as_slice() else {
        panic!("two labels");
    };
    assert_eq!((&*tier.key, &*tier.value), ("tier", "front"));

    let state: AgentState = read(&get(world.agent, "/slave(1)/state"));
    assert_eq!(state.attributes["rack"], "r1");
    let executor = &state.frameworks[0].executors[0];
    assert_eq!((&*executor.id, &*executor.source), ("web.1", "web.1"));
    assert_eq!(executor.tasks[0].id, "web.1");

    let [container] = eventually("what the container uses", || {
        let all: Vec<Container> = read(&get(world.agent, "/monitor/statistics"));
        <[Container; 1]>::try_from(all).ok()
    });
    assert_eq!(
        (&*container.executor_id, &*container.source),
        ("web.1", "web.1")
    );
    assert_eq!(container.framework_id, world.scheduler.id);
    assert!(container.executor_name.contains("(Command: "));
    for number in [
        "cpus_user_time_secs",
        "cpus_system_time_secs",
        "mem_limit_bytes",
        "mem_rss_bytes",
        "timestamp",
    ] {
        assert!(container.statistics.contains_key(number), "{number}");
    }
}

#[test]
fn nagios_finds_the_leader_and_counts_agents_and_frameworks() {
    let world = World::start();
    let open = http::open(world.master(), "HEAD", "/master/redirect", &[], None);
    let head = open.expect("an answer").head;
    assert_eq!(head.status, 307);
    let location = head.header("location").expect("a location");
    let leader = location.strip_prefix("//").expect("no scheme");
    let leader = leader.parse().expect("an address");
    assert_eq!(get(leader, "/health").status(), 200);
    let state = get(leader, "/master/state.json").json();
    assert_eq!(state["activated_slaves"], 1.0);
    assert_eq!(state["leader"], format!("master@{leader}"));
    let framework = &state["frameworks"][0];
    assert_eq!(framework["name"], "shop");
    assert_eq!(
        (&framework["active"], &framework["unregistered_time"]),
        (&json!(true), &json!(0.0))
    );
}

/// What telegraf reports of a master and of an agent by these names, where Meseta has such a part.
const MASTER_METRICS: &str = "cpus_percent cpus_used cpus_total cpus_revocable_percent \
    cpus_revocable_total cpus_revocable_used disk_percent disk_used disk_total \
    disk_revocable_percent disk_revocable_total disk_revocable_used gpus_percent gpus_used \
    gpus_total gpus_revocable_percent gpus_revocable_total gpus_revocable_used mem_percent \
    mem_used mem_total mem_revocable_percent mem_revocable_total mem_revocable_used elected \
    uptime_secs slave_registrations slave_removals slave_reregistrations \
    slave_shutdowns_scheduled slave_shutdowns_canceled slave_shutdowns_completed slaves_active \
    slaves_connected slaves_disconnected slaves_inactive slave_unreachable_canceled \
    slave_unreachable_completed slave_unreachable_scheduled slaves_unreachable \
    frameworks_active frameworks_connected frameworks_disconnected frameworks_inactive \
    outstanding_offers tasks_error tasks_failed tasks_finished tasks_killed tasks_lost \
    tasks_running tasks_staging tasks_starting tasks_dropped tasks_gone tasks_gone_by_operator \
    tasks_killing tasks_unreachable invalid_executor_to_framework_messages \
    invalid_framework_to_executor_messages invalid_status_update_acknowledgements \
    invalid_status_updates dropped_messages messages_authenticate \
    messages_deactivate_framework messages_decline_offers messages_executor_to_framework \
    messages_exited_executor messages_framework_to_executor messages_kill_task \
    messages_launch_tasks messages_reconcile_tasks messages_register_framework \
    messages_register_slave messages_reregister_framework messages_reregister_slave \
    messages_resource_request messages_revive_offers messages_status_update \
    messages_status_update_acknowledgement messages_unregister_framework \
    messages_unregister_slave messages_update_slave recovery_slave_removals \
    slave_removals/reason_registered slave_removals/reason_unhealthy \
    slave_removals/reason_unregistered valid_framework_to_executor_messages \
    valid_status_update_acknowledgements valid_status_updates \
    valid_executor_to_framework_messages invalid_operation_status_update_acknowledgements \
    messages_operation_status_update_acknowledgement messages_reconcile_operations \
    messages_suppress_offers valid_operation_status_update_acknowledgements \
    operator_event_stream_subscribers";
const AGENT_METRICS: &str = "cpus_percent cpus_used cpus_total cpus_revocable_percent \
    cpus_revocable_total cpus_revocable_used disk_percent disk_used disk_total \
    disk_revocable_percent disk_revocable_total disk_revocable_used gpus_percent gpus_used \
    gpus_total mem_percent mem_used mem_total registered uptime_secs container_launch_errors \
    executors_preempted frameworks_active executor_directory_max_allowed_age_secs \
    executors_registering executors_running executors_terminated executors_terminating \
    recovery_errors tasks_failed tasks_finished tasks_killed tasks_lost tasks_running \
    tasks_staging tasks_starting invalid_framework_messages invalid_status_updates \
    valid_framework_messages valid_status_updates";
const SYSTEM_METRICS: &str =
    "cpus_total load_15min load_5min load_1min mem_free_bytes mem_total_bytes";

#[test]
fn telegraf_reads_its_metrics_within_a_tenth_of_a_second() {
    let world = World::start();
    for (address, of, names) in [
        (world.master(), "master", MASTER_METRICS),
        (world.agent, "slave", AGENT_METRICS),
    ] {
        let answer = get(address, "/metrics/snapshot?timeout=100ms");
        let shown: BTreeMap<String, f64> = read(&answer);
        let system = SYSTEM_METRICS
            .split(' ')
            .map(|name| format!("system/{name}"));
        let own = names.split_whitespace().map(|name| format!("{of}/{name}"));
        let missing: Vec<String> = own
            .chain(system)
            .filter(|it| !shown.contains_key(it))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(shown[&format!("{of}/tasks_running")], 1.0);
    }
    let shown: BTreeMap<String, f64> = read(&get(world.master(), "/metrics/snapshot"));
    assert_eq!(shown["master/elected"], 1.0);
}

#[test]
fn datadog_knows_the_leader_and_what_frameworks_and_roles_use() {
    #[derive(Deserialize)]
    struct State {
        version: String,
        leader: String,
        pid: String,
        hostname: String,
        frameworks: Vec<Framework>,
    }
    #[derive(Deserialize)]
    struct Framework {
        name: String,
        id: String,
        used_resources: Resources,
    }
    #[derive(Deserialize)]
    struct Resources {
        cpus: f64,
        mem: f64,
        disk: f64,
    }
    #[derive(Deserialize)]
    struct Roles {
        roles: Vec<Role>,
    }
    #[derive(Deserialize)]
    struct Role {
        name: String,
        weight: f64,
        frameworks: Vec<String>,
        /// Only what there is.
        resources: BTreeMap<String, f64>,
    }

    let world = World::start();
    for path in ["/state", "/state.json", "/master/state"] {
        let state: State = read(&get(world.master(), path));
        assert_eq!(state.leader, state.pid);
        assert_eq!((&*state.version, &*state.hostname), ("1.11.0", "127.0.0.1"));
        let framework = &state.frameworks[0];
        assert_eq!(
            (&*framework.name, &framework.id),
            ("shop", &world.scheduler.id)
        );
        let used = &framework.used_resources;
        assert_eq!((used.cpus, used.mem, used.disk), (0.5, 64.0, 0.0));
    }
    let roles: Roles = read(&get(world.master(), "/roles"));
    let role = roles
        .roles
        .iter()
        .find(|it| it.name == "golden")
        .expect("the role");
    assert_eq!(
        (role.weight, &role.frameworks),
        (1.0, &vec![world.scheduler.id.clone()])
    );
    let amounts = [("cpus".to_owned(), 0.5), ("mem".to_owned(), 64.0)];
    assert_eq!(role.resources, BTreeMap::from(amounts));
    let state = get(world.agent, "/state").json();
    assert_eq!(state["master_hostname"], "127.0.0.1");
    assert_eq!(
        state["frameworks"][0]["executors"][0]["tasks"][0]["name"],
        "web"
    );
}
