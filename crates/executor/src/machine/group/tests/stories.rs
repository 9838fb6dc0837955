//! Groups from their launch to their end.

use meseta_proto::v1::volume::source::sandbox_path;
use meseta_proto::v1::{
    AgentId, Resource, TaskResourceLimitation, Volume, resource, task_status, volume,
};

use super::*;
use TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting};

#[test]
fn each_task_runs_in_a_container_of_its_own_below_the_executors() {
    let mut run = Run::subscribed();
    let actions = run.launch(1, vec![task("a"), task("b")]);
    assert_eq!(told(&actions), [("a", TaskStarting), ("b", TaskStarting)]);
    let launched: Vec<ContainerId> = run
        .open
        .iter()
        .map(|(_, call)| call.launch_container.clone().unwrap().container_id)
        .collect();
    assert_eq!(launched, [run.container("a"), run.container("b")]);
    assert_ne!(launched[0].value, launched[1].value);
    assert_eq!(launched[0].parent, Some(Box::new(executor_container())));

    let actions = run.confirm(1);
    assert_eq!(told(&actions), [("a", TaskRunning), ("b", TaskRunning)]);
    let status = statuses(&actions)[0];
    let container = status.container_status.as_ref().unwrap();
    assert_eq!(container.container_id, Some(run.container("a")));
    assert_eq!(status.source(), task_status::Source::Executor);
    assert_eq!(status.executor_id, Some("e".into()));
    assert!(actions.contains(&Action::LinkSandbox {
        task_id: "a".into(),
        container_id: run.container("a"),
    }));
}

#[test]
fn a_container_gets_what_its_task_brings_and_where_it_is() {
    let role = resource::AllocationInfo {
        role: Some("prod".into()),
    };
    let disk = resource::DiskInfo {
        volume: Some(Volume {
            mode: volume::Mode::Rw.into(),
            container_path: "data".into(),
            ..Volume::default()
        }),
        ..resource::DiskInfo::default()
    };
    let resource = Resource {
        name: "disk".into(),
        allocation_info: Some(role),
        disk: Some(Box::new(disk)),
        ..Resource::default()
    };
    let mut run = Run::subscribed();
    run.launch(
        1,
        vec![TaskInfo {
            agent_id: AgentId::from("s"),
            resources: vec![resource.clone()],
            ..task("a")
        }],
    );
    let launch = run.take(is_launch).1.launch_container.unwrap();
    assert_eq!(launch.resources, [resource]);
    let command = launch.command.unwrap();
    assert_eq!(command.value(), "x");
    let variables: Vec<_> = command.environment.unwrap().variables;
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|v| (v.name.as_str(), v.value()))
        .collect();
    let expected = [
        ("MESOS_CONTAINER_IP", "10.0.0.1"),
        ("MESOS_ALLOCATION_ROLE", "prod"),
    ];
    assert_eq!(variables, expected);
    let volumes = launch.container.unwrap().volumes;
    assert_eq!(volumes[0].container_path, "data");
    let source = volumes[0].source.clone().unwrap().sandbox_path.unwrap();
    assert_eq!(source.r#type(), sandbox_path::Type::Parent);
    assert_eq!(source.path, "data");
}

#[test]
fn the_executor_ends_when_no_task_is_left_and_all_is_acknowledged() {
    let mut run = Run::subscribed();
    let mut told = run.launch(0, vec![task("a")]);
    told.extend(run.confirm(0));
    told.extend(run.ended(5, "a", EXIT_0));
    let statuses = statuses(&told);
    let last = statuses.last().unwrap();
    assert_eq!(last.state(), TaskFinished);
    assert_eq!(last.message(), "Command exited with status 0");
    assert_eq!((last.reason, last.healthy), (None, None));
    let (last, others) = statuses.split_last().unwrap();
    for status in others {
        assert_eq!(run.acknowledge(6, status), []);
    }
    assert_eq!(run.acknowledge(6, last), [Action::Exit(Outcome::Success)]);
}

#[test]
fn an_agent_that_does_not_acknowledge_is_not_waited_for_forever() {
    let mut run = Run::running(vec![task("a")]);
    run.ended(10, "a", EXIT_0);
    assert_eq!(run.wake(69), []);
    let actions = run.wake(70);
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Failure)));
}

