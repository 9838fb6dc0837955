//! The rules of the house that no compiler checks: what the state machines may not know, and how
//! long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::Run;
use crate::error::Error;

/// The crates that hold state machines or pure rules: time, ids and the world come in as inputs.
const PURE: &[&str] = &[
    "meseta-machine",
    "meseta-resources",
    "meseta-allocator",
    "meseta-authentication",
    "meseta-endpoints",
    "meseta-master",
    "meseta-agent",
];

/// Crates that know no others of Meseta's than these. The load generator speaks nothing but the wire, so
/// that what it measures of Mesos and of Meseta can be compared.
const STRANGERS: &[(&str, &[&str])] = &[(
    "meseta-bench",
    &["meseta-proto", "meseta-resources", "meseta-transport"],
)];

/// Libraries that reach sockets, files, threads or clocks.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "hyper",
    "mio",
    "async-std",
    "socket2",
    "rustix",
    "nix",
    "tempfile",
];

/// Words that give away a file, a socket, a thread, a process or a clock of the standard library.
const IMPURE_WORDS: &[&str] = &[
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "Instant",
    "SystemTime",
];

/// Modules of the standard library that a pure crate never names.
const IMPURE_MODULES: &[&str] = &["fs", "thread", "process", "env"];

/// What examples may use of ours: who copies one has no more.
const PUBLIC: &[&str] = &["meseta-framework", "meseta-proto"];

/// A file longer than this is more than one idea.
const MAX_LINES: usize = 900;

/// What is source code, and so under [`MAX_LINES`].
const SOURCES: &[&str] = &["rs", "ts", "tsx", "svelte", "css", "sh", "py"];

/// Folders that hold what tools wrote.
const GENERATED: &[&str] = &["target", "node_modules", "dist", "snapshots"];

pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let metadata = Run {
        root,
        line: &["cargo", "metadata", "--format-version", "1"],
        help: "",
    }
    .output()?;
    let metadata: Value =
        serde_json::from_slice(&metadata).map_err(|e| Error::Metadata(e.to_string()))?;
    let graph =
        Graph::read(&metadata).ok_or_else(|| Error::Metadata("no graph in it".to_owned()))?;

    let mut broken = Vec::new();
    for name in PURE {
        broken.extend(graph.impurities(name));
    }
    for (name, allowed) in STRANGERS {
        broken.extend(graph.acquaintances(name, allowed));
    }
    broken.extend(graph.intruders(&root.join("examples")));
    let mut files = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        sources(&root.join(folder), &mut files)?;
    }
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Read {
            path: file.clone(),
            source,
        })?;
        let shown = file.strip_prefix(root).unwrap_or(&file);
        let lines = text.lines().count();
        if lines > MAX_LINES {
            broken.push(format!(
                "{}: {lines} lines, and {MAX_LINES} are the most; it holds more than one idea",
                shown.display()
            ));
        }
        if is_pure(shown) {
            for (number, word) in impure_words(&text) {
                broken.push(format!(
                    "{}:{number}: `{word}` in a state machine's crate; it comes in as an input",
                    shown.display()
                ));
            }
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Error::Walls(broken))
    }
}

/// Who depends on whom, leaving out what only tests and build scripts use.
struct Graph {
    names: BTreeMap<String, String>,
    /// The `Cargo.toml` of each.
    manifests: BTreeMap<String, PathBuf>,
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Option<Self> {
        let mut names = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for package in metadata.get("packages")?.as_array()? {
            let id = package.get("id")?.as_str()?;
            names.insert(id.to_owned(), package.get("name")?.as_str()?.to_owned());
            let manifest = package.get("manifest_path")?.as_str()?;
            manifests.insert(id.to_owned(), PathBuf::from(manifest));
        }
        let mut edges = BTreeMap::new();
        for node in metadata.get("resolve")?.get("nodes")?.as_array()? {
            let mut used = Vec::new();
            for dependency in node.get("deps")?.as_array()? {
                let kinds = dependency.get("dep_kinds")?.as_array()?;
                // The kind of an ordinary dependency is null.
                if kinds
                    .iter()
                    .any(|kind| kind.get("kind").is_none_or(Value::is_null))
                {
                    used.push(dependency.get("pkg")?.as_str()?.to_owned());
                }
            }
            edges.insert(node.get("id")?.as_str()?.to_owned(), used);
        }
        Some(Self {
            names,
            manifests,
            edges,
        })
    }

