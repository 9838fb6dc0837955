//! What a genuine Mesos answered: `tests/golden` of the repository.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::http::{self, Open};

/// A file below the repository's folder.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn read(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Requests and answers of the master, in the order in which they were sent.
pub(crate) fn master_requests() -> Vec<Value> {
    requests("tests/golden/http-master-1.11.0.jsonl")
}

/// The same of an agent.
pub(crate) fn agent_requests() -> Vec<Value> {
    requests("tests/golden/http-agent-1.11.0.jsonl")
}

fn requests(path: &str) -> Vec<Value> {
    let cases: Vec<Value> = read(path)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a case"))
        .collect();
    assert!(!cases.is_empty());
    cases
}

/// Sends a recorded request, and reads the head of its answer.
pub(crate) fn ask(address: SocketAddr, request: &Value) -> io::Result<Open> {
    let headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a header's value")))
        .collect();
    let method = request["method"].as_str().expect("a method");
    let path = request["path"].as_str().expect("a path");
    let body = request["body"].as_str().map(str::as_bytes);
    http::open(address, method, path, &headers, body)
}

/// The recorded lifecycle of a name.
pub(crate) fn scenario(name: &str) -> Value {
    scenarios()
        .into_iter()
        .find(|scenario| scenario["scenario"] == name)
        .unwrap_or_else(|| panic!("no scenario {name}"))
}

/// Every recorded lifecycle.
pub(crate) fn scenarios() -> Vec<Value> {
    serde_json::from_str(&read("tests/golden/scenarios.json")).expect("the scenarios")
}

/// Whether `docs/differences.md` tells why we say something else in the case of this name.
pub(crate) fn is_a_known_difference(case: &str) -> bool {
    std::fs::read_to_string(repository("docs/differences.md"))
        .is_ok_and(|differences| differences.contains(&format!("`{case}`")))
}
