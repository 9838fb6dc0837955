//! The web page that masters and agents serve at `/`, built into the binary.
//!
//! Its sources are in `page/` (TypeScript); the built bundle in `dist/` is committed, so that
//! building this crate needs no Node. `cargo xtask webui` builds the bundle anew, and
//! `cargo xtask webui --check` proves that it is what the sources build.
//!
//! ```
//! let page = meseta_webui::asset("/").expect("there is a page");
//! assert_eq!(page.content_type, "text/html; charset=utf-8");
//! assert!(!page.immutable);
//! assert!(meseta_webui::asset("/state").is_none());
//! ```

use include_dir::{Dir, include_dir};

static DIST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dist");

/// The page itself, which names all the rest.
const PAGE: &str = "index.html";

/// The folder of files that are named by their content.
const NAMED_BY_CONTENT: &str = "assets/";

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// What it is, for `Content-Type`.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
    /// Whether browsers may keep it forever: under this name there will never be another.
    pub immutable: bool,
}

/// The file that the page has at a path of a request, `/` being the page itself.
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/')?;
    let path = if path.is_empty() { PAGE } else { path };
    let file = DIST.get_file(path)?;
    Some(Asset {
        content_type: content_type(path)?,
        body: file.contents(),
        immutable: path.starts_with(NAMED_BY_CONTENT),
    })
}

fn content_type(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn page() -> &'static str {
        std::str::from_utf8(asset("/").unwrap().body).unwrap()
    }

    /// The values of the attributes by which a page loads files.
    fn named() -> Vec<&'static str> {
        let values = page().split(['"', '\'']);
        values
            .filter(|value| value.starts_with("/assets/"))
            .collect()
    }

    #[test]
    fn the_page_is_at_both_of_its_names() {
        assert_eq!(asset("/"), asset("/index.html"));
        assert!(page().contains("<title>Meseta</title>"));
    }

    fn is_script(path: &str) -> bool {
        Path::new(path).extension().is_some_and(|it| it == "js")
    }

    /// Whether a script of the page names a file, to load it when it is wanted.
    fn is_wanted_later(path: &str) -> bool {
        let name = path.trim_start_matches("/assets/");
        named()
            .into_iter()
            .filter(|script| is_script(script))
            .filter_map(|script| std::str::from_utf8(asset(script)?.body).ok())
            .any(|text| text.contains(name))
    }

    fn size(paths: &[&str]) -> usize {
        let files = paths.iter().filter_map(|path| asset(path));
        files.map(|file| file.body.len()).sum()
    }

    #[test]
    fn every_file_that_the_page_names_is_there_and_may_be_kept() {
        let named = named();
        assert!(named.len() >= 2, "{named:?}");
        for path in named {
            let file = asset(path).unwrap_or_else(|| panic!("{path} is missing"));
            assert!(file.immutable && !file.body.is_empty(), "{path}");
        }
    }

    #[test]
    fn everything_that_is_built_in_is_needed_and_can_be_served() {
        let unnamed = ["/index.html", "/licenses.md", "/xterm.md"];
        let mut files = 0;
        for folder in [&DIST].into_iter().chain(DIST.dirs()) {
            for file in folder.files() {
                let path = format!("/{}", file.path().display());
                assert!(asset(&path).is_some(), "{path} has no content type");
                let is_named = unnamed.contains(&path.as_str()) || named().contains(&path.as_str());
                assert!(is_named || is_wanted_later(&path), "{path}");
                files += 1;
            }
        }
        assert!(files >= named().len() + unnamed.len());
    }

    #[test]
    fn the_page_may_load_nothing_from_elsewhere() {
        assert!(page().contains("default-src &#39;none&#39;"));
        assert!(!page().contains("://"));
    }

    #[test]
    fn paths_that_are_no_files_of_the_page_are_none() {
        for path in [
            "",
            "index.html",
            "/assets",
            "/assets/",
            "//",
            "/../Cargo.toml",
            "/state",
        ] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_page_is_small() {
        let at_once = size(&named());
        assert!(at_once < 128 * 1024, "{at_once} bytes");
        // The emulator of terminals, which most visits do without.
        let folders = [&DIST].into_iter().chain(DIST.dirs());
        let all: usize = folders
            .flat_map(Dir::files)
            .map(|file| file.contents().len())
            .sum();
        assert!(all < 256 * 1024, "{all} bytes");
    }
}
