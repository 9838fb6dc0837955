//! What goes on for as long as one looks: logs, events and `top`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use super::User;
use crate::support::daemon::{Cluster, Place, RESOURCES, registered_agents};
use crate::support::scheduler::{framework, shell_task};
use crate::support::{eventually, processes, skip};

fn cluster() -> Cluster {
    let cluster = Cluster::in_place(Place::new(), &[RESOURCES]);
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
    let said = user.run(&["task", "logs", "cart-1", "--file=core"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("has no file") && said.contains("/core"),
        "{said}"
    );
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

/// A terminal of eighty columns, in a tmux of its own.
struct Terminal {
    socket: std::path::PathBuf,
}

impl Terminal {
    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(["-f", "/dev/null"])
            .args(words)
            .output()
            .expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn shows(&self, words: &[&str]) -> String {
        eventually(&format!("{words:?} in the terminal"), || {
            let screen = self.tmux(&["capture-pane", "-p"]);
            words
                .iter()
                .all(|word| screen.contains(word))
                .then_some(screen)
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let server = self.tmux(&["display-message", "-p", "#{pid}"]);
        self.tmux(&["kill-server"]);
        if let Ok(pid) = server.trim().parse() {
            processes::kill9(pid);
        }
    }
}

#[test]
fn top_shows_the_cluster_live_in_a_terminal() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return skip("tmux is not installed");
    }
    let cluster = cluster();
    let terminal = Terminal {
        socket: cluster.place.join("tmux"),
    };
    let top = format!(
        "{} top --every=200ms --master={}; echo over: $?; exec cat",
        env!("CARGO_BIN_EXE_meseta"),
        cluster.master()
    );
    terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &top]);
    terminal.shows(&["meseta top", "1 agent", "0 running", "q quit"]);

    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", "sleep 1000"));
    let screen = terminal.shows(&["1 running", "FRAMEWORK", "shop", "0.1/4", "32M/4G"]);
    let longest = screen.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{screen}");
    terminal.tmux(&["send-keys", "Tab"]);
    terminal.shows(&["AGENT", "HOST", "-S0", "127.0.0.1"]);
    terminal.tmux(&["send-keys", "s"]);
    terminal.shows(&["Agents by memory"]);

    scheduler.kill("cart-1");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    terminal.shows(&["0 running", "1 killed"]);
    terminal.tmux(&["send-keys", "q"]);
    terminal.shows(&["over: 0"]);
}
