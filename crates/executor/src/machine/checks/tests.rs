use meseta_proto::v1::{Environment, TaskStatus, environment::Variable};

use super::super::command::tests::{Run, states, task};
use super::super::{Action, Input, Machine as _, ProbeId, Signal};
use super::*;
use meseta_proto::v1::TaskState;

/// A command check with delay 1, interval 10 and timeout 5.
fn check() -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_info::Command {
            command: command("probe"),
        }),
        delay_seconds: Some(1.0),
        interval_seconds: Some(10.0),
        timeout_seconds: Some(5.0),
        ..CheckInfo::default()
    }
}

/// A TCP health check with the same periods, fatal when it fails twice, and no grace period.
fn health_check() -> HealthCheck {
    HealthCheck {
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
    }
}

fn command(value: &str) -> meseta_proto::v1::CommandInfo {
    meseta_proto::v1::CommandInfo {
        value: Some(value.into()),
        ..meseta_proto::v1::CommandInfo::default()
    }
}

fn checked() -> TaskInfo {
    TaskInfo {
        check: Some(check()),
        ..task()
    }
}

fn health_checked(health_check: HealthCheck) -> TaskInfo {
    TaskInfo {
        health_check: Some(health_check),
        ..task()
    }
}

/// A run whose task was launched at 0.
fn run(task: TaskInfo) -> Run {
    let mut run = Run::new(None);
    run.subscribed(0);
    run.launch_task(0, task);
    run
}

/// Wakes the machine for a probe, which comes to this at once.
fn probe(run: &mut Run, seconds: u64, which: Which, outcome: Outcome) -> Vec<Action> {
    let actions = run.step(seconds, Input::Wake);
    assert!(
        matches!(&actions[..], [Action::Probe(probe, _)] if probe.which == which),
        "{actions:?}"
    );
    run.step(seconds, probed(which, outcome))
}

fn id(which: Which) -> ProbeId {
    ProbeId { task: 0, which }
}

fn probed(which: Which, outcome: Outcome) -> Input {
    let probe = id(which);
    Input::Probed { probe, outcome }
}

fn statuses(actions: &[Action]) -> Vec<&TaskStatus> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(call) => Some(&call.update.as_ref()?.status),
            _ => None,
        })
        .collect()
}

fn healths(actions: &[Action]) -> Vec<Option<bool>> {
    statuses(actions).iter().map(|s| s.healthy).collect()
}

fn exit_code(status: &TaskStatus) -> Option<i32> {
    status
        .check_status
        .as_ref()
        .unwrap()
        .command
        .unwrap()
        .exit_code
}

#[test]
fn a_check_is_told_when_its_result_changes_and_only_then() {
    let mut run = run(checked());
    for (seconds, outcome, told) in [
        (1, Ok(Observation::Exited(0)), Some(Some(0))),
        (11, Ok(Observation::Exited(0)), None),
        (21, Ok(Observation::Exited(3)), Some(Some(3))),
        (31, Err("no such program".to_owned()), Some(None)),
        (41, Err("no such program".to_owned()), None),
    ] {
        let actions = probe(&mut run, seconds, Which::Check, outcome);
        let statuses = statuses(&actions);
        assert_eq!(statuses.first().map(|s| exit_code(s)), told, "at {seconds}");
        for status in statuses {
            assert_eq!(status.state(), TaskState::TaskRunning);
            assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
            assert_eq!((status.healthy, &status.message), (None, &None));
        }
    }
}

#[test]
fn a_probe_that_takes_too_long_is_stopped_and_has_failed() {
    let mut run = run(health_checked(health_check()));
    run.step(1, Input::Wake);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(6)));
    let actions = run.step(6, Input::Wake);
    assert_eq!(
        actions.first(),
        Some(&Action::StopProbe(id(Which::HealthCheck)))
    );
    assert_eq!(healths(&actions), [Some(false)]);
    let late = probed(Which::HealthCheck, Ok(Observation::Connected(true)));
    assert_eq!(run.step(6, late), [], "it comes too late");
    assert_eq!(
        run.machine.next_wake(),
        Some(Duration::from_secs(16)),
        "the interval counts from the end of a probe"
    );
}

#[test]
fn a_timeout_of_zero_is_none() {
    let mut run = run(health_checked(HealthCheck {
        timeout_seconds: Some(0.0),
        ..health_check()
    }));
    run.step(1, Input::Wake);
    assert_ne!(run.machine.next_wake(), Some(Duration::from_secs(1)));
    assert_eq!(run.step(1_000_000, Input::Wake).len(), 1, "a heartbeat");
}

