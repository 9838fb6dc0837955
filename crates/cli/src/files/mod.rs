//! `/files/browse`, `/files/read`, `/files/download` and `/files/debug`: a look into sandboxes,
//! by the paths that Mesos gives them, and never at anything outside.

mod beneath;
mod log;
mod names;
mod sandboxes;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use meseta_endpoints as endpoints;
use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::{FileInfo, TimeInfo};
use rustix::fs::{AtFlags, Dir, FileType, RawMode, Stat, statat};
use serde::Serialize;

pub(crate) use log::WithLog;
pub(crate) use names::user as user_name;
pub(crate) use sandboxes::Sandboxes;

use crate::daemon::limits::MAX_FILE_READ;

/// Query parameters of a request, by name.
pub(crate) type Parameter<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Which files a daemon shows.
pub(crate) trait Shown {
    /// Opens what a request names, for reading and without waiting, if the daemon shows it and it
    /// exists. Links are followed as long as they stay in what is shown.
    ///
    /// # Errors
    /// `NotFound` also for what is not shown.
    fn open(&self, path: &str) -> std::io::Result<File>;
}

/// A daemon that shows no files.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Shown for Nothing {
    fn open(&self, _: &str) -> std::io::Result<File> {
        Err(ErrorKind::NotFound.into())
    }
}

/// What a files request comes to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An answer that is complete.
    Reply(Reply),
    /// A file to send whole, with the name to save it under.
    Download {
        file: File,
        name: String,
        length: u64,
    },
}

/// Answers `/files/browse?path=`: the entries of a folder.
pub(crate) fn browse(shown: &dyn Shown, parameter: &Parameter<'_>) -> Reply {
    let Some(path) = path_of(parameter) else {
        return path_expected();
    };
    match list(shown, &path) {
        Ok(entries) => {
            let entries: Vec<Entry<'_>> = entries.iter().map(Entry::new).collect();
            json(&entries, parameter)
        }
        Err(_) => not_found(),
    }
}

/// The entries of a folder, by the path that was asked for.
///
/// # Errors
/// When it is not there, or not shown.
pub(crate) fn list(shown: &dyn Shown, path: &str) -> std::io::Result<Vec<FileInfo>> {
    let folder = shown.open(path)?;
    let mut entries = entries(&folder, path.trim_end_matches('/'));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// A piece of a file that begins at an offset, or nothing of it.
///
/// # Errors
/// When it is not there or not shown, and when it is no regular file.
pub(crate) fn piece(
    shown: &dyn Shown,
    path: &str,
    offset: Option<u64>,
    length: Option<u64>,
) -> std::io::Result<endpoints::Piece> {
    let mut file = shown.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(ErrorKind::Unsupported.into());
    }
    let size = metadata.len();
    let mut data = Vec::new();
    // Beyond the end there is nothing, even where the operating system can't go.
    if let Some(offset) = offset.filter(|offset| *offset < size) {
        file.seek(SeekFrom::Start(offset))?;
        let length = length.unwrap_or(MAX_FILE_READ).min(MAX_FILE_READ);
        file.take(length).read_to_end(&mut data)?;
    }
    Ok(endpoints::Piece { size, data })
}

/// The answer to who wants to read what cannot be read.
pub(crate) fn unreadable(path: &str, error: &std::io::Error) -> Reply {
    match error.kind() {
        ErrorKind::IsADirectory => Reply::bad_request("Cannot read a directory.\n"),
        ErrorKind::Unsupported => {
            Reply::bad_request("Cannot read a file that is not a regular one.\n")
        }
        ErrorKind::NotFound => not_found(),
        _ => Reply::refused(500, format!("Failed to read file at '{path}': {error}.\n")),
    }
}

/// Answers `/files/read?path=&offset=&length=`: a piece of a file, or with `offset=-1` its size.
pub(crate) fn read(shown: &dyn Shown, parameter: &Parameter<'_>) -> Reply {
    let Some(path) = path_of(parameter) else {
        return path_expected();
    };
    let (offset, length) = match (number(parameter, "offset"), number(parameter, "length")) {
        (Ok(offset), Ok(length)) => (offset, length),
        (Err(refusal), _) | (_, Err(refusal)) => return *refusal,
    };
    match piece(shown, &path, offset, length) {
        Ok(piece) => {
            let shown = Piece {
                data: text(piece.data),
                offset: offset.unwrap_or(piece.size),
            };
            json(&shown, parameter)
        }
        Err(e) => unreadable(&path, &e),
    }
}

