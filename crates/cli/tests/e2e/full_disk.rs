//! A disk that is full: the agent stays, what runs goes on and is told of, nothing new is begun until there is
//! room again.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::daemon::{
    Daemon, Place, agent_command, registered_agents, scheduler_api, start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task};
use crate::support::skip;

/// Enough for an agent with the room that it takes beforehand, and to be filled in an instant.
const SIZE: &str = "size=32m";

/// What takes as much of the agent's memory as hundreds of usual tasks.
const MUCH: usize = 700 * 1024;

/// Runs a program with a file system in memory at a path that nobody else sees there.
fn on_small_disk(path: &Path, command: &Command) -> Command {
    let script = format!(r#"mount -t tmpfs -o {SIZE} none "$0" && exec "$@""#);
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "sh", "-c", &script]).arg(path);
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A file that takes all that is left of a disk.
struct Filler(PathBuf);

impl Filler {
    fn fill(path: PathBuf) -> Self {
        let mut file = File::create(&path).expect("a file");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write_all(&block).is_ok() {}
        }
        Self(path)
    }

    fn remove(self) {
        std::fs::remove_file(self.0).expect("a file that can be removed");
    }
}

/// A task of which the agent has much to keep.
fn large_task(id: &str) -> Value {
    let mut task = shell_task(id, "true");
    task["labels"] = json!({"labels": [{"key": "much", "value": "x".repeat(MUCH)}]});
    task
}

/// The first update of a task that does not say that it runs.
fn end_of(scheduler: &mut Scheduler, task: &Value) -> Value {
    scheduler.start(task);
    loop {
        let status = scheduler.acknowledged_update();
        let is_its = status["task_id"] == task["task_id"];
        let runs = matches!(
            status["state"].as_str(),
            Some("TASK_STARTING" | "TASK_RUNNING")
        );
        if is_its && !runs {
            return status;
        }
    }
}

/// Kills a task and sees its end.
fn kill(scheduler: &mut Scheduler, id: &str) {
    scheduler.kill(id);
    loop {
        let status = scheduler.acknowledged_update();
        if status["state"] == "TASK_KILLED" {
            assert_eq!(status["task_id"]["value"], id);
            return;
        }
    }
}

#[test]
fn an_agent_whose_disk_is_full_refuses_tasks_until_there_is_room_and_keeps_those_that_run() {
    let place = Place::new();
    let disk = place.join("agent");
    std::fs::create_dir(&disk).expect("a folder");
    let probe = on_small_disk(&disk, &Command::new("true")).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip("this user may not mount a file system to fill it");
    }
    let master = start_master(&place, &["--allocation_interval=100ms"]);
    let command = agent_command(
        &place,
        master.address,
        0,
        &["--resources=cpus:4;mem:4096;disk:10", "--gc_delay=1days"],
    );
    let mut agent = Daemon::start(&place, "agent", &mut on_small_disk(&disk, &command));
    registered_agents(master.address, 1);
    let mut info = framework("full-disk");
    info["checkpoint"] = json!(true);
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    for id in ["first", "second"] {
        scheduler.start_and_see_running(&shell_task(id, "sleep 1000"));
    }

    let inside = PathBuf::from(format!("/proc/{}/root{}", agent.pid(), disk.display()));
    let filler = Filler::fill(inside.join("filler"));
    let mut number = 0;
    let mut refusal = || {
        number += 1;
        let status = end_of(&mut scheduler, &large_task(&format!("large-{number}")));
        assert_eq!(status["state"], "TASK_DROPPED", "{status}");
        status
    };
    // Until the agent has looked for more room, tasks fail for want of a sandbox.
    let refused = loop {
        let status = refusal();
        if status["reason"] == "REASON_GC_ERROR" {
            break status;
        }
    };
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("is full"), "{message}");
    // What runs can be killed, and that is told.
    kill(&mut scheduler, "first");
    assert!(agent.end_if_any().is_none(), "the agent has ended");

    filler.remove();
    let mut number = 0;
    loop {
        number += 1;
        let status = end_of(
            &mut scheduler,
            &shell_task(&format!("small-{number}"), "true"),
        );
        match status["state"].as_str() {
            Some("TASK_FINISHED") => break,
            _ => assert_eq!(status["reason"], "REASON_GC_ERROR", "{status}"),
        }
    }
    kill(&mut scheduler, "second");
}
