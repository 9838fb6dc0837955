//! Archives that mean harm, on their whole way: nothing is written outside the sandbox, and both the
//! sandbox and the task's status say what was wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::archives::{
    Entry, EntryType, LINK, Packing, claiming, file, sparse, special, tar, zip,
};
use crate::support::daemon::{Cluster, Place};
use crate::support::scheduler::{framework, shell_task};

/// An archive, and what is to be said of it.
struct Hostile {
    name: &'static str,
    bytes: Vec<u8>,
    sentence: &'static str,
}

const OUT: &str = "leads out of the sandbox";
const THROUGH: &str = "in its path is a link or a file";
const DEVICE: &str = "it is a device or a pipe";
const TOO_MUCH: &str = "it comes to more than the";

fn a_tar(entries: &[Entry<'_>], sentence: &'static str) -> Hostile {
    Hostile {
        name: "a.tar",
        bytes: tar(entries),
        sentence,
    }
}

fn a_zip(entries: &[(&str, u32, &[u8])], sentence: &'static str) -> Hostile {
    Hostile {
        name: "a.zip",
        bytes: zip(entries),
        sentence,
    }
}

/// `outside` is a path that nothing may be written to.
fn hostile_archives(outside: &Path) -> Vec<Hostile> {
    let absolute = outside.to_str().expect("a path");
    let mut all = vec![
        a_tar(&[file("../evil", b"x")], OUT),
        a_tar(&[file("a/../../evil", b"x")], OUT),
        a_tar(&[file(absolute, b"x")], OUT),
        a_tar(&[special(EntryType::Directory, "../evil/", "")], OUT),
        a_tar(&[special(EntryType::Symlink, "link", "../evil")], OUT),
        a_tar(&[special(EntryType::Symlink, "link", absolute)], OUT),
        a_tar(&[special(EntryType::Symlink, "a/link", "../../evil")], OUT),
        a_tar(&[special(EntryType::Link, "link", "../evil")], OUT),
        a_tar(&[special(EntryType::Link, "link", "/etc/passwd")], OUT),
        a_tar(
            &[
                special(EntryType::Symlink, "one", "two"),
                special(EntryType::Link, "three", "one"),
            ],
            "is no file",
        ),
        a_tar(
            &[
                special(EntryType::Symlink, "here", "."),
                file("here/evil", b"x"),
            ],
            THROUGH,
        ),
        // Each of these stays inside by itself.
        a_tar(
            &[
                special(EntryType::Directory, "a/b", ""),
                special(EntryType::Symlink, "a/b/c", "../.."),
                special(EntryType::Symlink, "out", "a/b/c/.."),
                file("out/evil", b"x"),
            ],
            THROUGH,
        ),
        a_tar(
            &[file("a", b"x"), special(EntryType::Directory, "a", "")],
            THROUGH,
        ),
        a_tar(&[special(EntryType::Char, "device", "")], DEVICE),
        a_tar(&[special(EntryType::Block, "device", "")], DEVICE),
        a_tar(&[special(EntryType::Fifo, "pipe", "")], DEVICE),
        a_tar(
            &[claiming(EntryType::Regular, "large", 1 << 32)],
            "the archive ends after",
        ),
        a_tar(
            &[claiming(EntryType::GNULongName, "././@LongLink", 1 << 32)],
            "Failed to extract",
        ),
        Hostile {
            name: "a.tar",
            bytes: sparse("sparse"),
            sentence: TOO_MUCH,
        },
        a_zip(&[("../evil", 0o644, b"x")], OUT),
        a_zip(&[(absolute, 0o644, b"x")], OUT),
        a_zip(&[("link", LINK, b"../evil")], OUT),
        a_zip(&[("here", LINK, b"."), ("here/evil", 0o644, b"x")], THROUGH),
        a_zip(
            &[(&("a/".repeat(200) + "evil"), 0o644, b"x")],
            "the path has more than",
        ),
        a_zip(&[(&"a".repeat(300), 0o644, b"x")], "File name too long"),
        a_zip(&[("zeros", 0o644, &vec![0; 96 << 20])], TOO_MUCH),
    ];
    // Noise, so that what is cut off holds content.
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for packing in Packing::ALL {
        all.push(Hostile {
            name: packing.name(),
            bytes: packing.bomb(),
            sentence: TOO_MUCH,
        });
        let mut cut = packing.pack(&tar(&[file("noise", &noise)]));
        cut.truncate(cut.len() / 2);
        all.push(Hostile {
            name: packing.name(),
            bytes: cut,
            sentence: "Failed to extract",
        });
    }
    let mut cut = zip(&[("noise", 0o644, &noise)]);
    cut.truncate(cut.len() / 2);
    all.push(Hostile {
        name: "a.zip",
        bytes: cut,
        sentence: "Failed to extract",
    });
    all
}

fn extracting(id: &str, archive: &Path, command: &str) -> Value {
    let mut task = shell_task(id, command);
    task["command"]["uris"] = json!([{"value": archive, "extract": true}]);
    task
}

fn put(place: &Place, folder: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let folder = place.join(folder);
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("an archive");
    folder.join(name)
}

/// All below a folder that has this name.
fn named(name: &str, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_name() == name {
            found.push(entry.path());
        }
        if entry.file_type().expect("a type").is_dir() {
            found.extend(named(name, &entry.path()));
        }
    }
    found
}

