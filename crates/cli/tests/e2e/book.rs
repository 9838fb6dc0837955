//! The book's pages do what they say: their lines for the shell are run, in order, on a cluster of
//! their own, and what stands below them is what comes out.
//!
//! In a page, a block marked `sh,test` is run, and a block marked `output` right after it is
//! compared: each of its lines is found in what the block printed, in that order. `…` in it stands
//! for anything, and so do the ends of the line. All blocks of a page are one run of bash, which
//! ends with the first command that fails.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::daemon::{Cluster, Place, RESOURCES, agent_address, registered_agents};
use crate::support::examples::this_user;
use crate::support::golden::repository;
use crate::support::{skip, within};

/// Pages with lines to run.
const PAGES: [&str; 6] = [
    "quick_start.md",
    "api_scheduler.md",
    "api_executor.md",
    "api_operator.md",
    "operations.md",
    "security.md",
];

/// What a page's lines take together, on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Begins what a block printed; no page prints it.
const MARK: char = '\u{1e}';

#[derive(Debug)]
struct Block {
    line: usize,
    script: String,
    /// What is to be found in its output.
    output: Vec<String>,
}

#[test]
fn the_quick_start_runs_as_it_stands() {
    run("quick_start.md");
}

#[test]
fn the_calls_of_schedulers_run_as_they_stand() {
    run("api_scheduler.md");
}

#[test]
fn the_calls_of_executors_run_as_they_stand() {
    run("api_executor.md");
}

#[test]
fn the_calls_of_operators_run_as_they_stand() {
    run("api_operator.md");
}

#[test]
fn what_operators_are_told_to_do_runs_as_it_stands() {
    run("operations.md");
}

#[test]
fn what_is_protected_is_as_it_stands() {
    run("security.md");
}

#[test]
fn every_page_with_lines_to_run_is_run() {
    let pages: BTreeSet<String> = fs::read_dir(repository("docs"))
        .expect("the book")
        .map(|entry| entry.expect("a page").path())
        .filter(|path| path.extension().is_some_and(|it| it == "md") && !blocks(path).is_empty())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(pages, PAGES.map(String::from).into());
}

#[test]
fn the_first_framework_of_the_book_is_the_example_that_tests_run() {
    let page = fs::read_to_string(repository("docs/quick_start.md")).expect("the page");
    let shown = fences(&page)
        .into_iter()
        .find(|fence| fence.mark.starts_with("rust"))
        .expect("a framework in the quick start");
    let example = repository("crates/framework/examples/hello.rs");
    let example = fs::read_to_string(example).expect("the example");
    assert!(
        shown.text == example,
        "not the text of the example:\n{example}"
    );
    assert!(example.lines().count() <= 60);
}

/// Runs a page on a cluster of its own.
fn run(page: &str) {
    for program in ["curl", "bash"] {
        if Command::new(program).arg("--version").output().is_err() {
            return skip(&format!("{program} is not installed"));
        }
    }
    let blocks = blocks(&repository("docs").join(page));
    assert!(!blocks.is_empty(), "{page} has nothing to run");
    let place = Place::new();
    let (programs, folder) = (place.join("bin"), place.join("reader"));
    fs::create_dir(&programs).expect("a folder of programs");
    fs::create_dir(&folder).expect("the reader's folder");
    symlink(env!("CARGO_BIN_EXE_meseta"), programs.join("meseta")).expect("meseta");
    let cluster = Cluster::in_place(place, &[RESOURCES]);
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let text = script(&blocks, cluster.master(), agent);
    let printed = cluster.place.join("printed");
    let output = fs::File::create(&printed).expect("a file for the output");
    let path = std::env::var("PATH").expect("a PATH");
    let mut bash = Command::new("bash");
    bash.args(["-c", &text])
        .current_dir(&folder)
        .env_clear()
        .env("HOME", &folder)
        .env("USER", this_user())
        .env("PATH", format!("{}:{path}", programs.display()))
        .stdout(output.try_clone().expect("the file"))
        .stderr(output);
    let mut bash = bash.spawn().expect("bash");
    let status = within(PATIENCE, "the end of the page", || {
        bash.try_wait().expect("its state")
    });
    let printed = String::from_utf8_lossy(&fs::read(printed).expect("the output")).into_owned();
    let parts: Vec<&str> = printed.split(MARK).skip(1).collect();
    assert!(
        status.success(),
        "{page}, the block of line {}: {status}\n{printed}",
        blocks[parts.len().saturating_sub(1)].line
    );
    assert_eq!(parts.len(), blocks.len(), "{printed}");
    for (block, printed) in blocks.iter().zip(parts) {
        let mut rest = printed;
        for expected in &block.output {
            let found = after(rest, expected);
            let line = block.line;
            rest = found.unwrap_or_else(|| panic!("{page}:{line}: no `{expected}` in:\n{printed}"));
        }
    }
}

/// All blocks as one script that says where each begins.
fn script(blocks: &[Block], master: SocketAddr, agent: SocketAddr) -> String {
    let mut script = String::from("set -e\n");
    for block in blocks {
        let _ = write!(script, "printf '{MARK}'\n{}", block.script);
    }
    let script = script.replace("127.0.0.1:5050", &master.to_string());
    script.replace("127.0.0.1:5051", &agent.to_string())
}

/// What follows in a text after an expected line, of which `…` may be anything.
fn after<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| {
        let mut rest = line;
        for part in expected.trim().split('…') {
            rest = rest.split_once(part)?.1;
        }
        Some(rest)
    })?;
    let place = line.as_ptr() as usize - text.as_ptr() as usize;
    text.get(place..)
}

/// The blocks of a page that are to be run.
fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let mut blocks: Vec<Block> = Vec::new();
    let mut follows = false;
    for fence in fences(&text) {
        if fence.mark == "sh,test" {
            blocks.push(Block {
                line: fence.line,
                script: fence.text,
                output: Vec::new(),
            });
        } else if fence.mark.ends_with("output") {
            let block = blocks.last_mut().filter(|_| follows);
            let block = block.unwrap_or_else(|| panic!("nothing prints line {}", fence.line));
            block.output = fence.text.lines().map(String::from).collect();
        }
        follows = fence.mark == "sh,test";
    }
    blocks
}

#[derive(Debug)]
struct Fence {
    line: usize,
    mark: String,
    text: String,
}

/// All fenced blocks of a page that are not indented.
fn fences(page: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        if let Some(mark) = line.strip_prefix("```") {
            open = !open;
            if open {
                fences.push(Fence {
                    line: number + 1,
                    mark: mark.to_owned(),
                    text: String::new(),
                });
            }
        } else if open && let Some(fence) = fences.last_mut() {
            fence.text.push_str(line);
            fence.text.push('\n');
        }
    }
    assert!(!open, "a block without an end");
    fences
}
