//! A keeper with a master that does as the test says, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

use meseta_framework::keep::{Keeper, MemoryStore, Restart, Status, Task};
use meseta_framework::testing::{Answer, Master};
use meseta_framework::v1::scheduler::call;
use meseta_framework::v1::{FrameworkInfo, TaskState};
use meseta_framework::{Error, Settings};

async fn keeper(master: &Master) -> Keeper {
    let settings = Settings::new(master.address(), FrameworkInfo::default());
    Keeper::start(settings, MemoryStore::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn it_says_whether_a_master_answers() {
    let master = Master::start().await;
    let address = master.address();
    let keeper = keeper(&master).await;
    let mut status = keeper.status();
    let framework_id = master.framework_id();
    let subscribed = Status::Subscribed { framework_id };
    status.wait_for(|s| *s == subscribed).await.unwrap();
    drop(master);
    let is_away = |s: &Status| matches!(s, Status::Disconnected { attempts: 3.., .. });
    let away = status.wait_for(is_away).await.unwrap().clone();
    let Status::Disconnected { reason, .. } = &away else {
        panic!("{away:?}");
    };
    assert!(reason.contains(&address), "{reason}");
    keeper.leave().await;
    assert_eq!(*status.borrow(), Status::Ended);
}

#[tokio::test]
async fn a_revive_that_was_lost_on_its_way_is_repeated() {
    let mut master = Master::start().await;
    let keeper = keeper(&master).await;
    master.expect(call::Type::Suppress).await;
    master.answer_next(Answer::Nothing);
    keeper.declare(Task::command("web", "serve")).await.unwrap();
    master.expect(call::Type::Revive).await;
    master.expect(call::Type::Revive).await;
    master.offer("cpus:1;mem:64");
    assert_eq!(master.launched().await[0].task_id, "web.1".into());
}

#[tokio::test]
async fn the_user_acknowledges_by_asking_for_the_next_update() {
    let mut master = Master::start().await;
    let mut keeper = keeper(&master).await;
    let task = Task::command("once", "true").restart(Restart::Never);
    keeper.declare(task).await.unwrap();
    master.subscribed().await;
    master.offer("cpus:1;mem:64");
    let task = master.launched().await.remove(0);
    let uuid = master.update(&task, TaskState::TaskFinished);
    let status = keeper.next().await.unwrap().unwrap();
    assert_eq!(status.uuid(), uuid);
    assert!(keeper.tasks().await.unwrap()[0].is_done);
    let next = tokio::spawn(async move { keeper.next().await });
    assert_eq!(master.acknowledged().await.uuid, uuid);
    next.abort();
}

#[tokio::test]
async fn the_masters_last_word_ends_it() {
    let master = Master::start().await;
    master.answer_next(Answer::Refusal(403, "not you".into()));
    let mut keeper = keeper(&master).await;
    let ended = keeper.next().await.unwrap_err();
    assert!(
        matches!(ended, Error::Refused { status: 403, .. }),
        "{ended}"
    );
    let declared = keeper.declare(Task::command("late", "true")).await;
    assert_eq!(declared, Err(Error::Ended));
}
