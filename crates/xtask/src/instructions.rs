//! `cargo xtask instructions`: how many instructions hot paths take, against stored limits.
//!
//! Instructions are counted by callgrind, which gives nearly the same number at every run on a machine that
//! has anything else to do, so that a change that makes a path slower is seen where it is made.

use std::fmt::Write as _;
use std::path::Path;

use crate::command::Run;
use crate::error::Error;

/// Limits, a path and a number in each line.
const LIMITS: &str = "tests/instructions.tsv";

/// Above what is counted, in hundredths: what hash seeds make of it, and the copying routines that the C library
/// chooses for another processor.
const SLACK: u64 = 10;

/// What is said when a path has become slower, or much faster.
const HELP: &str = "if that is meant, set the limits anew with `cargo xtask instructions --set` and commit \
                    tests/instructions.tsv";

/// Counts every path, and compares; with `--set` stores what was counted instead.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    let sets = match arguments {
        [] => false,
        [only] if only == "--set" => true,
        [other, ..] => return Err(Error::UnknownArgument(other.clone())),
    };
    let build = [
        "cargo",
        "build",
        "-q",
        "--profile",
        "counted",
        "-p",
        "meseta-instructions",
    ];
    Run {
        root,
        line: &build,
        help: "",
    }
    .show()?;
    let program = root.join("target/counted/meseta-instructions");
    let program = program.to_string_lossy();
    let names = Run {
        root,
        line: &[&program],
        help: "",
    }
    .output()?;
    let mut counted = Vec::new();
    for name in String::from_utf8_lossy(&names).lines() {
        counted.push((name.to_owned(), count(root, &program, name)?));
    }
    let path = root.join(LIMITS);
    if sets {
        let text = counted
            .iter()
            .fold(String::new(), |mut text, (name, count)| {
                let _ = writeln!(text, "{name}\t{}", count + count * SLACK / 100);
                text
            });
        return std::fs::write(&path, text).map_err(|source| Error::Write { path, source });
    }
    let limits = std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    let broken = compare(&counted, &limits);
    if broken.is_empty() {
        return Ok(());
    }
    Err(Error::Instructions(broken, HELP))
}

fn count(root: &Path, program: &str, name: &str) -> Result<u64, Error> {
    let folder = tempfile::tempdir().map_err(|source| Error::NotStarted {
        command: "valgrind".to_owned(),
        source,
        help: "",
    })?;
    let out = folder.path().join("callgrind");
    let out_file = format!("--callgrind-out-file={}", out.display());
    let line = [
        "valgrind",
        "-q",
        "--tool=callgrind",
        &out_file,
        program,
        name,
    ];
    Run {
        root,
        line: &line,
        help: "",
    }
    .output()?;
    let text = std::fs::read_to_string(&out).map_err(|source| Error::Read { path: out, source })?;
    total(&text).ok_or_else(|| Error::Metadata(format!("no count of {name} by callgrind")))
}

/// The sum that stands at the end of what callgrind writes.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "))?;
    line.trim().parse().ok()
}

/// What is above its limit, or so far below that the limit guards nothing.
fn compare(counted: &[(String, u64)], limits: &str) -> Vec<String> {
    let limits: Vec<(&str, u64)> = limits
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(name, limit)| Some((name, limit.trim().parse().ok()?)))
        .collect();
    let mut broken = Vec::new();
    for (name, count) in counted {
        let limit = limits.iter().find(|(limited, _)| limited == name);
        eprintln!(
            "{name:12} {count:>14} of {:>14}",
            limit.map_or(0, |(_, limit)| *limit)
        );
        match limit {
            None => broken.push(format!(
                "{name} takes {count} instructions and has no limit"
            )),
            Some((_, limit)) if count > limit => {
                broken.push(format!(
                    "{name} takes {count} instructions, and its limit is {limit}"
                ));
            }
            Some((_, limit)) if count.saturating_mul(10) < limit.saturating_mul(7) => {
                let much =
                    format!("{name} takes {count} instructions: its limit of {limit} can be lower");
                broken.push(much);
            }
            Some(_) => {}
        }
    }
    for (name, _) in limits {
        if !counted.iter().any(|(counted, _)| counted == name) {
            broken.push(format!("{name} has a limit, but there is no such path"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_callgrind_is_its_last() {
        assert_eq!(total("events: Ir\nfn=x\n1 2\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn a_path_must_keep_its_limit_and_the_limit_must_mean_something() {
        let counted = |count| [("json".to_owned(), count)];
        assert!(compare(&counted(100), "json\t105\n").is_empty());
        for (count, limits) in [
            (106, "json\t105"),
            (60, "json\t105"),
            (100, ""),
            (100, "json\t105\nother\t1"),
        ] {
            assert_eq!(
                compare(&counted(count), limits).len(),
                1,
                "{count} {limits}"
            );
        }
    }
}
