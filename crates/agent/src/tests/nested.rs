use std::path::Path;

use meseta_machine::{ContentType, Reply, RequestId};
use meseta_proto::internal;
use meseta_proto::v1::{
    CommandInfo, ContainerId, ContainerInfo, ExecutorInfo, TaskGroupInfo, TaskInfo, TaskState,
    TaskStatus, container_info, executor_info,
};

use super::{Did, MASTER, World, framework, status, task};
use crate::nested::{ContainerCall, WaitAnswer};
use crate::{Action, Input, LaunchFailure};

pub(super) fn inside(parent: &ContainerId, name: &str) -> ContainerId {
    ContainerId {
        parent: Some(Box::new(parent.clone())),
        ..name.into()
    }
}

fn launch(container_id: ContainerId) -> ContainerCall {
    ContainerCall::Launch {
        container_id,
        command: Box::new(shell("true")),
        container: None,
    }
}

pub(super) fn launch_inside(parent: &ContainerId, name: &str) -> ContainerCall {
    launch(inside(parent, name))
}

pub(super) fn wait(id: &ContainerId) -> ContainerCall {
    ContainerCall::Wait {
        container_id: id.clone(),
        answer: WaitAnswer {
            content_type: ContentType::Json,
            is_old_form: true,
        },
    }
}

fn shell(value: &str) -> CommandInfo {
    CommandInfo {
        value: Some(value.into()),
        ..CommandInfo::default()
    }
}

fn sentence(reply: &Reply) -> (u16, String) {
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    (reply.status, body)
}

impl World {
    /// An agent with a custom executor that runs, and its container.
    pub(super) fn with_executor() -> (Self, ContainerId) {
        let mut world = Self::registered();
        let (root, _) = world.running_in("t", "e");
        world.update("e", status("t", TaskState::TaskRunning, 1));
        (world, root)
    }

    pub(super) fn container_call(&mut self, call: ContainerCall) -> (Did, RequestId) {
        let request = RequestId(self.number());
        let did = self.step(Input::ContainerCall {
            request,
            call: Box::new(call),
        });
        (did, request)
    }

    fn ask_for(&mut self, id: &ContainerId) -> Did {
        self.container_call(launch(id.clone())).0
    }

    /// A container that runs.
    pub(super) fn start_inside(&mut self, parent: &ContainerId, name: &str) -> ContainerId {
        let id = inside(parent, name);
        assert_eq!(self.ask_for(&id).launch().container_id, id);
        assert_eq!(self.launched(&id).reply(), Reply::ok());
        id
    }

    fn wait_for(&mut self, id: &ContainerId) -> (Did, RequestId) {
        self.container_call(wait(id))
    }

    fn end_by(&mut self, id: &ContainerId, signal: i32) -> Did {
        let call = ContainerCall::Kill {
            container_id: id.clone(),
            signal,
        };
        self.container_call(call).0
    }

    fn forget(&mut self, id: &ContainerId) -> Did {
        let call = ContainerCall::Remove {
            container_id: id.clone(),
        };
        self.container_call(call).0
    }
}

const UNKNOWN_END: &str = r#"{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{}}"#;

fn end(status: i32) -> (u16, String) {
    let body = format!(
        r#"{{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{{"exit_status":{status}}}}}"#
    );
    (200, body)
}

#[test]
fn a_launch_is_answered_when_the_container_runs_and_that_is_on_disk() {
    let (mut world, root) = World::with_executor();
    let id = inside(&root, "c");
    let did = world.ask_for(&id);
    let launch = did.launch();
    let directory = world.executor("e").directory.join("containers/c");
    assert_eq!(launch.directory, directory);
    assert_eq!(launch.latest, None);
    assert_eq!(launch.arguments, ["sh", "-c", "true"]);
    assert_eq!(launch.user.as_deref(), Some("root"));
    let names: Vec<_> = launch.environment.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, ["MESOS_SANDBOX", "PATH"]);
    assert_eq!(launch.environment[0].1, directory.to_str().unwrap());
    assert!(!did.0.iter().any(|it| matches!(it, Action::Reply { .. })));
    assert_eq!(sentence(&world.ask_for(&id).reply()), (202, String::new()));

    let actions = world.step_in_order(Input::ContainerLaunched {
        container_id: id.clone(),
        pid: 78,
        start_time: 2,
    });
    assert!(matches!(
        actions.as_slice(),
        [Action::Persist { .. }, Action::Reply { reply, .. }] if *reply == Reply::ok()
    ));
}