    /// What examples, in that folder, use of ours that is not public.
    fn intruders(&self, examples: &Path) -> Vec<String> {
        let mut broken = Vec::new();
        for (id, name) in &self.names {
            let manifest = self.manifests.get(id);
            if !manifest.is_some_and(|manifest| manifest.starts_with(examples)) {
                continue;
            }
            let used = self.edges.get(id).into_iter().flatten();
            for used in used.filter_map(|used| self.names.get(used)) {
                if used.starts_with("meseta-") && !PUBLIC.contains(&used.as_str()) {
                    broken.push(format!(
                        "example {name} → {used}: examples use the SDK, as users do"
                    ));
                }
            }
        }
        broken
    }

    /// The ways from a pure crate to a library that it must not know.
    fn impurities(&self, name: &str) -> Vec<String> {
        let Some((start, _)) = self.names.iter().find(|(_, found)| *found == name) else {
            return vec![format!("crate {name} is gone: mend the list in xtask")];
        };
        let mut broken = Vec::new();
        let mut seen = BTreeSet::from([start.as_str()]);
        let mut ways = vec![(start.as_str(), name.to_owned())];
        while let Some((id, way)) = ways.pop() {
            for next in self.edges.get(id).into_iter().flatten() {
                if !seen.insert(next) {
                    continue;
                }
                let found = self.names.get(next).map_or("?", String::as_str);
                let way = format!("{way} → {found}");
                if IMPURE_CRATES.contains(&found) {
                    broken.push(format!("{way}: a state machine knows no {found}"));
                } else {
                    ways.push((next, way));
                }
            }
        }
        broken
    }
}

impl Graph {
    /// Which of Meseta's crates a crate names that it must not know.
    fn acquaintances(&self, name: &str, allowed: &[&str]) -> Vec<String> {
        let Some((id, _)) = self.names.iter().find(|(_, found)| *found == name) else {
            return vec![format!("crate {name} is gone: mend the list in xtask")];
        };
        let used = self.edges.get(id).into_iter().flatten();
        let names = used.filter_map(|id| self.names.get(id));
        names
            .filter(|used| used.starts_with("meseta-") && !allowed.contains(&used.as_str()))
            .map(|used| format!("{name} → {used}: it knows only {}", allowed.join(", ")))
            .collect()
    }
}

fn is_pure(file: &Path) -> bool {
    PURE.iter().any(|name| {
        let folder = name.strip_prefix("meseta-").unwrap_or(name);
        file.starts_with(Path::new("crates").join(folder).join("src"))
    })
}

/// Lines (from 1) of a pure crate's file that name what it must not know, comments left out.
fn impure_words(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut importing_std = false;
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        importing_std |= code.trim_start().starts_with("use std::{");
        let words = words(code);
        for pair in words.windows(2) {
            if let [parent, module] = pair
                && *parent == "std"
                && IMPURE_MODULES.contains(module)
            {
                found.push((number, format!("std::{module}")));
            }
        }
        for word in words {
            let module = importing_std && IMPURE_MODULES.contains(&word);
            if module || IMPURE_WORDS.contains(&word) {
                found.push((number, word.to_owned()));
            }
        }
        importing_std &= !code.contains(';');
    }
    found
}

