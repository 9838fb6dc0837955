//! Checks and health checks, against real servers and programs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use crate::support::{Agent, Executor, exists, shell, task};
use meseta_proto::v1::task_status::Reason;
use meseta_proto::v1::{
    CheckInfo, CheckStatusInfo, HealthCheck, TaskInfo, TaskState, check_info, health_check,
};

fn running(task: TaskInfo) -> (Agent, Executor) {
    let mut agent = Agent::start();
    let executor = Executor::start(&agent, &[]);
    agent.accept_subscription(&[]);
    agent.launch(task);
    agent.expect(TaskState::TaskStarting);
    let status = agent.expect(TaskState::TaskRunning);
    assert_eq!(status.healthy, None);
    (agent, executor)
}

fn end(mut agent: Agent, executor: &Executor) -> String {
    agent.shutdown();
    agent.expect(TaskState::TaskKilled);
    let (code, stderr) = executor.end();
    assert_eq!(code, 0);
    stderr
}

/// A check without delay.
fn check() -> CheckInfo {
    CheckInfo {
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.01),
        ..CheckInfo::default()
    }
}

fn command_check(command: &str) -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_info::Command {
            command: shell(command),
        }),
        ..check()
    }
}

fn http_check(port: u16, path: &str) -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Http.into()),
        http: Some(check_info::Http {
            port: port.into(),
            path: Some(path.into()),
        }),
        ..check()
    }
}

fn tcp_check(port: u16) -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Tcp.into()),
        tcp: Some(check_info::Tcp { port: port.into() }),
        ..check()
    }
}

fn health_check() -> HealthCheck {
    HealthCheck {
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.01),
        grace_period_seconds: Some(0.0),
        ..HealthCheck::default()
    }
}

/// The first change that a check of a long task tells.
fn first_result(check: CheckInfo) -> (CheckStatusInfo, Agent, Executor) {
    let (mut agent, executor) = running(TaskInfo {
        check: Some(check),
        ..task(shell("sleep 1000"))
    });
    let status = agent.expect(TaskState::TaskRunning);
    assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
    (*status.check_status.unwrap(), agent, executor)
}

/// A server that answers by the path, and the port it is at.
fn server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut connection in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || {
                let mut head = String::new();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                let answer = match head.split(' ').nth(1) {
                    Some("/sized") => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    Some("/to-the-end") => "HTTP/1.0 503 Unavailable\r\n\r\nnot yet",
                    Some("/moved") => {
                        "HTTP/1.1 302 Found\r\nLocation: /sized\r\nContent-Length: 0\r\n\r\n"
                    }
                    Some("/nonsense") => "SSH-2.0-OpenSSH\r\n",
                    // A body that does not come.
                    Some("/hangs") => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                    _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                };
                // Whoever asked may have seen enough.
                let _ = connection.write_all(answer.as_bytes());
                if head.contains("/hangs") {
                    let _ = reader.read_line(&mut head);
                }
            });
        }
    });
    port
}

/// A port at which nobody listens; who connects to it is refused.
fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_command_check_tells_its_exit_status_and_writes_to_stderr() {
    let (status, agent, executor) = first_result(command_check("echo checking; exit 7"));
    assert_eq!(status.command.unwrap().exit_code, Some(7));
    assert!(end(agent, &executor).starts_with("checking\n"));
}

#[test]
fn http_checks_tell_the_status_of_the_answer() {
    let port = server();
    for (path, expected) in [
        ("/sized", 200),
        ("/to-the-end", 503),
        ("/elsewhere", 404),
        ("/moved", 200),
    ] {
        let (status, agent, executor) = first_result(http_check(port, path));
        assert_eq!(status.http.unwrap().status_code, Some(expected), "{path}");
        assert_eq!(end(agent, &executor), "");
    }
}

#[test]
fn tcp_checks_tell_whether_somebody_listens() {
    for (port, expected) in [(server(), true), (closed_port(), false)] {
        let (status, agent, executor) = first_result(tcp_check(port));
        assert_eq!(status.tcp.unwrap().succeeded, Some(expected));
        assert_eq!(end(agent, &executor), "");
    }
}

#[test]
fn a_task_whose_server_is_gone_or_speaks_nonsense_is_killed_as_unhealthy() {
    let http = |port: u16, path: &str| HealthCheck {
        r#type: Some(health_check::Type::Http.into()),
        http: Some(health_check::HttpCheckInfo {
            port: port.into(),
            path: Some(path.into()),
            ..health_check::HttpCheckInfo::default()
        }),
        ..health_check()
    };
    let tcp = HealthCheck {
        r#type: Some(health_check::Type::Tcp.into()),
        tcp: Some(health_check::TcpCheckInfo {
            port: closed_port().into(),
            ..health_check::TcpCheckInfo::default()
        }),
        ..health_check()
    };
    let hanging = HealthCheck {
        timeout_seconds: Some(0.05),
        ..http(server(), "/hangs")
    };
    let https = HealthCheck {
        http: Some(health_check::HttpCheckInfo {
            scheme: Some("https".into()),
            port: closed_port().into(),
            ..health_check::HttpCheckInfo::default()
        }),
        ..http(0, "")
    };
    for (check, reason) in [
        (tcp, "TCP connection failed"),
        (
            http(server(), "/to-the-end"),
            "Unexpected HTTP response code: 503",
        ),
        (http(closed_port(), "/"), "onnection refused"),
        (http(server(), "/nonsense"), "the answer is not HTTP"),
        (hanging, "it timed out"),
        (https, "curl exited with status 7"),
    ] {
        let (mut agent, executor) = running(TaskInfo {
            health_check: Some(check),
            ..task(shell("sleep 1000"))
        });
        for _ in 0..3 {
            let status = agent.expect(TaskState::TaskRunning);
            assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
            assert_eq!(status.healthy, Some(false));
        }
        let status = agent.expect(TaskState::TaskKilled);
        assert_eq!((status.healthy, status.reason), (Some(false), None));
        let (code, stderr) = executor.end();
        assert_eq!(code, 0);
        assert_eq!(stderr.matches(reason).count(), 3, "{stderr}");
        assert!(stderr.contains(" health check failed 3 times consecutively: "));
    }
}

#[test]
fn a_task_that_recovers_is_told_healthy_again() {
    let flips = "test -e sick && { rm sick; exit 1; } || touch sick";
    let (mut agent, executor) = running(TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Command.into()),
            command: Some(shell(flips)),
            ..health_check()
        }),
        ..task(shell("sleep 1000"))
    });
    for healthy in [true, false, true, false] {
        assert_eq!(agent.expect(TaskState::TaskRunning).healthy, Some(healthy));
    }
    drop(executor);
}

#[test]
fn a_check_that_takes_too_long_is_killed_with_all_that_it_started() {
    let (mut agent, mut executor) = running(TaskInfo {
        health_check: Some(HealthCheck {
            r#type: Some(health_check::Type::Command.into()),
            command: Some(shell("sleep 1000 & echo $! > pids; sleep 1000")),
            timeout_seconds: Some(0.5),
            consecutive_failures: Some(u32::MAX),
            ..health_check()
        }),
        ..task(shell(
            "while ! test -s pids; do sleep 0.01; done; cat pids; sleep 1000",
        ))
    });
    let pid = executor.line();
    assert_eq!(agent.expect(TaskState::TaskRunning).healthy, Some(false));
    while exists(&pid) {
        thread::yield_now();
    }
    assert!(executor.is_running());
}