#[test]
fn who_waits_hears_of_the_end_and_who_asks_later_does_too() {
    let (mut world, root) = World::with_executor();
    let id = world.start_inside(&root, "c");
    let (did, _) = world.wait_for(&id);
    assert!(did.0.is_empty());
    assert_eq!(sentence(&world.exited(&id, Some(256)).reply()), end(256));
    assert_eq!(sentence(&world.wait_for(&id).0.reply()), end(256));
    // Its end is told once.
    assert!(world.exited(&id, None).0.is_empty());
    let unknown = world.wait_for(&inside(&root, "other")).0.reply();
    let expected = format!("Container {root}.other cannot be found");
    assert_eq!(sentence(&unknown), (404, expected));
}

#[test]
fn the_end_of_an_executors_own_container_can_be_waited_for() {
    let (mut world, root) = World::with_executor();
    let (did, _) = world.wait_for(&root);
    assert!(did.0.is_empty());
    assert_eq!(sentence(&world.exited(&root, Some(9)).reply()), end(9));
}

#[test]
fn the_oldest_of_too_many_waiters_is_sent_away() {
    let (mut world, root) = World::with_executor();
    let id = world.start_inside(&root, "c");
    let first = world.wait_for(&id).1;
    for _ in 1..crate::limits::MAX_WAITERS_PER_CONTAINER {
        assert!(world.wait_for(&id).0.0.is_empty());
    }
    let (did, _) = world.wait_for(&id);
    let [Action::Reply { request, reply }] = did.0.as_slice() else {
        panic!("{did:?}");
    };
    assert_eq!((*request, reply.status), (first, 503));
}

#[test]
fn kills_are_signals_and_the_last_one_destroys() {
    let (mut world, root) = World::with_executor();
    let id = world.start_inside(&root, "c");
    let did = world.end_by(&id, 15);
    assert!(
        matches!(&did.0[0], Action::Signal { signal: 15, container_id } if *container_id == id)
    );
    assert_eq!(did.reply(), Reply::ok());
    assert_eq!(world.end_by(&id, 99).reply().status, 500);
    assert_eq!(world.end_by(&id, 9).destroyed(), std::slice::from_ref(&id));
    let within = inside(&id, "within");
    let refused = world.ask_for(&within).reply();
    let destroying = format!("Parent container {id} is in 'DESTROYING' state");
    assert_eq!(sentence(&refused), (400, destroying));
    world.exited(&id, Some(9));
    let gone = format!("Container '{id}' cannot be found (or is already killed)");
    assert_eq!(sentence(&world.end_by(&id, 15).reply()), (404, gone));
    let refused = world.ask_for(&within).reply();
    let missing = format!("Parent container {id} does not exist");
    assert_eq!(sentence(&refused), (400, missing));
}

#[test]
fn a_container_that_is_killed_before_it_runs_was_never_launched() {
    let (mut world, root) = World::with_executor();
    let id = inside(&root, "c");
    world.ask_for(&id);
    assert_eq!(world.end_by(&id, 15).destroyed(), std::slice::from_ref(&id));
    let reply = world.exited(&id, None).reply();
    let destroyed = "Container destroyed during launching".to_owned();
    assert_eq!(sentence(&reply), (400, destroyed));
}

#[test]
fn a_launch_that_fails_says_why() {
    let (mut world, root) = World::with_executor();
    let id = inside(&root, "c");
    world.ask_for(&id);
    let failure = LaunchFailure::Container("No such user 'x'".into());
    let reply = world.launch_failed(&id, failure).reply();
    assert_eq!(sentence(&reply), (400, "No such user 'x'".into()));
    assert_eq!(
        sentence(&world.wait_for(&id).0.reply()),
        (200, UNKNOWN_END.into())
    );
}

#[test]
fn only_what_has_ended_is_removed_with_all_inside_of_it() {
    let (mut world, root) = World::with_executor();
    let id = world.start_inside(&root, "c");
    let within = world.start_inside(&id, "within");
    let running = (500, "Nested container has not terminated yet".to_owned());
    assert_eq!(sentence(&world.forget(&id).reply()), running);
    world.exited(&within, Some(0));
    world.exited(&id, Some(0));
    let did = world.forget(&id);
    let directory = world.executor("e").directory.join("containers/c");
    assert!(matches!(&did.0[0], Action::RemoveNested { directory: it, .. } if *it == directory));
    assert_eq!(did.reply(), Reply::ok());
    assert!(world.executor("e").containers.is_empty());
    assert_eq!(world.wait_for(&within).0.reply().status, 404);
    // What is not there is as good as removed, if there is an executor at all.
    assert_eq!(world.forget(&id).reply(), Reply::ok());
    let stranger = inside(&"nowhere".into(), "c");
    let nowhere = (500, "Root container nowhere not found".to_owned());
    assert_eq!(sentence(&world.forget(&stranger).reply()), nowhere);
}

