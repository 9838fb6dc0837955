//! Archives that mean harm: nothing is written outside the sandbox, and the error says what is
//! wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use meseta_fetcher::{Error, Item, Job};
use tar::EntryType;

/// A tar header's fields, whatever a well-meaning library would say to them.
struct Entry<'a> {
    kind: EntryType,
    name: &'a str,
    target: &'a str,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry {
        kind: EntryType::Regular,
        name,
        target: "",
        content,
    }
}

fn special<'a>(kind: EntryType, name: &'a str, target: &'a str) -> Entry<'a> {
    Entry {
        kind,
        name,
        target,
        content: b"",
    }
}

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(block(entry, entry.content.len() as u64));
        bytes.extend(entry.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1_024, 0);
    bytes
}

fn block(entry: &Entry<'_>, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry.kind);
    header.set_mode(0o6777);
    header.set_size(size);
    let fields = header.as_old_mut();
    fields.name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    fields.linkname[..entry.target.len()].copy_from_slice(entry.target.as_bytes());
    header.set_cksum();
    *header.as_bytes()
}

fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        if *mode == 0o120_777 {
            let target = String::from_utf8_lossy(content);
            writer.add_symlink(*name, target, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A place with a sandbox in it, and everything else that is not to be touched.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("sandbox")).unwrap();
        std::fs::write(home.path().join("precious"), "precious").unwrap();
        Self { home }
    }

    fn sandbox(&self) -> PathBuf {
        self.home.path().join("sandbox")
    }

    fn extract(&self, name: &str, archive: &[u8]) -> Result<(), Error> {
        let path = self.home.path().join(name);
        std::fs::write(&path, archive).unwrap();
        let item = Item {
            uri: path.display().to_string(),
            extract: true,
            ..Item::default()
        };
        let job = Job {
            directory: self.sandbox(),
            items: vec![item],
            ..Job::default()
        };
        let outcome = job.fetch(&mut Vec::new());
        std::fs::remove_file(path).unwrap();
        outcome
    }

    /// Extracts what must be refused; the sandbox aside, nothing has changed.
    fn refuses(&self, name: &str, archive: &[u8], sentence: &str) {
        let error = self.extract(name, archive).unwrap_err().to_string();
        assert!(error.contains(sentence), "{name}: {error}");
        let outside: Vec<_> = std::fs::read_dir(self.home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "sandbox")
            .collect();
        assert_eq!(outside, ["precious"], "{name}");
        let precious = std::fs::read_to_string(self.home.path().join("precious")).unwrap();
        assert_eq!(precious, "precious", "{name}");
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    let out = "the path leads out of the sandbox";
    for name in ["../evil", "a/../../evil", "/tmp/evil", "a/b/../../../evil"] {
        Place::new().refuses("a.tar", &tar(&[file(name, b"x")]), out);
    }
    let folder = special(EntryType::Directory, "../evil/", "");
    Place::new().refuses("a.tar", &tar(&[folder]), out);
    for name in ["../evil", "/tmp/evil"] {
        Place::new().refuses("a.zip", &zip(&[(name, 0o644, b"x")]), out);
    }
}

#[test]
fn links_that_lead_out_are_refused() {
    let out = "leads out of the sandbox";
    for target in ["../precious", "/etc/passwd", "a/../../precious"] {
        let link = special(EntryType::Symlink, "link", target);
        Place::new().refuses("a.tar", &tar(&[link]), out);
        let link = ("link", 0o120_777, target.as_bytes());
        Place::new().refuses("a.zip", &zip(&[link]), out);
    }
    for target in ["../precious", "/etc/passwd"] {
        let link = special(EntryType::Link, "link", target);
        Place::new().refuses("a.tar", &tar(&[link]), out);
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    // One after the other these words stay inside; what they mean together does not.
    let chain = [
        special(EntryType::Directory, "a/b", ""),
        special(EntryType::Symlink, "a/b/c", "../.."),
        special(EntryType::Symlink, "out", "a/b/c/.."),
        file("out/precious", b"x"),
    ];
    let sentence = "'out' in its path is a link or a file";
    Place::new().refuses("a.tar", &tar(&chain), sentence);

    let place = Place::new();
    std::os::unix::fs::symlink(place.home.path(), place.sandbox().join("out")).unwrap();
    place.refuses("a.tar", &tar(&[file("out/precious", b"x")]), sentence);
    place.refuses("a.zip", &zip(&[("out/precious", 0o644, b"x")]), sentence);

    // A link where a file is to be is replaced, and so is another name of a file.
    let place = Place::new();
    let precious = place.home.path().join("precious");
    std::os::unix::fs::symlink(&precious, place.sandbox().join("one")).unwrap();
    std::fs::hard_link(&precious, place.sandbox().join("two")).unwrap();
    place
        .extract("a.tar", &tar(&[file("one", b"x"), file("two", b"x")]))
        .unwrap();
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn no_file_is_linked_to_that_is_reached_through_a_link() {
    let place = Place::new();
    let precious = place.home.path().join("precious");
    std::os::unix::fs::symlink(&precious, place.sandbox().join("one")).unwrap();
    let link = special(EntryType::Link, "two", "one");
    place.refuses("a.tar", &tar(&[link]), "is no file");
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let archive = tar(&[special(kind, "device", "")]);
        Place::new().refuses("a.tar", &archive, "it is a device or a pipe");
    }
}

#[test]
fn nobody_becomes_another_user_by_what_is_extracted() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.extract("a.tar", &tar(&[file("tool", b"x")])).unwrap();
    let mode = std::fs::metadata(place.sandbox().join("tool")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o777);
}

