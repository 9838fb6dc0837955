//! `meseta local`: a cluster in one command, and its clean end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::daemon::{Cluster, Place, agent_address, finish, meseta, registered_agents};
use crate::support::scheduler::{framework, shell_task};
use crate::support::{eventually, http, processes};

#[test]
fn the_page_loads_where_the_printed_line_says() {
    let cluster = Cluster::start();
    let page = http::get(cluster.master(), "/");
    assert!(
        page.head
            .header("content-type")
            .is_some_and(|found| found.starts_with("text/html")),
        "{:?}",
        page.head
    );
    for path in [
        "/health",
        "/master/health",
        "/version",
        "/state",
        "/master/state.json",
    ] {
        http::get(cluster.master(), path);
    }
}

#[test]
fn every_agent_asked_for_registers_and_serves_its_own_port() {
    let cluster = Cluster::with(&["--agents=3", "--resources=cpus:1;mem:512"]);
    let agents = registered_agents(cluster.master(), 3);
    let mut ports: Vec<u16> = agents
        .iter()
        .map(|agent| agent_address(agent).port())
        .collect();
    for agent in &agents {
        let address = agent_address(agent);
        for path in ["/health", "/slave(1)/health", "/state", "/slave(1)/state"] {
            http::get(address, path);
        }
    }
    ports.push(cluster.master().port());
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 4);
}

#[test]
fn ctrl_c_ends_it_with_status_0_and_leaves_no_process() {
    let Cluster { daemon, place } = Cluster::start();
    let api = crate::support::daemon::scheduler_api(daemon.address);
    let voice = crate::support::scheduler::Voice::JSON;
    let mut scheduler =
        crate::support::scheduler::Scheduler::subscribe(api, voice, framework("ctrl-c"));
    scheduler.start_and_see_running(&shell_task("t", "sleep 1000 & sleep 1000"));
    let before = processes::with_traces_of(place.path());
    assert!(
        before.len() >= 3,
        "daemon, executor and task at least: {before:?}"
    );

    let status = daemon.stop_by(Signal::INT);
    assert_eq!(status.code(), Some(0), "{status}");
    eventually("the end of executors and tasks", || {
        processes::with_traces_of(place.path())
            .is_empty()
            .then_some(())
    });
}

#[test]
fn a_cluster_whose_words_nobody_reads_goes_on() {
    let place = Place::new();
    let port = free_port();
    let (out, err) = (unread(), unread());
    let mut child = meseta()
        .args(["local", "--logging_level=INFO", &format!("--port={port}")])
        .arg(format!("--work_dir={}", place.join("work").display()))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .expect("the binary");
    let master = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    registered_agents(master, 1);
    // The end of the terminal that started it is the end of it.
    processes::signal(child.id(), Signal::HUP);
    let status = eventually("its end", || child.try_wait().expect("its state"));
    assert_eq!(status.code(), Some(0), "{status}");
}

/// The writing end of a pipe that nobody reads.
fn unread() -> std::io::PipeWriter {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer
}

/// A port that was free just now, with a free one after it for the agent.
fn free_port() -> u16 {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    eventually("two free ports", || {
        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = listener.local_addr().ok()?.port();
        drop(listener);
        port.checked_add(1).is_some_and(is_free).then_some(port)
    })
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let place = Place::new();
    let (status, _) = finish(
        &place,
        "local",
        meseta()
            .args(["local", &format!("--port={port}")])
            .arg(format!("--work_dir={}", place.join("work").display())),
    );
    let said = said(&place, "local");
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
}

#[test]
fn an_unknown_flag_is_an_error_that_suggests_the_nearest() {
    for (program, flag, nearest) in [
        ("local", "--agent=2", "--agents"),
        ("master", "--prot=5050", "--port"),
        ("agent", "--atributes=rack:a", "--attributes"),
    ] {
        let place = Place::new();
        let (status, _) = finish(&place, program, meseta().args([program, flag]));
        let said = said(&place, program);
        assert_eq!(status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(nearest), "{said}");
    }
}

#[test]
fn a_flag_of_mesos_that_is_not_served_is_refused_by_name() {
    let place = Place::new();
    let (status, _) = finish(
        &place,
        "master",
        meseta().args(["master", "--acls={}", "--port=0"]),
    );
    let said = said(&place, "master");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("--acls"), "{said}");
}

fn said(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.join(&format!("{name}.log"))).expect("its standard error")
}
