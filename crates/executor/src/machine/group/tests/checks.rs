//! Checks of tasks in containers.

use meseta_proto::v1::{CheckInfo, HealthCheck, check_info, health_check};

use super::super::super::checks::Observation;
use super::super::super::{Probe, ProbeId};
use super::*;

/// A command that is run at 1 and every 10 seconds, for at most 5.
fn checked() -> TaskInfo {
    TaskInfo {
        check: Some(CheckInfo {
            r#type: Some(check_info::Type::Command.into()),
            command: Some(check_info::Command {
                command: command("probe"),
            }),
            delay_seconds: Some(1.0),
            interval_seconds: Some(10.0),
            timeout_seconds: Some(5.0),
            ..CheckInfo::default()
        }),
        ..task("a")
    }
}

/// A port that is looked at at 1 and every 10 seconds, and may be closed once.
fn health_checked() -> TaskInfo {
    TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Tcp.into()),
            tcp: Some(health_check::TcpCheckInfo {
                port: 80,
                ..health_check::TcpCheckInfo::default()
            }),
            delay_seconds: Some(1.0),
            interval_seconds: Some(10.0),
            timeout_seconds: Some(5.0),
            consecutive_failures: Some(2),
            grace_period_seconds: Some(0.0),
            ..HealthCheck::default()
        }),
        ..task("a")
    }
}

fn is_session(call: &Call) -> bool {
    call.launch_nested_container_session.is_some()
}

/// The container of the check that is being launched, which then has been.
fn launched(run: &mut Run, seconds: u64) -> ContainerId {
    let (request, call) = run.take(is_session);
    run.answer(seconds, request, ok());
    call.launch_nested_container_session.unwrap().container_id
}

fn ended(run: &mut Run, seconds: u64, check: &ContainerId, status: Option<i32>) -> Vec<Action> {
    let (request, _) = run.take(|call| is_wait_for(call, check));
    run.answer(seconds, request, terminated(status))
}

fn exit_codes(actions: &[Action]) -> Vec<Option<i32>> {
    statuses(actions)
        .iter()
        .map(|status| {
            assert_eq!(status.state(), TaskState::TaskRunning);
            assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
            assert!(status.container_status.is_some());
            status
                .check_status
                .as_ref()
                .unwrap()
                .command
                .unwrap()
                .exit_code
        })
        .collect()
}

#[test]
fn a_command_runs_in_a_container_below_the_task_and_the_former_one_is_removed_first() {
    let mut run = Run::running(vec![checked()]);
    run.wake(1);
    let first = launched(&mut run, 1);
    assert_eq!(first.parent, Some(Box::new(run.container("a"))));
    assert!(first.value.starts_with("check-"), "{first:?}");
    let actions = ended(&mut run, 2, &first, Some(EXIT_1));
    assert_eq!(exit_codes(&actions), [Some(1)]);

    run.wake(12);
    let (request, call) = run.take(|call| call.remove_container.is_some());
    assert_eq!(call.remove_container.unwrap().container_id, first);
    run.answer(12, request, ok());
    let second = launched(&mut run, 12);
    assert_ne!(second, first);
    let actions = ended(&mut run, 12, &second, Some(EXIT_1));
    assert_eq!(exit_codes(&actions), [], "only changes are told");
}

#[test]
fn what_says_nothing_about_the_task_is_not_told() {
    let mut run = Run::running(vec![checked()]);
    // The agent cannot launch it.
    run.wake(1);
    let (request, call) = run.take(is_session);
    let check = call.launch_nested_container_session.unwrap().container_id;
    run.answer(1, request, refusal(503, "busy"));
    assert_eq!(told(&ended(&mut run, 1, &check, None)), []);
    // The connection breaks.
    run.wake(11);
    let (request, _) = run.take(|call| call.remove_container.is_some());
    run.answer(11, request, ok());
    let (request, _) = run.take(is_session);
    let answer = Err("reset".to_owned());
    let actions = run.step(11, Input::Answered { request, answer });
    assert_eq!(told(&actions), []);
    // The former one cannot be removed.
    run.wake(21);
    let (request, _) = run.take(|call| call.remove_container.is_some());
    assert_eq!(told(&run.answer(21, request, refusal(500, "not yet"))), []);
    // It is killed.
    run.wake(31);
    let (request, _) = run.take(|call| call.remove_container.is_some());
    run.answer(31, request, ok());
    let check = launched(&mut run, 31);
    assert_eq!(told(&ended(&mut run, 31, &check, Some(KILL))), []);
}