#[test]
fn a_task_that_finishes_leaves_its_group_alone() {
    let mut run = Run::running(vec![task("a"), task("b")]);
    let actions = run.ended(1, "a", EXIT_0);
    assert_eq!(told(&actions), [("a", TaskFinished)]);
    assert_eq!(run.signals(1), []);
}

#[test]
fn a_task_that_fails_ends_its_group_and_no_other() {
    let mut run = Run::running(vec![task("a"), task("b"), task("c")]);
    run.launch(1, vec![task("other")]);
    run.confirm(1);
    let (b, c) = (run.container("b"), run.container("c"));
    let actions = run.ended(2, "a", EXIT_1);
    let status = statuses(&actions)[0];
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.message(), "Command exited with status 1");
    assert_eq!(run.signals(2), [(b.clone(), TERM), (c.clone(), TERM)]);

    let actions = run.ended(3, "b", TERM);
    assert_eq!(told(&actions), [("b", TaskKilled)]);
    assert_eq!(
        statuses(&actions)[0].message(),
        "Command terminated with signal Terminated"
    );
    assert_eq!(run.signals(3), [], "each is killed once");
    run.wake(5);
    assert_eq!(run.signals(5), [(c, KILL)], "after three seconds");
    assert_eq!(told(&run.ended(5, "c", KILL)), [("c", TaskKilled)]);
    assert_eq!(run.machine.members.len(), 1, "the other group goes on");
}

#[test]
fn a_killed_task_ends_its_group_and_has_its_own_grace() {
    let mut run = Run::subscribed();
    run.capabilities = killing();
    run.subscribe(0);
    let patient = TaskInfo {
        kill_policy: Some(KillPolicy {
            grace_period: Some(duration(30)),
        }),
        ..task("a")
    };
    run.launch(0, vec![patient, task("b")]);
    run.confirm(0);
    let (a, b) = (run.container("a"), run.container("b"));
    assert_eq!(told(&run.kill(10, "a", None)), [("a", TaskKilling)]);
    assert_eq!(run.signals(10), [(a.clone(), TERM)]);
    assert_eq!(run.kill(11, "a", Some(60)), [], "it gets no more time");
    assert_eq!(run.wake(39), []);
    run.wake(40);
    assert_eq!(run.signals(40), [(a, KILL)]);
    let actions = run.ended(41, "a", KILL);
    assert_eq!(told(&actions), [("a", TaskKilled), ("b", TaskKilling)]);
    assert_eq!(run.signals(41), [(b, TERM)]);
}

#[test]
fn a_kill_before_the_container_runs_waits_for_it() {
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    let a = run.container("a");
    assert_eq!(run.kill(1, "a", Some(5)), []);
    let actions = run.confirm(3);
    assert_eq!(told(&actions), [("a", TaskRunning)]);
    assert_eq!(run.signals(3), [(a.clone(), TERM)]);
    run.wake(8);
    assert_eq!(run.signals(8), [(a, KILL)]);
}

#[test]
fn a_task_that_runs_for_too_long_fails_with_the_reason() {
    let mut run = Run::subscribed();
    run.capabilities = killing();
    run.subscribe(0);
    run.launch(
        0,
        vec![TaskInfo {
            max_completion_time: Some(duration(60)),
            ..task("a")
        }],
    );
    run.confirm(0);
    let a = run.container("a");
    assert_eq!(run.machine.next_wake(), Some(Duration::from_mins(1)));
    assert_eq!(told(&run.wake(60)), [], "nobody is told of the killing");
    run.wake(60);
    assert_eq!(run.signals(60), [(a.clone(), TERM), (a, KILL)]);
    let actions = run.ended(61, "a", KILL);
    let status = statuses(&actions)[0];
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.reason(), Reason::MaxCompletionTimeReached);
}

