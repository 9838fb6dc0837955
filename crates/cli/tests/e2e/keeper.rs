//! A keeper of the SDK on a real cluster.

use std::path::Path;

use meseta_framework::Settings;
use meseta_framework::keep::{FileStore, Keeper, Restart, Task};
use meseta_framework::v1::{FrameworkInfo, TaskState};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::daemon::{Cluster, Place};
use crate::support::{PATIENCE, http};

async fn keeper(cluster: &Cluster, folder: &Path) -> Keeper {
    let framework = FrameworkInfo {
        user: nix::unistd::User::from_uid(nix::unistd::getuid())
            .expect("the users")
            .expect("this user")
            .name,
        name: "kept".into(),
        checkpoint: Some(true),
        failover_timeout: Some(3600.0),
        ..FrameworkInfo::default()
    };
    let settings = Settings::new(cluster.master().to_string(), framework);
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

fn frameworks(cluster: &Cluster) -> Vec<Value> {
    let state = http::get(cluster.master(), "/state").json();
    state["frameworks"].as_array().expect("a list").clone()
}

fn sleeper(name: &str) -> Task {
    Task::command(name, "exec sleep 1000")
}

#[tokio::test]
async fn the_next_keeper_goes_on_with_the_same_tasks_as_the_same_framework() {
    let (cluster, store) = (Cluster::start(), Place::new());
    let mut first = keeper(&cluster, store.path()).await;
    for name in ["a", "b"] {
        first.declare(sleeper(name)).await.expect("declared");
        state(&mut first, &format!("{name}.1"), TaskState::TaskRunning).await;
    }
    let before = frameworks(&cluster);
    drop(first);

    let mut second = keeper(&cluster, store.path()).await;
    // Reconciliation tells of both, and a third shows that the keeper is at work.
    for name in ["a", "b", "c"] {
        second.declare(sleeper(name)).await.expect("declared");
    }
    state(&mut second, "c.1", TaskState::TaskRunning).await;
    let after = frameworks(&cluster);
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["id"], before[0]["id"]);
    let tasks = after[0]["tasks"].as_array().expect("a list");
    let mut ids: Vec<&str> = tasks.iter().filter_map(|t| t["id"].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a.1", "b.1", "c.1"]);
    second.teardown().await.expect("the end");
    assert_eq!(frameworks(&cluster), Vec::<Value>::new());
}

#[tokio::test]
async fn what_ends_runs_again_until_it_is_withdrawn() {
    let (cluster, store) = (Cluster::start(), Place::new());
    let mut keeper = keeper(&cluster, store.path()).await;
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