#[test]
fn all_ends_with_the_executor_and_nothing_of_it_is_kept() {
    let (mut world, root) = World::with_executor();
    let running = world.start_inside(&root, "running");
    let within = world.start_inside(&running, "within");
    let ended = world.start_inside(&root, "ended");
    world.exited(&ended, Some(0));
    let (_, waiter) = world.wait_for(&within);
    let starting = inside(&root, "starting");
    world.ask_for(&starting);
    let did = world.exited(&root, Some(9));
    let replies: Vec<_> = did
        .0
        .iter()
        .filter_map(|it| match it {
            Action::Reply { request, reply } => Some((*request, reply.status)),
            _ => None,
        })
        .collect();
    assert_eq!(replies.len(), 2);
    assert!(replies.contains(&(waiter, 200)));
    assert!(replies.iter().any(|(_, status)| *status == 400));
    assert!(world.executor("e").containers.is_empty());
    let kept = world.kept().into_iter();
    let nested: Vec<_> = kept.filter(|key| key.starts_with("container/")).collect();
    assert!(nested.is_empty(), "{nested:?}");
    // Their own ends, and launches under way, are no news any more.
    assert!(world.exited(&running, Some(9)).0.is_empty());
    assert_eq!(world.launched(&starting).destroyed(), [starting]);
}

#[test]
fn a_later_life_knows_what_ran_and_how_what_had_ended_did() {
    let (mut world, root) = World::with_executor();
    let running = world.start_inside(&root, "running");
    let ended = world.start_inside(&root, "ended");
    world.exited(&ended, Some(512));
    let ending = world.start_inside(&running, "ending");
    let starting = inside(&root, "starting");
    world.ask_for(&starting);

    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = crate::recovery::survivors(Path::new("/w"), "", &facts);
    let ids: Vec<_> = survivors.iter().map(|it| &it.container_id).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[0], &root, "each after what it is in");
    let of_ending = survivors.iter().find(|it| it.container_id == ending);
    let directory = world.executor("e").directory.clone();
    let directory = directory.join("containers/running/containers/ending");
    assert_eq!(of_ending.unwrap().directory, directory);
    assert!(of_ending.unwrap().process.is_some());
    let of_starting = survivors.iter().find(|it| it.container_id == starting);
    assert_eq!(of_starting.unwrap().process, None);

    world.crash(&[&root]);
    world.exited(&ending, Some(3));
    world.exited(&starting, None);
    assert_eq!(sentence(&world.wait_for(&ended).0.reply()), end(512));
    assert_eq!(sentence(&world.wait_for(&ending).0.reply()), end(3));
    let unknown = (200, UNKNOWN_END.to_owned());
    assert_eq!(sentence(&world.wait_for(&starting).0.reply()), unknown);
    assert!(world.wait_for(&running).0.0.is_empty());
    assert_eq!(sentence(&world.ask_for(&running).reply()).0, 202);
}

#[test]
fn an_executor_has_no_end_of_containers() {
    let (mut world, root) = World::with_executor();
    for number in 0..=crate::limits::MAX_ENDED_CONTAINERS {
        let id = world.start_inside(&root, &format!("c{number}"));
        world.exited(&id, Some(0));
    }
    let remembered = world.executor("e").containers.len();
    assert_eq!(remembered, crate::limits::MAX_ENDED_CONTAINERS);
    assert_eq!(world.wait_for(&inside(&root, "c0")).0.reply().status, 404);
    let last = format!("c{}", crate::limits::MAX_ENDED_CONTAINERS);
    assert_eq!(
        sentence(&world.wait_for(&inside(&root, &last)).0.reply()),
        end(0)
    );
}

fn with_volumes(volumes: &str) -> ContainerInfo {
    let json = format!(r#"{{"type":"MESOS","volumes":{volumes}}}"#);
    meseta_proto::json::from_slice(json.as_bytes()).unwrap()
}

fn shared(kind: &str, path: &str, name: &str) -> String {
    format!(
        r#"[{{"mode":"RW","container_path":"{name}","source":{{"type":"SANDBOX_PATH",
        "sandbox_path":{{"type":"{kind}","path":"{path}"}}}}}}]"#
    )
}