#[test]
fn health_is_told_at_the_first_success_and_the_first_after_failures() {
    let mut run = run(health_checked(health_check()));
    for (seconds, connected, told) in [
        (1, true, vec![Some(true)]),
        (11, true, vec![]),
        (21, false, vec![Some(false)]),
        (31, true, vec![Some(true)]),
        (41, false, vec![Some(false)]),
    ] {
        let seen = Ok(Observation::Connected(connected));
        let actions = probe(&mut run, seconds, Which::HealthCheck, seen);
        assert_eq!(healths(&actions), told, "at {seconds}");
        for status in statuses(&actions) {
            assert_eq!(status.state(), TaskState::TaskRunning);
            assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
        }
        assert!(!actions.contains(&Action::Kill(Signal::Term)));
    }
}

#[test]
fn a_task_that_fails_too_often_in_a_row_is_killed_and_says_that_it_was_unhealthy() {
    let mut run = run(TaskInfo {
        check: Some(CheckInfo {
            delay_seconds: Some(5.0),
            timeout_seconds: Some(0.0),
            ..check()
        }),
        ..health_checked(health_check())
    });
    let failed = || Ok(Observation::Connected(false));
    let actions = probe(&mut run, 1, Which::HealthCheck, failed());
    assert_eq!(healths(&actions), [Some(false)]);
    run.step(5, Input::Wake);
    let actions = probe(&mut run, 11, Which::HealthCheck, failed());
    assert_eq!(healths(&actions), [Some(false)]);
    assert_eq!(
        actions[actions.len() - 2..],
        [
            Action::StopProbe(id(Which::Check)),
            Action::Kill(Signal::Term)
        ]
    );
    assert_eq!(
        run.step(14, Input::Wake),
        [Action::Kill(Signal::Kill)],
        "by default the grace is three seconds"
    );
    run.step(15, Input::Ended(crate::status::Ending::Exited(0)));
    let actions = run.step(15, Input::Swept);
    assert_eq!(states(&actions), [TaskState::TaskKilled]);
    let status = statuses(&actions)[0];
    assert_eq!((status.healthy, status.reason), (Some(false), None));
    assert_eq!(exit_code(status), None);
}

#[test]
fn failures_in_the_grace_period_do_not_count_until_the_first_success() {
    let patient = HealthCheck {
        grace_period_seconds: Some(30.0),
        ..health_check()
    };
    let failed = || Ok(Observation::Connected(false));
    let mut run_of_failures = run(health_checked(patient.clone()));
    for (seconds, told) in [
        (1, vec![]),
        (11, vec![]),
        (21, vec![]),
        (31, vec![Some(false)]),
    ] {
        let actions = probe(&mut run_of_failures, seconds, Which::HealthCheck, failed());
        assert_eq!(healths(&actions), told, "at {seconds}");
    }

    let mut run = run(health_checked(patient));
    let passed = Ok(Observation::Connected(true));
    probe(&mut run, 1, Which::HealthCheck, passed);
    let actions = probe(&mut run, 11, Which::HealthCheck, failed());
    assert_eq!(healths(&actions), [Some(false)]);
}

#[test]
fn the_updates_of_either_check_carry_what_both_know() {
    let mut run = run(TaskInfo {
        check: Some(CheckInfo {
            delay_seconds: Some(2.0),
            ..check()
        }),
        ..health_checked(health_check())
    });
    let healthy = Ok(Observation::Connected(true));
    probe(&mut run, 1, Which::HealthCheck, healthy);
    let actions = probe(&mut run, 2, Which::Check, Ok(Observation::Exited(7)));
    let status = statuses(&actions)[0];
    assert_eq!((status.healthy, exit_code(status)), (Some(true), Some(7)));
}

#[test]
fn nothing_is_probed_while_nobody_takes_updates() {
    let mut run = run(checked());
    let mut seconds = 1;
    for code in 0.. {
        let actions = run.step(seconds, Input::Wake);
        if actions.is_empty() {
            break;
        }
        assert!(code < 100, "checks never pause");
        let outcome = Ok(Observation::Exited(code));
        let which = Which::Check;
        run.step(seconds, probed(which, outcome));
        seconds += 10;
    }
    assert_eq!(
        run.machine.next_wake(),
        Some(Duration::from_secs(seconds) + PROBE_RETRY)
    );
}

