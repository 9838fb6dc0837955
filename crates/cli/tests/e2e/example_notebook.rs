//! The notebook, run from top to bottom as its README says, and what it leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::daemon::Cluster;
use crate::support::golden::repository;
use crate::support::{http, skip, within};

/// It measures a task for ten seconds; a busy machine takes its time for the pictures.
const RUN: Duration = Duration::from_secs(150);

/// As in its README.
const FLAGS: [&str; 3] = [
    "--agents=2",
    "--attributes=rack:r2d2;pod:demo,dev",
    "--resources=cpus:2;mem:2048;disk:10240;ports:[9000-10000]",
];

/// The outputs of a cell.
struct Cell(Vec<Value>);

impl Cell {
    fn text(&self) -> String {
        let texts = self.0.iter().map(|output| match &output["text"] {
            Value::Null => joined(&output["data"]["text/html"]),
            text => joined(text),
        });
        texts.collect()
    }

    fn picture(&self) -> Option<Vec<u8>> {
        let png = self.0.iter().find_map(|it| it["data"].get("image/png"))?;
        let text: String = joined(png).split_whitespace().collect();
        Some(BASE64.decode(text).expect("a picture in base64"))
    }
}

/// Notebooks keep a text as its lines, or as a whole.
fn joined(text: &Value) -> String {
    match text {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        whole => whole.as_str().unwrap_or_default().to_owned(),
    }
}

struct Notebook(Value);

impl Notebook {
    fn read(path: &Path) -> Self {
        let text = std::fs::read(path).expect("the notebook");
        Self(serde_json::from_slice(&text).expect("a notebook is JSON"))
    }

    fn cells(&self) -> impl Iterator<Item = &Value> {
        let cells = self.0["cells"].as_array().expect("cells");
        cells.iter().filter(|cell| cell["cell_type"] == "code")
    }

    fn cell(&self, id: &str) -> Cell {
        let cell = self.cells().find(|cell| cell["id"] == id);
        let outputs = cell.and_then(|cell| cell["outputs"].as_array().cloned());
        Cell(outputs.unwrap_or_else(|| panic!("no cell {id}")))
    }
}

#[test]
fn the_notebook_is_committed_without_outputs() {
    let notebook = Notebook::read(&repository("examples/notebook/meseta.ipynb"));
    for cell in notebook.cells() {
        assert_eq!(cell["outputs"], json!([]), "{}", cell["id"]);
        assert_eq!(cell["execution_count"], Value::Null, "{}", cell["id"]);
    }
}

#[test]
fn the_notebook_runs_from_top_to_bottom() {
    if !repository("target/notebook/ready").exists() {
        return skip("nothing to run notebooks with in target/notebook");
    }
    let cluster = Cluster::with(&FLAGS);
    // What it makes stays, to be looked at.
    let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("notebook");
    let mut command = Command::new(repository("examples/notebook/run"));
    command
        .arg(cluster.master().to_string())
        .arg(&results)
        // Traces in its processes, by which their end is made sure of.
        .env("TMPDIR", cluster.place.path());
    let mut child = cluster.place.run("notebook", &mut command);
    let status = within(RUN, "the notebook's end", || {
        child.try_wait().expect("its state")
    });
    assert!(status.success(), "{status}");

    let notebook = Notebook::read(&results.join("meseta.ipynb"));
    for cell in notebook.cells() {
        assert!(cell["execution_count"].is_u64(), "{cell}");
        let outputs = cell["outputs"].as_array().expect("outputs");
        let wrong = outputs
            .iter()
            .find(|output| output["output_type"] == "error" || output["name"] == "stderr");
        assert_eq!(wrong, None);
    }
    for (id, expected) in [
        ("agents", "{'pod': 'demo,dev', 'rack': 'r2d2'}"),
        ("agents", "[9000-10000]"),
        ("offer", "\"value\": \"demo,dev\""),
        ("offer", "{\"begin\": 9000, \"end\": 10000}"),
        ("launch", "TASK_STARTING"),
        ("launch", "TASK_RUNNING"),
        ("launch", "TASK_FINISHED Command exited with status 0"),
        ("output", "This is an error."),
        ("serve", "TASK_RUNNING"),
        ("page", "It works"),
        ("measure", "cpus_soft_limit: 1.1"),
        ("kill", "TASK_KILLED"),
        ("goodbye", "hello      TASK_FINISHED"),
    ] {
        let text = notebook.cell(id).text();
        assert!(text.contains(expected), "{id}: {text}");
    }
    // Whether there is an engine or not.
    let docker = notebook.cell("docker").text();
    assert!(docker.contains("Docker engine") || docker.contains("nginx"));

    for id in [
        "plot-offers",
        "plot-usage",
        "plot-offers-again",
        "plot-tasks",
    ] {
        let picture = notebook.cell(id).picture();
        let picture = picture.unwrap_or_else(|| panic!("no picture in {id}"));
        assert!(picture.starts_with(b"\x89PNG\r\n"), "{id}");
        std::fs::write(results.join(format!("{id}.png")), picture).expect("a file");
    }
    assert!(results.join("meseta.html").exists());

    let state = http::get(cluster.master(), "/state").json();
    assert_eq!(state["frameworks"], json!([]));
    let framework = &state["completed_frameworks"][0];
    assert_eq!(framework["name"], "notebook");
    let ends = |name: &str| {
        let tasks = framework["completed_tasks"].as_array().expect("tasks");
        let task = tasks.iter().find(|task| task["name"] == name);
        task.map(|task| task["state"].clone())
    };
    assert_eq!(ends("hello"), Some(json!("TASK_FINISHED")));
    assert_eq!(ends("web site"), Some(json!("TASK_KILLED")));
    assert_eq!(ends("worker"), Some(json!("TASK_KILLED")));
}