#[test]
fn a_folder_of_the_parent_is_shared_and_nothing_outside_of_it() {
    let (mut world, root) = World::with_executor();
    let directory = world.executor("e").directory.clone();
    let mut launch = |id: &ContainerId, volumes: &str| {
        let call = ContainerCall::Launch {
            container_id: id.clone(),
            command: Box::new(shell("true")),
            container: Some(Box::new(with_volumes(volumes))),
        };
        world.container_call(call).0
    };
    let id = inside(&root, "c");
    let did = launch(&id, &shared("PARENT", "a/./b", "data"));
    let folder = &did.launch().shared[0];
    assert_eq!(folder.root, directory);
    assert_eq!(
        (&*folder.path, &*folder.name),
        (Path::new("a/b"), Path::new("data"))
    );
    // What the agent has linked there is known: the way through it leads on where it leads.
    let did = launch(&inside(&id, "within"), &shared("PARENT", "data/x", "y"));
    let folder = &did.launch().shared[0];
    assert_eq!(folder.root, directory.join("a/b"));
    assert_eq!(&*folder.path, Path::new("x"));
    let refusal = |did: Did| sentence(&did.reply());
    let other = inside(&root, "other");
    for (volumes, expected) in [
        (
            shared("PARENT", "/etc", "x"),
            "Path '/etc' in SANDBOX_PATH volume is absolute",
        ),
        (
            shared("PARENT", "../x", "x"),
            "Path '../x' in SANDBOX_PATH volume leads out of the sandbox",
        ),
        (
            shared("PARENT", "x", "/x"),
            "The volume cannot be put at '/x': this agent serves paths inside of the sandbox",
        ),
        (
            r#"[{"mode":"RW","container_path":"x","host_path":"/etc"}]"#.into(),
            "This agent mounts no volumes into containers but those of sandboxes",
        ),
    ] {
        assert_eq!(refusal(launch(&other, &volumes)), (400, expected.into()));
    }
}

#[test]
fn what_the_agent_cannot_give_is_refused() {
    let (mut world, root) = World::with_executor();
    let docker = ContainerInfo {
        r#type: container_info::Type::Docker.into(),
        ..ContainerInfo::default()
    };
    let (did, _) = world.container_call(ContainerCall::Launch {
        container_id: inside(&root, "c"),
        command: Box::new(shell("true")),
        container: Some(Box::new(docker)),
    });
    let unsupported = "The provided ContainerInfo is not supported".to_owned();
    assert_eq!(sentence(&did.reply()), (400, unsupported));
    let (did, _) = world.container_call(ContainerCall::Launch {
        container_id: inside(&root, "c"),
        command: Box::default(),
        container: None,
    });
    assert_eq!(did.reply().status, 400);
    assert!(world.executor("e").containers.is_empty());
}

fn group(world: &mut World, ids: &[&str]) -> Did {
    let executor = ExecutorInfo {
        r#type: Some(executor_info::Type::Default.into()),
        executor_id: "pod".into(),
        framework_id: Some("F".into()),
        ..ExecutorInfo::default()
    };
    let tasks = ids.iter().map(|id| TaskInfo {
        command: Some(shell("true")),
        ..task(id)
    });
    let message = internal::RunTaskGroupMessage {
        framework: framework(),
        executor,
        task_group: TaskGroupInfo {
            tasks: tasks.collect(),
        },
        launch_executor: Some(true),
        ..internal::RunTaskGroupMessage::default()
    };
    world.receive(MASTER, &message)
}

#[test]
fn a_task_group_gets_the_default_executor_and_reaches_it_as_one() {
    let mut world = World::registered();
    let launch = group(&mut world, &["a", "b"]).launch();
    assert_eq!(launch.program, "meseta");
    assert_eq!(launch.arguments, ["meseta", "default-executor"]);
    assert_eq!(launch.user.as_deref(), Some("root"));
    world.launched(&launch.container_id);
    let (did, _) = world.subscribe("pod");
    assert_eq!(did.event_types(), ["SUBSCRIBED", "LAUNCH_GROUP"]);
    let group = did.events()[1].launch_group.clone().unwrap().task_group;
    assert_eq!(group.tasks.len(), 2);
}

#[test]
fn a_task_groups_tasks_fail_together_when_there_is_no_container() {
    let mut world = World::registered();
    let root = group(&mut world, &["a", "b"]).launch().container_id;
    let did = world.launch_failed(&root, LaunchFailure::Container("no".into()));
    let states: Vec<_> = did.updates().iter().map(TaskStatus::state).collect();
    assert_eq!(states, [TaskState::TaskFailed; 2]);
}