/// Answers `/files/download?path=`: a whole file.
pub(crate) fn download(shown: &dyn Shown, parameter: &Parameter<'_>) -> Answer {
    let Some(path) = path_of(parameter) else {
        return Answer::Reply(path_expected());
    };
    let opened = shown
        .open(&path)
        .and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, _)) if metadata.is_dir() => {
            Answer::Reply(Reply::bad_request("Cannot download a directory.\n"))
        }
        Ok((metadata, file)) if metadata.is_file() => {
            let name = Path::new(&path).file_name().unwrap_or_default();
            // The name goes into a header: what could end it or its quotes does not.
            let name = name
                .to_string_lossy()
                .chars()
                .map(|c| {
                    if c.is_ascii_graphic() && c != '"' && c != '\\' {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            Answer::Download {
                file,
                name,
                length: metadata.len(),
            }
        }
        _ => Answer::Reply(not_found()),
    }
}

/// What is in a folder, by the path that the request has named. A file has nothing in it; Mesos
/// answers with an empty list then.
fn entries(folder: &File, path: &str) -> Vec<FileInfo> {
    let Ok(dir) = Dir::read_from(folder) else {
        return Vec::new();
    };
    dir.filter_map(|found| {
        let found = found.ok()?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return None;
        }
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let name = name.to_string_lossy();
        Some(info(format!("{path}/{name}"), &stat))
    })
    .collect()
}

/// Answers `/files/debug`: what is shown under which path.
pub(crate) fn debug(attached: &BTreeMap<String, String>, parameter: &Parameter<'_>) -> Reply {
    json(attached, parameter)
}

fn path_of(parameter: &Parameter<'_>) -> Option<String> {
    parameter("path").filter(|p| !p.is_empty())
}

fn path_expected() -> Reply {
    Reply::bad_request("Expecting 'path=value' in query.\n")
}

pub(crate) fn not_found() -> Reply {
    Reply::refused(404, "")
}

/// A number from 0 up; `None` without the parameter, and for -1, which stands for that.
fn number(parameter: &Parameter<'_>, name: &str) -> Result<Option<u64>, Box<Reply>> {
    let Some(text) = parameter(name) else {
        return Ok(None);
    };
    let refused = |sentence| Err(Box::new(Reply::bad_request(sentence)));
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(n) => match u64::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) => refused(format!("Negative {name} provided: {n}.\n")),
        },
        Err(_) => refused(format!(
            "Failed to parse {name}: Failed to convert '{text}' to number.\n"
        )),
    }
}

/// Bytes as text. A character that the end of the piece has cut is left for the next piece, so
/// that readers who go on at `offset + data.length` see it whole.
fn text(mut data: Vec<u8>) -> String {
    if let Err(e) = std::str::from_utf8(&data)
        && e.error_len().is_none()
        && e.valid_up_to() > 0
    {
        data.truncate(e.valid_up_to());
    }
    String::from_utf8(data).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn json(value: &impl Serialize, parameter: &Parameter<'_>) -> Reply {
    let body = serde_json::to_string(value).unwrap_or_default();
    match parameter("jsonp") {
        Some(callback) if !callback.is_empty() && !endpoints::is_callback(&callback) => {
            endpoints::not_a_callback()
        }
        Some(callback) if !callback.is_empty() => Reply {
            content_type: Some(ContentType::Javascript),
            ..Reply::json(format!("{callback}({body})"))
        },
        _ => Reply::json(body),
    }
}

#[derive(Serialize)]
struct Piece {
    data: String,
    offset: u64,
}

fn info(path: String, stat: &Stat) -> FileInfo {
    FileInfo {
        path,
        nlink: i32::try_from(stat.st_nlink).ok(),
        size: u64::try_from(stat.st_size).ok(),
        mtime: Some(TimeInfo {
            nanoseconds: stat.st_mtime.saturating_mul(NANOSECONDS),
        }),
        mode: Some(stat.st_mode),
        uid: Some(names::user(stat.st_uid)),
        gid: Some(names::group(stat.st_gid)),
    }
}

const NANOSECONDS: i64 = 1_000_000_000;

/// A file as `/files/browse` lists it.
#[derive(Serialize)]
struct Entry<'a> {
    gid: &'a str,
    mode: String,
    mtime: f64,
    nlink: i32,
    path: &'a str,
    size: u64,
    uid: &'a str,
}

