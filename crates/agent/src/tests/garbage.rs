use std::path::{Path, PathBuf};
use std::time::Duration;

use meseta_proto::v1::TaskState;

use super::{Did, World, now, status};
use crate::{Action, FoundSandbox, Input};

const DAY: Duration = Duration::from_hours(24);

const WEEK: Duration = Duration::from_hours(7 * 24);

impl Did {
    fn removed(&self) -> Vec<&Path> {
        let removed = self.0.iter().filter_map(|action| match action {
            Action::Remove { path } => Some(path.as_path()),
            _ => None,
        });
        removed.collect()
    }
}

/// Runs a task to its acknowledged end.
fn run_to_its_end(world: &mut World, task: &str) -> PathBuf {
    let (container, _) = world.running(task);
    let directory = world.executor(task).directory.clone();
    let finished = status(task, TaskState::TaskFinished, 1);
    world.update(task, finished.clone());
    world.acknowledge(&finished);
    world.exited(&container, Some(0));
    directory
}

fn found(world: &mut World, path: &str, age: Duration) -> Did {
    let last_used = now(world.clock).wall.saturating_sub(age);
    let path = path.into();
    world.step(Input::SandboxesFound {
        found: vec![FoundSandbox { path, last_used }],
    })
}

fn metric(world: &World, name: &str) -> String {
    let metrics = world.agent.snapshot().metrics();
    let (_, value) = metrics.iter().find(|(n, _)| *n == name).unwrap();
    value.to_string()
}

#[test]
fn a_sandbox_is_removed_a_week_after_its_executors_end_and_not_before() {
    let mut world = World::registered();
    let run = run_to_its_end(&mut world, "t");
    assert_eq!(metric(&world, "gc/path_removals_pending"), "3");
    assert_eq!(world.wait(6 * DAY).removed(), Vec::<&Path>::new());
    let did = world.wait(DAY);
    let executor = run.parent().and_then(Path::parent).unwrap();
    let framework = executor.parent().and_then(Path::parent).unwrap();
    assert!(framework.ends_with("frameworks/F"));
    let mut removed = did.removed();
    removed.sort();
    assert_eq!(removed, [framework, executor, &run]);
    assert_eq!(metric(&world, "gc/path_removals_pending"), "0");

    for has_succeeded in [true, true, false] {
        world.step(Input::Removed { has_succeeded });
    }
    assert_eq!(metric(&world, "gc/path_removals_succeeded"), "2");
    assert_eq!(metric(&world, "gc/path_removals_failed"), "1");
}

#[test]
fn what_is_used_again_stays_but_for_the_run_that_is_over() {
    let mut world = World::registered();
    let first = run_to_its_end(&mut world, "t");
    let (container, _) = world.running("t");
    assert_eq!(world.wait(WEEK).removed(), [first]);
    assert_eq!(world.wait(WEEK).removed(), Vec::<&Path>::new());
    world.exited(&container, Some(0));
}

#[test]
fn the_fuller_the_disk_the_sooner_sandboxes_go() {
    let mut world = World::registered();
    let removed_at = |world: &mut World, used| {
        let did = world.step(Input::DiskMeasured { used });
        did.removed().len()
    };
    run_to_its_end(&mut world, "old");
    world.wait(3 * DAY);
    // The master was silent for so long.
    world.register();
    run_to_its_end(&mut world, "young");
    // What may be as old as half a week stays.
    assert_eq!(removed_at(&mut world, 0.4), 0);
    assert_eq!(removed_at(&mut world, f64::NAN), 0);
    // Now no more than a tenth of it.
    assert_eq!(removed_at(&mut world, 0.8), 2, "the old run and executor");
    // No room at all.
    assert_eq!(removed_at(&mut world, 0.95), 3, "everything else");
}

#[test]
fn the_disk_is_looked_at_every_minute() {
    let mut world = World::with(|config| config.disk_watch_interval = Duration::from_mins(1));
    let did = world.wait(Duration::from_mins(3));
    let measured = |action: &&Action| matches!(action, Action::MeasureDisk);
    assert_eq!(did.0.iter().filter(measured).count(), 3);
}

