//! `meseta task exec` on a terminal.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::{Cluster, await_sleepers, rare};
use crate::support::scheduler::shell_task;
use crate::support::{eventually, skip};

/// A terminal of eighty columns, in a tmux of its own.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A shell in it.
    fn open(cluster: &Cluster) -> Self {
        let terminal = Self {
            socket: cluster.world.place.join("tmux"),
        };
        let home = cluster.world.place.join("home");
        let shell = format!(
            "env XDG_CONFIG_HOME={} MESETA_MASTER={} PS1='here>' sh -i",
            home.display(),
            cluster.world.master.address
        );
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-c",
            &cluster.world.place.path().to_string_lossy(),
            "-x",
            "80",
            "-y",
            "24",
            &shell,
        ]);
        terminal.until("here>");
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(words)
            .output()
            .expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &str) {
        self.tmux(&["send-keys", keys]);
    }

    fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    fn until(&self, awaited: &str) {
        eventually(awaited, || {
            let screen = self.tmux(&["capture-pane", "-p"]);
            screen.contains(awaited).then_some(())
        });
    }

    fn resize(&self, columns: &str, rows: &str) {
        self.tmux(&["resize-window", "-x", columns, "-y", rows]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn shell_in_task() -> String {
    let program = env!("CARGO_BIN_EXE_meseta");
    format!("{program} task exec t")
}

fn has_tmux() -> bool {
    Command::new("tmux").arg("-V").output().is_ok()
}

#[test]
fn a_shell_has_this_terminal_with_its_size_and_keys_and_gives_it_back() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let cluster = Cluster::start();
    let terminal = Terminal::open(&cluster);
    terminal.enter("stty -a > before");
    terminal.enter(&format!("{}; echo ended-$?", shell_in_task()));
    // Keys that come early wait for who reads them.
    terminal.enter("echo inside-$((40 + 3))");
    terminal.until("inside-43");
    terminal.enter("PS1='there> '; stty size; echo $TERM-$MESOS_EXECUTOR_ID");
    terminal.until("24 80");
    terminal.until("-t");
    terminal.resize("101", "31");
    // The shell is told by a signal, and asks for the size.
    terminal.enter("until [ \"$(stty size)\" = '31 101' ]; do :; done; echo size-is-$((1000 + 1))");
    terminal.until("size-is-1001");
    let sleep = rare(30);
    terminal.enter(&format!("sleep {sleep}"));
    await_sleepers(&sleep, 1);
    terminal.press("C-c");
    await_sleepers(&sleep, 0);
    terminal.enter("exit 9");
    terminal.until("ended-9");
    // Of the size alone it is another.
    terminal.enter(
        "stty -a > after; sed 1d before > b; sed 1d after > a; cmp a b && echo same-$((6 * 7))",
    );
    terminal.until("same-42");
}

#[test]
fn a_terminal_is_given_back_when_the_agent_dies() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let mut cluster = Cluster::start();
    let terminal = Terminal::open(&cluster);
    terminal.enter(&shell_in_task());
    // Keys that come early wait for who reads them.
    terminal.enter("echo inside-$((40 + 3))");
    terminal.until("inside-43");
    let sleep = rare(31);
    terminal.enter(&format!("sleep {sleep}"));
    await_sleepers(&sleep, 1);
    cluster.world.kill_agent();
    terminal.until("error: ");
    terminal.enter("echo typed-$?; stty -a | grep -o ' echo '");
    terminal.until("typed-1");
    terminal.until(" echo ");
    await_sleepers(&sleep, 0);
}

#[test]
fn who_is_attached_to_a_task_types_there_and_lets_it_go() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let talks = "while read line; do echo \"got-$line-$(stty size)\"; done";
    let mut task = shell_task("t", talks);
    task["container"] = json!({"type": "MESOS", "tty_info": {}});
    let cluster = Cluster::running(&task);
    let terminal = Terminal::open(&cluster);
    let program = env!("CARGO_BIN_EXE_meseta");
    let attach = format!("{program} task attach t; echo ended-$?");
    terminal.enter(&attach);
    terminal.enter("hello");
    terminal.until("got-hello-24 80");
    terminal.press("C-p");
    terminal.press("C-q");
    terminal.until("ended-0");
    terminal.enter("clear");
    terminal.enter(&attach);
    terminal.enter("again");
    terminal.until("got-again-24 80");
}