#[test]
fn what_the_agent_knows_of_an_end_comes_first() {
    let mut run = Run::running(vec![task("a")]);
    let limitation = TaskResourceLimitation::default();
    let actions = run.waited(
        1,
        "a",
        termination(response::WaitContainer {
            exit_status: Some(KILL),
            state: Some(TaskFailed.into()),
            reason: Some(Reason::ContainerLimitationMemory.into()),
            limitation: Some(limitation.clone()),
            message: Some("Memory limit exceeded".into()),
        }),
    );
    let status = statuses(&actions)[0];
    assert_eq!(status.state(), TaskFailed);
    assert_eq!(status.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(status.limitation, Some(Box::new(limitation)));
    assert_eq!(
        status.message(),
        "Command terminated with signal Killed: Memory limit exceeded"
    );
}

#[test]
fn a_container_that_cannot_be_launched_fails_its_task_in_the_agents_words() {
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a"), task("b")]);
    let (request, _) = run.take(is_launch);
    let actions = run.answer(0, request, refusal(400, "no such user"));
    assert_eq!(told(&actions), []);
    run.confirm(0);
    let actions = run.waited(0, "a", refusal(404, "no such container"));
    let status = statuses(&actions)[0];
    assert_eq!(
        (status.state(), status.message()),
        (TaskFailed, "no such user")
    );
    let b = run.container("b");
    assert_eq!(run.signals(0), [(b, TERM)]);
}

#[test]
fn ends_that_nobody_knows_are_told_as_such() {
    for (kill, answer, state, message) in [
        (
            false,
            refusal(404, ""),
            TaskFailed,
            Some("Unable to retrieve command's termination information"),
        ),
        (true, refusal(404, ""), TaskKilled, None),
        (
            false,
            terminated(None),
            TaskFailed,
            Some("Command terminated with unknown status"),
        ),
    ] {
        let mut run = Run::running(vec![task("a")]);
        if kill {
            run.kill(0, "a", None);
        }
        let actions = run.waited(0, "a", answer);
        let status = statuses(&actions)[0];
        assert_eq!(status.state(), state);
        assert_eq!(status.message.as_deref(), message);
    }
}

#[test]
fn a_wait_that_breaks_is_repeated() {
    for answer in [Err("reset".to_owned()), Ok(refusal(503, "recovering"))] {
        let mut run = Run::running(vec![task("a")]);
        let a = run.container("a");
        let (request, _) = run.take(|call| is_wait_for(call, &a));
        assert_eq!(run.step(5, Input::Answered { request, answer }), []);
        run.wake(6);
        assert_eq!(told(&run.ended(6, "a", EXIT_0)), [("a", TaskFinished)]);
    }
}

#[test]
fn a_signal_that_did_not_get_there_is_repeated() {
    let mut run = Run::running(vec![task("a")]);
    let a = run.container("a");
    run.kill(0, "a", Some(3600));
    let (request, _) = run.take(|call| call.kill_container.is_some());
    let answer = Err("reset".to_owned());
    run.step(0, Input::Answered { request, answer });
    run.wake(1);
    assert_eq!(run.signals(1), [(a, TERM)]);
    run.wake(10);
    assert_eq!(run.signals(10), []);
}

#[test]
fn a_shutdown_kills_all_and_ends_the_executor() {
    let mut run = Run::running(vec![task("a")]);
    run.launch(0, vec![task("b")]);
    run.confirm(0);
    let (a, b) = (run.container("a"), run.container("b"));
    run.event(1, event::Type::Shutdown, Event::default());
    assert_eq!(run.signals(1), [(a.clone(), TERM), (b.clone(), TERM)]);
    run.wake(4);
    assert_eq!(
        run.signals(4),
        [(a, KILL), (b, KILL)],
        "two seconds before the agent's patience ends"
    );
    run.ended(4, "a", KILL);
    run.ended(4, "b", KILL);
    assert_eq!(told(&run.launch(5, vec![task("c")])), []);
}

#[test]
fn a_shutdown_without_tasks_is_the_end() {
    let mut run = Run::subscribed();
    let actions = run.event(1, event::Type::Shutdown, Event::default());
    assert_eq!(actions, [Action::Exit(Outcome::Success)]);
}

#[test]
fn a_task_alone_is_an_error_that_ends_the_executor() {
    let mut run = Run::subscribed();
    let event = Event {
        launch: Some(event::Launch { task: task("a") }),
        ..Event::default()
    };
    let actions = run.event(1, event::Type::Launch, event);
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Success)));
}

