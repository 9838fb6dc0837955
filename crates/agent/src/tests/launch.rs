use std::path::Path;

use meseta_proto::internal;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{TaskGroupInfo, TaskState, Uuid};

use super::{AGENT_ID, MASTER, World, command, custom, framework, task};
use crate::records::ExecutorState;
use crate::{Input, LaunchFailure};

#[test]
fn a_command_task_gets_an_executor_of_its_own() {
    let mut world = World::registered();
    let launch = world
        .run(command("t", "echo starting; sleep 1000"))
        .launch();
    assert_eq!(launch.program, "/opt/meseta");
    assert_eq!(launch.arguments, ["meseta", "command-executor"]);
    assert_eq!(launch.user.as_deref(), Some("root"));
    let container = &launch.container_id.value;
    let runs = format!("/w/slaves/{AGENT_ID}/frameworks/F/executors/t/runs");
    assert_eq!(launch.directory, Path::new(&format!("{runs}/{container}")));
    assert_eq!(launch.latest, Some(format!("{runs}/latest").into()));
    assert_eq!(launch.stdout, launch.directory.join("stdout"));
    let resources = meseta_resources::Resources::from_v1(&launch.executor.resources).unwrap();
    assert_eq!(
        resources.to_string(),
        "cpus(allocated: r):1.1; mem(allocated: r):160",
        "the container holds the executor and its task"
    );

    let executor = world.executor("t");
    assert!(executor.is_command_executor);
    assert_eq!(
        executor.info.name(),
        "Command Executor (Task: t) (Command: sh -c 'echo startin...')"
    );
    let own = meseta_resources::Resources::from_v1(&executor.info.resources).unwrap();
    assert_eq!(
        own.to_string(),
        "cpus(allocated: r):0.1; mem(allocated: r):32"
    );
}