#[test]
fn a_command_that_takes_too_long_is_killed_and_has_no_result() {
    let mut run = Run::running(vec![checked()]);
    run.wake(1);
    let check = launched(&mut run, 1);
    let actions = ended(&mut run, 1, &check, Some(EXIT_0));
    assert_eq!(exit_codes(&actions), [Some(0)]);
    run.wake(11);
    let (request, _) = run.take(|call| call.remove_container.is_some());
    run.answer(11, request, ok());
    let (_, call) = run.take(is_session);
    let slow = call.launch_nested_container_session.unwrap().container_id;
    let actions = run.wake(16);
    assert_eq!(exit_codes(&actions), [None]);
    assert!(actions.iter().any(|a| matches!(a, Action::Abandon(_))));
    assert_eq!(run.signals(16), [(slow, KILL)]);
}

#[test]
fn a_task_that_is_not_healthy_takes_its_group_with_it() {
    let mut run = Run::running(vec![health_checked(), task("b")]);
    let (a, b) = (run.container("a"), run.container("b"));
    for (seconds, signals) in [(1, vec![]), (11, vec![(a, TERM)])] {
        let mut actions = run.wake(seconds);
        let Some(Action::Probe(probe, Probe::Tcp(_))) = actions.pop() else {
            panic!("{actions:?}");
        };
        let outcome = Ok(Observation::Connected(false));
        let actions = run.step(seconds, Input::Probed { probe, outcome });
        assert_eq!(statuses(&actions)[0].healthy, Some(false));
        assert_eq!(run.signals(seconds), signals);
    }
    let mut actions = run.ended(12, "a", TERM);
    assert_eq!(run.signals(12), [(b, TERM)]);
    actions.extend(run.ended(13, "b", TERM));
    for status in statuses(&actions) {
        assert_eq!(status.state(), TaskState::TaskKilled);
        assert_eq!(status.healthy, Some(false));
    }
}

#[test]
fn checks_pause_while_the_agent_is_away() {
    let mut run = Run::running(vec![checked()]);
    run.wake(1);
    let check = launched(&mut run, 1);
    run.lose(2);
    run.wake(4);
    run.subscribe(50);
    run.wake(50);
    let (_, call) = run.take(|call| call.remove_container.is_some());
    assert_eq!(call.remove_container.unwrap().container_id, check);

    let mut run = Run::running(vec![health_checked()]);
    run.wake(1);
    let actions = run.lose(2);
    let probe = ProbeId {
        task: 1,
        which: Which::HealthCheck,
    };
    assert!(actions.contains(&Action::StopProbe(probe)), "{actions:?}");
    run.wake(4);
    run.subscribe(50);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(50)));
}

#[test]
fn an_agent_without_sessions_launches_checks_like_tasks_but_in_the_tasks_sandbox() {
    let mut run = Run::running(vec![checked()]);
    let task = run.container("a");
    run.wake(1);
    let (request, _) = run.take(is_session);
    run.answer(1, request, refusal(501, "not served"));
    for seconds in [1, 11] {
        if seconds > 1 {
            run.wake(seconds);
            let (request, _) = run.take(|call| call.remove_container.is_some());
            run.answer(seconds, request, ok());
        }
        let (request, call) = run.take(is_launch);
        let launch = call.launch_container.unwrap();
        let check = launch.container_id;
        assert_eq!(check.parent, Some(Box::new(task.clone())));
        let command = launch.command.unwrap();
        let sandbox = format!("/sandbox/containers/{}", task.value);
        assert_eq!(
            command.arguments[3..],
            [&sandbox, "/bin/sh", "-c", "probe"].map(str::to_owned)
        );
        run.answer(seconds, request, ok());
        ended(&mut run, seconds, &check, Some(EXIT_0));
    }
}
