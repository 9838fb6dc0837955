//! What goes on for as long as one looks: logs, events and `top`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use serde_json::json;

use super::User;
use crate::support::daemon::{
    Cluster, Place, RESOURCES, registered_agents, start_agent, start_master,
};
use crate::support::eventually;
use crate::support::scheduler::{framework, shell_task};
use crate::support::web::Silent;

fn cluster() -> Cluster {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    cluster
}

fn started(user: &User<'_>, words: &[&str]) -> Child {
    let mut command = user.command(words);
    command.stdout(Stdio::piped());
    command.spawn().expect("the command")
}

#[test]
fn logs_are_followed_as_they_grow_until_the_task_has_ended() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let go = cluster.place.join("go");
    let command = format!(
        "echo one; echo oops >&2; while [ ! -e {} ]; do sleep 0.1; done; echo two",
        go.display()
    );
    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", &command));

    let mut follower = started(&user, &["task", "logs", "-f", "cart-1"]);
    let mut output = BufReader::new(follower.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "one\n");
    assert_eq!(user.told(&["task", "logs", "cart-1", "--stderr"]), "oops\n");

    std::fs::write(&go, "").expect("the sign to go on");
    scheduler.expect("TASK_FINISHED");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "two\n");
    assert!(follower.wait().expect("its end").success());

    // The output of an ended task stays, and following it ends at its end.
    for words in [
        &["task", "logs", "cart-1"][..],
        &["task", "logs", "cart-1", "-f"],
    ] {
        assert_eq!(user.told(words), "one\ntwo\n");
    }
    for (tail, printed) in [
        ("--tail=0", ""),
        ("--tail=1", "two\n"),
        ("-n2", "one\ntwo\n"),
        ("-n3", "one\ntwo\n"),
    ] {
        assert_eq!(user.told(&["task", "logs", "cart-1", tail]), printed);
        assert_eq!(user.told(&["task", "logs", "cart", "-f", tail]), printed);
    }
    let said = user.refused(&["task", "logs", "cart-1", "--file=core"]);
    assert!(
        said.contains("has no file") && said.contains("/core"),
        "{said}"
    );
}

#[test]
fn the_last_lines_of_a_long_output_are_found_from_its_end() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let mut scheduler = cluster.subscribe(framework("shop"));
    // Of more than what is read at once, and without an end of the last line.
    let command = "seq 1 150000; printf last >&2; printf last; sleep 1000";
    scheduler.start_and_see_running(&shell_task("cart-1", command));
    eventually("the task's output", || {
        let printed = user.told(&["task", "logs", "cart-1", "--tail=2"]);
        (printed == "150000\nlast").then_some(())
    });
    let printed = user.told(&["task", "logs", "cart-1", "--tail=120000"]);
    assert!(printed.starts_with("30002\n"), "{printed:.20}");
    assert_eq!(printed.lines().count(), 120_000);
    let words = ["task", "logs", "cart-1", "--stderr", "--tail=7"];
    assert_eq!(user.told(&words), "last");
}

#[test]
fn logs_are_followed_from_before_the_task_runs() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let mut scheduler = cluster.subscribe(framework("shop"));
    // A fetch that waits keeps the task from starting.
    let source = Silent::start();
    let mut task = shell_task("cart-1", "cat file");
    task["command"]["uris"] = json!([{"value": format!("http://{}/file", source.address)}]);
    scheduler.start(&task);
    let mut fetch = source.request();
    let mut follower = started(&user, &["task", "logs", "-f", "--tail=5", "cart-1"]);
    fetch.answer(8, b"fetched\n");
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        scheduler.expect(state);
    }
    let mut output = follower.stdout.take().expect("its output");
    let mut printed = String::new();
    output.read_to_string(&mut printed).expect("the output");
    assert_eq!(printed, "fetched\n");
    assert!(follower.wait().expect("its end").success());
}

#[test]
fn logs_of_masters_and_agents_are_printed_and_followed() {
    let place = Place::new();
    let log = place.join("log-of-master");
    std::fs::write(&log, "one\ntwo\nthree\n").expect("a log");
    let named = format!("--external_log_file={}", log.display());
    let master = start_master(&place, &[&named]);
    let named = format!("--log_dir={}", place.join("log-of-agent").display());
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES, &named]);
    registered_agents(master.address, 1);
    let user = User::of(&place, master.address);
    assert_eq!(user.told(&["master", "logs"]), "one\ntwo\nthree\n");
    let said = user.told(&["agent", "logs", "S0"]);
    assert!(said.contains("the agent listens"), "{said}");

    let mut follower = started(&user, &["master", "logs", "-f", "-n1"]);
    let mut output = BufReader::new(follower.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "three\n");
    let mut written = File::options().append(true).open(&log).expect("the log");
    written.write_all(b"four\n").expect("a line");
    line.clear();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "four\n");
    // A log that begins anew is followed from its beginning.
    std::fs::write(&log, "five\n").expect("a new log");
    line.clear();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "five\n");
    follower.kill().expect("it runs");
    follower.wait().expect("its end");
}

#[test]
fn who_keeps_no_log_says_how_to() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let user = User::of(&place, master.address);
    let said = user.refused(&["master", "logs"]);
    assert!(said.contains("--log_dir"), "{said}");
}

#[test]
fn tasks_of_a_group_have_logs_of_their_own() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let mut scheduler = cluster.subscribe(framework("shop"));
    let offer = scheduler.offer();
    let task = |id: &str| shell_task(id, &format!("echo I am {id}; sleep 1000"));
    scheduler.launch_group(&offer, "group", &[task("left"), task("right")]);
    for state in ["TASK_STARTING", "TASK_RUNNING"] {
        scheduler.expect(state);
        scheduler.expect(state);
    }
    for id in ["left", "right"] {
        eventually("the task's output", || {
            let printed = user.told(&["task", "logs", id]);
            (printed == format!("I am {id}\n")).then_some(())
        });
    }
}

#[test]
fn events_are_printed_as_they_happen() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let mut follower = started(&user, &["events", "-f"]);
    let output = BufReader::new(follower.stdout.take().expect("its output"));
    let mut lines = output.lines().map(|line| line.expect("a line"));
    assert!(lines.next().expect("a line").contains("SUBSCRIBED"));
    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", "sleep 1000"));
    for words in [
        &["FRAMEWORK_ADDED", "shop"][..],
        &["TASK_ADDED", "cart-1"],
        &["TASK_UPDATED", "cart-1 running"],
    ] {
        let is_it = |line: &String| words.iter().all(|word| line.contains(word));
        assert!(lines.any(|line| is_it(&line)), "{words:?}");
    }
    follower.kill().expect("it runs");
    follower.wait().expect("its end");
}

#[test]
fn who_reads_no_more_ends_a_command_without_complaint() {
    let cluster = cluster();
    let user = User::of(&cluster.place, cluster.master());
    let mut follower = user
        .command(&["events", "-f", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut output = BufReader::new(follower.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["type"], "SUBSCRIBED");
    drop(output);
    let _scheduler = cluster.subscribe(framework("shop"));
    let ended = follower.wait_with_output().expect("its end");
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