#[test]
fn a_command_check_runs_in_the_environment_of_the_task() {
    let variable = |name: &str, value: &str| Variable {
        name: name.into(),
        value: Some(value.into()),
        ..Variable::default()
    };
    let mut task = checked();
    let of_task = vec![variable("A", "task"), variable("B", "task")];
    task.command.as_mut().unwrap().environment = Some(Environment { variables: of_task });
    let own = vec![variable("B", "check")];
    task.check
        .as_mut()
        .unwrap()
        .command
        .as_mut()
        .unwrap()
        .command
        .environment = Some(Environment { variables: own });
    let actions = run(task).step(1, Input::Wake);
    let [Action::Probe(_, Probe::Command(launch))] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(
        launch.command.environment.as_ref().unwrap().variables,
        [
            variable("A", "task"),
            variable("B", "task"),
            variable("B", "check")
        ]
    );
    assert_eq!(launch.variables[0], ("MESOS_TASK_ID", "t".into()));
}

#[test]
fn http_probes_go_where_the_check_says_and_nowhere_else() {
    let probe = |http: health_check::HttpCheckInfo| {
        let check = HealthCheck {
            r#type: Some(health_check::Type::Http.into()),
            http: Some(http),
            ..HealthCheck::default()
        };
        Probe::of_health_check(&check, &task())
    };
    let http = |path: &str| health_check::HttpCheckInfo {
        port: 8080,
        path: Some(path.into()),
        ..health_check::HttpCheckInfo::default()
    };
    let expected = |scheme, authority: &str, path: &str| {
        Ok(Probe::Http(HttpProbe {
            scheme,
            authority: authority.into(),
            path: path.into(),
        }))
    };
    let local = "127.0.0.1:8080";
    assert_eq!(probe(http("")), expected(Scheme::Http, local, "/"));
    assert_eq!(probe(http("/a?b#c")), expected(Scheme::Http, local, "/a?b"));
    let secure = health_check::HttpCheckInfo {
        scheme: Some("https".into()),
        protocol: Some(meseta_proto::v1::network_info::Protocol::IPv6.into()),
        ..http("/")
    };
    assert_eq!(probe(secure), expected(Scheme::Https, "[::1]:8080", "/"));
    let other = health_check::HttpCheckInfo {
        scheme: Some("ftp".into()),
        ..http("/")
    };
    for (refused, reason) in [
        (other, "Unsupported HTTP health check scheme: 'ftp'"),
        (
            http("a"),
            "The path 'a' of HTTP health check must start with '/'",
        ),
        (
            http("/ HTTP/1.1"),
            "The path '/ HTTP/1.1' of HTTP health check holds what no URL can",
        ),
    ] {
        assert_eq!(probe(refused), Err(reason.into()));
    }
}

#[test]
fn a_check_that_cannot_be_made_leaves_the_task_running() {
    let mut run = Run::new(None);
    run.subscribed(0);
    let actions = run.launch_task(
        0,
        TaskInfo {
            check: Some(CheckInfo::default()),
            ..health_checked(HealthCheck {
                tcp: None,
                ..health_check()
            })
        },
    );
    assert_eq!(
        states(&actions),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    assert_eq!(
        actions[actions.len() - 2..],
        [
            "Failed to create checker: 'UNKNOWN' is not a valid check type; the task goes on \
             without",
            "Failed to create health checker: Expecting 'tcp' to be set for TCP health check; the \
             task goes on without",
        ]
        .map(|line| Action::Log(line.into()))
    );
    assert_eq!(
        run.machine.next_wake(),
        Some(crate::limits::HEARTBEAT_INTERVAL)
    );
}

#[test]
fn periods_that_are_no_durations_are_taken_as_the_nearest() {
    assert_eq!(seconds(-1.0), Duration::ZERO);
    assert_eq!(seconds(f64::NAN), Duration::ZERO);
    assert_eq!(seconds(0.25), Duration::from_millis(250));
    assert_eq!(seconds(f64::INFINITY), LONGEST_CHECK_PERIOD);
    assert_eq!(seconds(1e300), LONGEST_CHECK_PERIOD);
}

#[test]
fn servers_are_healthy_from_200_to_399() {
    for (status, healthy) in [(199, false), (200, true), (399, true), (400, false)] {
        assert_eq!(Observation::Answered(status).healthy().is_ok(), healthy);
    }
}
