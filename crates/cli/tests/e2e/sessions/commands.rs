//! `meseta task exec`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use super::{Cluster, await_sleepers, rare, with_word};
use crate::support::daemon::meseta;
use crate::support::{eventually, processes};

fn exec(cluster: &Cluster, words: &[&str]) -> Command {
    let mut command = meseta();
    command
        .args(["task", "exec"])
        .args(words)
        .env("XDG_CONFIG_HOME", cluster.world.place.join("home"))
        .env("MESETA_MASTER", cluster.world.master.address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_command_prints_here_and_ends_here_as_it_does_there() {
    let cluster = Cluster::start();
    let run = |words: &[&str]| told(&exec(&cluster, words).output().expect("it runs"));
    let nothing = String::new;
    assert_eq!(
        run(&["t", "echo", "-n", "a  b"]),
        (Some(0), "a  b".into(), nothing())
    );
    let script = "echo out; echo err >&2; exit 42";
    let expected = (Some(42), "out\n".into(), "err\n".into());
    assert_eq!(run(&["t", "--", "sh", "-c", script]), expected);
    assert_eq!(run(&["t", "sh", "-c", "kill -TERM $$"]).0, Some(128 + 15));
    let (status, _, said) = run(&["t", "no-such-program"]);
    assert_eq!(status, Some(1));
    assert!(
        said.starts_with("Failed to execute 'no-such-program'"),
        "{said}"
    );
    // What is not passed on has an end.
    assert_eq!(run(&["t", "cat"]), (Some(0), nothing(), nothing()));
    // Without a terminal there is none to give.
    let (status, _, said) = run(&["-t", "t", "true"]);
    assert_eq!(status, Some(2), "{said}");
    let (status, _, said) = run(&["unknown", "true"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("no task is named 'unknown'"), "{said}");
}

#[test]
fn input_arrives_as_it_is_byte_by_byte() {
    let cluster = Cluster::start();
    // Of every value, in no short period.
    let input: Vec<u8> = (0..250_001_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let mut child = exec(&cluster, &["-i", "t", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("its input");
    let sent = input.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&sent));
    let output = child.wait_with_output().expect("its end");
    sender.join().expect("a sender").expect("all is taken");
    assert_eq!(output.status.code(), Some(0), "{:?}", told(&output).2);
    assert!(
        output.stdout == input,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[test]
fn a_command_that_has_enough_ends_while_there_is_more_input() {
    let cluster = Cluster::start();
    let mut child = exec(&cluster, &["-i", "t", "head", "-c", "3"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(b"abcdef").expect("it is taken");
    // Its input stays open.
    let output = child.wait_with_output().expect("its end");
    assert_eq!(told(&output), (Some(0), "abc".into(), String::new()));
    drop(stdin);
}

/// Whether a process has interrupts wait, instead of ending by one.
fn holds_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let mask = status.lines().find_map(|it| it.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (Signal::INT.as_raw() - 1) & 1 == 1)
}

#[test]
fn an_interrupt_goes_to_the_command_and_the_death_of_its_caller_ends_it() {
    let cluster = Cluster::start();
    let sleep = rare(20);
    let script = format!("trap 'echo caught; exit 3' INT; while :; do sleep {sleep} & wait; done");
    let start = |script: &str| {
        let child = exec(&cluster, &["t", "sh", "-c", script]).spawn();
        let child = child.expect("it runs");
        await_sleepers(&sleep, 1);
        eventually("a caller who listens", || {
            holds_interrupts(child.id()).then_some(())
        });
        child
    };
    let child = start(&script);
    processes::signal(child.id(), Signal::INT);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(told(&output), (Some(3), "caught\n".into(), String::new()));
    await_sleepers(&sleep, 0);

    // One that does not care is let go by the second.
    let child = start(&format!("trap '' INT; sleep {sleep}; sleep {sleep}"));
    processes::signal(child.id(), Signal::INT);
    processes::signal(child.id(), Signal::INT);
    let mut child = child;
    let status = eventually("its end", || {
        processes::signal(child.id(), Signal::INT);
        child.try_wait().expect("its state")
    });
    assert_eq!(status.code(), Some(130));
    await_sleepers(&sleep, 0);

    let mut child = start(&format!("trap '' TERM HUP; sleep {sleep}"));
    child.kill().expect("its death");
    child.wait().expect("its end");
    await_sleepers(&sleep, 0);
    assert!(with_word(&sleep).is_empty());
}
