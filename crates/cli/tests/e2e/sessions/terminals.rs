//! `meseta task exec` on a terminal.

use serde_json::json;

use super::{Cluster, await_sleepers, rare};
use crate::support::scheduler::shell_task;
use crate::support::terminal::{self, Terminal};

/// A shell in a terminal, with a prompt that is told from the task's.
fn shell(cluster: &Cluster) -> Terminal {
    let place = &cluster.world.place;
    let line = format!(
        "env XDG_CONFIG_HOME={} MESETA_MASTER={} PS1='here>' sh -i",
        place.join("home").display(),
        cluster.world.master.address
    );
    let terminal = Terminal::run(place, &line);
    terminal.shows(&["here>"]);
    terminal
}

fn shell_in_task() -> String {
    let program = env!("CARGO_BIN_EXE_meseta");
    format!("{program} task exec t")
}

#[test]
fn a_shell_has_this_terminal_with_its_size_and_keys_and_gives_it_back() {
    if !terminal::is_installed() {
        return;
    }
    let cluster = Cluster::start();
    let terminal = shell(&cluster);
    terminal.enter("stty -a > before");
    terminal.enter(&format!("{}; echo ended-$?", shell_in_task()));
    // Keys that come early wait for who reads them.
    terminal.enter("echo inside-$((40 + 3))");
    terminal.shows(&["inside-43"]);
    terminal.enter("PS1='there> '; stty size; echo $TERM-$MESOS_EXECUTOR_ID");
    terminal.shows(&["24 80"]);
    terminal.shows(&["-t"]);
    terminal.resize(101, 31);
    // The shell is told by a signal, and asks for the size.
    terminal.enter("until [ \"$(stty size)\" = '31 101' ]; do :; done; echo size-is-$((1000 + 1))");
    terminal.shows(&["size-is-1001"]);
    let sleep = rare(30);
    terminal.enter(&format!("sleep {sleep}"));
    await_sleepers(&sleep, 1);
    terminal.press("C-c");
    await_sleepers(&sleep, 0);
    terminal.enter("exit 9");
    terminal.shows(&["ended-9"]);
    // Of the size alone it is another.
    terminal.enter(
        "stty -a > after; sed 1d before > b; sed 1d after > a; cmp a b && echo same-$((6 * 7))",
    );
    terminal.shows(&["same-42"]);
}

#[test]
fn a_terminal_is_given_back_when_the_agent_dies() {
    if !terminal::is_installed() {
        return;
    }
    let mut cluster = Cluster::start();
    let terminal = shell(&cluster);
    terminal.enter(&shell_in_task());
    // Keys that come early wait for who reads them.
    terminal.enter("echo inside-$((40 + 3))");
    terminal.shows(&["inside-43"]);
    let sleep = rare(31);
    terminal.enter(&format!("sleep {sleep}"));
    await_sleepers(&sleep, 1);
    cluster.world.kill_agent();
    terminal.shows(&["error: "]);
    terminal.enter("echo typed-$?; stty -a | grep -o ' echo '");
    terminal.shows(&["typed-1"]);
    terminal.shows(&[" echo "]);
    await_sleepers(&sleep, 0);
}

#[test]
fn who_is_attached_to_a_task_types_there_and_lets_it_go() {
    if !terminal::is_installed() {
        return;
    }
    let talks = "while read line; do echo \"got-$line-$(stty size)\"; done";
    let mut task = shell_task("t", talks);
    task["container"] = json!({"type": "MESOS", "tty_info": {}});
    let cluster = Cluster::running(&task);
    let terminal = shell(&cluster);
    let program = env!("CARGO_BIN_EXE_meseta");
    let attach = format!("{program} task attach t; echo ended-$?");
    terminal.enter(&attach);
    terminal.enter("hello");
    terminal.shows(&["got-hello-24 80"]);
    terminal.press("C-p");
    terminal.press("C-q");
    terminal.shows(&["ended-0"]);
    terminal.enter("clear");
    terminal.enter(&attach);
    terminal.enter("again");
    terminal.shows(&["got-again-24 80"]);
}
