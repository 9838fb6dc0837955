//! Lists and details, in all forms.

use serde_json::{Value, json};

use super::{User, constant};
use crate::support::daemon::{Cluster, Place, RESOURCES, registered_agents};
use crate::support::http::operator_call;
use crate::support::scheduler::{Scheduler, framework, shell_task};

fn cluster() -> Cluster {
    Cluster::with(&[RESOURCES, "--attributes=rack:r1;size:2"])
}

/// A framework with one task that runs.
fn shop(cluster: &Cluster, info: Value) -> Scheduler {
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(info);
    scheduler.start_and_see_running(&shell_task("cart-1", "sleep 1000"));
    let offer = scheduler.offer();
    // No more offers: they would come and go in what is printed.
    scheduler.tell(json!({"type": "DECLINE", "decline": {
        "offer_ids": [offer["id"]],
        "filters": {"refuse_seconds": 1e6},
    }}));
    scheduler
}

#[test]
fn lists_and_details_are_tables_within_eighty_columns() {
    let cluster = cluster();
    let mut info = framework("shop");
    info["capabilities"] = json!([{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]);
    let _shop = shop(&cluster, info);
    let user = User::of(&cluster.place, cluster.master());
    let text = user.transcript(&[
        "agent list",
        "agent show S0",
        "framework list",
        "framework show shop",
        "task list",
        "task show cart",
        "role list",
        "state",
        "events",
        "top",
    ]);
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{text}");
    assert!(!text.contains('\u{1b}'), "colours in a pipe: {text}");
    constant(|| insta::assert_snapshot!("looking", text));
}

#[test]
fn wide_lists_and_documents_for_programs_hold_all_there_is() {
    let cluster = cluster();
    let _shop = shop(&cluster, framework("shop"));
    let user = User::of(&cluster.place, cluster.master());
    user.told(&["weight", "set", "web=2"]);
    user.told(&["quota", "set", "web", "--limit=cpus:2"]);
    let text = user.transcript(&[
        "agent list -o wide",
        "framework list -o wide",
        "task list -o wide",
        "weight list -o json",
        "quota list -o yaml",
        "role list -o yaml",
        "volume list -o json",
        "maintenance schedule -o json",
        "why shop --nearest=1",
    ]);
    constant(|| insta::assert_snapshot!("forms", text));
}

#[test]
fn json_and_yaml_are_the_operator_apis_messages() {
    let cluster = cluster();
    let _shop = shop(&cluster, framework("shop"));
    let user = User::of(&cluster.place, cluster.master());
    user.told(&["weight", "set", "web=2"]);
    for (words, call, field) in [
        (&["task", "list"][..], "GET_TASKS", "get_tasks"),
        (&["role", "list"], "GET_ROLES", "get_roles"),
        (&["weight", "list"], "GET_WEIGHTS", "get_weights"),
    ] {
        let answer = operator_call(cluster.master(), &json!({"type": call})).json();
        // Lists are printed even where the master leaves out those that are empty.
        let printed = user.told(&[words, &["-o", "json"]].concat());
        let printed: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(printed, answer[field], "{words:?}");
    }
    let yaml = user.told(&["task", "show", "cart-1", "-o", "yaml"]);
    assert!(yaml.contains("\nname: cart-1\n"), "{yaml}");
    assert!(yaml.contains("state: TASK_RUNNING"), "{yaml}");
    let wide = user.told(&["agent", "list", "-o", "wide"]);
    assert!(wide.contains("rack:r1;size:2"), "{wide}");
}

#[test]
fn what_cannot_be_done_is_said_with_what_helps() {
    let cluster = cluster();
    registered_agents(cluster.master(), 1);
    let _one = cluster.subscribe(framework("twin"));
    let _other = cluster.subscribe(framework("twin"));
    let user = User::of(&cluster.place, cluster.master());
    let text = user.transcript(&[
        "agent show S7",
        "framework show twin",
        "task logs nothing",
        "agent gone S0",
        "agent show",
        "agnt list",
        "framework",
        "framework list --colour=blue",
        "task list --state=runing",
        "quota set web",
        "weight set web=heavy",
        "reserve S0 cpus --role=web",
        "volume create S0 v1 --role=web --size=64",
        "volume create S0 v1 --role=web --size=1GB",
        "task logs cart-1 --tail=all",
        "agent drain S0 --grace=soon",
        "volume create S0",
        "state now",
        "weight set web=1 web=2",
        "task exec cart-1",
        "task attach cart-1",
        "maintenance schedule nowhere --start=2h",
        "maintenance start S0 --yes",
        "events --type=TASK_UPDATED",
        "maintenance stop S0",
        "agent list --master=127.0.0.1:1",
        "agent list --master=zk://10.0.0.1:2181/mesos",
        "agent list --context=nowhere",
        "agent --no-such-flag",
        "agent list -o xml",
        "task kill cart-1",
        "maintenance start",
        "top --every=0s",
        "completions tcsh",
    ]);
    constant(|| insta::assert_snapshot!("refusals", text));
}

#[test]
fn help_leads_from_programs_to_commands_and_their_words() {
    let place = Place::new();
    let user = User {
        place: &place,
        master: None,
    };
    assert!(user.told(&["help"]).contains("  maintenance  "));
    for words in [&["agent", "drain"][..], &["master", "logs"], &["why"]] {
        let asked = user.told(&[&["help"], words].concat());
        assert_eq!(asked, user.told(&[words, &["--help"]].concat()));
    }
    for (daemon, command) in [("agent", "drain"), ("master", "logs")] {
        let text = user.told(&[daemon, "--help"]);
        let (_, beside) = text
            .split_once("Operators have")
            .expect("what is beside it");
        assert!(beside.contains(command), "{beside}");
    }
}
