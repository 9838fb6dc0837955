//! Task groups, in containers that the test keeps for the executor.

use std::net::{Ipv4Addr, TcpListener};

use meseta_proto::recordio;
use meseta_proto::v1::agent::call::Type;
use meseta_proto::v1::agent::{ProcessIo, Response, process_io, response};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CheckInfo, ContainerId, HealthCheck, TaskInfo, TaskState, check_info, health_check,
};
use prost::Message as _;

use crate::support::{Agent, Executor, Request, executor_container, shell, task};

const CHECKPOINT: [(&str, &str); 3] = [
    ("MESOS_CHECKPOINT", "1"),
    ("MESOS_RECOVERY_TIMEOUT", "15mins"),
    ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "20ms"),
];

fn named(name: &str) -> TaskInfo {
    TaskInfo {
        task_id: name.into(),
        ..task(shell("true"))
    }
}

fn ended(exit_status: i32) -> Vec<u8> {
    Response {
        r#type: Some(response::Type::WaitContainer.into()),
        wait_container: Some(response::WaitContainer {
            exit_status: Some(exit_status),
            ..response::WaitContainer::default()
        }),
        ..Response::default()
    }
    .encode_to_vec()
}

/// An executor whose only task runs, its container, and the request that waits for its end.
fn running(task: TaskInfo) -> (Agent, Executor, ContainerId, Request) {
    let mut agent = Agent::start();
    let executor = Executor::start_default(&agent, &CHECKPOINT);
    agent.accept_subscription(&[]);
    agent.launch_group(vec![task]);
    agent.expect(TaskState::TaskStarting);
    let (call, request) = agent.request(Type::LaunchContainer);
    request.answer("200 OK", b"");
    agent.expect(TaskState::TaskRunning);
    let (_, wait) = agent.request(Type::WaitContainer);
    let container = call.launch_container.unwrap().container_id;
    (agent, executor, container, wait)
}

#[test]
fn a_group_runs_in_containers_and_the_executor_ends_after_it() {
    let mut agent = Agent::start();
    let variables = [
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "hush"),
        ("MESOS_SLAVE_PID", "slave(7)@1.2.3.4:5"),
    ];
    let executor = Executor::start_default(&agent, &variables);
    agent.accept_subscription(&[]);
    agent.launch_group(vec![named("a"), named("b")]);
    agent.expect(TaskState::TaskStarting);
    agent.expect(TaskState::TaskStarting);
    let mut containers = Vec::new();
    for _ in 0..2 {
        let (call, request) = agent.request(Type::LaunchContainer);
        let head = &request.head;
        assert!(
            head.starts_with("POST /slave(7)/api/v1 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\nAuthorization: Bearer hush\r\n"),
            "{head}"
        );
        let launch = call.launch_container.unwrap();
        let variables = launch.command.unwrap().environment.unwrap().variables;
        assert_eq!(variables[0].value(), "1.2.3.4");
        assert_eq!(variables[1].value(), "golden");
        let parent = Some(Box::new(executor_container()));
        assert_eq!(launch.container_id.parent, parent);
        containers.push(launch.container_id);
        request.answer("200 OK", b"");
    }
    assert_ne!(containers[0], containers[1]);
    for _ in 0..2 {
        let status = agent.expect(TaskState::TaskRunning);
        let container = status.container_status.unwrap().container_id.unwrap();
        let link = agent.sandbox().join("tasks").join(status.task_id.as_str());
        let target = agent.sandbox().join("containers").join(&container.value);
        assert_eq!(std::fs::read_link(link).unwrap(), target);
    }
    for _ in 0..2 {
        let (_, wait) = agent.request(Type::WaitContainer);
        wait.answer("200 OK", &ended(0));
        let status = agent.expect(TaskState::TaskFinished);
        assert_eq!(status.message(), "Command exited with status 0");
    }
    assert_eq!(executor.end(), (0, String::new()));
}

