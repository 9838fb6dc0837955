//! Tasks from their launch to the acknowledgement of their end.

use crate::support::{Agent, Executor, exists, shell, task};
use meseta_proto::v1::environment::Variable;
use meseta_proto::v1::executor::{Event, event};
use meseta_proto::v1::framework_info::capability;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{
    CheckInfo, CommandInfo, DurationInfo, Environment, HealthCheck, KillPolicy, TaskInfo,
    TaskState, check_info,
};

const CHECKPOINT: [(&str, &str); 3] = [
    ("MESOS_CHECKPOINT", "1"),
    ("MESOS_RECOVERY_TIMEOUT", "15mins"),
    ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "20ms"),
];

fn milliseconds(n: i64) -> DurationInfo {
    DurationInfo {
        nanoseconds: n * 1_000_000,
    }
}

fn kill_within(grace: i64) -> event::Kill {
    event::Kill {
        task_id: "t".into(),
        kill_policy: Some(KillPolicy {
            grace_period: Some(milliseconds(grace)),
        }),
    }
}

/// An executor that has been given this task and says that it runs.
fn running(task: TaskInfo, capabilities: &[capability::Type]) -> (Agent, Executor) {
    let mut agent = Agent::start();
    let executor = Executor::start(&agent, &[]);
    agent.accept_subscription(capabilities);
    agent.launch(task);
    agent.expect(TaskState::TaskStarting);
    agent.expect(TaskState::TaskRunning);
    (agent, executor)
}

#[test]
fn a_task_ends_as_its_command_does() {
    let missing = CommandInfo {
        shell: Some(false),
        value: Some("/no/such/program".into()),
        arguments: vec!["x".into()],
        ..CommandInfo::default()
    };
    let greeting = CommandInfo {
        environment: Some(Environment {
            variables: vec![Variable {
                name: "GREETING".into(),
                value: Some("hello".into()),
                ..Variable::default()
            }],
        }),
        ..shell("test \"$GREETING\" = hello")
    };
    for (command, state, message) in [
        (
            shell("true"),
            TaskState::TaskFinished,
            "Command exited with status 0",
        ),
        (
            shell("false"),
            TaskState::TaskFailed,
            "Command exited with status 1",
        ),
        (
            shell("exit 127"),
            TaskState::TaskFailed,
            "Command exited with status 127",
        ),
        (
            shell("kill -SEGV $$"),
            TaskState::TaskFailed,
            "Command terminated with signal Segmentation fault",
        ),
        (
            shell("kill -KILL $$"),
            TaskState::TaskFailed,
            "Command terminated with signal Killed",
        ),
        (
            missing,
            TaskState::TaskFailed,
            "Command exited with status 1",
        ),
        (
            greeting,
            TaskState::TaskFinished,
            "Command exited with status 0",
        ),
    ] {
        let (mut agent, executor) = running(task(command), &[]);
        let status = agent.expect(state);
        let text = status
            .message()
            .strip_suffix(" (core dumped)")
            .unwrap_or(status.message());
        assert_eq!(text, message);
        assert_eq!(status.source(), Source::Executor);
        assert_eq!(status.reason, None);
        assert_eq!(status.executor_id, Some("t".into()));
        assert!(status.timestamp.is_some());
        assert_eq!(executor.end().0, 0, "{message}");
    }
}

