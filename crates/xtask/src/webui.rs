//! `cargo xtask webui`: the web page, from its sources to the bundle that is committed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::command::{Run, answers};
use crate::error::Error;

const PAGE: &str = "crates/webui/page";
const BUNDLE: &str = "crates/webui/dist";

/// Where a check builds, out of the way of what is committed.
const FRESH: &str = "target/webui";

/// What the page's tools run on.
const NODE: &[&str] = &[
    "node",
    "--eval",
    "const [major, minor] = process.versions.node.split('.').map(Number); \
     process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)",
];

/// Tests the page and builds the bundle, or with `--check` only proves that the bundle is what the
/// sources build.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    match arguments {
        [] => {
            install(root)?;
            test(root)?;
            build(root, &root.join(BUNDLE))
        }
        [flag] if flag == "--check" => {
            install(root)?;
            check(root)
        }
        [.., other] => Err(Error::UnknownArgument(other.clone())),
    }
}

/// The check, where it can be made: it needs Node and the packages that the page is built with.
pub(crate) fn check_if_possible(root: &Path) -> Result<(), Error> {
    if !answers(NODE) || !answers(&["npm", "--version"]) {
        eprintln!("(the web page's bundle not checked: that needs Node 20.19 or newer, and npm)");
        return Ok(());
    }
    if let Err(error) = install(root) {
        eprintln!("({error})\n(the web page's bundle not checked)");
        return Ok(());
    }
    check(root)
}

fn check(root: &Path) -> Result<(), Error> {
    test(root)?;
    let fresh = root.join(FRESH);
    build(root, &fresh)?;
    if read(&fresh)? == read(&root.join(BUNDLE))? {
        Ok(())
    } else {
        Err(Error::StaleBundle)
    }
}

fn install(root: &Path) -> Result<(), Error> {
    npm(
        root,
        &["ci", "--no-audit", "--no-fund"],
        "the page's packages come from the registry that npm is set up with",
    )
}

fn test(root: &Path) -> Result<(), Error> {
    let help = "the page's sources are in crates/webui/page; `npm test` there runs this again";
    npm(root, &["test"], help)
}

fn build(root: &Path, into: &Path) -> Result<(), Error> {
    let into = into.to_string_lossy();
    npm(
        root,
        &["run", "build", "--", "--emptyOutDir", "--outDir", &into],
        "the page's sources are in crates/webui/page",
    )
}

fn npm(root: &Path, arguments: &[&str], help: &'static str) -> Result<(), Error> {
    let mut line = vec!["npm"];
    line.extend(arguments);
    Run {
        root: &root.join(PAGE),
        line: &line,
        help,
    }
    .show()
}

/// Every file of a folder with its content.
fn read(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Error> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let failed = |source| Error::Read {
            path: path.clone(),
            source,
        };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let content = std::fs::read(&entry).map_err(failed)?;
                let name = entry.strip_prefix(folder).unwrap_or(&entry).to_owned();
                files.insert(name, content);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_that_is_not_known_is_refused_before_anything_is_done() {
        let nowhere = Path::new("/not/there");
        let error = run(nowhere, &["--chekc".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("--chekc"), "{error}");
    }
}
