//! `meseta top` as its users have it: in a terminal that changes, under keys and signals.

use std::net::SocketAddr;

use crate::support::daemon::{
    Cluster, Place, RESOURCES, registered_agents, start_agent, start_master, start_master_at,
};
use crate::support::scheduler::{Scheduler, framework, shell_task};
use crate::support::terminal::{self, Terminal};
use crate::support::{eventually, processes};

/// `meseta top` in a terminal, and what its shell says after it.
fn top(place: &Place, master: SocketAddr) -> Terminal {
    let line = format!(
        "echo before; tty=$(stty -g); {} top --every=200ms --master={}; echo over: $?; \
         test \"$tty\" = \"$(stty -g)\" && echo as before; exec cat",
        env!("CARGO_BIN_EXE_meseta"),
        master
    );
    let terminal = Terminal::run(place, &line);
    terminal.shows(&["meseta top", "0 running", "q quit"]);
    terminal
}

fn cluster() -> Cluster {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    cluster
}

/// The program has ended well, and all is as it was before.
fn is_restored(terminal: &Terminal) {
    let screen = terminal.shows(&["before", "over: 0", "as before"]);
    assert!(!screen.contains("meseta top"), "{screen}");
    let modes = terminal.property("#{alternate_on} #{cursor_flag}");
    assert_eq!(modes, "0 1");
}

#[test]
fn top_shows_the_cluster_live_in_a_terminal() {
    if !terminal::is_installed() {
        return;
    }
    let cluster = cluster();
    let terminal = top(&cluster.place, cluster.master());
    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", "sleep 1000"));
    let screen = terminal.shows(&["1 running", "FRAMEWORK", "shop", "0.1/4", "32M/4G"]);
    let longest = screen.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{screen}");
    terminal.press("Tab");
    terminal.shows(&["AGENT", "HOST", "-S0", "127.0.0.1"]);
    terminal.press("s");
    terminal.shows(&["Agents by memory"]);

    scheduler.kill("cart-1");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    terminal.shows(&["0 running", "1 killed"]);
    terminal.press("q");
    is_restored(&terminal);
}

#[test]
fn top_fills_the_terminal_as_it_grows_and_shrinks() {
    if !terminal::is_installed() {
        return;
    }
    let cluster = cluster();
    let frameworks: Vec<Scheduler> = (0..12)
        .map(|number| cluster.subscribe(framework(&format!("shop-{number:02}"))))
        .collect();
    let terminal = top(&cluster.place, cluster.master());
    terminal.shows(&["12 frameworks", "shop-11"]);
    terminal.resize(120, 40);
    let widest = |screen: &str| screen.lines().map(|line| line.chars().count()).max();
    eventually("the whole width", || {
        let screen = terminal.screen();
        let foot = screen.lines().last()?.contains("q quit");
        (foot && screen.lines().count() == 40 && widest(&screen) > Some(100)).then_some(())
    });
    // Where not all fits, what is chosen is in sight.
    terminal.resize(60, 16);
    eventually("the small screen", || {
        let screen = terminal.screen();
        let foot = screen.lines().last()?.contains("q quit");
        let cut = !screen.contains("shop-11") && widest(&screen) <= Some(60);
        (foot && screen.lines().count() == 16 && cut).then_some(())
    });
    terminal.press("End");
    eventually("the last row instead of the first", || {
        let screen = terminal.screen();
        (screen.contains("shop-11") && !screen.contains("shop-00")).then_some(())
    });
    terminal.resize(12, 3);
    terminal.resize(80, 24);
    terminal.shows(&["shop-00", "shop-11", "q quit"]);
    terminal.press("C-c");
    is_restored(&terminal);
    drop(frameworks);
}

#[test]
fn top_tells_that_the_master_is_away_and_goes_on_when_it_is_back() {
    if !terminal::is_installed() {
        return;
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
        let screen = terminal.screen();
        (screen.contains("1 agent") && !screen.contains("failed to watch")).then_some(())
    });
    // A signal ends it as a key does.
    let command = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let shell = terminal.property("#{pane_pid}");
    let shell = shell.parse().expect("the shell's process");
    let top = processes::descendants(shell)
        .into_iter()
        .find(|pid| command(*pid).windows(5).any(|part| part == b"\0top\0"))
        .expect("top");
    processes::signal(top, rustix::process::Signal::TERM);
    is_restored(&terminal);
}
