//! What URIs name, with Mesos's reading of them and its sentences.

use std::path::{Path, PathBuf};

use crate::beneath;
use crate::download::Object;
use crate::job::Item;

/// Where the content of a URI is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// A file of this machine.
    Local(PathBuf),
    /// `http` or `https`.
    Web(&'a str),
    /// `ftp` or `ftps`.
    Ftp(&'a str),
    /// An object store.
    Store(Object<'a>),
    /// Whatever the Hadoop client knows.
    Hadoop(&'a str),
}

/// Checks what can be checked of items without fetching them.
///
/// # Errors
/// The sentence of Mesos for what is wrong.
pub fn validate(items: &[Item]) -> Result<(), String> {
    for item in items {
        item.destination()?;
    }
    Ok(())
}

impl Item {
    /// Where in the sandbox the content goes.
    pub(crate) fn destination(&self) -> Result<&Path, String> {
        let name = basename(&self.uri)?;
        let path = match &self.output_file {
            Some(path) if path.is_empty() => return Err("URI output file path is empty".into()),
            Some(path) => Path::new(path),
            None => Path::new(name),
        };
        match beneath::components(path) {
            Ok(components) if !components.is_empty() => Ok(path),
            _ if self.output_file.is_some() => {
                Err("URI output file must be within the sandbox directory".into())
            }
            _ => Err(format!("Malformed URI (no file name): {}", self.uri)),
        }
    }

    /// The scheme of the URI, if it is one.
    pub(crate) fn scheme(&self) -> Option<&str> {
        Some(self.uri.trim_start().split_once("://")?.0)
    }

    /// The name that says what kind of archive it is.
    pub(crate) fn archive_name(&self) -> &str {
        basename(&self.uri).unwrap_or_default()
    }
}

/// The last part of a URI's path. A query belongs to it, as in Mesos.
fn basename(uri: &str) -> Result<&str, String> {
    let uri = uri.trim_start();
    if uri.contains(['\\', '\'', '\0']) {
        return Err("Illegal characters in URI".into());
    }
    let path = match uri.split_once("://") {
        Some((scheme, path)) if scheme.len() > 1 => {
            if path.split_once('/').is_none_or(|(_, rest)| rest.is_empty()) {
                return Err(format!("Malformed URI (missing path): {uri}"));
            }
            path
        }
        _ => uri.trim_end_matches('/'),
    };
    Ok(path.rsplit('/').next().unwrap_or_default())
}

/// Finds out who can bring a URI's content.
pub(crate) fn source<'a>(
    uri: &'a str,
    frameworks_home: Option<&Path>,
) -> Result<Source<'a>, String> {
    let uri = uri.trim_start();
    if let Some(path) = uri.strip_prefix("file://") {
        let path = Path::new(path.strip_prefix("localhost").unwrap_or(path));
        return if path.is_absolute() {
            Ok(Source::Local(path.to_owned()))
        } else {
            Err("File URI only supports absolute paths".into())
        };
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        return local(Path::new(uri), frameworks_home).map(Source::Local);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => Ok(Source::Web(uri)),
        "ftp" | "ftps" => Ok(Source::Ftp(uri)),
        scheme => match Object::parse(scheme, rest) {
            Some(object) => object.map(Source::Store),
            None => Ok(Source::Hadoop(uri)),
        },
    }
}

fn local(path: &Path, frameworks_home: Option<&Path>) -> Result<PathBuf, String> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    match frameworks_home {
        Some(home) if !home.as_os_str().is_empty() => Ok(home.join(path)),
        _ => Err(
            "A relative path was passed for the resource but the Mesos framework home was not \
             specified. Please either provide this config option or avoid using a relative path"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(uri: &str, output_file: Option<&str>) -> Item {
        Item {
            uri: uri.into(),
            output_file: output_file.map(Into::into),
            ..Item::default()
        }
    }

    #[test]
    fn a_uri_is_named_by_the_last_part_of_its_path() {
        for (uri, name) in [
            ("http://h/a/b.tgz", "b.tgz"),
            (" http://h/a?x=1", "a?x=1"),
            ("/etc/hosts", "hosts"),
            ("hosts", "hosts"),
            ("hdfs:///a", "a"),
        ] {
            assert_eq!(item(uri, None).destination(), Ok(Path::new(name)), "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_the_sentence_of_mesos() {
        for (uri, sentence) in [
            ("http://h", "Malformed URI (missing path): http://h"),
            ("http://h/", "Malformed URI (missing path): http://h/"),
            ("http://h/it's", "Illegal characters in URI"),
            (
                "http://h/a/..",
                "Malformed URI (no file name): http://h/a/..",
            ),
            ("http://h/a/", "Malformed URI (no file name): http://h/a/"),
            ("", "Malformed URI (no file name): "),
        ] {
            assert_eq!(validate(&[item(uri, None)]), Err(sentence.into()), "{uri}");
        }
        for (path, sentence) in [
            ("", "URI output file path is empty"),
            ("/a", "URI output file must be within the sandbox directory"),
            (
                "a/../../b",
                "URI output file must be within the sandbox directory",
            ),
            (".", "URI output file must be within the sandbox directory"),
        ] {
            let found = validate(&[item("http://h/a", Some(path))]);
            assert_eq!(found, Err(sentence.into()), "{path}");
        }
    }

    #[test]
    fn the_scheme_decides_who_fetches() {
        let home = Path::new("/home/frameworks");
        let local = |path: &str| Ok(Source::Local(path.into()));
        assert_eq!(source("file:///a/b", None), local("/a/b"));
        assert_eq!(source("file://localhost/a/b", None), local("/a/b"));
        assert_eq!(source("/a/b", None), local("/a/b"));
        assert_eq!(source("b", Some(home)), local("/home/frameworks/b"));
        assert_eq!(source("HTTPS://h/a", None), Ok(Source::Web("HTTPS://h/a")));
        assert_eq!(source("ftp://h/a", None), Ok(Source::Ftp("ftp://h/a")));
        for (uri, is_hadoops) in [
            ("s3://b/a", false),
            ("S3a://b/a", true),
            ("gs://b/a", false),
        ] {
            let found = source(uri, None);
            assert!(
                matches!(&found, Ok(Source::Store(object)) if object.is_hadoops() == is_hadoops),
                "{found:?}"
            );
        }
        assert_eq!(source("hdfs:///a", None), Ok(Source::Hadoop("hdfs:///a")));
        for refused in ["b", "file://b", "s3:///a", "gs://b"] {
            assert!(source(refused, None).is_err(), "{refused}");
        }
    }
}
