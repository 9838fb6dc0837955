//! Containers whose input and output are their caller's.

use std::path::Path;

use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::{CommandInfo, ContainerId, ContainerInfo, container_info, tty_info};

use super::nested::inside;
use super::{Did, World, command};
use crate::nested::{ContainerCall, OutputForm, WindowSize};
use crate::{Action, Input, NestedState, recovery};

const FORM: OutputForm = OutputForm {
    messages: ContentType::Json,
    stream: ContentType::RecordIo,
};

impl World {
    fn ask_for_session(&mut self, id: &ContainerId, container: Option<ContainerInfo>) -> Did {
        let command: CommandInfo = meseta_proto::json::from_slice(
            br#"{"value":"sh","shell":false,"environment":{"variables":[{"name":"A","value":"1"}]}}"#,
        )
        .unwrap();
        let call = ContainerCall::Session {
            container_id: id.clone(),
            command: Box::new(command),
            container: container.map(Box::new),
            form: FORM,
        };
        self.container_call(call).0
    }

    fn start_session(&mut self, parent: &ContainerId, name: &str) -> ContainerId {
        let id = inside(parent, name);
        self.ask_for_session(&id, None).launch();
        self.launched(&id);
        id
    }

    fn closed(&mut self, id: &ContainerId) -> Did {
        let container_id = id.clone();
        self.step(Input::SessionClosed { container_id })
    }
}

fn with_terminal() -> ContainerInfo {
    let size = tty_info::WindowSize {
        rows: 24,
        columns: 80,
    };
    ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        tty_info: Some(meseta_proto::v1::TtyInfo {
            window_size: Some(size),
        }),
        ..ContainerInfo::default()
    }
}

fn destroyed(did: &Did) -> Vec<String> {
    let ids = did.0.iter().filter_map(|it| match it {
        Action::Destroy { container_id } => Some(container_id.to_string()),
        _ => None,
    });
    ids.collect()
}

#[test]
fn a_session_is_in_its_parents_sandbox_and_its_caller_is_given_its_output_when_it_runs() {
    let (mut world, root) = World::with_executor();
    let id = inside(&root, "s");
    let launch = world.ask_for_session(&id, Some(with_terminal())).launch();
    let session = launch.session.clone().unwrap();
    assert_eq!(session.directory, world.executor("e").directory);
    let size = WindowSize {
        rows: 24,
        columns: 80,
    };
    assert_eq!(session.terminal.unwrap().size, Some(size));
    assert_eq!(launch.environment, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(
        (&*launch.program, &*launch.arguments),
        ("sh", &["sh".to_owned()][..])
    );
    let actions = world.step_in_order(Input::ContainerLaunched {
        container_id: id.clone(),
        pid: 78,
        start_time: 2,
    });
    assert!(
        matches!(
            actions.as_slice(),
            [Action::Persist { .. }, Action::OpenSession { container_id, form: FORM, .. }]
                if *container_id == id
        ),
        "{actions:?}"
    );
    // In one of another container, its own is what it is in.
    let within = inside(&id, "within");
    let launch = world.ask_for_session(&within, None).launch();
    let session = launch.session.unwrap();
    let expected = world.executor("e").directory.join("containers/s");
    assert_eq!((session.directory, session.terminal), (expected, None));
}

#[test]
fn a_session_ends_with_its_caller_and_only_once() {
    let (mut world, root) = World::with_executor();
    let id = world.start_session(&root, "s");
    assert_eq!(destroyed(&world.closed(&id)), [id.to_string()]);
    assert_eq!(
        world.executor("e").containers[&id].state,
        NestedState::Ending
    );
    world.exited(&id, Some(9));
    assert!(world.closed(&id).0.is_empty());
    // What is no session ends with nobody.
    let other = world.start_inside(&root, "c");
    assert!(world.closed(&other).0.is_empty());
    assert!(world.closed(&inside(&root, "unknown")).0.is_empty());
}

#[test]
fn a_session_that_cannot_be_is_refused_and_leaves_nothing() {
    let (mut world, root) = World::with_executor();
    let volumes = r#"[{"mode":"RW","container_path":"x","host_path":"y"}]"#;
    let image = r#"{"image":{"type":"DOCKER","docker":{"name":"alpine"}}}"#;
    for (container, sentence) in [
        (
            format!(r#"{{"type":"MESOS","volumes":{volumes}}}"#),
            "Volumes not supported for DEBUG containers",
        ),
        (
            format!(r#"{{"type":"MESOS","mesos":{image}}}"#),
            "A 'rootfs' cannot be set for DEBUG containers",
        ),
        (
            r#"{"type":"DOCKER","docker":{"image":"alpine"}}"#.to_owned(),
            "The provided ContainerInfo is not supported",
        ),
    ] {
        let container = meseta_proto::json::from_slice(container.as_bytes()).unwrap();
        let did = world.ask_for_session(&inside(&root, "s"), Some(container));
        assert_eq!(did.reply(), Reply::bad_request(sentence));
    }
    let stranger = ContainerId::from("nobody");
    let did = world.ask_for_session(&inside(&stranger, "s"), None);
    assert_eq!(
        did.reply(),
        Reply::bad_request("Root container nobody not found")
    );
    assert!(world.executor("e").containers.is_empty());
    let id = world.start_session(&root, "s");
    assert_eq!(world.ask_for_session(&id, None).reply().status, 202);
}

#[test]
fn the_next_life_knows_a_session_for_what_it_was() {
    let (mut world, root) = World::with_executor();
    let session = world.start_session(&root, "s");
    let other = world.start_inside(&root, "c");
    let facts: Vec<_> = world.store.clone().into_iter().collect();
    let survivors = recovery::survivors(Path::new("/w"), "", &facts);
    let is_session = |id: &ContainerId| {
        let found = survivors.iter().find(|it| it.container_id == *id);
        found.map(|it| it.is_session)
    };
    assert_eq!(is_session(&session), Some(true));
    assert_eq!([is_session(&other), is_session(&root)], [Some(false); 2]);
}

#[test]
fn a_task_may_have_a_terminal_and_its_executor_leaves_it_to_it() {
    let mut task = command("t", "true");
    task.container = Some(with_terminal());
    let launch = World::registered().run(task).launch();
    let size = WindowSize {
        rows: 24,
        columns: 80,
    };
    let terminal = crate::Terminal { size: Some(size) };
    let on_terminal = |is_passed_on| {
        Some(crate::OnTerminal {
            terminal,
            is_passed_on,
        })
    };
    assert_eq!(launch.on_terminal, on_terminal(true));

    let (mut world, root) = World::with_executor();
    let call = ContainerCall::Launch {
        container_id: inside(&root, "c"),
        command: Box::new(CommandInfo {
            value: Some("true".into()),
            ..CommandInfo::default()
        }),
        container: Some(Box::new(with_terminal())),
    };
    let launch = world.container_call(call).0.launch();
    assert_eq!(launch.on_terminal, on_terminal(false));
}
