//! Sessions and terminals of containers that are inside of an executor's, as those of a pod are.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Output, Session, launch, open_stream};
use crate::support::custom::{Kind, World};
use crate::support::http::operator_call;

/// A container that runs inside of an executor's.
struct Nested {
    world: World,
    id: Value,
    sandbox: PathBuf,
}

impl Nested {
    /// Has one launched by a call that says what it is, but for its id.
    fn start(mut launch: Value) -> Self {
        let mut world = World::start();
        let executor = world.executor("e", &Kind::V1.command());
        let (_, sandbox) = world.run("t", &executor);
        let root = sandbox.file_name().expect("the executor's container");
        let id = json!({"value": "n", "parent": {"value": root.to_string_lossy()}});
        launch["container_id"] = id.clone();
        let call = json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": launch});
        let answer = operator_call(world.agent(), &call);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        Self {
            world,
            id,
            sandbox: sandbox.join("containers/n"),
        }
    }

    /// A session in the container.
    fn session(&self, name: &str, command: &[&str]) -> Output {
        let id = json!({"value": name, "parent": self.id});
        Output::of(launch(self.world.agent(), &id, command, None))
    }
}

#[test]
fn a_session_is_where_the_container_is_and_ends_with_it() {
    let nested = Nested::start(
        json!({"command": {"value": "exec sleep 1000", "environment": {
            "variables": [{"name": "OF", "value": "nested"}],
        }}}),
    );
    let mut session = nested.session("s", &["sh", "-c", "echo $OF; pwd"]);
    let sandbox = nested.sandbox.canonicalize().expect("a sandbox");
    assert_eq!(session.all(), format!("nested\n{}\n", sandbox.display()));

    let mut session = nested.session("s2", &["cat"]);
    let kill = json!({"type": "KILL_CONTAINER", "kill_container": {"container_id": nested.id}});
    assert_eq!(operator_call(nested.world.agent(), &kill).status(), 200);
    session.all();
}

#[test]
fn a_container_may_have_a_terminal() {
    let nested = Nested::start(json!({
        "command": {"value": "trap 'echo hung-up; exit 3' HUP; tty; read line; exit 4"},
        "container": {"type": "MESOS", "tty_info": {}},
    }));
    let agent = nested.world.agent();
    let watch = json!({"type": "ATTACH_CONTAINER_OUTPUT",
        "attach_container_output": {"container_id": nested.id}});
    let session = Session {
        agent,
        id: nested.id,
        output: Output::of(open_stream(agent, &watch)),
    };
    session.type_in("\n");
    assert_eq!(session.status(), 4 << 8);
    let printed = std::fs::read_to_string(nested.sandbox.join("stdout")).expect("its output");
    assert!(printed.contains("/dev/pts/"), "{printed}");
}
