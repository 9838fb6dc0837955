//! Tasks, groups of tasks and executors, against a framework and an agent.

use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet, Vector};
use meseta_proto::v1::{ExecutorInfo, FrameworkInfo, Task, TaskGroupInfo, TaskInfo};
use meseta_proto::{Wire, json};
use meseta_resources::Resources;

use super::{task, task_group};
use crate::records::{AgentRecord, Endpoint, FrameworkRecord};

fn read<M: Wire>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn framework() -> FrameworkRecord {
    let known = |id: &str| {
        Arc::new(read::<Task>(&format!(
            r#"{{"name":"n","task_id":{{"value":"{id}"}},"framework_id":{{"value":"F"}},
            "agent_id":{{"value":"S"}},"state":"TASK_RUNNING","executor_id":{{"value":"known"}}}}"#
        )))
    };
    FrameworkRecord {
        id: "F".into(),
        info: Arc::new(FrameworkInfo::default()),
        endpoint: Endpoint::None,
        recovered: false,
        active: true,
        suppressed_roles: OrdSet::new(),
        offer_constraints: None,
        registered_time: Duration::ZERO,
        reregistered_time: None,
        unregistered_time: None,
        tasks: OrdMap::unit("old".into(), known("old")),
        completed_tasks: Vector::new(),
        unreachable_tasks: [known("lost")].into_iter().collect(),
        executors: OrdMap::new(),
        offers: OrdSet::new(),
        operations: OrdMap::new(),
        operation_ids: OrdMap::new(),
        used: OrdMap::new(),
        offered: OrdMap::new(),
    }
}

fn agent(capabilities: &str) -> AgentRecord {
    AgentRecord {
        id: "S".into(),
        info: Arc::default(),
        pid: "slave(1)@127.0.0.1:5051".parse().unwrap(),
        connected: true,
        active: true,
        version: String::new(),
        capabilities: match capabilities {
            "" => Vec::new(),
            name => vec![read(&format!(r#"{{"type":"{name}"}}"#))],
        },
        registered_time: Duration::ZERO,
        reregistered_time: None,
        total: Resources::new(),
        checkpointed: Resources::new(),
        used: OrdMap::new(),
        offered: Resources::new(),
        resource_version: None,
        tasks: OrdSet::new(),
        executors: OrdMap::unit(
            ("F".into(), "known".into()),
            Arc::new(read(&executor("known", "CUSTOM", ""))),
        ),
        offers: OrdSet::new(),
        operations: OrdMap::new(),
        kills: OrdSet::new(),
        observer: 1,
    }
}

fn offered() -> Resources {
    Resources::parse("cpus:2;mem:256;disk:100;ports:[1-9]", "*")
        .unwrap()
        .allocate("r")
}

fn scalar(name: &str, value: f64) -> String {
    format!(
        r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":{value}}},
        "allocation_info":{{"role":"r"}}}}"#
    )
}

fn executor(id: &str, kind: &str, rest: &str) -> String {
    let command = match kind {
        "CUSTOM" => r#","command":{"value":"run"}"#,
        _ => "",
    };
    let (cpus, mem, disk) = (
        scalar("cpus", 0.1),
        scalar("mem", 32.0),
        scalar("disk", 1.0),
    );
    format!(
        r#"{{"executor_id":{{"value":"{id}"}},"framework_id":{{"value":"F"}},"type":"{kind}"{command},
        "resources":[{cpus},{mem},{disk}]{rest}}}"#
    )
}

/// A task of one CPU, with more fields.
fn task_text(id: &str, rest: &str) -> String {
    let cpus = scalar("cpus", 1.0);
    format!(
        r#"{{"name":"n","task_id":{{"value":"{id}"}},"agent_id":{{"value":"S"}},
        "resources":[{cpus}],{rest}}}"#
    )
}

const COMMAND: &str = r#""command":{"value":"true"}"#;

fn refusal_of(text: &str, agent: &AgentRecord) -> Option<String> {
    let info: TaskInfo = read(text);
    task(&info, &framework(), agent, &offered())
        .err()
        .map(|e| e.0)
}

fn refusal(rest: &str) -> String {
    refusal_of(&task_text("t", rest), &agent("")).unwrap_or_default()
}

