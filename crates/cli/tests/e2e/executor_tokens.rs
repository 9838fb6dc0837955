//! Executors that must prove who they are: by the token in their environment, by nothing else, and
//! nobody else by it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meseta_authentication::{Claims, TokenKey};
use serde_json::{Value, json};

use crate::support::custom::{Kind, World, await_end, sandbox_of};
use crate::support::daemon::{Place, meseta};
use crate::support::http::{self, Answer};
use crate::support::scheduler::shell_task;
use crate::support::{eventually, processes};

const SECRET: &str = "the agent's own secret";

fn world() -> World {
    with_key(SECRET.as_bytes())
}

fn with_key(key: &[u8]) -> World {
    let place = Place::new();
    let file = place.join("key");
    std::fs::write(&file, key).expect("a file");
    let flag = format!("--jwt_secret_key={}", file.display());
    let flags = [
        "--authenticate_http_executors",
        &flag,
        "--executor_reregistration_timeout=20secs",
    ];
    World::in_place(place, &flags)
}

fn signed(claims: &[(&str, &str)]) -> String {
    let claims = claims
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    format!("Bearer {}", TokenKey::new(SECRET).sign(&claims.collect()))
}

/// Calls the executor API as an executor would.
fn call(world: &World, target: &str, executor: &str, authorization: Option<&str>) -> Answer {
    let body = json!({
        "type": "SUBSCRIBE",
        "framework_id": {"value": world.scheduler.id},
        "executor_id": {"value": executor},
        "subscribe": {},
    });
    post(world, target, &body, authorization)
}

fn post(world: &World, target: &str, body: &Value, authorization: Option<&str>) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.map(|value| ("authorization", value)));
    let body = body.to_string().into_bytes();
    http::request(world.agent(), "POST", target, &headers, Some(&body)).expect("an answer")
}

/// The value of a variable in a process's environment.
fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("an environment");
    let mut variables = environment.split(|byte| *byte == 0);
    variables.find_map(|variable| {
        let (found, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        (found == name).then(|| value.to_owned())
    })
}

const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

#[test]
fn executors_are_known_by_their_tokens_and_tasks_never_see_them() {
    let mut world = world();
    world
        .scheduler
        .start_and_see_running(&shell_task("plain", &format!("test -z \"${TOKEN}\"")));
    assert_eq!(world.update("TASK_FINISHED").0, "plain");

    let executor = world.executor("e", &Kind::V1.command());
    let (pid, _) = world.run("t", &executor);
    world.kill_agent();
    world.start_agent();
    eventually("the executor's return", || {
        let state = http::get(world.agent(), "/state").json();
        (state["frameworks"][0]["executors"][0]["id"] == "e").then_some(())
    });
    world.launch_on_valid_offer("t2", "", &executor);
    assert_eq!(world.find("e").0, pid, "it has come back by its token");
}

#[test]
fn whoever_is_not_the_executor_is_refused() {
    let mut world = world();
    let executor = world.executor("e", &Kind::V1.command());
    world.launch("t", "", &executor);
    world.update("TASK_RUNNING");
    let other = world.executor("other", &Kind::V1.command());
    world.launch("t2", "", &other);
    world.update("TASK_RUNNING");
    let (pid, _) = world.find("e");
    let own = format!("Bearer {}", variable(pid, TOKEN).expect("a token"));
    let path = "/api/v1/executor";

    let challenge = |answer: &Answer| {
        assert_eq!((answer.status(), answer.text()), (401, String::new()));
        let challenge = answer.head.header("www-authenticate");
        challenge.expect("a challenge").to_owned()
    };
    let realm = "Bearer realm=\"mesos-agent-executor\"";
    assert_eq!(challenge(&call(&world, path, "e", None)), realm);
    let bad = challenge(&call(&world, path, "e", Some("Bearer no.token.this")));
    assert!(
        bad.starts_with(&format!("{realm}, error=\"invalid_token\", ")),
        "{bad}"
    );
    let claims = Claims::from([("fid".to_owned(), world.scheduler.id.clone())]);
    let foreign = format!("Bearer {}", TokenKey::new("another").sign(&claims));
    let foreign = challenge(&call(&world, path, "e", Some(&foreign)));
    assert!(
        foreign.contains("Invalid JWT: Token signature does not match"),
        "{foreign}"
    );

    // A token is good for one executor, and for one run of it.
    let refused = call(&world, path, "other", Some(&own));
    assert_eq!(refused.status(), 403);
    let sentence = refused.text();
    assert!(
        sentence.contains(
            "does not contain an 'eid' claim with the executor ID other, which is set in the call"
        ),
        "{sentence}"
    );
    let former = signed(&[
        ("fid", world.scheduler.id.as_str()),
        ("eid", "e"),
        ("cid", "a former run"),
    ]);
    let refused = call(&world, path, "e", Some(&former));
    assert_eq!(refused.status(), 403);
    assert!(
        refused
            .text()
            .ends_with("does not contain a 'cid' claim with the correct active ContainerID"),
        "{}",
        refused.text()
    );
    // Operators bring no token; one that proves nothing is refused there, too.
    let version = json!({"type": "GET_VERSION"});
    let answer = post(&world, "/api/v1", &version, Some("Bearer no.token.this"));
    assert_eq!(answer.status(), 401);
    let answer = post(&world, "/api/v1", &version, None);
    assert_ne!(answer.status(), 401);
    // Of containers inside of others, an executor has a say in those in its own.
    let containers = http::get(world.agent(), "/containers").json();
    let container_of = |executor: &str| {
        let mut all = containers.as_array().expect("containers").iter();
        let found = all.find(|it| it["executor_id"] == executor);
        found.expect("its container")["container_id"].clone()
    };
    let wait = |executor: &str| {
        let inside = json!({"value": "inside", "parent": {"value": container_of(executor)}});
        let call = json!({
            "type": "WAIT_NESTED_CONTAINER",
            "wait_nested_container": {"container_id": inside},
        });
        post(&world, "/api/v1", &call, Some(&own)).status()
    };
    assert_eq!((wait("e"), wait("other")), (404, 403));
    // Nobody has taken the executor's place.
    assert_eq!(world.find("e").0, pid);
}