fn words(code: &str) -> Vec<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !GENERATED.contains(&&*name) {
                sources(&path, files)?;
            }
        } else if let Some(extension) = path.extension()
            && SOURCES.iter().any(|source| extension == *source)
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_way_from_a_pure_crate_to_a_runtime_is_found_however_long() {
        let metadata = json!({
            "packages": [
                {"id": "1", "name": "meseta-master", "manifest_path": "/a"},
                {"id": "2", "name": "innocent", "manifest_path": "/b"},
                {"id": "3", "name": "tokio", "manifest_path": "/c"},
            ],
            "resolve": {"nodes": [
                {"id": "1", "deps": [{"pkg": "2", "dep_kinds": [{"kind": null}]}]},
                {"id": "2", "deps": [{"pkg": "3", "dep_kinds": [{"kind": null}]}]},
                {"id": "3", "deps": []},
            ]},
        });
        assert_eq!(
            Graph::read(&metadata).unwrap().impurities("meseta-master"),
            ["meseta-master → innocent → tokio: a state machine knows no tokio"]
        );
    }

    #[test]
    fn a_crate_that_knows_only_some_others_is_held_to_that() {
        let metadata = json!({
            "packages": [
                {"id": "1", "name": "meseta-bench", "manifest_path": "/m/bench/Cargo.toml"},
                {"id": "2", "name": "meseta-proto", "manifest_path": "/m/proto/Cargo.toml"},
                {"id": "3", "name": "meseta-master", "manifest_path": "/m/master/Cargo.toml"},
            ],
            "resolve": {"nodes": [{"id": "1", "deps": [
                {"pkg": "2", "dep_kinds": [{"kind": null}]},
                {"pkg": "3", "dep_kinds": [{"kind": null}]},
            ]}]},
        });
        assert_eq!(
            Graph::read(&metadata)
                .unwrap()
                .acquaintances("meseta-bench", &["meseta-proto"]),
            ["meseta-bench → meseta-master: it knows only meseta-proto"]
        );
    }

    #[test]
    fn what_only_tests_and_build_scripts_use_is_free() {
        let metadata = json!({
            "packages": [
                {"id": "1", "name": "meseta-agent", "manifest_path": "/a"},
                {"id": "2", "name": "tokio", "manifest_path": "/b"},
            ],
            "resolve": {"nodes": [{"id": "1", "deps": [
                {"pkg": "2", "dep_kinds": [{"kind": "dev"}, {"kind": "build"}]},
            ]}]},
        });
        assert!(
            Graph::read(&metadata)
                .unwrap()
                .impurities("meseta-agent")
                .is_empty()
        );
    }

    #[test]
    fn an_example_that_uses_more_than_the_sdk_is_found() {
        let uses = |name: &str, manifest: &str| {
            let metadata = json!({
                "packages": [
                    {"id": "1", "name": "some", "manifest_path": manifest},
                    {"id": "2", "name": name, "manifest_path": "/r/crates/x/Cargo.toml"},
                ],
                "resolve": {"nodes": [
                    {"id": "1", "deps": [{"pkg": "2", "dep_kinds": [{"kind": null}]}]},
                    {"id": "2", "deps": []},
                ]},
            });
            let graph = Graph::read(&metadata).unwrap();
            graph.intruders(Path::new("/r/examples"))
        };
        let example = "/r/examples/some/Cargo.toml";
        assert_eq!(
            uses("meseta-agent", example),
            ["example some → meseta-agent: examples use the SDK, as users do"]
        );
        assert!(uses("meseta-framework", example).is_empty());
        assert!(uses("axum", example).is_empty());
        assert!(uses("meseta-agent", "/r/crates/cli/Cargo.toml").is_empty());
    }

    #[test]
    fn clocks_files_and_sockets_are_found_and_comments_are_not() {
        let text = "\
use std::time::{Duration, Instant};
// std::fs is only talked about here
let text = std::fs::read(path);
use std::{
    fmt, thread,
};
let process = 1;
";
        let found: Vec<(usize, String)> = impure_words(text);
        assert_eq!(
            found,
            [
                (1, "Instant".to_owned()),
                (3, "std::fs".to_owned()),
                (5, "thread".to_owned()),
            ]
        );
    }
}