#[test]
fn a_task_with_a_command_or_an_executor_is_taken() {
    assert_eq!(refusal(COMMAND), "");
    assert_eq!(
        refusal(&format!(r#""executor":{}"#, executor("e", "CUSTOM", ""))),
        ""
    );
    let neither = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo \
                   present";
    assert_eq!(refusal(r#""data":"""#), neither);
    assert_eq!(
        refusal(&format!(
            r#"{COMMAND},"executor":{}"#,
            executor("e", "CUSTOM", "")
        )),
        neither
    );
}

#[test]
fn a_tasks_id_is_new_and_its_agent_the_offers() {
    let with_id = |id: &str| refusal_of(&task_text(id, COMMAND), &agent("")).unwrap();
    assert_eq!(with_id(""), "ID must not be empty");
    assert_eq!(with_id("a/b"), "'a/b' contains invalid characters");
    assert_eq!(with_id("old"), "Task has duplicate ID: old");
    assert_eq!(
        with_id("lost"),
        "Task reuses the ID of an unreachable task: lost"
    );
    let elsewhere = AgentRecord {
        id: "T".into(),
        ..agent("")
    };
    assert_eq!(
        refusal_of(&task_text("t", COMMAND), &elsewhere).unwrap(),
        "Task uses invalid agent S while agent T is expected"
    );
}

#[test]
fn parts_of_a_task_that_are_wrong_are_named() {
    for (rest, sentence) in [
        (
            r#""kill_policy":{"grace_period":{"nanoseconds":-1}}"#,
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (
            r#""max_completion_time":{"nanoseconds":-1}"#,
            "Task's `max_completion_time` must be non-negative",
        ),
        (
            r#""check":{"type":"TCP"}"#,
            "Task uses invalid check: Expecting 'tcp' to be set for TCP check",
        ),
        (
            r#""health_check":{}"#,
            "Task uses invalid health check: HealthCheck must specify 'type'",
        ),
        (
            r#""command":{"environment":{"variables":[{"name":"A"}]}}"#,
            "Task's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have a \
             value set",
        ),
        (
            r#""container":{"type":"DOCKER"}"#,
            "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed \
             ContainerInfo",
        ),
        (
            r#""command":{},"container":{"type":"MESOS","linux_info":{"share_cgroups":false}}"#,
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ),
    ] {
        assert_eq!(refusal(rest), sentence);
    }
}

#[test]
fn a_task_uses_what_was_offered_to_one_role() {
    let with = |resources: &str| {
        let text = format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"S"}},
            "resources":[{resources}],{COMMAND}}}"#
        );
        refusal_of(&text, &agent("")).unwrap_or_default()
    };
    assert_eq!(with(""), "Task uses no resources");
    assert_eq!(
        with(&scalar("", 1.0)),
        "Task uses invalid resources: Invalid resources: Resource '(allocated: r):1' is invalid: \
         Empty resource name"
    );
    assert_eq!(
        with(&scalar("cpus", 1.0).replace(r#""role":"r""#, "")),
        "Invalid task resources: The resources are not allocated to a role"
    );
    assert_eq!(
        with(&format!(
            "{},{}",
            scalar("cpus", 1.0),
            scalar("mem", 1.0).replace(r#""role":"r""#, r#""role":"s""#)
        )),
        "Invalid task resources: The resources have multiple allocation roles ('s' and 'r') but \
         only one allocation role is allowed"
    );
    assert_eq!(
        with(r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}}"#),
        "Invalid task resources: The resources are not allocated to a role"
    );
    let revocable = scalar("cpus", 1.0).replace(r#""type""#, r#""revocable":{},"type""#);
    assert_eq!(
        with(&format!("{},{revocable}", scalar("cpus", 1.0))),
        "Task mixes revocable and non-revocable resources: Cannot use both revocable and \
         non-revocable 'cpus' at the same time"
    );
    assert!(with(&scalar("cpus", 3.0)).starts_with(
        "Total resources cpus(allocated: r):3 required by task and its executor is more than"
    ));
}

#[test]
fn limits_are_of_cpus_and_memory_and_not_below_the_request() {
    let limited = agent("TASK_RESOURCE_LIMITS");
    let with = |limits: &str| {
        let text = task_text("t", &format!(r#"{COMMAND},"limits":{limits}"#));
        refusal_of(&text, &limited).unwrap_or_default()
    };
    assert_eq!(with(r#"{"cpus":{"value":1}}"#), "");
    assert_eq!(with(r#"{"cpus":{"value":"Infinity"}}"#), "");
    assert_eq!(
        with(r#"{"disk":{"value":1}}"#),
        "Only cpus and mem may be included in a task's resource limits"
    );
    assert_eq!(
        with(r#"{"cpus":{"value":0.5}}"#),
        "The cpu limit must be greater than or equal to the cpu request"
    );
    assert_eq!(
        with(r#"{"mem":{"value":32}}"#),
        "When a memory limit is specified, a memory request must also be specified"
    );
    assert_eq!(
        refusal(&format!(r#"{COMMAND},"limits":{{"cpus":{{"value":1}}}}"#)),
        "Agent is not capable of handling task resource limits"
    );
}

#[test]
fn an_executor_is_custom_and_the_frameworks_own() {
    let with = |executor: &str| refusal(&format!(r#""executor":{executor}"#));
    let custom = executor("e", "CUSTOM", "");
    assert_eq!(
        with(&executor("e", "DEFAULT", "")),
        "'ExecutorInfo.type' must be 'CUSTOM'"
    );
    assert_eq!(
        with(&custom.replace(r#""command":{"value":"run"},"#, "")),
        "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    );
    assert_eq!(
        with(&custom.replace(r#""value":"e""#, r#""value":"..""#)),
        "'..' is disallowed"
    );
    assert_eq!(
        with(&custom.replace(r#""value":"F""#, r#""value":"G""#)),
        "ExecutorInfo has an invalid FrameworkID (Actual: G vs Expected: F)"
    );
    assert_eq!(
        with(&executor(
            "e",
            "CUSTOM",
            r#","shutdown_grace_period":{"nanoseconds":-1}"#
        )),
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    );
    assert_eq!(
        with(&executor(
            "e",
            "CUSTOM",
            r#","container":{"type":"MESOS","linux_info":{"share_cgroups":true}}"#
        )),
        "The 'share_cgroups' field cannot be set to 'true' on executor containers"
    );
}

#[test]
fn an_executor_that_runs_is_described_as_before_and_costs_nothing_more() {
    let all = |executor: &str| {
        let resources = [
            scalar("cpus", 2.0),
            scalar("mem", 256.0),
            scalar("disk", 100.0),
        ]
        .join(",");
        let text = format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"S"}},
            "resources":[{resources}],"executor":{executor}}}"#
        );
        refusal_of(&text, &agent("")).unwrap_or_default()
    };
    assert_eq!(all(&executor("known", "CUSTOM", "")), "");
    assert!(all(&executor("e", "CUSTOM", "")).starts_with("Total resources "));
    let other = all(&executor("known", "CUSTOM", r#","name":"other""#));
    assert!(
        other.starts_with(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n---"
        ),
        "{other}"
    );
}

#[test]
fn the_order_of_an_executors_variables_and_uris_does_not_count() {
    let mut agent = agent("");
    let executor = |command: &str| {
        let rest = format!(r#""command":{command}"#);
        executor("known", "CUSTOM", "").replace(r#""command":{"value":"run"}"#, &rest)
    };
    let variable = |name: &str| format!(r#"{{"name":"{name}","value":"1"}}"#);
    let command = |variables: [&str; 2], uris: &str| {
        let variables = variables.map(variable).join(",");
        format!(r#"{{"environment":{{"variables":[{variables}]}},"uris":[{uris}]}}"#)
    };
    let before = executor(&command(["A", "B"], r#"{"value":"u"},{"value":"v"}"#));
    agent
        .executors
        .insert(("F".into(), "known".into()), Arc::new(read(&before)));
    let with = |executor: String| {
        refusal_of(
            &task_text("t", &format!(r#""executor":{executor}"#)),
            &agent,
        )
    };
    assert_eq!(
        with(executor(&command(
            ["B", "A"],
            r#"{"value":"v"},{"value":"u"}"#
        ))),
        None
    );
    assert!(
        with(executor(&command(
            ["A", "A"],
            r#"{"value":"u"},{"value":"v"}"#
        )))
        .is_some()
    );
}

#[test]
fn a_port_is_either_the_tasks_or_its_executors() {
    let port = r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]},
        "allocation_info":{"role":"r"}}"#;
    let executor = executor("e", "CUSTOM", "")
        .replace(r#""resources":["#, &format!(r#""resources":[{port},"#));
    let text = task_text("t", &format!(r#""executor":{executor}"#)).replacen(
        r#""resources":["#,
        &format!(r#""resources":[{port},"#),
        1,
    );
    let found = refusal_of(&text, &agent("")).unwrap();
    assert!(
        found.starts_with("There are overlapping resources in the task resources ports"),
        "{found}"
    );
}

/// A group of tasks with these fields, under the executor; `None` when it is taken.
fn group_refusal(tasks: &[&str], executor: &str) -> Option<String> {
    let texts: Vec<String> = tasks
        .iter()
        .enumerate()
        .map(|(i, rest)| {
            let rest = rest.replace("EXECUTOR", &format!(r#""executor":{executor}"#));
            let id = format!("t{i}");
            task_text(&id, &rest).replace(&scalar("cpus", 1.0), &scalar("cpus", 0.5))
        })
        .collect();
    let group: TaskGroupInfo = read(&format!(r#"{{"tasks":[{}]}}"#, texts.join(",")));
    let info: ExecutorInfo = read(executor);
    let agent = agent("TASK_RESOURCE_LIMITS");
    let found = task_group(&group, &info, &framework(), &agent, &offered());
    found.err().map(|e| e.0)
}

#[test]
fn a_group_of_tasks_under_the_default_executor_is_taken() {
    let default = executor("e", "DEFAULT", "");
    assert_eq!(group_refusal(&["EXECUTOR", "EXECUTOR"], &default), None);
}

#[test]
fn tasks_of_a_group_that_are_wrong_are_named() {
    let default = executor("e", "DEFAULT", "");
    let wrong = |rest: &str| {
        let found = group_refusal(&["EXECUTOR", rest], &default).unwrap();
        found
            .strip_prefix("Task 't1' is invalid: ")
            .unwrap()
            .to_owned()
    };
    assert_eq!(wrong(COMMAND), "'TaskInfo.executor' must be set");
    assert_eq!(
        wrong(r#"EXECUTOR,"container":{"type":"DOCKER","docker":{"image":"i"}}"#),
        "Docker ContainerInfo is not supported on the task"
    );
    assert_eq!(
        wrong(
            r#"EXECUTOR,"container":{"type":"MESOS","network_infos":[{}]},
            "health_check":{"type":"TCP","tcp":{"port":1}}"#
        ),
        "HTTP and TCP health checks are not supported for nested containers not joining parent's \
         network"
    );
    assert_eq!(
        wrong(r#"EXECUTOR,"limits":{"cpus":{"value":1}}"#),
        "Resource limits may only be set for tasks within a task group when the 'share_cgroups' \
         field is set to 'false'."
    );
    assert_eq!(
        group_refusal(
            &[&format!(
                r#""executor":{}"#,
                executor("other", "DEFAULT", "")
            )],
            &default
        )
        .unwrap(),
        "The `ExecutorInfo` of task 't0' is different from executor 'e'"
    );
}

#[test]
fn the_executor_of_a_group_has_enough_for_itself() {
    let default = executor("e", "DEFAULT", "");
    let without = |name: &str, value: f64| {
        let poorer = default.replace(&format!("{},", scalar(name, value)), "");
        let poorer = poorer.replace(&format!(",{}", scalar(name, value)), "");
        group_refusal(&["EXECUTOR"], &poorer).unwrap()
    };
    assert_eq!(
        without("cpus", 0.1),
        "Executor 'e' uses less CPUs (None) than the minimum required (0.01)"
    );
    assert_eq!(
        without("mem", 32.0),
        "Executor 'e' uses less memory (None) than the minimum required (32MB)"
    );
    assert_eq!(without("disk", 1.0), "Executor 'e' uses no disk");
    assert_eq!(
        group_refusal(&["EXECUTOR"], &default.replace("32", "16")).unwrap(),
        "Executor 'e' uses less memory (16MB) than the minimum required (32MB)"
    );
    assert_eq!(
        group_refusal(&["EXECUTOR"], &default.replace(r#","type":"DEFAULT""#, "")).unwrap(),
        "'ExecutorInfo.type' must be set"
    );
    let total = group_refusal(&["EXECUTOR"; 4], &default).unwrap();
    assert!(
        total.starts_with("Total resources cpus(allocated: r):2.1; ")
            && total.contains(" required by task group and its executor are more than available "),
        "{total}"
    );
}

#[test]
fn tasks_of_an_executor_share_its_cgroups_or_none_does() {
    let default = executor("e", "DEFAULT", "");
    let share = |value: bool| {
        format!(
            r#"EXECUTOR,"container":{{"type":"MESOS","linux_info":{{"share_cgroups":{value}}}}}"#
        )
    };
    let sentence = "If set, the value of 'share_cgroups' must be the same for all tasks in each \
                    task group and under a single executor";
    assert_eq!(
        group_refusal(&[&share(false), &share(false)], &default),
        None
    );
    assert_eq!(
        group_refusal(&[&share(false), "EXECUTOR"], &default).unwrap(),
        sentence
    );
    // The running executor's task `old` shares.
    let known = executor("known", "CUSTOM", "");
    assert_eq!(group_refusal(&[&share(true)], &known), None);
    assert_eq!(group_refusal(&[&share(false)], &known).unwrap(), sentence);
    let asks = executor(
        "e",
        "DEFAULT",
        r#","container":{"type":"MESOS","linux_info":{"share_cgroups":true}}"#,
    );
    assert_eq!(
        group_refusal(&["EXECUTOR"], &asks).unwrap(),
        "The 'share_cgroups' field cannot be set to 'true' on executor containers"
    );
}