impl<'a> Entry<'a> {
    #[allow(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 fit a double"
    )]
    fn new(info: &'a FileInfo) -> Self {
        Self {
            gid: info.gid(),
            mode: mode_text(info.mode()),
            mtime: info.mtime.map_or(0, |it| it.nanoseconds / NANOSECONDS) as f64,
            nlink: info.nlink(),
            path: &info.path,
            size: info.size(),
            uid: info.uid(),
        }
    }
}

/// As `ls -l` prints it.
fn mode_text(mode: RawMode) -> String {
    let first = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::RegularFile | FileType::Unknown => '-',
    };
    let bits = [
        0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001,
    ];
    let letters = bits
        .iter()
        .zip("rwxrwxrwx".chars())
        .map(|(bit, letter)| if mode & bit == 0 { '-' } else { letter });
    std::iter::once(first).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Shown for Folder {
        fn open(&self, path: &str) -> std::io::Result<File> {
            beneath::open(&self.0, Path::new(path.trim_start_matches('/')), &Vec::new)
        }
    }

    fn ask(
        call: fn(&dyn Shown, &Parameter<'_>) -> Reply,
        folder: &Path,
        query: &[(&str, &str)],
    ) -> (u16, String) {
        let parameter = |name: &str| {
            query
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let reply = call(&Folder(folder.to_owned()), &parameter);
        (
            reply.status,
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn a_file_is_read_in_pieces_and_minus_one_gives_its_size() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("stdout"), "héllo").unwrap();
        let read = |query: &[(&str, &str)]| ask(read, dir.path(), query);
        assert_eq!(
            read(&[("path", "/stdout")]),
            (200, r#"{"data":"","offset":6}"#.into())
        );
        assert_eq!(
            read(&[("path", "/stdout"), ("offset", "0"), ("length", "2")]),
            (200, r#"{"data":"h","offset":0}"#.into())
        );
        assert_eq!(
            read(&[("path", "/stdout"), ("offset", "1"), ("jsonp", "cb")]),
            (200, r#"cb({"data":"éllo","offset":1})"#.into())
        );
        assert_eq!(
            read(&[("path", "/stdout"), ("offset", "99999999999")]),
            (200, r#"{"data":"","offset":99999999999}"#.into())
        );
        let shown = Folder(dir.path().to_owned());
        let beyond = piece(&shown, "/stdout", Some(u64::MAX), None).unwrap();
        assert_eq!((beyond.size, beyond.data.len()), (6, 0));
    }

    #[test]
    fn what_cannot_be_read_is_refused_as_in_mesos() {
        let dir = tempfile::tempdir().unwrap();
        let read = |query: &[(&str, &str)]| ask(read, dir.path(), query);
        assert_eq!(
            read(&[]),
            (400, "Expecting 'path=value' in query.\n".into())
        );
        assert_eq!(read(&[("path", "/nope")]), (404, String::new()));
        assert_eq!(
            read(&[("path", "/")]),
            (400, "Cannot read a directory.\n".into())
        );
        assert_eq!(
            read(&[("path", "/"), ("offset", "-2")]),
            (400, "Negative offset provided: -2.\n".into())
        );
        assert_eq!(read(&[("path", "/"), ("length", "x")]).0, 400);
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(
            ask(read, dir.path(), &[("path", "/pipe"), ("offset", "0")]),
            (
                400,
                "Cannot read a file that is not a regular one.\n".into()
            )
        );
        let parameter = |name: &str| (name == "path").then(|| "/pipe".to_owned());
        let answer = download(&Folder(dir.path().to_owned()), &parameter);
        assert!(matches!(answer, Answer::Reply(Reply { status: 404, .. })));
    }

    #[test]
    fn a_folder_is_listed_by_the_path_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("a"), "12").unwrap();
        let (status, body) = ask(browse, dir.path(), &[("path", "/")]);
        let entries: Vec<serde_json::Value> = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(entries[0]["path"], "/a");
        assert_eq!(entries[0]["size"], 2);
        assert_eq!(entries[0]["mode"].as_str().map(|m| &m[..1]), Some("-"));
        assert_eq!(entries[1]["mode"].as_str().map(|m| &m[..1]), Some("d"));
    }
}
