//! The SDK's executor (`crates/framework/examples/executor.rs`) on a real agent.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::custom::{World, await_end};
use crate::support::examples::sdk_example;
use crate::support::{eventually, processes};

/// A framework whose executor `e` is the SDK's.
fn world() -> (World, Value) {
    let program = sdk_example("executor");
    let world = World::start();
    let executor = world.executor("e", &format!("exec {}", program.display()));
    (world, executor)
}

/// What a task writes, once it has.
fn written(path: &Path) -> String {
    eventually(&format!("{} to be written", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    })
}

/// A script that writes who runs it, and goes on.
fn tells_its_executor(to: &Path, then: &str) -> String {
    format!("echo $PPID > {}; {then}", to.display())
}

#[test]
fn it_runs_tasks_until_their_end_their_kill_or_its_own() {
    let (mut world, executor) = world();
    world.launch("finishes", "exit 0", &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "finishes");
    assert_eq!(world.update("TASK_FINISHED").0, "finishes");
    world.launch("fails", "exit 3", &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "fails");
    let (task, message) = world.update("TASK_FAILED");
    assert_eq!(task, "fails");
    assert!(message.contains('3'), "{message}");

    let by = world.place.join("by");
    let long = tells_its_executor(&by, "exec sleep 1000");
    world.launch("long", &long, &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "long");
    let pid: u32 = written(&by).parse().expect("a process id");
    world.say("e", "hello");
    assert_eq!(world.hear("e"), "hello");
    world.scheduler.kill("long");
    assert_eq!(world.update("TASK_KILLED").0, "long");

    world.launch("left", "exec sleep 1000", &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "left");
    world.shut_down("e");
    assert_eq!(world.update("TASK_KILLED").0, "left");
    assert_eq!(world.end_of("e"), 0);
    await_end(pid);
}

#[test]
fn it_outlives_its_agent_and_hands_in_what_happened_meanwhile() {
    let (mut world, executor) = world();
    let (go, done) = (world.place.join("go"), world.place.join("done"));
    let (before, after) = (world.place.join("before"), world.place.join("after"));
    let waits = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; echo done > {}",
        go.display(),
        done.display()
    );
    world.launch("ends", &waits, &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "ends");
    let stays = tells_its_executor(&before, "exec sleep 1000");
    world.launch("stays", &stays, &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "stays");
    let pid = written(&before);

    world.kill_agent();
    fs::write(&go, "").expect("a file");
    written(&done);
    world.start_agent();
    assert_eq!(world.update("TASK_FINISHED").0, "ends");

    // The same executor runs what comes now, and kills what came before.
    let later = tells_its_executor(&after, "exec sleep 1000");
    world.launch_on_valid_offer("later", &later, &executor);
    assert_eq!(written(&after), pid);
    world.scheduler.kill("stays");
    assert_eq!(world.update("TASK_KILLED").0, "stays");
}

#[test]
fn what_its_agent_gave_it_last_runs_though_neither_had_time_to_tell() {
    let (mut world, executor) = world();
    let by = world.place.join("by");
    let first = tells_its_executor(&by, "exec sleep 1000");
    world.launch("first", &first, &executor);
    assert_eq!(world.update("TASK_RUNNING").0, "first");
    let pid: u32 = written(&by).parse().expect("a process id");

    processes::signal(pid, Signal::STOP);
    world.launch("second", "exec sleep 1000", &executor);
    // Before that the task is not the agent's, and a death loses it. After it the executor has it in its
    // socket, or is given it by the next agent.
    eventually("the agent's memory of the task", || {
        let facts = fs::read(world.place.join("agent/meta/facts")).ok()?;
        let mut parts = facts.windows("second".len());
        parts.any(|part| part == b"second").then_some(())
    });
    world.kill_agent();
    processes::signal(pid, Signal::CONT);
    world.start_agent();
    assert_eq!(world.update("TASK_RUNNING").0, "second");
    world.scheduler.kill("second");
    assert_eq!(world.update("TASK_KILLED").0, "second");
    // Nothing of the first was lost, and nothing of it is told twice.
    world.scheduler.kill("first");
    assert_eq!(world.update("TASK_KILLED").0, "first");
}