#[test]
fn what_comes_to_ten_thousand_times_its_size_is_cut_off() {
    let zeros = vec![0; 100 << 20];
    let content = tar(&[file("zeros", &zeros)]);
    let packed = bzip2(&content);
    assert!(packed.len() * 10_000 < content.len());
    let sentence = "it comes to more than the";
    let place = Place::new();
    place.refuses("a.tar.bz2", &packed, sentence);
    let left = std::fs::metadata(place.sandbox().join("zeros")).unwrap();
    assert!(left.len() <= 64 << 20);
    Place::new().refuses("a.tar.gz", &gzip(&content), sentence);
    Place::new().refuses("a.gz", &gzip(&zeros), sentence);
    Place::new().refuses("a.zip", &zip(&[("zeros", 0o644, &zeros)]), sentence);
}

#[test]
fn what_is_cut_short_is_said_to_be() {
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let whole = tar(&[file("a", &noise)]);
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let unreadable = "Failed to extract";
    for (name, archive) in [
        ("a.tar", half(whole.clone())),
        ("a.tar.gz", half(gzip(&whole))),
        ("a.tar.bz2", half(bzip2(&whole))),
        ("a.gz", half(gzip(&noise))),
        ("a.zip", half(zip(&[("a", 0o644, &noise)]))),
        ("a.tar.xz", b"\xfd7zXZ\0\0".to_vec()),
        ("a.tar.zst", b"\x28\xb5\x2f\xfd".to_vec()),
    ] {
        Place::new().refuses(name, &archive, unreadable);
    }
    // The last block, where the checksum is.
    let packed = gzip(&whole);
    Place::new().refuses("a.tgz", &packed[..packed.len() - 4], unreadable);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    for name in [
        "a.tar",
        "a.tar.gz",
        "a.tar.bz2",
        "a.tar.xz",
        "a.tar.zst",
        "a.zip",
        "a.gz",
    ] {
        let garbage = [b"<html>not found</html>".as_slice(); 40].concat();
        Place::new().refuses(name, &garbage, "Failed to extract");
    }
}

#[test]
fn a_size_that_the_archive_has_not_is_found_out() {
    let mut lying = block(&file("a", b""), 1 << 40).to_vec();
    lying.resize(2_048, 0);
    Place::new().refuses("a.tar", &lying, "the archive ends after");
}

#[test]
fn a_path_deeper_than_any_is_refused() {
    let deep = "a/".repeat(200) + "b";
    let archive = zip(&[(&deep, 0o644, b"x")]);
    Place::new().refuses("a.zip", &archive, "the path has more than");
}

#[test]
fn an_ordinary_archive_is_extracted_whole() {
    let entries = [
        special(EntryType::Directory, "dir/", ""),
        file("dir/file", b"content"),
        special(EntryType::Symlink, "dir/link", "../dir/file"),
        special(EntryType::Link, "second", "dir/file"),
    ];
    let archive = tar(&entries);
    for (name, bytes) in [
        ("a.tar", archive.clone()),
        ("a.tgz", gzip(&archive)),
        ("a.tbz2", bzip2(&archive)),
    ] {
        let place = Place::new();
        place.extract(name, &bytes).unwrap();
        for path in ["dir/file", "dir/link", "second"] {
            let read = std::fs::read(place.sandbox().join(path)).unwrap();
            assert_eq!(read, b"content", "{name}: {path}");
        }
    }
    let place = Place::new();
    let entries: [(&str, u32, &[u8]); 2] = [
        ("dir/file", 0o755, b"content"),
        ("link", 0o120_777, b"dir/file"),
    ];
    place.extract("a.zip", &zip(&entries)).unwrap();
    assert_eq!(
        std::fs::read(place.sandbox().join("link")).unwrap(),
        b"content"
    );
    let place = Place::new();
    place.extract("a.txt.gz", &gzip(b"content")).unwrap();
    assert_eq!(
        std::fs::read(place.sandbox().join("a.txt")).unwrap(),
        b"content"
    );
}

#[test]
fn what_system_tools_pack_is_extracted() {
    for (name, flag) in [("a.tar.xz", "-J"), ("a.tar.zst", "--zstd")] {
        let place = Place::new();
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("file"), "content".repeat(50_000)).unwrap();
        let packed = source.path().join(name);
        let tar = std::process::Command::new("tar")
            .args([flag, "-cf"])
            .args([
                packed.as_path(),
                Path::new("-C"),
                source.path(),
                Path::new("file"),
            ])
            .output();
        if !tar.is_ok_and(|output| output.status.success()) {
            continue; // This machine has no tool for it.
        }
        place
            .extract(name, &std::fs::read(packed).unwrap())
            .unwrap();
        let found = std::fs::read(place.sandbox().join("file")).unwrap();
        assert_eq!(found.len(), 7 * 50_000);
    }
}
