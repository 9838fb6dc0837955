//! Custom executors, on the v1 API and on the old driver's messages: they serve several tasks, talk
//! with their framework, outlive their agent, and end when they are to. Both are written from the
//! documents alone, in Python, and share nothing with the product.

use std::time::Duration;

use meseta_proto::internal::{ExecutorToFrameworkMessage, FrameworkToExecutorMessage};
use meseta_proto::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};
use rustix::process::Signal;
use serde_json::json;

use crate::support::custom::{KINDS, Kind, World, await_end, await_event, events, sandbox_of};
use crate::support::daemon::{Cluster, Place, agent_address, registered_agents};
use crate::support::driver::{Dialect, Driver};
use crate::support::genuine::oracle;
use crate::support::scheduler::text;
use crate::support::{eventually, http, processes};

#[test]
fn an_executor_serves_several_tasks_and_talks_with_its_framework() {
    for kind in KINDS {
        let mut world = World::start();
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("t1", &executor);

        world.launch("t2", "finish", &executor);
        assert_eq!(world.update("TASK_RUNNING").0, "t2");
        let by = format!("by {pid}");
        assert_eq!(world.update("TASK_FINISHED"), ("t2".into(), by.clone()));
        world.say("e", "hello");
        assert_eq!(world.hear("e"), "heard hello");
        world.launch("t3", "", &executor);
        assert_eq!(world.update("TASK_RUNNING").0, "t3");
        world.scheduler.kill("t3");
        assert_eq!(world.update("TASK_KILLED"), ("t3".into(), by.clone()));
        world.say("e", "finish t1");
        assert_eq!(world.update("TASK_FINISHED"), ("t1".into(), by));
        // It lives on without tasks, for the next.
        assert_eq!(world.find("e"), (pid, sandbox.clone()));
        assert_eq!(
            events(&sandbox),
            ["launch t1", "launch t2", "launch t3", "kill t3"]
        );
    }
}

#[test]
fn a_genuine_agent_is_served_by_the_same_executors() {
    let Some(oracle) = oracle() else {
        return;
    };
    for kind in KINDS {
        let mut world = World::without_agent(Place::new(), &[]);
        let _genuine = oracle.agent(&world.place, world.master.address, &[]);
        registered_agents(world.master.address, 1);
        let executor = world.executor("e", &kind.command());
        let (pid, _) = world.run("t1", &executor);
        let by = format!("by {pid}");
        world.launch("t2", "finish", &executor);
        assert_eq!(world.update("TASK_RUNNING").0, "t2");
        assert_eq!(world.update("TASK_FINISHED"), ("t2".into(), by.clone()));
        world.shut_down("e");
        assert_eq!(world.update("TASK_KILLED"), ("t1".into(), by));
        world.end_of("e");
    }
}