#[test]
fn executors_find_their_agent_by_their_environment() {
    let mut world = World::registered();
    let launch = world.run(command("t", "true")).launch();
    let directory = launch.directory.to_string_lossy().into_owned();
    let expected = [
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_AGENT_ENDPOINT", "10.0.0.2:5051"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_DIRECTORY", &directory),
        ("MESOS_EXECUTOR_ID", "t"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
        ("MESOS_FRAMEWORK_ID", "F"),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
        ("MESOS_SANDBOX", &directory),
        ("MESOS_SLAVE_ID", AGENT_ID),
        ("MESOS_SLAVE_PID", "slave(1)@10.0.0.2:5051"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ];
    let found: Vec<_> = launch
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn custom_executors_are_started_as_their_command_says() {
    let mut world = World::registered();
    let launch = world.run(custom("t", "e")).launch();
    assert_eq!(launch.program, "/bin/sh");
    assert_eq!(launch.arguments, ["sh", "-c", "./executor"]);
    let mut task = custom("t2", "e2");
    let command = task.executor.as_mut().unwrap().command.as_mut().unwrap();
    command.shell = Some(false);
    command.arguments = vec!["my-executor".into(), "-v".into()];
    let launch = world.run(task).launch();
    assert_eq!(launch.program, "./executor");
    assert_eq!(launch.arguments, ["my-executor", "-v"]);
}

#[test]
fn later_tasks_go_to_the_executor_that_is_there() {
    let mut world = World::registered();
    let container = world.run(custom("t1", "e")).launch().container_id;
    world.launched(&container);
    let message = |id: &str| internal::RunTaskMessage {
        framework: framework(),
        task: custom(id, "e"),
        launch_executor: Some(false),
        ..internal::RunTaskMessage::default()
    };
    let did = world.receive(MASTER, &message("t2"));
    assert!(did.0.is_empty(), "it waits: {did:?}");
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH", "LAUNCH"]);
    let did = world.receive(MASTER, &message("t3"));
    assert_eq!(did.event_types(), ["LAUNCH"]);
}

#[test]
fn a_task_group_is_delivered_as_one() {
    let mut world = World::registered();
    let message = internal::RunTaskGroupMessage {
        framework: framework(),
        executor: custom("x", "e").executor.unwrap(),
        task_group: TaskGroupInfo {
            tasks: vec![command("a", "true"), command("b", "true")],
        },
        launch_executor: Some(true),
        ..internal::RunTaskGroupMessage::default()
    };
    let container = world.receive(MASTER, &message).launch().container_id;
    world.launched(&container);
    let (did, _) = world.subscribe("e");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH_GROUP"]);
    let group = did.events()[1].launch_group.clone().unwrap();
    assert_eq!(group.task_group.tasks.len(), 2);
}

#[test]
fn a_sandbox_that_cannot_be_made_drops_the_task() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    let sentence = "Failed to create executor directory '/w': No such user 'nosuchuser'";
    let did = world.launch_failed(&container, LaunchFailure::Sandbox(sentence.into()));
    let update = did.update();
    assert_eq!(update.state(), TaskState::TaskDropped);
    assert_eq!(update.source(), Source::Agent);
    assert_eq!(update.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.message(), sentence);
    assert_eq!(update.executor_id, Some("t".into()));
    assert_eq!(update.container_status, None);
    did.sent_one::<internal::ExitedExecutorMessage>();
    world.acknowledge(&update);
    assert_eq!(world.kept(), Vec::<&str>::new());
}

#[test]
fn a_container_that_does_not_start_fails_the_task() {
    let mut world = World::registered();
    let container = world.run(command("t", "true")).launch().container_id;
    let failure = LaunchFailure::Container("no such image".into());
    let did = world.launch_failed(&container, failure);
    let update = did.update();
    assert_eq!(update.state(), TaskState::TaskFailed);
    assert_eq!(update.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        update.message(),
        "Failed to launch container: no such image"
    );
    assert_eq!(world.agent.snapshot().counters.container_launch_errors, 1);
}

#[test]
fn tasks_that_cannot_run_are_dropped_with_the_reason() {
    let mut world = World::registered();
    let outdated = internal::RunTaskMessage {
        framework: framework(),
        task: command("old", "true"),
        launch_executor: Some(true),
        resource_version_uuids: vec![internal::ResourceVersionUuid {
            resource_provider_id: None,
            uuid: Uuid { value: vec![1; 16] },
        }],
        ..internal::RunTaskMessage::default()
    };
    let did = world.receive(MASTER, &outdated);
    assert_eq!(did.update().reason(), Reason::InvalidOffers);
    assert_eq!(
        did.update().message(),
        "Task assumes outdated resource state"
    );
    assert_eq!(did.sent_one::<internal::ExitedExecutorMessage>().status, -1);

    let mut reserved = command("reserved", "true");
    reserved.resources = meseta_proto::json::from_slice::<meseta_proto::v1::TaskInfo>(
        br#"{"name":"","task_id":{"value":""},"agent_id":{"value":""},"resources":[
            {"name":"cpus","type":"SCALAR","scalar":{"value":1},"allocation_info":{"role":"r"},
             "reservations":[{"type":"DYNAMIC","role":"r"}]}]}"#,
    )
    .unwrap()
    .resources;
    assert_eq!(
        world.run(reserved).update().reason(),
        Reason::ResourcesUnknown
    );

    let no_executor = internal::RunTaskMessage {
        framework: framework(),
        task: custom("lost", "e"),
        launch_executor: Some(false),
        ..internal::RunTaskMessage::default()
    };
    let update = world.receive(MASTER, &no_executor).update();
    assert_eq!(
        update.message(),
        "No executor is expected to launch and there is none running"
    );
    assert_eq!(
        world.run(task("neither")).update().reason(),
        Reason::TaskInvalid
    );
}

