//! Command tasks live as they did on a genuine Mesos: `tests/golden/scenarios.json`.

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, registered_agents};
use crate::support::golden::{scenario, scenarios};
use crate::support::scheduler::{
    Scheduler, Voice, framework, shell_task, task_on_volume, to_end_volume, to_make_volume, volume,
};
use crate::support::{eventually, http};

/// Lifecycles that begin with tasks on an offer and need nothing else.
fn of_tasks_alone() -> Vec<Value> {
    let found: Vec<Value> = scenarios()
        .into_iter()
        .filter(|scenario| scenario.get("tasks").is_some())
        .collect();
    assert!(
        found.len() > 15,
        "only {} scenarios in the recording",
        found.len()
    );
    found
}

fn cluster() -> Cluster {
    let cluster = Cluster::with(&[
        "--resources=ports:[31000-32000];cpus:4;mem:4096;disk:10000",
        "--attributes=rack:r2d2;pod:demo,dev",
    ]);
    registered_agents(cluster.master(), 1);
    cluster
}

#[test]
fn tasks_send_the_updates_that_they_sent_on_mesos() {
    let cluster = cluster();
    let mut wrong = Vec::new();
    for scenario in of_tasks_alone() {
        let name = &scenario["scenario"];
        let mut scheduler = cluster.subscribe(framework("golden"));
        let offer = scheduler.offer();
        let tasks = scenario["tasks"].as_array().expect("tasks");
        let answer = scheduler.launch(&offer, tasks);
        let recorded = updates_of(&scenario);
        let sent: Vec<Value> = scheduler
            .updates(recorded.len())
            .iter()
            .map(comparable)
            .collect();
        if scenario["accept_status"] != answer.status() {
            wrong.push(format!(
                "{name}: ACCEPT was answered {} {}",
                answer.status(),
                answer.text()
            ));
        }
        if by_task(&sent) != by_task(&recorded) {
            wrong.push(format!(
                "{name}:\n  recorded {}\n  sent     {}",
                show(&recorded),
                show(&sent)
            ));
        }
        scheduler.tell(json!({"type": "TEARDOWN"}));
        scheduler.drain();
    }
    assert!(
        wrong.is_empty(),
        "{} scenarios differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn reconciliation_and_a_kill_with_grace_period_go_as_on_mesos() {
    let cluster = cluster();
    let mut scheduler = cluster.subscribe(framework("golden"));
    let ready = cluster.place.join("ready");
    let command = format!(
        "trap '' TERM; touch {}; while true; do sleep 0.1; done",
        ready.display()
    );
    let running = scheduler.start_and_see_running(&shell_task("stubborn", &command));
    eventually("the task's deafness", || ready.exists().then_some(()));
    let agent = &running["agent_id"];

    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    assert_updates(&mut scheduler, "reconcile implicit");

    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "stubborn"}, "agent_id": agent},
        {"task_id": {"value": "ghost"}, "agent_id": agent},
        {"task_id": {"value": "ghost2"}},
        {"task_id": {"value": "ghost3"}, "agent_id": {"value": "nosuchagent"}},
    ]}}));
    assert_updates(&mut scheduler, "reconcile explicit");

    scheduler.tell(json!({"type": "KILL", "kill": {
        "task_id": {"value": "stubborn"},
        "agent_id": agent,
        "kill_policy": {"grace_period": {"nanoseconds": 1_000_000_000}},
    }}));
    assert_updates(&mut scheduler, "kill with grace period");
}

#[test]
fn an_unknown_offer_drops_its_task_and_a_message_to_nobody_is_taken() {
    let cluster = cluster();
    let mut scheduler = cluster.subscribe(framework("golden"));
    let offer = scheduler.offer();
    let unknown = json!({"id": {"value": "nope-O1"}, "agent_id": offer["agent_id"]});
    let answer = scheduler.launch(&unknown, &[shell_task("t", "true")]);
    assert_eq!(
        scenario("accept unknown offer")["accept_status"],
        answer.status()
    );
    assert_updates(&mut scheduler, "accept unknown offer");

    let answer = scheduler.call(json!({"type": "MESSAGE", "message": {
        "agent_id": offer["agent_id"],
        "executor_id": {"value": "nobody"},
        "data": "aGVsbG8=",
    }}));
    let recorded = &scenario("message unknown executor")["answer"];
    assert_eq!(*recorded, json!([answer.status(), answer.text()]));
}

#[test]
fn a_second_subscriber_takes_over_and_a_removed_framework_stays_away() {
    let cluster = cluster();
    let first = cluster.subscribe(framework("golden"));
    let mut info = framework("golden");
    info["id"] = json!({"value": first.id});
    let second = cluster.subscribe(info.clone());
    assert_eq!(second.id, first.id);

    let recorded = scenario("second subscriber with the same id");
    let refused = first.call(json!({"type": "REVIVE"}));
    assert_eq!(recorded["old_call"][0], refused.status());
    let sentence = recorded["old_call"][1].as_str().expect("a sentence");
    let recorded_stream = sentence.split('\'').nth(1).expect("a quoted id");
    let (_, recorded_framework) = sentence.rsplit_once(' ').expect("an id");
    let sentence = sentence
        .replace(recorded_stream, &first.stream_id)
        .replace(recorded_framework, &first.id);
    assert_eq!(refused.text(), sentence);
    let events = first.drain();
    assert_eq!(
        events.last(),
        recorded["events"]
            .as_array()
            .and_then(|events| events.last())
    );

    second.tell(json!({"type": "TEARDOWN"}));
    second.drain();
    let refused = Scheduler::try_subscribe(cluster.scheduler_api(), Voice::JSON, info)
        .expect_err("a framework that was removed");
    assert_eq!(refused, scenario("subscribe after teardown")["event"]);
}