#[test]
fn a_task_has_its_arguments_environment_and_sandbox() {
    let command = CommandInfo {
        shell: Some(false),
        value: Some("sh".into()),
        arguments: [
            "own name",
            "-c",
            "echo $0; pwd; echo $MESOS_TASK_ID $MESOS_ALLOCATION_ROLE; \
             echo $A; env | grep -c TOKEN; ps -o sid= -p $$ | grep -c $$",
        ]
        .map(str::to_owned)
        .to_vec(),
        environment: Some(Environment {
            variables: [
                ("A", "b"),
                ("MESOS_ALLOCATION_ROLE", "mine"),
                ("", "x"),
                ("a=b", "x"),
            ]
            .map(|(name, value)| Variable {
                name: name.into(),
                value: Some(value.into()),
                ..Variable::default()
            })
            .to_vec(),
        }),
        ..CommandInfo::default()
    };
    let mut agent = Agent::start();
    let variables = [
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "hush"),
        ("MESOS_SLAVE_PID", "slave(7)@1.2.3.4:5"),
    ];
    let mut executor = Executor::start(&agent, &variables);
    let (subscribe, request) = agent.accept_subscription(&[]);
    assert!(
        subscribe.unacknowledged_tasks.is_empty() && subscribe.unacknowledged_updates.is_empty()
    );
    assert!(
        request
            .head
            .starts_with("POST /slave(7)/api/v1/executor HTTP/1.1\r\n")
    );
    assert!(
        request.head.contains("\r\nAuthorization: Bearer hush\r\n"),
        "{}",
        request.head
    );
    agent.launch(task(command));
    assert_eq!(executor.line(), "own name");
    assert_eq!(
        executor.line(),
        agent.sandbox().canonicalize().unwrap().to_str().unwrap()
    );
    assert_eq!(executor.line(), "t golden");
    assert_eq!(executor.line(), "b");
    assert_eq!(executor.line(), "0");
    assert_eq!(executor.line(), "1", "the task leads a session");
}

#[test]
fn a_killed_task_gets_term_first_and_says_so() {
    for (capabilities, says_killing) in [
        (&[capability::Type::TaskKillingState][..], true),
        (&[], false),
    ] {
        let (mut agent, executor) = running(task(shell("exec sleep 1000")), capabilities);
        // The grace is longer than anybody waits here: it is TERM that has to do it.
        agent.kill(kill_within(3_600_000));
        if says_killing {
            assert_eq!(agent.expect(TaskState::TaskKilling).message, None);
        }
        let status = agent.expect(TaskState::TaskKilled);
        assert_eq!(
            status.message(),
            "Command terminated with signal Terminated"
        );
        assert_eq!(status.reason, None);
        assert_eq!(executor.end(), (0, String::new()));
    }
}

#[test]
fn a_task_that_does_not_mind_term_is_killed_after_its_grace() {
    let stubborn = TaskInfo {
        kill_policy: Some(KillPolicy {
            grace_period: Some(milliseconds(50)),
        }),
        ..task(shell(
            "trap '' TERM; echo ready; while :; do sleep 1000; done",
        ))
    };
    let by_task = event::Kill {
        task_id: "t".into(),
        kill_policy: None,
    };
    for (kill, again) in [
        (by_task, None),
        (kill_within(600_000), Some(kill_within(20))),
    ] {
        let (mut agent, mut executor) = running(stubborn.clone(), &[]);
        assert_eq!(executor.line(), "ready");
        agent.kill(kill);
        if let Some(shorter) = again {
            agent.kill(shorter);
        }
        let status = agent.expect(TaskState::TaskKilled);
        assert_eq!(status.message(), "Command terminated with signal Killed");
        assert_eq!(executor.end().0, 0);
    }
}

#[test]
fn a_task_may_end_well_within_its_grace() {
    let polite = task(shell(
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
    ));
    let (mut agent, mut executor) = running(polite, &[]);
    assert_eq!(executor.line(), "ready");
    agent.kill(kill_within(600_000));
    let status = agent.expect(TaskState::TaskKilled);
    assert_eq!(status.message(), "Command exited with status 0");
}

#[test]
fn a_task_that_was_stopped_gets_term_all_the_same() {
    let (mut agent, mut executor) = running(task(shell("echo $$; kill -STOP $$; sleep 1000")), &[]);
    let pid = executor.line();
    while !std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .unwrap()
        .contains(") T ")
    {
        std::thread::yield_now();
    }
    agent.kill(kill_within(600_000));
    let status = agent.expect(TaskState::TaskKilled);
    assert_eq!(
        status.message(),
        "Command terminated with signal Terminated"
    );
}

#[test]
fn nothing_of_a_task_outlives_it_however_it_hides() {
    let hide = "(setsid sleep 1000 & echo $!); nohup sleep 1000 >/dev/null 2>&1 & echo $!; ";
    for (end, kill) in [("true", false), ("sleep 1000", true)] {
        let (mut agent, mut executor) = running(task(shell(&format!("{hide}{end}"))), &[]);
        let hidden = [executor.line(), executor.line()];
        if kill {
            assert!(hidden.iter().all(|pid| exists(pid)));
            agent.kill(kill_within(600_000));
        }
        agent.expect(if kill {
            TaskState::TaskKilled
        } else {
            TaskState::TaskFinished
        });
        for pid in hidden {
            assert!(!exists(&pid), "{pid} was left behind");
        }
    }
}