#[test]
fn what_former_lives_have_left_goes_when_its_time_has_come() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    let directory = world.executor("t").directory.clone();
    let in_use = directory.strip_prefix("/w").unwrap().to_str().unwrap();
    world.restart(&[&container]);

    for path in [
        in_use,
        "slaves/M-S0/frameworks/F/executors/t",
        "slaves/M-S0/frameworks/F",
        "slaves/M-S0",
        "slaves/M-S0/elsewhere",
        "slaves/../..",
        "meta",
    ] {
        assert_eq!(
            found(&mut world, path, 2 * WEEK).removed(),
            Vec::<&Path>::new()
        );
    }
    let run = "slaves/M-S0/frameworks/F/executors/t/runs/earlier";
    for (path, age) in [(run, 2 * WEEK), ("slaves/M-S9", 6 * DAY)] {
        let did = found(&mut world, path, age);
        let due = if age > WEEK {
            vec![Path::new("/w").join(path)]
        } else {
            vec![]
        };
        assert_eq!(did.removed(), due);
    }
    assert_eq!(world.wait(DAY).removed(), [Path::new("/w/slaves/M-S9")]);
}

#[test]
fn an_executor_that_waits_for_acknowledgements_keeps_its_sandbox() {
    let mut world = World::registered();
    let (container, _) = world.running("t");
    world.update("t", status("t", TaskState::TaskFinished, 1));
    world.exited(&container, Some(0));
    let did = world.step(Input::DiskMeasured { used: 1.0 });
    assert_eq!(did.removed(), Vec::<&Path>::new());
    world.acknowledge(&status("t", TaskState::TaskFinished, 1));
    let did = world.step(Input::DiskMeasured { used: 1.0 });
    assert_eq!(did.removed().len(), 3);
}

#[test]
fn of_more_folders_than_can_be_remembered_the_oldest_go_before_their_time() {
    use crate::limits::MAX_DISCARDED;
    let mut world = World::registered();
    let wall = now(world.clock).wall;
    let folders = (0..=MAX_DISCARDED).map(|number| FoundSandbox {
        path: format!("slaves/former-{number}").into(),
        // The last one is the oldest.
        last_used: wall.saturating_sub(Duration::from_millis(number as u64)),
    });
    let found = folders.collect();
    let did = world.step(Input::SandboxesFound { found });
    let oldest = format!("/w/slaves/former-{MAX_DISCARDED}");
    assert_eq!(did.removed(), [Path::new(&oldest)]);
}

#[test]
fn of_many_short_frameworks_nothing_stays_but_the_memory_of_the_latest() {
    use meseta_proto::internal;
    use meseta_proto::v1::TaskInfo;

    use super::{AGENT_ID, MASTER, command, framework};
    use crate::limits::MAX_COMPLETED_FRAMEWORKS;

    let mut world = World::with(|config| config.max_completed_executors_per_framework = 2);
    world.detect();
    world.wait(Duration::from_secs(1));
    world.register();
    for number in 0..3 * MAX_COMPLETED_FRAMEWORKS {
        let id = format!("F{number}");
        for task in ["a", "b", "c"] {
            let mut info = framework();
            info.id = Some(id.as_str().into());
            let task: TaskInfo = command(task, "true");
            let run = internal::RunTaskMessage {
                framework: info,
                task: task.clone(),
                launch_executor: Some(true),
                ..internal::RunTaskMessage::default()
            };
            let container = world.receive(MASTER, &run).launch().container_id;
            let failed = world.exited(&container, Some(0)).update();
            let acknowledgement = internal::StatusUpdateAcknowledgementMessage {
                slave_id: AGENT_ID.into(),
                framework_id: id.as_str().into(),
                task_id: task.task_id,
                uuid: failed.uuid.unwrap(),
            };
            world.receive(MASTER, &acknowledgement);
        }
        if number % 2 == 0 {
            let shutdown = internal::ShutdownFrameworkMessage {
                framework_id: id.as_str().into(),
            };
            world.receive(MASTER, &shutdown);
        }
    }
    assert_eq!(world.kept(), Vec::<&str>::new(), "on disk");
    let snapshot = world.agent.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert_eq!(
        snapshot.completed_frameworks.len(),
        MAX_COMPLETED_FRAMEWORKS
    );
    let executors = |f: &std::sync::Arc<crate::Framework>| f.completed_executors.len();
    assert!(
        snapshot
            .completed_frameworks
            .iter()
            .all(|f| executors(f) <= 2)
    );
    let did = world.step(Input::DiskMeasured { used: 1.0 });
    let removed = did.removed().len();
    assert_eq!(removed, 3 * MAX_COMPLETED_FRAMEWORKS * (3 + 3 + 1));
}
