//! Measuring what users get: a release build under every scenario of the load generator, and the parts
//! of it by themselves. The tables go into `docs/performance.md`.

mod daemon;
mod document;
mod frames;

use std::path::Path;

use crate::command::{Run, answers};
use crate::error::Error;
use crate::release;
use daemon::Master;
use document::Document;
use frames::Frames;

/// The page with the figures.
const PAGE: &str = "docs/performance.md";

/// How large scenarios are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Some minutes for all of them.
    Small,
    /// As large as the clusters that Mesos has published figures of.
    Large,
}

/// A scenario by its name on the page, with its flags.
struct Scenario {
    name: &'static str,
    small: &'static str,
    large: &'static str,
}

const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "register",
        small: "--agents 1000",
        large: "--agents 10000 --ports 8",
    },
    Scenario {
        name: "failover",
        small: "--agents 1000 --tasks 10 --completed 10",
        large: "--agents 10000 --tasks 40 --completed 10 --ports 8",
    },
    Scenario {
        name: "decline",
        small: "--agents 1000 --frameworks 100",
        large: "--agents 10000 --frameworks 1000 --ports 8",
    },
    Scenario {
        name: "launch",
        small: "--agents 100 --tasks 10000",
        large: "--agents 10000 --frameworks 100 --tasks 200000 --slots 10 --ports 8",
    },
    Scenario {
        name: "latency",
        small: "--agents 1 --samples 200",
        large: "--agents 10000 --bystanders 100 --samples 500 --ports 8",
    },
    Scenario {
        name: "state",
        small: "--agents 500 --tasks 10",
        large: "--agents 10000 --tasks 20 --launches 10000 --rest 1s --time 30s --ports 8",
    },
    Scenario {
        name: "events",
        small: "--subscribers 20 --tasks 1000",
        large: "--subscribers 100 --agents 1000 --tasks 10000 --ports 8",
    },
    Scenario {
        name: "reconcile",
        small: "--tasks 2000",
        large: "--agents 10000 --tasks 100000 --ports 8",
    },
    Scenario {
        name: "quota",
        small: "--roles 50 --share 2",
        large: "--roles 3000 --share 1 --ports 8",
    },
    Scenario {
        name: "soak",
        small: "--time 2m --interval 10s",
        large: "--time 2h --agents 1000 --frameworks 50 --ports 8",
    },
    Scenario {
        name: "tasks",
        small: "--tasks 1000 --held 500",
        large: "--tasks 5000 --held 500",
    },
];

/// Benchmarks of parts, with the crate that has them.
const PARTS: [(&str, &str, &str); 4] = [
    ("allocation", "meseta-allocator", "allocation"),
    ("wire", "meseta-proto", "wire"),
    ("snapshot", "meseta-master", "snapshot"),
    ("commit", "meseta-store", "commit"),
];

/// Measures what is named, or everything.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    if let [first, flags @ ..] = arguments
        && first == frames::NAME
        && !flags.is_empty()
    {
        return frames::show(root, flags);
    }
    let mut size = Size::Small;
    let mut wanted: Vec<&str> = Vec::new();
    let known = SCENARIOS.iter().map(|scenario| scenario.name);
    let known = known.chain(PARTS.map(|(name, ..)| name));
    let known: Vec<&str> = known.chain([frames::NAME]).collect();
    for argument in arguments {
        match argument.as_str() {
            "--large" => size = Size::Large,
            name if known.contains(&name) => wanted.push(name),
            other => return Err(Error::UnknownArgument(other.to_owned())),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    release::build(root)?;
    let page = root.join(PAGE);
    for scenario in SCENARIOS.iter().filter(|s| is_wanted(s.name)) {
        let text = scenario.measure(root, size)?;
        Document::read(&page)?.replace(scenario.name, &text)?;
    }
    let has_node = answers(&["node", "--version"]);
    if wanted.is_empty() && !has_node {
        eprintln!("({} is not measured: that needs Node)", frames::NAME);
    } else if is_wanted(frames::NAME) {
        let text = Frames::of_release(root).measure(root)?;
        Document::read(&page)?.replace(frames::NAME, &text)?;
    }
    for (name, package, bench) in PARTS {
        if is_wanted(name) {
            let line = ["cargo", "bench", "-q", "-p", package, "--bench", bench];
            let format = ["--", "--output-format", "bencher"];
            let line: Vec<&str> = line.into_iter().chain(format).collect();
            let output = Run {
                root,
                line: &line,
                help: "",
            }
            .output()?;
            let text = document::part(&String::from_utf8_lossy(&output));
            Document::read(&page)?.replace(name, &text)?;
        }
    }
    Ok(())
}

impl Scenario {
    /// Runs it against a master of its own.
    fn measure(&self, root: &Path, size: Size) -> Result<String, Error> {
        let binary = root.join("target/release/meseta");
        let binary = binary.to_string_lossy();
        let flags = match size {
            Size::Small => self.small,
            Size::Large => self.large,
        };
        let mut line = vec![&*binary, "bench", self.name];
        line.extend(flags.split_whitespace());
        // Real tasks run on a cluster that the scenario starts itself.
        let master = match self.name {
            "tasks" => None,
            _ => Some(Master::start(&binary)?),
        };
        let at = master.as_ref().map(|m| format!("--master={}", m.address));
        line.extend(at.as_deref());
        let output = Run {
            root,
            line: &line,
            help: "",
        }
        .output()?;
        let shown = ["meseta", "bench", self.name].join(" ") + " " + flags;
        let text = String::from_utf8_lossy(&output);
        Ok(document::scenario(&shown, &text))
    }
}