/// An old framework and its executor: what passes between them goes by the shortest way.
#[test]
fn old_frameworks_and_old_executors_talk_without_the_master() {
    for dialect in [Dialect::Legacy, Dialect::Call] {
        let cluster = Cluster::start();
        let info = FrameworkInfo {
            user: "root".into(),
            name: "old".into(),
            ..Default::default()
        };
        let mut driver = Driver::register(cluster.master(), dialect, info);
        let offer = driver.offer();
        let executor = ExecutorInfo {
            executor_id: "e".into(),
            framework_id: Some(driver.id.clone()),
            command: Some(CommandInfo {
                value: Some(Kind::Old.command()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let task = TaskInfo {
            name: "t".into(),
            task_id: "t".into(),
            agent_id: offer.agent_id.clone(),
            executor: Some(executor),
            resources: offer.resources.clone(),
            ..Default::default()
        };
        driver.launch(&offer, vec![task]);
        let running = driver.update();
        assert_eq!(running.update.status.state(), TaskState::TaskRunning);
        // Agents are told by updates where they are, and drivers remember it.
        let agents = registered_agents(cluster.master(), 1);
        let hello = FrameworkToExecutorMessage {
            slave_id: offer.agent_id.clone(),
            framework_id: driver.id.clone(),
            executor_id: "e".into(),
            data: b"hello".to_vec(),
        };
        driver.send_to(agent_address(&agents[0]), "slave(1)", &hello);
        let answer: ExecutorToFrameworkMessage = driver.receive();
        assert_eq!(answer.data, b"heard hello");
        assert_eq!(driver.last_sender(), agents[0]["pid"].as_str());
        driver.kill("t");
        let killed = driver.update().update.status;
        assert_eq!(killed.state(), TaskState::TaskKilled, "{dialect:?}");
    }
}

#[test]
fn an_executor_outlives_its_agent_and_tells_what_it_missed() {
    for kind in KINDS {
        let mut world = World::with(&["--executor_reregistration_timeout=20secs"]);
        let executor = world.executor("e", &kind.command());
        let sign = world.place.join("sign");
        world.launch("t1", &format!("until {}", sign.display()), &executor);
        world.update("TASK_RUNNING");
        let (pid, sandbox) = world.run("t2", &executor);

        world.kill_agent();
        std::fs::write(&sign, "").expect("a file");
        await_event(&sandbox, "reported t1");
        world.start_agent();
        let by = format!("by {pid}");
        let told = world.update("TASK_FINISHED");
        assert_eq!(told, ("t1".into(), by.clone()), "{kind:?}");
        registered_agents(world.master.address, 1);
        assert_eq!(world.find("e"), (pid, sandbox));
        world.launch_on_valid_offer("t3", "finish", &executor);
        assert_eq!(world.update("TASK_FINISHED"), ("t3".into(), by.clone()));
        world.scheduler.kill("t2");
        assert_eq!(world.update("TASK_KILLED"), ("t2".into(), by));
    }
}

/// How often the agent dies under an executor.
const DEATHS: u32 = 8;

#[test]
fn an_agent_may_die_at_any_moment_under_an_executor() {
    for kind in KINDS {
        let mut world = World::with(&["--executor_reregistration_timeout=20secs"]);
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("always", &executor);
        let mut finished = 0;
        for death in 0..DEATHS {
            // Most of the way of two tasks lies within these few milliseconds.
            let moment = Duration::from_millis(u64::from(death * 3));
            let sign = world.place.join(&format!("sign-{death}"));
            let data = ["finish".to_owned(), format!("until {}", sign.display())];
            let tasks = [0, 1].map(|number| format!("t{death}-{number}"));
            for (task, data) in tasks.iter().zip(data) {
                world.launch(task, &data, &executor);
            }
            // A moment can only be chosen by time.
            std::thread::sleep(moment);
            world.kill_agent();
            std::fs::write(&sign, "").expect("a file");
            world.start_agent();
            for (task, states) in world.histories(&tasks) {
                let launches = events(&sandbox);
                let launches = launches
                    .iter()
                    .filter(|it| **it == format!("launch {task}"));
                let has_run = launches.count() == 1;
                finished += u32::from(has_run);
                let expected: &[&str] = if has_run {
                    &["TASK_RUNNING", "TASK_FINISHED"]
                } else {
                    &["TASK_DROPPED"]
                };
                assert_eq!(states, expected, "{task} of {kind:?}, after {moment:?}");
            }
            registered_agents(world.master.address, 1);
            world.scheduler.forget_ended_offers();
        }
        assert_eq!(world.find("e").0, pid);
        assert!(finished >= DEATHS, "only {finished} of {kind:?} have run");
    }
}

#[test]
fn an_executor_that_is_shut_down_ends_its_tasks_itself() {
    for kind in KINDS {
        let mut world = World::start();
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("t", &executor);
        world.shut_down("e");
        let by = format!("by {pid}");
        assert_eq!(world.update("TASK_KILLED"), ("t".into(), by), "{kind:?}");
        assert_eq!(world.end_of("e"), 0);
        await_end(pid);
        await_event(&sandbox, "shutdown");
    }
}

#[test]
fn an_executor_that_ignores_its_shutdown_is_killed_after_its_grace() {
    for kind in KINDS {
        let mut world = World::start();
        let mut executor = world.executor("e", &kind.command());
        executor["shutdown_grace_period"] = json!({"nanoseconds": 100_000_000});
        executor["command"]["environment"] = json!({"variables": [
            {"name": "EXECUTOR_IGNORES_SHUTDOWN", "value": "1"},
        ]});
        let (pid, sandbox) = world.run("t", &executor);
        world.shut_down("e");
        let status = world.scheduler.expect("TASK_FAILED");
        assert_eq!(status["reason"], "REASON_EXECUTOR_TERMINATED", "{status}");
        assert_eq!(world.end_of("e"), 9, "killed: {kind:?}");
        await_end(pid);
        await_event(&sandbox, "shutdown");
    }
}

#[test]
fn the_end_of_a_framework_is_the_end_of_its_executors() {
    for kind in KINDS {
        let mut world = World::start();
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("t", &executor);
        world.scheduler.tell(json!({"type": "TEARDOWN"}));
        await_end(pid);
        await_event(&sandbox, "shutdown");
        let agent = world.agent();
        let completed = eventually("the framework's end in the agent's books", || {
            let state = http::get(agent, "/state").json();
            let completed = state["completed_frameworks"].as_array()?.first()?.clone();
            (state["frameworks"] == json!([])).then_some(completed)
        });
        assert_eq!(completed["completed_executors"][0]["id"], "e", "{kind:?}");
    }
}

#[test]
fn an_agent_that_takes_leave_shuts_its_executors_down_first() {
    for kind in KINDS {
        let mut world = World::start();
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("t", &executor);
        let agent = world.agent.take().expect("a running agent");
        let status = agent.stop_by(Signal::USR1);
        assert!(status.success(), "{status}");
        assert!(!processes::runs(pid), "{kind:?}");
        await_event(&sandbox, "shutdown");
        // The framework hears it from the master alone: what the executor says comes too late.
        let status = world.scheduler.expect("TASK_LOST");
        assert_eq!(status["reason"], "REASON_AGENT_REMOVED", "{status}");
        assert_eq!(status["source"], "SOURCE_MASTER");
        let failure = world.scheduler.event("FAILURE");
        assert!(failure.get("executor_id").is_none(), "{failure}");
        registered_agents(world.master.address, 0);
        // It forgets that it was one: the next life begins as another agent.
        let former = text(&failure["agent_id"]["value"]);
        world.start_agent();
        let agents = registered_agents(world.master.address, 1);
        assert_ne!(agents[0]["id"], former.as_str());
    }
}

#[test]
fn an_agent_that_its_master_sends_away_shuts_its_executors_down() {
    for kind in KINDS {
        let mut world = World::start();
        let executor = world.executor("e", &kind.command());
        let (pid, sandbox) = world.run("t", &executor);
        let agents = registered_agents(world.master.address, 1);
        let call = json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {
            "agent_id": {"value": agents[0]["id"]},
        }});
        let answer = http::operator_call(world.master.address, &call);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        await_end(pid);
        await_event(&sandbox, "shutdown");
        let status = world.scheduler.expect("TASK_GONE_BY_OPERATOR");
        assert_eq!(status["reason"], "REASON_AGENT_REMOVED_BY_OPERATOR");
        assert_eq!(status["source"], "SOURCE_MASTER", "{kind:?}");
    }
}

#[test]
fn an_executor_that_never_comes_is_given_up() {
    let mut world = World::with(&["--executor_registration_timeout=1secs"]);
    let executor = world.executor("e", "exec sleep 1000");
    world.launch("t", "", &executor);
    let status = world.scheduler.expect("TASK_FAILED");
    assert_eq!(
        (&status["reason"], &status["message"]),
        (
            &json!("REASON_EXECUTOR_REGISTRATION_TIMEOUT"),
            &json!("Executor did not register within 1secs")
        )
    );
    assert_eq!(world.end_of("e"), 9);
}

#[test]
fn an_executor_that_does_not_come_back_is_given_up() {
    for kind in KINDS {
        let mut world = World::with(&["--executor_reregistration_timeout=1secs"]);
        let executor = world.executor("e", &kind.command());
        let (pid, _) = world.run("t", &executor);
        world.kill_agent();
        processes::signal(pid, Signal::STOP);
        world.start_agent();
        let status = world.scheduler.expect("TASK_GONE");
        assert_eq!(
            (&status["reason"], &status["message"]),
            (
                &json!("REASON_EXECUTOR_REREGISTRATION_TIMEOUT"),
                &json!("Executor did not reregister within 1secs")
            ),
            "{kind:?}"
        );
        await_end(pid);
    }
}

#[test]
fn an_executor_that_changes_is_another_one() {
    let mut world = World::start();
    let executor = world.executor("e", &Kind::V1.command());
    world.launch("t1", "", &executor);
    world.update("TASK_RUNNING");
    let mut changed = executor.clone();
    changed["name"] = json!("changed");
    world.launch("t2", "", &changed);
    let status = world.scheduler.expect("TASK_ERROR");
    assert_eq!(status["reason"], "REASON_TASK_INVALID", "{status}");
    let message = text(&status["message"]);
    assert!(
        message.starts_with(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID."
        ),
        "{message}"
    );
    // The first goes on, and with its end the name is free.
    world.shut_down("e");
    world.update("TASK_KILLED");
    world.end_of("e");
    world.launch("t3", "finish", &changed);
    assert_eq!(world.update("TASK_RUNNING").0, "t3");
    assert_eq!(world.update("TASK_FINISHED").0, "t3");
}

#[test]
fn the_environment_of_an_executor_is_that_of_mesos() {
    let mut world = World::with(&["--executor_shutdown_grace_period=7secs"]);
    let mut executor = world.executor("e", "env > environment");
    executor["command"]["environment"] = json!({"variables": [
        {"name": "OWN", "value": "mine"},
        {"name": "MESOS_CHECKPOINT", "value": "overridden"},
    ]});
    world.launch("t", "", &executor);
    world.scheduler.expect("TASK_FAILED");
    let state = http::get(world.agent(), "/state").json();
    let id = text(&state["id"]);
    let sandbox = sandbox_of(&state, "e");
    let printed = std::fs::read_to_string(sandbox.join("environment")).expect("the environment");
    let mut found: Vec<(&str, &str)> = printed
        .lines()
        .filter_map(|line| line.split_once('='))
        // What the shell sets by itself.
        .filter(|(name, _)| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"))
        .collect();
    found.sort_unstable();
    let endpoint = world.agent().to_string();
    let pid = format!("slave(1)@{endpoint}");
    let directory = sandbox.to_string_lossy();
    let expected = [
        ("LIBPROCESS_IP", "127.0.0.1"),
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_AGENT_ENDPOINT", &endpoint),
        ("MESOS_CHECKPOINT", "overridden"),
        ("MESOS_DIRECTORY", &directory),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "7secs"),
        ("MESOS_FRAMEWORK_ID", &world.scheduler.id),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_SANDBOX", &directory),
        ("MESOS_SLAVE_ID", &id),
        ("MESOS_SLAVE_PID", &pid),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
        ("OWN", "mine"),
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ];
    assert_eq!(found, expected);
}
