//! `meseta execute`: one command on a cluster, followed to its end.

use std::process::ExitStatus;

use crate::support::daemon::{Cluster, Place, finish, meseta};

fn execute(cluster: &Cluster, flags: &[&str]) -> (ExitStatus, String) {
    let place = Place::new();
    let master = format!("--master={}", cluster.master());
    let (status, printed) = finish(
        &place,
        "execute",
        meseta().args(["execute", &master]).args(flags),
    );
    let said = std::fs::read_to_string(place.join("execute.log")).unwrap_or_default();
    (status, printed + &said)
}

#[test]
fn it_prints_each_status_and_ends_as_the_task_did() {
    let cluster = Cluster::start();
    let (status, printed) = execute(&cluster, &["--name=good", "--command=true"]);
    assert_eq!(status.code(), Some(0), "{printed}");
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        assert!(printed.contains(state), "{state} in {printed}");
    }
    assert!(printed.contains("good"), "{printed}");

    let (status, printed) = execute(&cluster, &["--name=bad", "--command=exit 3"]);
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("TASK_FAILED"), "{printed}");
    assert!(
        printed.contains("Command exited with status 3"),
        "{printed}"
    );
}

#[test]
fn environment_resources_and_role_reach_the_task() {
    let cluster = Cluster::start();
    let written = cluster.place.join("written");
    let (status, printed) = execute(
        &cluster,
        &[
            "--name=flags",
            r#"--env={"GREETING": "hello"}"#,
            "--resources=cpus:0.5;mem:64",
            "--role=science",
            &format!("--command=echo $GREETING > {}", written.display()),
        ],
    );
    assert_eq!(status.code(), Some(0), "{printed}");
    assert_eq!(
        std::fs::read_to_string(written).expect("what the task wrote"),
        "hello\n"
    );
    let state = crate::support::http::get(cluster.master(), "/state").json();
    let framework = &state["completed_frameworks"][0];
    assert_eq!(framework["roles"], serde_json::json!(["science"]));
    assert_eq!(framework["completed_tasks"][0]["resources"]["cpus"], 0.5);
}

#[test]
fn without_a_shell_the_command_is_a_program() {
    let cluster = Cluster::start();
    let (status, printed) = execute(
        &cluster,
        &["--name=argv", "--no-shell", "--command=/bin/true"],
    );
    assert_eq!(status.code(), Some(0), "{printed}");
}

#[test]
fn a_task_is_killed_after_the_time_that_was_given() {
    let cluster = Cluster::start();
    let (status, printed) = execute(
        &cluster,
        &["--name=long", "--command=sleep 1000", "--kill_after=1secs"],
    );
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("TASK_KILLED"), "{printed}");
}

#[test]
fn a_master_that_is_not_there_is_told() {
    let place = Place::new();
    let (status, _) = finish(
        &place,
        "execute",
        meseta().args([
            "execute",
            "--master=127.0.0.1:1",
            "--name=t",
            "--command=true",
        ]),
    );
    let said = std::fs::read_to_string(place.join("execute.log")).expect("its standard error");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}