/// The example of RFC 7515, A.1: its key, which is no text, and a token with it that has expired.
const EXAMPLE_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const EXAMPLE_TOKEN: &str = concat!(
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
);

#[test]
fn a_token_that_has_expired_proves_nothing() {
    let mut world = with_key(&URL_SAFE_NO_PAD.decode(EXAMPLE_KEY).expect("a key"));
    let executor = world.executor("e", &Kind::V1.command());
    world.launch("t", "finish", &executor);
    world.update("TASK_RUNNING");
    world.update("TASK_FINISHED");
    let expired = format!("Bearer {EXAMPLE_TOKEN}");
    for path in ["/api/v1/executor", "/api/v1"] {
        let answer = call(&world, path, "e", Some(&expired));
        assert_eq!(answer.status(), 401, "{path}");
        let challenge = answer.head.header("www-authenticate").expect("a challenge");
        assert!(
            challenge.contains("Invalid JWT: Token has expired: exp(1300819380) < now("),
            "{challenge}"
        );
    }
}

#[test]
fn an_executor_without_its_token_is_not_let_in() {
    let mut world = world();
    let mut executor = world.executor("e", &Kind::V1.command());
    executor["command"]["value"] = json!(format!("unset {TOKEN}; {}", Kind::V1.command()));
    world.launch("t", "", &executor);
    let status = world.scheduler.expect("TASK_FAILED");
    assert_eq!(status["reason"], "REASON_EXECUTOR_TERMINATED", "{status}");
    let state = http::get(world.agent(), "/state").json();
    let sandbox = sandbox_of(&state, "e");
    let said = std::fs::read_to_string(sandbox.join("stdout")).expect("its output");
    assert!(said.starts_with("SUBSCRIBE 401 Bearer realm="), "{said}");
    // Executors on the old driver have no tokens to show, as in Mesos.
    let old = world.executor("old", &Kind::Old.command());
    world.launch("t2", "finish", &old);
    world.update("TASK_RUNNING");
    world.update("TASK_FINISHED");
}

#[test]
fn a_token_appears_in_no_log_no_file_and_no_endpoint() {
    let mut world = world();
    let executor = world.executor("e", &Kind::V1.command());
    let (pid, _) = world.run("t", &executor);
    let token = variable(pid, TOKEN).expect("a token");
    world
        .scheduler
        .start_and_see_running(&shell_task("plain", "true"));
    world.update("TASK_FINISHED");
    for target in ["/state", "/flags", "/containers", "/metrics/snapshot"] {
        let shown = http::get(world.agent(), target).text();
        assert!(
            !shown.contains(&token) && !shown.contains(SECRET),
            "{target}"
        );
    }
    world.shut_down("e");
    world.update("TASK_KILLED");
    await_end(pid);
    let agent = world.agent.take().expect("a running agent");
    let pid = agent.pid();
    agent.kill9();
    assert!(!processes::runs(pid));
    for needle in [token.as_str(), SECRET] {
        let found = files_with(world.place.path(), needle.as_bytes());
        let expected = [world.place.join("key")];
        let expected: &[_] = if needle == SECRET { &expected } else { &[] };
        assert_eq!(found, expected);
    }
}

/// The files below a folder that hold some bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let bytes = std::fs::read(entry.path()).expect("a file");
                if bytes.windows(needle.len()).any(|part| part == needle) {
                    found.push(entry.path());
                }
            }
        }
    }
    found
}

#[test]
fn an_agent_without_a_key_cannot_ask_for_tokens() {
    let place = Place::new();
    let output = meseta()
        .args(["agent", "--master=127.0.0.1:1", "--port=0"])
        .arg("--authenticate_http_executors")
        .arg(format!("--work_dir={}", place.join("work").display()))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--jwt_secret_key is required"), "{said}");
}