#[test]
fn a_group_outlives_the_agent_and_is_waited_for_anew() {
    let (mut agent, executor, container, _) = running(named("a"));
    agent.stop();
    agent.restart();
    let (subscribe, _) = agent.accept_subscription(&[]);
    assert!(subscribe.unacknowledged_tasks.is_empty());
    let (call, wait) = agent.request(Type::WaitContainer);
    assert_eq!(call.wait_container.unwrap().container_id, container);
    wait.answer("200 OK", &ended(1 << 8));
    let status = agent.expect(TaskState::TaskFailed);
    assert_eq!(status.message(), "Command exited with status 1");
    assert_eq!(executor.end().0, 0);
}

#[test]
fn a_launch_that_the_agent_did_not_survive_is_made_once_more() {
    let mut agent = Agent::start();
    let executor = Executor::start_default(&agent, &CHECKPOINT);
    agent.accept_subscription(&[]);
    agent.launch_group(vec![named("a")]);
    agent.expect(TaskState::TaskStarting);
    let (first, _) = agent.request(Type::LaunchContainer);
    agent.stop();
    agent.restart();
    agent.accept_subscription(&[]);
    let (_, wait) = agent.request(Type::WaitContainer);
    wait.answer("404 Not Found", b"Container cannot be found");
    let (second, request) = agent.request(Type::LaunchContainer);
    assert_eq!(second, first);
    request.answer("200 OK", b"");
    agent.expect(TaskState::TaskRunning);
    let (_, wait) = agent.request(Type::WaitContainer);
    wait.answer("200 OK", &ended(0));
    agent.expect(TaskState::TaskFinished);
    assert_eq!(executor.end().0, 0);
}

#[test]
fn a_command_checks_a_task_from_a_container_below_it_and_writes_to_stderr() {
    let check = CheckInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_info::Command {
            command: shell("probe"),
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(1000.0),
        ..CheckInfo::default()
    };
    let (mut agent, executor, container, wait) = running(TaskInfo {
        check: Some(check),
        ..named("a")
    });
    let (call, session) = agent.request(Type::LaunchNestedContainerSession);
    let accept = "\r\nAccept: application/recordio\r\nMessage-Accept: application/x-protobuf\r\n";
    assert!(session.head.contains(accept), "{}", session.head);
    let launch = call.launch_nested_container_session.unwrap();
    assert_eq!(launch.container_id.parent, Some(Box::new(container)));
    let output = ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(process_io::Data {
            r#type: Some(process_io::data::Type::Stdout.into()),
            data: Some(b"probing\n".to_vec()),
        }),
        ..ProcessIo::default()
    };
    session.answer("200 OK", &recordio::encode(&output.encode_to_vec()));
    let (call, of_check) = agent.request(Type::WaitContainer);
    assert_eq!(
        call.wait_container.unwrap().container_id,
        launch.container_id
    );
    of_check.answer("200 OK", &ended(7 << 8));
    let status = agent.expect(TaskState::TaskRunning);
    assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
    let found = status.check_status.unwrap().command.unwrap();
    assert_eq!(found.exit_code, Some(7));
    wait.answer("200 OK", &ended(0));
    agent.expect(TaskState::TaskFinished);
    assert_eq!(executor.end(), (0, "probing\n".to_owned()));
}

#[test]
fn a_task_whose_server_is_gone_is_killed_as_unhealthy() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let check = HealthCheck {
        r#type: Some(health_check::Type::Tcp.into()),
        tcp: Some(health_check::TcpCheckInfo {
            port: port.into(),
            ..health_check::TcpCheckInfo::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.01),
        grace_period_seconds: Some(0.0),
        ..HealthCheck::default()
    };
    let (mut agent, executor, container, wait) = running(TaskInfo {
        health_check: Some(check),
        ..named("a")
    });
    for _ in 0..3 {
        let status = agent.expect(TaskState::TaskRunning);
        assert_eq!(status.healthy, Some(false));
    }
    let (call, request) = agent.request(Type::KillContainer);
    let kill = call.kill_container.unwrap();
    assert_eq!((kill.container_id, kill.signal), (container, Some(15)));
    request.answer("200 OK", b"");
    wait.answer("200 OK", &ended(15));
    let status = agent.expect(TaskState::TaskKilled);
    assert_eq!(status.healthy, Some(false));
    assert_eq!(executor.end().0, 0);
}
