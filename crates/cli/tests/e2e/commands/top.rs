//! `meseta top` as its users have it: in a terminal that changes, under keys and signals.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::daemon::{
    Cluster, Place, RESOURCES, registered_agents, start_agent, start_master, start_master_at,
};
use crate::support::scheduler::{Scheduler, framework, shell_task};
use crate::support::{eventually, processes, skip};

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

/// `meseta top` in a terminal, and what its shell says after it.
fn top(place: &Place, master: SocketAddr) -> Terminal {
    let terminal = Terminal {
        socket: place.join("tmux"),
    };
    let top = format!(
        "echo before; tty=$(stty -g); {} top --every=200ms --master={}; echo over: $?; \
         test \"$tty\" = \"$(stty -g)\" && echo as before; exec cat",
        env!("CARGO_BIN_EXE_meseta"),
        master
    );
    terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &top]);
    terminal.shows(&["meseta top", "0 running", "q quit"]);
    terminal
}

fn cluster() -> Cluster {
    let cluster = Cluster::in_place(Place::new(), &[RESOURCES]);
    registered_agents(cluster.master(), 1);
    cluster
}

impl Terminal {
    /// The program has ended well, and all is as it was before.
    fn is_restored(&self) {
        let screen = self.shows(&["before", "over: 0", "as before"]);
        assert!(!screen.contains("meseta top"), "{screen}");
        let modes = "#{alternate_on} #{cursor_flag}";
        assert_eq!(self.tmux(&["display-message", "-p", modes]).trim(), "0 1");
    }
}

fn has_tmux() -> bool {
    Command::new("tmux").arg("-V").output().is_ok()
}

#[test]
fn top_shows_the_cluster_live_in_a_terminal() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let cluster = cluster();
    let terminal = top(&cluster.place, cluster.master());
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
    terminal.is_restored();
}

#[test]
fn top_fills_the_terminal_as_it_grows_and_shrinks() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let cluster = cluster();
    let frameworks: Vec<Scheduler> = (0..12)
        .map(|number| cluster.subscribe(framework(&format!("shop-{number:02}"))))
        .collect();
    let terminal = top(&cluster.place, cluster.master());
    terminal.shows(&["12 frameworks", "shop-11"]);
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    let widest = |screen: &str| screen.lines().map(|line| line.chars().count()).max();
    eventually("the whole width", || {
        let screen = terminal.tmux(&["capture-pane", "-p"]);
        let foot = screen.lines().last()?.contains("q quit");
        (foot && screen.lines().count() == 40 && widest(&screen) > Some(100)).then_some(())
    });
    // Where not all fits, what is chosen is in sight.
    terminal.tmux(&["resize-window", "-x", "60", "-y", "16"]);
    eventually("the small screen", || {
        let screen = terminal.tmux(&["capture-pane", "-p"]);
        let foot = screen.lines().last()?.contains("q quit");
        let cut = !screen.contains("shop-11") && widest(&screen) <= Some(60);
        (foot && screen.lines().count() == 16 && cut).then_some(())
    });
    terminal.tmux(&["send-keys", "End"]);
    eventually("the last row instead of the first", || {
        let screen = terminal.tmux(&["capture-pane", "-p"]);
        (screen.contains("shop-11") && !screen.contains("shop-00")).then_some(())
    });
    terminal.tmux(&["resize-window", "-x", "12", "-y", "3"]);
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.shows(&["shop-00", "shop-11", "q quit"]);
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.is_restored();
    drop(frameworks);
}

#[test]
fn top_tells_that_the_master_is_away_and_goes_on_when_it_is_back() {
    if !has_tmux() {
        return skip("tmux is not installed");
    }
    let place = Place::new();
    let master = start_master(&place, &[]);
    let port = master.address.port();
    let terminal = top(&place, master.address);
    terminal.shows(&["0 agents"]);
    master.kill9();
    terminal.shows(&["meseta top", "failed to watch the cluster"]);
    let master = start_master_at(&place, port, &[]);
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    eventually("the agent instead of the complaint", || {
        let screen = terminal.tmux(&["capture-pane", "-p"]);
        (screen.contains("1 agent") && !screen.contains("failed to watch")).then_some(())
    });
    // A signal ends it as a key does.
    let command = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let shell = shell.trim().parse().expect("the shell's process");
    let top = processes::descendants(shell)
        .into_iter()
        .find(|pid| command(*pid).windows(5).any(|part| part == b"\0top\0"))
        .expect("top");
    processes::signal(top, rustix::process::Signal::TERM);
    terminal.is_restored();
}
