//! A keeper of the SDK on a real cluster.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use meseta_framework::Settings;
use meseta_framework::keep::{FileStore, Keeper, Restart, Status, Task};
use meseta_framework::resource::{cpus, mem};
use meseta_framework::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskState};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::daemon::{
    Cluster, Place, RESOURCES, finish, start_agent, start_master, start_master_at,
};
use crate::support::examples::{sdk_example, this_user};
use crate::support::genuine::oracle;
use crate::support::{PATIENCE, eventually, free_address, http};

async fn keeper(master: SocketAddr, folder: &Path) -> Keeper {
    let framework = FrameworkInfo {
        user: this_user(),
        name: "kept".into(),
        checkpoint: Some(true),
        failover_timeout: Some(3600.0),
        ..FrameworkInfo::default()
    };
    let settings = Settings::new(master.to_string(), framework);
    let store = FileStore::open(folder).expect("a store");
    Keeper::start(settings, store).await.expect("a keeper")
}

/// Waits for a state of a task.
async fn state(keeper: &mut Keeper, task_id: &str, state: TaskState) {
    let found = timeout(PATIENCE, async {
        loop {
            let status = keeper.next().await.expect("no end").expect("an update");
            if status.task_id.as_str() == task_id && status.state() == state {
                return;
            }
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("{task_id} is never {state:?}"));
}

/// The keepers' framework. The process of a genuine master has one of its own, which comes and goes.
fn frameworks(master: SocketAddr) -> Vec<Value> {
    let state = http::get(master, "/master/state").json();
    let mut frameworks = state["frameworks"].as_array().expect("a list").clone();
    frameworks.retain(|it| it["name"] == "kept");
    frameworks
}

fn sleeper(name: &str) -> Task {
    Task::command(name, "exec sleep 1000")
}

#[tokio::test]
async fn the_next_keeper_goes_on_with_the_same_tasks_as_the_same_framework() {
    let (cluster, store) = (Cluster::start(), Place::new());
    let mut first = keeper(cluster.master(), store.path()).await;
    for name in ["a", "b"] {
        first.declare(sleeper(name)).await.expect("declared");
        state(&mut first, &format!("{name}.1"), TaskState::TaskRunning).await;
    }
    let before = frameworks(cluster.master());
    drop(first);

    let mut second = keeper(cluster.master(), store.path()).await;
    // Reconciliation tells of both, and a third shows that the keeper is at work.
    for name in ["a", "b", "c"] {
        second.declare(sleeper(name)).await.expect("declared");
    }
    state(&mut second, "c.1", TaskState::TaskRunning).await;
    let after = frameworks(cluster.master());
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["id"], before[0]["id"]);
    let tasks = after[0]["tasks"].as_array().expect("a list");
    let mut ids: Vec<&str> = tasks.iter().filter_map(|t| t["id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a.1", "b.1", "c.1"]);
    second.teardown().await.expect("the end");
    assert_eq!(frameworks(cluster.master()), Vec::<Value>::new());
}

#[tokio::test]
async fn what_ends_runs_again_until_it_is_withdrawn() {
    let (cluster, store) = (Cluster::start(), Place::new());
    let mut keeper = keeper(cluster.master(), store.path()).await;
    let once = Task::command("once", "true").restart(Restart::Never);
    keeper.declare(once).await.expect("declared");
    state(&mut keeper, "once.1", TaskState::TaskFinished).await;
    keeper
        .declare(Task::command("fails", "exit 1"))
        .await
        .expect("declared");
    state(&mut keeper, "fails.1", TaskState::TaskFailed).await;
    state(&mut keeper, "fails.2", TaskState::TaskFailed).await;
    keeper.declare(sleeper("stays")).await.expect("declared");
    state(&mut keeper, "stays.1", TaskState::TaskRunning).await;
    keeper.withdraw("stays").await.expect("withdrawn");
    state(&mut keeper, "stays.1", TaskState::TaskKilled).await;
    keeper.teardown().await.expect("the end");
}

#[tokio::test]
async fn a_keeper_says_that_the_master_is_gone_and_goes_on_with_the_next() {
    let (place, store) = (Place::new(), Place::new());
    let master = start_master(&place, &[]);
    let address = master.address;
    let quick = "--registration_backoff_factor=10ms";
    let _agent = start_agent(&place, address, 0, &[RESOURCES, quick]);
    let mut keeper = keeper(address, store.path()).await;
    keeper.declare(sleeper("a")).await.expect("declared");
    state(&mut keeper, "a.1", TaskState::TaskRunning).await;

    let mut status = keeper.status();
    master.kill9();
    let is_away = |status: &Status| matches!(status, Status::Disconnected { .. });
    let away = timeout(PATIENCE, status.wait_for(is_away)).await;
    away.expect("it says so").expect("a keeper");
    keeper.declare(sleeper("b")).await.expect("declared");
    let _master = start_master_at(&place, address.port(), &[]);
    // The first goes on, the second runs as soon as the agent is back.
    state(&mut keeper, "b.1", TaskState::TaskRunning).await;
    let tasks = keeper.tasks().await.expect("a keeper");
    let ids: Vec<_> = tasks.iter().filter_map(|it| it.task_id.clone()).collect();
    assert_eq!(ids, ["a.1".into(), "b.1".into()]);
    keeper.teardown().await.expect("the end");
}

#[test]
fn the_first_framework_of_the_book_runs_a_task() {
    let cluster = Cluster::start();
    let mut hello = Command::new(sdk_example("hello"));
    hello
        .arg(cluster.master().to_string())
        .env("USER", this_user());
    let (status, printed) = finish(&cluster.place, "hello", &mut hello);
    assert!(status.success(), "{printed}");
    assert!(printed.contains("hello.1 TASK_FINISHED"), "{printed}");
}

#[test]
fn the_first_framework_of_the_book_says_that_no_master_answers() {
    let place = Place::new();
    let mut hello = Command::new(sdk_example("hello"));
    hello.arg(free_address().to_string());
    let mut hello = place.run("hello", &mut hello);
    eventually("a warning", || {
        let log = std::fs::read_to_string(place.join("hello.log")).ok()?;
        log.contains("is not reached").then_some(())
    });
    hello.kill().expect("its end");
    hello.wait().expect("its end");
}

/// A task that the SDK's own executor runs: the genuine agent here has no command executor.
fn run_by(program: &Path, name: &str, script: &str) -> Task {
    let mut task = Task::command(name, "").restart(Restart::Never);
    task.info.command = None;
    task.info.data = Some(script.as_bytes().to_vec());
    task.info.executor = Some(ExecutorInfo {
        executor_id: format!("executor of {name}").into(),
        command: Some(CommandInfo {
            value: Some(format!("exec {}", program.display())),
            ..CommandInfo::default()
        }),
        resources: vec![cpus(0.1), mem(32.0)],
        ..ExecutorInfo::default()
    });
    task
}

#[tokio::test]
async fn a_genuine_master_and_its_agent_are_served_as_ours_are() {
    let Some(oracle) = oracle() else {
        return;
    };
    // It may take long, and the genuine one ends by itself.
    let program = sdk_example("executor");
    let (place, store) = (Place::new(), Place::new());
    let genuine = oracle.cluster(&place, &[]);
    let master = genuine.address;

    let mut first = keeper(master, store.path()).await;
    let once = run_by(&program, "once", "exit 0");
    first.declare(once.clone()).await.expect("declared");
    state(&mut first, "once.1", TaskState::TaskFinished).await;
    let stays = run_by(&program, "stays", "exec sleep 1000");
    first.declare(stays.clone()).await.expect("declared");
    state(&mut first, "stays.1", TaskState::TaskRunning).await;
    let before = frameworks(master);
    first.leave().await;

    let mut second = keeper(master, store.path()).await;
    for task in [once, stays] {
        second.declare(task).await.expect("declared");
    }
    // It is told again: nobody has acknowledged it, or the new keeper has asked.
    state(&mut second, "stays.1", TaskState::TaskRunning).await;
    let after = frameworks(master);
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["id"], before[0]["id"]);
    second.withdraw("stays").await.expect("withdrawn");
    state(&mut second, "stays.1", TaskState::TaskKilled).await;
    second.teardown().await.expect("the end");
    eventually("the framework's end", || {
        frameworks(master).is_empty().then_some(())
    });
}