#[test]
fn frameworks_that_know_no_partitions_are_told_lost_instead_of_dropped() {
    let mut world = World::registered();
    let mut old = framework();
    old.capabilities.clear();
    let message = internal::RunTaskMessage {
        framework: old,
        task: task("neither"),
        ..internal::RunTaskMessage::default()
    };
    let update = world.receive(MASTER, &message).update();
    assert_eq!(update.state(), TaskState::TaskLost);
}

#[test]
fn orders_for_others_and_repetitions_are_ignored() {
    let mut world = World::registered();
    let mut other = command("t", "true");
    other.agent_id = "M-S7".into();
    assert!(world.run(other).0.is_empty());
    assert!(world.run(command("../t", "true")).0.is_empty());
    world.run(command("t", "true")).launch();
    assert!(world.run(command("t", "true")).0.is_empty());
}

#[test]
fn an_executor_that_both_sides_count_differently_ends() {
    let mut world = World::registered();
    let container = world.run(custom("t1", "e")).launch().container_id;
    world.launched(&container);
    world.subscribe("e");
    let did = world.run(custom("t2", "e"));
    assert_eq!(
        did.update().message(),
        "Master wants to launch executor, but one already exists"
    );
    assert_eq!(did.event_types(), ["SHUTDOWN"]);
    assert_eq!(world.executor("e").state, ExecutorState::Terminating);
}

#[test]
fn what_this_agent_cannot_give_a_container_is_refused_and_not_left_out() {
    use meseta_proto::v1::container_info::{MesosInfo, Type};
    use meseta_proto::v1::{ContainerInfo, Image, NetworkInfo, Volume, command_info};
    type Change = fn(&mut ContainerInfo);
    let cases: [(Change, &str); 4] = [
        (
            |c| c.set_type(Type::Docker),
            "None of the enabled containerizers (mesos) could create a container for the \
             provided TaskInfo/ExecutorInfo message",
        ),
        (
            |c| {
                c.mesos = Some(MesosInfo {
                    image: Some(Image::default()),
                });
            },
            "This agent does not provide container images",
        ),
        (
            |c| c.volumes.push(Volume::default()),
            "This agent does not mount volumes into containers",
        ),
        (
            |c| {
                c.network_infos.push(NetworkInfo {
                    name: Some("blue".into()),
                    ..NetworkInfo::default()
                });
            },
            "Unknown CNI network 'blue'",
        ),
    ];
    let plain = || ContainerInfo {
        r#type: Type::Mesos.into(),
        network_infos: vec![NetworkInfo::default()],
        ..ContainerInfo::default()
    };
    for (change, sentence) in cases {
        let mut container = plain();
        change(&mut container);
        let mut task = command("t", "true");
        task.container = Some(container);
        let update = World::registered().run(task).update();
        assert_eq!(update.state(), TaskState::TaskFailed);
        assert_eq!(update.reason(), Reason::ContainerLaunchFailed);
        let message = format!("Failed to launch container: {sentence}");
        assert_eq!(update.message(), message);
    }
    let mut task = command("t", "true");
    task.container = Some(plain());
    World::registered().run(task.clone()).launch();

    let uri = command_info::Uri::default();
    task.command.as_mut().unwrap().uris.push(uri);
    let launch = World::registered().run(task).launch();
    let command = launch.executor.command.as_ref().unwrap();
    assert_eq!(command.uris.len(), 1);
}

#[test]
fn nothing_is_launched_while_the_disk_is_full_and_what_runs_goes_on() {
    let mut world = World::registered();
    world.running("before");
    world.step(Input::Room { has_room: false });
    let did = world.run(command("t", "true"));
    let update = did.update();
    assert_eq!(update.state(), TaskState::TaskDropped);
    assert_eq!(update.reason(), Reason::GcError);
    assert!(update.message().contains("is full"), "{update:?}");
    assert_eq!(world.kill("before").event_types(), ["KILL"]);

    world.step(Input::Room { has_room: true });
    world.run(command("after", "true")).launch();
}
