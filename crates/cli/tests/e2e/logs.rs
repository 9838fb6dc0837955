//! Logs in files, and read through the daemons that write them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::daemon::{Cluster, Daemon, Place, finish, meseta, start_agent, start_master};
use crate::support::scheduler::{framework, shell_task};
use crate::support::{eventually, http};

fn kept_in(folder: &Path) -> String {
    format!("--log_dir={}", folder.display())
}

/// A file as `/files/read` gives it.
fn read(address: SocketAddr, path: &str) -> Option<String> {
    let target = format!("/files/read?path={path}&offset=0");
    let answer = http::request(address, "GET", &target, &[], None).expect("an answer");
    let data = |answer: &Value| answer["data"].as_str().map(str::to_owned);
    (answer.status() == 200).then(|| data(&answer.json()))?
}

#[test]
fn masters_and_agents_write_files_with_the_names_of_mesos_and_show_them() {
    let place = Place::new();
    let folder = place.join("kept");
    let master = start_master(&place, &[&kept_in(&folder)]);
    let agent = start_agent(&place, master.address, 0, &[&kept_in(&folder)]);
    for (daemon, name, path, line) in [
        (&master, "mesos-master", "/master/log", "the master listens"),
        (&agent, "mesos-agent", "/slave/log", "the agent listens"),
    ] {
        let link = folder.join(format!("{name}.INFO"));
        let file = fs::read_link(&link).expect("a link");
        let file = file.to_str().expect("a name");
        assert!(file.starts_with(&format!("{name}.")), "{file}");
        assert!(file.ends_with(&format!(".{}", daemon.pid())), "{file}");
        let shown = eventually("a log", || {
            read(daemon.address, path).filter(|log| log.contains(line))
        });
        assert!(
            fs::read_to_string(&link)
                .expect("a log")
                .starts_with(&shown)
        );
        let debug = http::get(daemon.address, "/files/debug").json();
        assert_eq!(debug[path], json!(link));
        let state = http::get(daemon.address, "/state").json();
        // Mesos's own page looks at this before it offers the log.
        let known = if path == "/master/log" {
            &state["flags"]
        } else {
            &state
        };
        assert_eq!(known["log_dir"], json!(folder));
        let call =
            json!({"type": "READ_FILE", "read_file": {"path": path, "offset": 0, "length": 4}});
        let answer = http::operator_call(daemon.address, &call).json();
        // The first year of the line, in base64.
        assert_eq!(
            answer["read_file"]["data"].as_str().map(|it| &it[..4]),
            Some("MjAy")
        );
    }
}

#[test]
fn without_a_log_there_is_none_to_be_read() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    assert_eq!(read(master.address, "/master/log"), None);
    assert_eq!(http::get(master.address, "/files/debug").json(), json!({}));
}

#[test]
fn a_log_that_somebody_else_writes_is_shown_in_place_of_ones_own() {
    let place = Place::new();
    let external = place.join("journal");
    fs::write(&external, "written elsewhere\n").expect("a file");
    let flag = format!("--external_log_file={}", external.display());
    let master = start_master(&place, &[&flag, &kept_in(&place.join("kept"))]);
    assert_eq!(
        read(master.address, "/master/log").as_deref(),
        Some("written elsewhere\n")
    );
    assert!(place.join("kept/mesos-master.INFO").exists());
}

#[test]
fn the_level_of_logging_is_that_of_the_files_too_and_quiet_is_standard_error_alone() {
    let place = Place::new();
    let folder = place.join("kept");
    let master = start_master(&place, &[&kept_in(&folder), "--quiet"]);
    let raised = |daemon: &Daemon| {
        let toggle = "/logging/toggle?level=1&duration=15mins";
        let answer = http::request(daemon.address, "POST", toggle, &[], None);
        assert_eq!(answer.expect("an answer").status(), 200);
        read(daemon.address, "/master/log").expect("a log")
    };
    assert!(raised(&master).contains("the level of logging is raised"));
    let printed = fs::read_to_string(place.join("master.log")).expect("standard error");
    assert_eq!(printed, "");

    let other = place.join("other");
    fs::create_dir(&other).expect("a folder");
    let flags = [
        &*kept_in(&other),
        "--logging_level=ERROR",
        "--registry=in_memory",
    ];
    let silent = start_master(&place, &flags);
    assert_eq!(read(silent.address, "/master/log").as_deref(), Some(""));
    assert!(other.join("mesos-master.ERROR").exists());
}

#[test]
fn a_folder_that_no_log_can_be_in_is_refused_at_once() {
    let place = Place::new();
    let file = place.join("file");
    fs::write(&file, "").expect("a file");
    let mut command = meseta();
    command.args([
        "master",
        "--port=0",
        "--registry=in_memory",
        &kept_in(&file),
    ]);
    let (status, _) = finish(&place, "refused", &mut command);
    assert_eq!(status.code(), Some(2));
    let said = fs::read_to_string(place.join("refused.log")).expect("standard error");
    assert!(
        said.contains("for --log_dir: no log can be written there"),
        "{said}"
    );
}

#[test]
fn a_whole_cluster_in_one_process_shows_one_log_everywhere_and_is_as_quiet_as_before() {
    let cluster = Cluster::start();
    let log = eventually("a log of all", || {
        let log = read(cluster.master(), "/master/log")?;
        log.contains("the agent listens").then_some(log)
    });
    assert!(log.contains("the master listens"), "{log}");
    // What an operator looks for: agents, frameworks, and tasks that end badly.
    let mut scheduler = cluster.subscribe(framework("logged"));
    scheduler.start(&shell_task("failer", "exit 7"));
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"] {
        scheduler.expect(state);
    }
    eventually("what has happened", || {
        let log = read(cluster.master(), "/master/log")?;
        [
            "asks the master to be registered",
            "an agent has registered",
            "a framework has subscribed",
            "a container is started",
            "Command exited with status 7",
        ]
        .iter()
        .all(|words| log.contains(words))
        .then_some(())
    });
    let printed = fs::read_to_string(cluster.place.join("local.log")).expect("standard error");
    assert!(!printed.contains("listens"), "{printed}");
}