#[test]
fn a_task_that_takes_too_long_fails() {
    let slow = TaskInfo {
        max_completion_time: Some(milliseconds(100)),
        ..task(shell("sleep 1000"))
    };
    let (mut agent, _executor) = running(slow, &[capability::Type::TaskKillingState]);
    let status = agent.expect(TaskState::TaskFailed);
    assert_eq!(status.reason(), Reason::MaxCompletionTimeReached);
    assert_eq!(
        status.message(),
        "Command terminated with signal Terminated"
    );
}

#[test]
fn shutdown_and_sigterm_end_the_task_and_the_executor() {
    let (mut agent, executor) = running(task(shell("sleep 1000")), &[]);
    agent.shutdown();
    agent.expect(TaskState::TaskKilled);
    assert_eq!(executor.end().0, 0);

    let (mut agent, executor) = running(task(shell("sleep 1000")), &[]);
    let pid = rustix::process::Pid::from_raw(executor.pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    agent.expect(TaskState::TaskKilled);
    assert_eq!(executor.end().0, 0);

    let mut agent = Agent::start();
    let executor = Executor::start(&agent, &[]);
    agent.accept_subscription(&[]);
    agent.shutdown();
    assert_eq!(executor.end(), (0, String::new()));
}

#[test]
fn updates_are_told_again_to_an_agent_that_comes_back() {
    let mut agent = Agent::start();
    let fifo = agent.sandbox().join("go");
    std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    let mut executor = Executor::start(&agent, &CHECKPOINT);
    agent.accept_subscription(&[]);
    agent.launch(task(shell("echo going; read line < go; exit 3")));
    agent.next_update();
    agent.next_update();
    executor.line();
    agent.stop();

    agent.restart();
    let (subscribe, _) = agent.accept_subscription(&[]);
    let states = |subscribe: &meseta_proto::v1::executor::call::Subscribe| {
        subscribe
            .unacknowledged_updates
            .iter()
            .map(|u| u.status.state())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        states(&subscribe),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    assert_eq!(
        subscribe.unacknowledged_tasks.len(),
        1,
        "the agent may not know the task"
    );
    agent.acknowledge(&subscribe.unacknowledged_updates[0].status);
    // What the agent says last has been heard when the executor answers what it said after it.
    agent.launch(TaskInfo {
        task_id: "u".into(),
        ..task(shell("true"))
    });
    let refused = agent.next_update();
    agent.acknowledge(&refused);
    agent.stop();

    std::fs::write(&fifo, "go\n").unwrap();
    agent.restart();
    let (subscribe, _) = agent.accept_subscription(&[]);
    assert!(
        subscribe.unacknowledged_tasks.is_empty(),
        "an acknowledgement proves that it does"
    );
    let mut statuses: Vec<_> = subscribe
        .unacknowledged_updates
        .into_iter()
        .map(|u| u.status)
        .collect();
    statuses.retain(|s| s.task_id.as_str() == "t");
    while !statuses.iter().any(|s| s.state() == TaskState::TaskFailed) {
        statuses.push(agent.next_update());
    }
    let last = statuses.last().unwrap();
    assert_eq!(last.message(), "Command exited with status 3");
    for status in &statuses {
        agent.acknowledge(status);
    }
    agent.acknowledge(&refused);
    assert_eq!(executor.end().0, 0);
}

#[test]
fn without_checkpointing_a_task_ends_with_its_agent() {
    let (mut agent, mut executor) = running(task(shell("echo $$; sleep 1000")), &[]);
    let pid = executor.line();
    agent.stop();
    let (code, stderr) = executor.end();
    assert_eq!(code, 1);
    // It may know by its stream, or by a request that found nobody.
    let said = stderr.starts_with("Lost the agent: ") && stderr.ends_with("; shutting down\n");
    assert!(said, "{stderr}");
    assert!(!exists(&pid));
}

#[test]
fn an_agent_that_does_not_come_back_in_time_is_given_up() {
    let mut agent = Agent::start();
    let variables = [
        CHECKPOINT[0],
        ("MESOS_RECOVERY_TIMEOUT", "100ms"),
        CHECKPOINT[2],
    ];
    let mut executor = Executor::start(&agent, &variables);
    agent.accept_subscription(&[]);
    agent.launch(task(shell("echo $$; sleep 1000")));
    let pid = executor.line();
    agent.stop();
    let (code, stderr) = executor.end();
    assert_eq!(code, 1);
    assert!(
        stderr.ends_with("it did not come back in time; shutting down\n"),
        "{stderr}"
    );
    assert!(!exists(&pid));
}

#[test]
fn an_agent_that_recovers_is_asked_again_and_one_that_refuses_is_not() {
    let mut agent = Agent::start();
    let executor = Executor::start(&agent, &[]);
    agent.refuse_subscription("503 Service Unavailable");
    agent.refuse_subscription("400 Bad Request");
    let (code, stderr) = executor.end();
    assert_eq!(code, 1);
    assert!(stderr.contains("status 400: because"), "{stderr}");
}

#[test]
fn a_second_task_is_refused_and_the_first_goes_on() {
    let (mut agent, executor) = running(task(shell("sleep 1000")), &[]);
    agent.launch(task(shell("true")));
    agent.launch(TaskInfo {
        task_id: "u".into(),
        ..task(shell("true"))
    });
    let status = agent.expect(TaskState::TaskFailed);
    assert_eq!(status.task_id, "u".into());
    assert_eq!(
        status.message(),
        "Attempted to run multiple tasks using a \"command\" executor"
    );
    agent.kill(event::Kill {
        task_id: "u".into(),
        kill_policy: None,
    });
    agent.kill(kill_within(600_000));
    assert_eq!(agent.expect(TaskState::TaskKilled).task_id, "t".into());
    assert_eq!(
        executor.end(),
        (0, "Asked to kill unknown task 'u'\n".into())
    );
}

#[test]
fn an_executor_ends_only_when_the_end_of_its_task_is_acknowledged() {
    let (mut agent, executor) = running(task(shell("true")), &[]);
    let status = agent.next_update();
    assert_eq!(status.state(), TaskState::TaskFinished);
    agent.acknowledge(&meseta_proto::v1::TaskStatus {
        uuid: Some(vec![0; 16]),
        ..status.clone()
    });
    agent.launch(TaskInfo {
        task_id: "u".into(),
        ..task(shell("true"))
    });
    let refused = agent.next_update();
    agent.acknowledge(&refused);
    assert!(executor.is_running());
    agent.acknowledge(&status);
    assert_eq!(executor.end().0, 0);
}

#[test]
fn what_a_command_executor_cannot_do_is_said() {
    let mut agent = Agent::start();
    let executor = Executor::start(&agent, &[]);
    agent.accept_subscription(&[]);
    agent.send(&Event {
        r#type: Some(event::Type::LaunchGroup.into()),
        ..Event::default()
    });
    let (code, stderr) = executor.end();
    assert_eq!(code, 0);
    assert_eq!(
        stderr,
        "A command executor cannot run a task group: shutting down\n"
    );

    let checked = TaskInfo {
        check: Some(CheckInfo {
            r#type: Some(check_info::Type::Tcp.into()),
            ..CheckInfo::default()
        }),
        health_check: Some(HealthCheck::default()),
        ..task(shell("true"))
    };
    let (mut agent, executor) = running(checked, &[]);
    let status = agent.expect(TaskState::TaskFinished);
    assert_eq!(status.check_status.unwrap().r#type(), check_info::Type::Tcp);
    let stderr = executor.end().1;
    assert_eq!(
        stderr,
        "Failed to create checker: Expecting 'tcp' to be set for TCP check; the task goes on without\n\
         Failed to create health checker: 'UNKNOWN' is not a valid health check type; the task \
         goes on without\n"
    );
}

#[test]
fn outside_an_agent_it_says_what_is_missing() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_meseta-executor"))
        .env_clear()
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Expecting 'MESOS_FRAMEWORK_ID' to be set in the environment: agents set it for the \
         executors they start\n"
    );
}