#[test]
fn reservations_and_volumes_come_and_go_as_on_mesos() {
    let cluster = cluster();
    let recorded = scenario("reserve create launch destroy unreserve");
    let mut scheduler = cluster.subscribe(framework("golden"));
    let offer = scheduler.offer();
    let [mut reserve, mut create] = to_make_volume("vol1", 64.0);
    reserve["id"] = json!({"value": "op1"});
    create["id"] = json!({"value": "op2"});
    let writer = task_on_volume("w", "echo kept > data/file", volume("vol1", 64.0));
    let launch = scheduler.to_launch(&writer, &offer);
    let answer = scheduler.accept(&offer, &[reserve, create, launch]);
    assert_eq!(recorded["accept_status"], answer.status());
    let mut operations =
        [scheduler.operation_status(), scheduler.operation_status()].map(|it| shape(&it));
    operations.sort_by_key(|status| status["operation"].to_string());
    let events = recorded["events"].as_array().expect("events").iter();
    let expected: Vec<Value> = events
        .filter(|event| event["type"] == "UPDATE_OPERATION_STATUS")
        .map(|event| shape(&event["update_operation_status"]["status"]))
        .collect();
    assert_eq!(operations[..], expected);

    let mut sent = scheduler.updates(3);
    let offer = scheduler.offer_of_volume();
    let reader = task_on_volume("r", "grep kept data/file", volume("vol1", 64.0));
    let launch = scheduler.to_launch(&reader, &offer);
    scheduler.accept(&offer, &[launch]);
    sent.extend(scheduler.updates(3));
    let sent: Vec<Value> = sent.iter().map(comparable).collect();
    let updates = updates_of(&recorded);
    assert_eq!(by_task(&sent), by_task(&updates));

    let offer = scheduler.offer_of_volume();
    assert_eq!(
        resources_of_agent(&cluster),
        resources_in(&recorded["slaves"])
    );
    scheduler.accept(&offer, &to_end_volume("vol1", 64.0));
    eventually("an agent without a volume", || {
        (resources_of_agent(&cluster) == resources_in(&recorded["slaves_after"])).then_some(())
    });
}

/// What there is to compare of an operation's status.
fn shape(status: &Value) -> Value {
    let mut fields: Vec<&String> = status.as_object().expect("a status").keys().collect();
    fields.sort();
    json!({
        "operation": status["operation_id"]["value"],
        "state": status["state"],
        "message": status["message"],
        "fields": fields,
    })
}

fn resources_of_agent(cluster: &Cluster) -> Value {
    let answer = http::request(cluster.master(), "GET", "/slaves", &[], None).expect("an answer");
    resources_in(&json!({"body": answer.json()}))
}

/// What `/slaves` says of the agent's resources, whoever uses them at the moment.
fn resources_in(answer: &Value) -> Value {
    let agent = &answer["body"]["slaves"][0];
    let mut unreserved = agent["unreserved_resources_full"].clone();
    if let Some(unreserved) = unreserved.as_array_mut() {
        unreserved.sort_by_key(|resource| resource["name"].to_string());
    }
    json!({
        "resources": agent["resources"],
        "reserved": agent["reserved_resources"],
        "reserved_full": agent["reserved_resources_full"],
        "unreserved": agent["unreserved_resources"],
        "unreserved_full": unreserved,
    })
}

/// The next updates are the recorded ones of a scenario.
fn assert_updates(scheduler: &mut Scheduler, name: &str) {
    let recorded = updates_of(&scenario(name));
    let sent: Vec<Value> = scheduler
        .updates(recorded.len())
        .iter()
        .map(comparable)
        .collect();
    assert_eq!(by_task(&sent), by_task(&recorded), "{name}");
}

fn updates_of(scenario: &Value) -> Vec<Value> {
    scenario["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["type"] == "UPDATE")
        .map(|event| comparable(&event["update"]["status"]))
        .collect()
}

/// An update with everything that a scheduler may depend on, and without what differs each time.
fn comparable(status: &Value) -> Value {
    let mut fields: Vec<&String> = status.as_object().expect("a status").keys().collect();
    fields.sort();
    json!({
        "task": status["task_id"]["value"],
        "state": status["state"],
        "source": status["source"],
        "reason": status["reason"],
        "message": status["message"].as_str().map(message),
        "fields": fields,
    })
}

/// A message with its listed resources in one order, and without the path of a sandbox.
fn message(text: &str) -> String {
    if let Some((demand, offered)) = text.split_once("more than available ") {
        let mut offered: Vec<&str> = offered.split("; ").collect();
        offered.sort_unstable();
        return format!("{demand}more than available {}", offered.join("; "));
    }
    if let Some((before, rest)) = text.split_once("executor directory '")
        && let Some((path, after)) = rest.split_once('\'')
    {
        let depth = path
            .split_once("/slaves/")
            .map(|(_, below)| below.split('/').count());
        return format!("{before}executor directory (slaves and {depth:?} below it){after}");
    }
    text.to_owned()
}

/// The order holds for each task; tasks beside each other have none.
fn by_task(updates: &[Value]) -> Vec<&Value> {
    let mut sorted: Vec<&Value> = updates.iter().collect();
    sorted.sort_by_key(|update| update["task"].as_str().map(str::to_owned));
    sorted
}

fn show(updates: &[Value]) -> String {
    updates
        .iter()
        .map(Value::to_string)
        .collect::<Vec<_>>()
        .join("\n           ")
}
