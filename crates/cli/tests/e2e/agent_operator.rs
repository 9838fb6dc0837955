//! What operators see of an agent: its API, its endpoints, what its containers use.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::eventually;
use crate::support::http::{self, operator_call};
use crate::support::scheduler::{framework, scalar, shell_task};

/// Resources of an agent with room for a few tasks.
const RESOURCES: &str = "--resources=cpus:4;mem:1024;disk:1000;ports:[31000-31100]";

fn agent_of(cluster: &Cluster) -> SocketAddr {
    agent_address(&registered_agents(cluster.master(), 1)[0])
}

fn metric(agent: SocketAddr, name: &str) -> Option<f64> {
    http::get(agent, "/metrics/snapshot").json()[name].as_f64()
}

#[test]
fn what_a_task_uses_is_measured_while_it_runs() {
    let cluster = Cluster::with(&[RESOURCES]);
    let agent = agent_of(&cluster);
    assert_eq!(http::get(agent, "/monitor/statistics").json(), json!([]));
    let mut scheduler = cluster.subscribe(framework("measured"));
    let mut task = shell_task("busy", "sleep 1000 & while :; do :; done");
    task["resources"] = json!([scalar("cpus", 1.0), scalar("mem", 128.0)]);
    task["limits"] = json!({"cpus": {"value": 2.0}, "mem": {"value": "Infinity"}});
    scheduler.start_and_see_running(&task);

    let entry = eventually("time on a processor", || {
        let shown = http::get(agent, "/slave(1)/monitor/statistics.json").json();
        let entry = shown.as_array()?.first()?.clone();
        let time = entry["statistics"]["cpus_user_time_secs"].as_f64()?;
        (time > 0.1).then_some(entry)
    });
    assert_eq!(entry["executor_id"], "busy");
    assert_eq!(entry["framework_id"], scheduler.id.as_str());
    let used = &entry["statistics"];
    let number = |name: &str| {
        used[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {used}"))
    };
    // The executor, the shell, and what it has started.
    assert!(number("processes") >= 3.0, "{used}");
    assert!(number("threads") >= number("processes"), "{used}");
    assert!(number("mem_rss_bytes") > 100_000.0, "{used}");
    // Beside the task's there is what the executor itself takes.
    assert!(
        number("cpus_soft_limit") > 1.0 && number("cpus_limit") > 2.0,
        "{used}"
    );
    assert!(
        number("mem_soft_limit_bytes") > 128.0 * 1_048_576.0,
        "{used}"
    );
    assert!(
        number("mem_limit_bytes") > number("mem_soft_limit_bytes"),
        "{used}"
    );

    // Both APIs show the same, and one measurement serves many who ask.
    let containers = operator_call(agent, &json!({"type": "GET_CONTAINERS"})).json();
    let container = &containers["get_containers"]["containers"][0];
    assert!(container["resource_statistics"]["cpus_user_time_secs"].as_f64() >= Some(0.1));
    assert!(container["container_status"]["executor_pid"].as_u64() > Some(1));
    let shown = http::get(agent, "/containers").json();
    assert_eq!(shown[0]["container_id"], container["container_id"]["value"]);

    scheduler.kill("busy");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    eventually("its end", || {
        (http::get(agent, "/monitor/statistics").json() == json!([])).then_some(())
    });
}

#[test]
fn files_logging_and_help_are_answered_for_by_the_agent() {
    let cluster = Cluster::with(&[RESOURCES]);
    let agent = agent_of(&cluster);
    let mut scheduler = cluster.subscribe(framework("files"));
    scheduler.start_and_see_running(&shell_task("t", "echo hello; exec sleep 1000"));
    let sandbox = format!("/frameworks/{}/executors/t/runs/latest", scheduler.id);
    let stdout = format!("{sandbox}/stdout");

    let listed = operator_call(
        agent,
        &json!({"type": "LIST_FILES", "list_files": {"path": sandbox}}),
    );
    let listed = listed.json();
    let files = listed["list_files"]["file_infos"]
        .as_array()
        .expect("files");
    let file = files.iter().find(|it| it["path"] == stdout.as_str());
    let file = file.unwrap_or_else(|| panic!("{listed}"));
    assert!(file["mtime"]["nanoseconds"].as_u64() > Some(0), "{file}");
    // A regular file.
    assert_eq!(file["mode"].as_u64().map(|mode| mode >> 12), Some(0o10));

    let read = |offset: u64| {
        let piece = json!({"path": stdout, "offset": offset, "length": 3});
        operator_call(agent, &json!({"type": "READ_FILE", "read_file": piece})).json()
    };
    eventually("its output", || {
        (read(0)["read_file"] == json!({"size": 6, "data": "aGVs"})).then_some(())
    });
    assert_eq!(read(3)["read_file"], json!({"size": 6, "data": "bG8K"}));
    assert_eq!(read(7)["read_file"]["data"], "");
    let outside = json!({"type": "READ_FILE", "read_file": {"path": "/etc/passwd", "offset": 0}});
    assert_eq!(operator_call(agent, &outside).status(), 404);

    let raise = |level: u32| {
        let set = json!({"level": level, "duration": {"nanoseconds": 3_600_000_000_000_u64}});
        let call = json!({"type": "SET_LOGGING_LEVEL", "set_logging_level": set});
        assert_eq!(operator_call(agent, &call).status(), 200);
    };
    raise(1);
    assert_eq!(http::get(agent, "/logging/toggle").text(), "1\n");
    raise(0);
    let level = operator_call(agent, &json!({"type": "GET_LOGGING_LEVEL"})).json();
    assert_eq!(level["get_logging_level"], json!({"level": 0}));
    let help = http::get(agent, "/help").text();
    assert!(help.contains("/monitor/statistics"), "{help}");
    let document = http::get(agent, "/openapi.json").json();
    assert_eq!(document["info"]["title"], "Meseta agent");
}

/// Names that have no meaning here: no images, no resource providers, no quotas of disk or groups.
fn is_of_something_else(name: &str) -> bool {
    [
        "containerizer/docker/",
        "containerizer/mesos/disk/",
        "containerizer/mesos/filesystem/",
        "containerizer/mesos/provisioner/",
    ]
    .iter()
    .any(|other| name.starts_with(other))
}

#[test]
fn an_agent_has_every_metric_of_mesos_that_means_something_here() {
    let cluster = Cluster::with(&[RESOURCES]);
    let agent = agent_of(&cluster);
    let mut scheduler = cluster.subscribe(framework("metrics"));
    scheduler.start_and_see_running(&shell_task("good", "exec sleep 1000"));
    let mut task = shell_task("bad", "true");
    task["command"]["uris"] = json!([{"value": "/nothing/of/that/name"}]);
    scheduler.start(&task);
    scheduler.expect("TASK_FAILED");

    let shown = http::get(agent, "/metrics/snapshot").json();
    let missing: Vec<&str> = METRICS
        .lines()
        .filter(|name| !is_of_something_else(name) && !shown[*name].is_number())
        .collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(shown["slave/tasks_running"], 1.0);
    assert_eq!(shown["containerizer/fetcher/task_fetches_failed"], 1.0);
    assert_eq!(shown["containerizer/fetcher/task_fetches_succeeded"], 0.0);
    assert!(metric(agent, "slave/recovery_time_secs") >= Some(0.0));
    // A week, but for the part of the disk that is to stay free.
    let age = metric(agent, "slave/executor_directory_max_allowed_age_secs");
    assert!(age > Some(0.0) && age < Some(7.0 * 86_400.0), "{age:?}");

    let text = http::get(agent, "/metrics");
    let kind = text.head.header("content-type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = text.text();
    for line in [
        "meseta_slave_tasks_running 1.0",
        "meseta_containerizer_fetcher_task_fetches_failed_total 1.0",
        "meseta_slave_cpus 4.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
    let asked = json!({"type": "GET_METRICS", "get_metrics": {}});
    let messages = operator_call(agent, &asked).json();
    let messages = messages["get_metrics"]["metrics"]
        .as_array()
        .expect("metrics");
    let of = |name: &str| messages.iter().find(|it| it["name"] == name);
    let running: Option<&Value> = of("slave/tasks_running").map(|it| &it["value"]);
    assert_eq!(running, Some(&json!(1.0)));
}

/// The names that a genuine agent has.
const METRICS: &str = include_str!("agent_operator/metrics.txt");