#[test]
fn tasks_are_waited_for_anew_at_an_agent_that_was_restarted() {
    let mut run = Run::running(vec![task("a"), task("b")]);
    let a = run.container("a");
    run.kill(1, "a", Some(60));
    run.signals(1);
    let actions = run.lose(2);
    let abandoned = actions.iter().filter(|a| matches!(a, Action::Abandon(_)));
    assert_eq!(abandoned.count(), 2);
    let Some(Action::Subscribe(call)) = run.wake(4).pop() else {
        panic!("no subscription");
    };
    let subscribe = call.subscribe.unwrap();
    assert_eq!(subscribe.unacknowledged_tasks, [task("a"), task("b")]);
    assert_eq!(subscribe.unacknowledged_updates.len(), 4);
    assert_eq!(run.open, [], "nothing is asked of an agent that is away");
    run.wake(61);
    run.subscribe(100);
    assert!(!run.open.iter().any(|(_, call)| is_launch(call)));
    assert_eq!(run.signals(100), [(a, KILL)], "its grace is long over");
    assert_eq!(told(&run.ended(100, "a", KILL))[0], ("a", TaskKilled));
    run.ended(101, "b", TERM);
}

#[test]
fn tasks_whose_updates_were_acknowledged_are_not_sent_again() {
    let mut run = Run::subscribed();
    let mut actions = run.launch(0, vec![task("a")]);
    actions.extend(run.confirm(0));
    for status in statuses(&actions) {
        run.acknowledge(1, status);
    }
    run.lose(2);
    let Some(Action::Subscribe(call)) = run.wake(4).pop() else {
        panic!("no subscription");
    };
    let subscribe = call.subscribe.unwrap();
    assert_eq!(subscribe.unacknowledged_tasks, []);
    assert_eq!(subscribe.unacknowledged_updates, []);
}

#[test]
fn a_launch_that_was_not_answered_is_repeated_only_if_the_agent_knows_nothing_of_it() {
    // Known, and running.
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    run.lose(1);
    run.wake(3);
    run.subscribe(3);
    assert!(!run.open.iter().any(|(_, call)| is_launch(call)));
    assert_eq!(told(&run.wake(4)), [("a", TaskRunning)]);
    assert_eq!(told(&run.ended(5, "a", EXIT_0)), [("a", TaskFinished)]);

    // Known, and ended.
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    run.lose(1);
    run.wake(3);
    run.subscribe(3);
    assert_eq!(
        told(&run.ended(3, "a", EXIT_0)),
        [("a", TaskRunning), ("a", TaskFinished)]
    );

    // Known, but not whether it ever ran.
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    run.lose(1);
    run.wake(3);
    run.subscribe(3);
    let actions = run.waited(3, "a", terminated(None));
    assert_eq!(told(&actions), [("a", TaskFailed)]);

    // Unknown.
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    let a = run.container("a");
    run.lose(1);
    run.wake(3);
    run.subscribe(3);
    assert_eq!(run.waited(3, "a", refusal(404, "unknown")).len(), 1);
    let (request, call) = run.take(is_launch);
    assert_eq!(call.launch_container.unwrap().container_id, a);
    assert_eq!(told(&run.answer(3, request, ok())), [("a", TaskRunning)]);

    // Unknown, and not wanted any more.
    let mut run = Run::subscribed();
    run.launch(0, vec![task("a")]);
    run.lose(1);
    run.wake(3);
    run.subscribe(3);
    run.kill(3, "a", None);
    let actions = run.waited(3, "a", refusal(404, "unknown"));
    assert_eq!(told(&actions), [("a", TaskKilled)]);
}

#[test]
fn without_checkpointing_the_executor_ends_with_its_agent() {
    let mut run = Run::new(None);
    run.subscribe(0);
    run.launch(0, vec![task("a")]);
    let actions = run.lose(1);
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Failure)));
}

#[test]
fn a_group_with_a_task_that_runs_already_is_not_launched() {
    let mut run = Run::running(vec![task("a")]);
    let actions = run.launch(1, vec![task("b"), task("a")]);
    assert!(matches!(actions[..], [Action::Log(_)]), "{actions:?}");
}

#[test]
fn an_agent_that_will_never_tell_an_end_is_left_to_end_the_tasks() {
    let mut run = Run::running(vec![task("a")]);
    let actions = run.waited(1, "a", refusal(403, "no"));
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Failure)));
}
