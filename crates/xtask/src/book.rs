//! `cargo xtask book`: the pages of `docs/` as a book, and whether what they point at is there.
//!
//! The sources are read on GitHub as well, where links lead all over the repository: to examples, to
//! other pages, to code. So the book is built from a copy with the repository's folders, in which links to
//! whatever is no chapter lead to the repository on the web.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::command::Run;
use crate::error::Error;
use page::{Link, Page};

/// The list of chapters.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Where links to files that are no chapters lead in the built book.
const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// All pages of the repository, by their paths in it.
type Pages = BTreeMap<PathBuf, Page>;

/// Builds the book, or with `--check` looks only whether it could be built.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), Error> {
    match arguments {
        [] => build(root),
        [only] if only == "--check" => check(root),
        [other, ..] => Err(Error::UnknownArgument(other.clone())),
    }
}

/// Looks whether every link leads somewhere, and every page of `docs/` is in the book.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let pages = read(root)?;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if let Some(why) = fault(root, &pages, path, link) {
                let (line, target) = (link.line, &link.target);
                broken.push(format!("{}:{line}: {target}: {why}", path.display()));
            }
        }
    }
    let chapters = chapters(&pages);
    for path in pages.keys().filter(|path| path.starts_with("docs")) {
        if path != Path::new(SUMMARY) && !chapters.contains(path) {
            broken.push(format!("{}: not in {SUMMARY}", path.display()));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Error::Book(broken))
}

fn build(root: &Path) -> Result<(), Error> {
    check(root)?;
    let folder = root.join("target/book");
    let sources = folder.join("src");
    remove(&sources)?;
    let pages = read(root)?;
    let chapters = chapters(&pages);
    for path in &chapters {
        let Some(page) = pages.get(path) else {
            continue;
        };
        let text = page.with_links(|link| in_the_book(&chapters, path, link));
        write(&sources.join(path), &text)?;
    }
    if let Some(summary) = pages.get(Path::new(SUMMARY)) {
        let text = summary.with_links(|link| {
            let chapter = target(Path::new(SUMMARY), link)?;
            Some(chapter.display().to_string())
        });
        write(&sources.join("SUMMARY.md"), &text)?;
    }
    let settings = root.join("docs/book.toml");
    let text = fs::read_to_string(&settings).map_err(|source| Error::Read {
        path: settings,
        source,
    })?;
    write(&folder.join("book.toml"), &text)?;
    let help =
        "`cargo install --locked mdbook` installs it; `cargo xtask book --check` needs nothing";
    Run {
        root,
        line: &["mdbook", "build", "target/book"],
        help,
    }
    .show()?;
    eprintln!("target/book/html/index.html");
    Ok(())
}

/// All pages that Git knows, or would take.
fn read(root: &Path) -> Result<Pages, Error> {
    let list = Run {
        root,
        line: &[
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.md",
        ],
        help: "",
    }
    .output()?;
    let mut pages = Pages::new();
    for path in String::from_utf8_lossy(&list).lines().map(PathBuf::from) {
        let whole = root.join(&path);
        match fs::read_to_string(&whole) {
            Ok(text) => pages.insert(path, Page::new(text)),
            // Removed, and Git has not been told yet.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => {
                return Err(Error::Read {
                    path: whole,
                    source,
                });
            }
        };
    }
    Ok(pages)
}

/// The pages that the list of chapters names.
fn chapters(pages: &Pages) -> BTreeSet<PathBuf> {
    let summary = Path::new(SUMMARY);
    let links = pages.get(summary).map(|page| page.links.as_slice());
    let links = links.unwrap_or_default().iter();
    links.filter_map(|link| target(summary, link)).collect()
}

/// What is wrong with a link, if something is.
fn fault(root: &Path, pages: &Pages, path: &Path, link: &Link) -> Option<&'static str> {
    let target = target(path, link)?;
    if !root.join(&target).exists() {
        return Some("there is no such file");
    }
    let (page, anchor) = (pages.get(&target)?, link.anchor()?);
    (!page.anchors.contains(anchor)).then_some("there is no such heading")
}

/// Where in the repository a link leads; nothing for links to the web.
fn target(from: &Path, link: &Link) -> Option<PathBuf> {
    let path = link.path()?;
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut target = from.parent()?.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    Some(target)
}

/// What a link becomes in the book, if it can't stay as it is.
fn in_the_book(chapters: &BTreeSet<PathBuf>, from: &Path, link: &Link) -> Option<String> {
    let target = target(from, link)?;
    if !chapters.contains(&target) {
        return Some(format!("{REPOSITORY}{}", target.display()));
    }
    // mdBook makes an index of each README, and leaves what leads to it as it is.
    let folder = link.path()?.strip_suffix("README.md")?;
    let anchor = link.anchor().map(|it| format!("#{it}")).unwrap_or_default();
    Some(format!("{folder}index.md{anchor}"))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })
}

/// Removes a folder with all that is in it, if it is there.
fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Write {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
