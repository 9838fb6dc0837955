//! The unix socket of the executor API: executors of any user come by it, and nobody else.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::custom::{Kind, World};
use crate::support::daemon::{Place, meseta};
use crate::support::scheduler::shell_task;
use crate::support::{http, skip};

/// A user without rights, on every machine.
const NOBODY: u32 = 65_534;

fn world() -> (World, PathBuf) {
    let place = Place::new();
    // Users of executors must be able to reach it.
    let rights = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(), rights).expect("rights");
    let socket = place.join("executors.sock");
    let flag = format!("--domain_socket_location={}", socket.display());
    let flags = [
        "--http_executor_domain_sockets",
        &flag,
        "--executor_reregistration_timeout=5secs",
    ];
    (World::in_place(place, &flags), socket)
}

/// Sends a request to the socket; what comes back, to the end.
fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// How many connections over TCP a process has.
fn tcp_connections(pid: u32) -> usize {
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("a table");
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let links = descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inodes = links.filter_map(|link| {
        let name = link.to_str()?.strip_prefix("socket:[")?.to_owned();
        Some(name.strip_suffix(']')?.to_owned())
    });
    inodes
        .filter(|inode| {
            sockets
                .lines()
                .any(|line| line.split_whitespace().nth(9) == Some(inode))
        })
        .count()
}

#[test]
fn executors_come_by_the_socket_and_find_it_again() {
    let (mut world, _) = world();
    let running = world
        .scheduler
        .start_and_see_running(&shell_task("plain", "exec sleep 1000"));
    let executor = &running["container_status"]["executor_pid"];
    let executor = u32::try_from(executor.as_u64().expect("a number")).expect("a process id");
    assert_eq!(tcp_connections(executor), 0, "the command executor");

    let custom = world.executor("e", &Kind::V1.command());
    world.launch("t", "", &custom);
    world.update("TASK_RUNNING");
    let (pid, _) = world.find("e");
    assert_eq!(tcp_connections(pid), 0, "the custom executor");

    world.kill_agent();
    world.start_agent();
    world.launch_on_valid_offer("t2", "", &custom);
    assert_eq!(world.find("e").0, pid);
    world.scheduler.kill("plain");
    assert_eq!(world.update("TASK_KILLING").0, "plain");
    assert_eq!(world.update("TASK_KILLED").0, "plain");
}

#[test]
fn nobody_comes_by_the_socket_but_executors() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be another user");
    }
    let (mut world, socket) = world();
    let mode = std::fs::metadata(&socket).expect("a socket").permissions();
    assert_eq!(mode.mode() & 0o777, 0o666);
    let knock = format!(
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); \
         s.sendall(b'GET /slave(1)/api/v1 HTTP/1.1\\r\\nHost: agent\\r\\n\\r\\n'); \
         print(s.recv(12).decode())",
        socket.display()
    );
    let said = |output: std::process::Output| {
        let lines = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&lines).into_owned()
    };
    let stranger = Command::new("python3")
        .args(["-c", &knock])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output()
        .expect("python3");
    let stranger = said(stranger);
    assert!(!stranger.contains("HTTP"), "{stranger}");

    // The same user, in a container.
    let knocker = world.place.join("knock.py");
    std::fs::write(&knocker, &knock).expect("a file");
    let mut task = shell_task("knock", &format!("exec python3 {}", knocker.display()));
    task["command"]["user"] = serde_json::json!("nobody");
    let running = world.scheduler.start_and_see_running(&task);
    world.update("TASK_FINISHED");
    let state = http::get(world.agent(), "/state").json();
    let sandbox = crate::support::custom::sandbox_of(&state, "knock");
    let printed = std::fs::read_to_string(sandbox.join("stdout")).expect("its output");
    assert!(printed.contains("HTTP/1.1 405"), "{printed} {running}");
}

#[test]
fn the_socket_is_for_executors_calls_alone() {
    let (_world, socket) = world();
    for path in ["/slave(1)/api/v1/executor", "/api/v1/executor", "/api/v1"] {
        let answer = ask(&socket, path);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{path}: {answer}");
    }
    for path in ["/state", "/slave(1)/state", "/files/browse?path=/", "/"] {
        let answer = ask(&socket, path);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}: {answer}");
    }
}

#[test]
fn a_socket_whose_path_the_kernel_would_not_take_is_refused() {
    let place = Place::new();
    let start = |location: &str| {
        let output = meseta()
            .args(["agent", "--master=127.0.0.1:1", "--port=0"])
            .arg("--http_executor_domain_sockets")
            .arg(format!("--domain_socket_location={location}"))
            .arg(format!("--work_dir={}", place.join("work").display()))
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let long = place.join(&"x".repeat(108));
    let said = start(&long.display().to_string());
    assert!(
        said.contains("a socket's path must have less than 108 characters"),
        "{said}"
    );
    let said = start("systemd:agent");
    assert!(
        said.contains("sockets that systemd passes are not served"),
        "{said}"
    );
}