#[test]
fn hostile_archives_leave_nothing_outside_the_sandbox_and_are_told_of() {
    let cluster = Cluster::with(&["--resources=cpus:50;mem:50000;disk:10000"]);
    let place = &cluster.place;
    let outside = place.join("evil");
    let archives = hostile_archives(&outside);
    let mut tasks = Vec::new();
    let mut expected = BTreeMap::new();
    for (number, archive) in archives.iter().enumerate() {
        let id = format!("hostile-{number}");
        let path = put(place, &id, archive.name, &archive.bytes);
        tasks.push(extracting(&id, &path, "true"));
        expected.insert(id, archive.sentence);
    }
    assert!(expected.len() >= 30);
    let mut scheduler = cluster.subscribe(framework("fetching"));
    let offer = scheduler.offer();
    scheduler.launch(&offer, &tasks);
    while !expected.is_empty() {
        let status = scheduler.acknowledged_update();
        let id = status["task_id"]["value"].as_str().expect("an id");
        let Some(sentence) = expected.remove(id) else {
            panic!("of {id} was told more than once: {status}");
        };
        assert_eq!(status["state"], "TASK_FAILED", "{sentence}: {status}");
        assert_eq!(
            status["reason"], "REASON_CONTAINER_LAUNCH_FAILED",
            "{status}"
        );
        let message = status["message"].as_str().expect("a message");
        assert!(message.contains(sentence), "{sentence}: {message}");
        let said = std::fs::read_to_string(place.sandbox_of(id).join("stderr"));
        let said = said.expect("its stderr");
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    assert_eq!(named("evil", place.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_is_odd_in_an_archive_and_does_no_harm_is_taken() {
    let cluster = Cluster::start();
    let bomb = Packing::Bzip2.bomb();
    let archive = tar(&[
        special(EntryType::Directory, "folder/", ""),
        file("folder/twice", b"first"),
        file("folder/twice", b"second"),
        special(EntryType::Symlink, "link", "folder/twice"),
        special(EntryType::Link, "also", "folder/twice"),
        // In place of the link, not through it.
        file("link", b"file"),
        // What is in it is not looked at.
        file("inner.tar.bz2", &bomb),
    ]);
    for packing in Packing::ALL {
        let id = packing.name();
        let path = put(
            &cluster.place,
            &format!("{packing:?}"),
            id,
            &packing.pack(&archive),
        );
        let command = "test \"$(cat folder/twice also link)\" = secondsecondfile \
                       && test ! -u folder/twice && test ! -e zeros";
        let mut scheduler = cluster.subscribe(framework(id));
        scheduler.start(&extracting(id, &path, command));
        for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
            scheduler.expect(state);
        }
    }
}
