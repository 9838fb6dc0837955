use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

const BLOCK: usize = 4096;

struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home }
    }

    /// On a file system that cannot collapse.
    fn in_memory() -> Option<Self> {
        let home = tempfile::tempdir_in("/dev/shm").ok()?;
        Some(Self { home })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn append(&self, content: &[u8]) -> File {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path("stdout"))
            .unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn rotate(&self, blocks: u64, rotated: u32) -> Result<(), RotationError> {
        let folder = OutputFolder::open(self.home.path(), Path::new("")).unwrap();
        let max_bytes = blocks * BLOCK as u64;
        folder.rotate("stdout", OutputBounds { max_bytes, rotated })
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Numbered lines, so that what is missing or there twice shows.
fn lines(from: usize, length: usize) -> Vec<u8> {
    let all = (from..).flat_map(|n| format!("{n:07}\n").into_bytes());
    all.take(length).collect()
}

#[test]
fn all_files_in_a_row_are_what_was_printed() {
    let place = Place::new();
    let printed = lines(0, 5 * BLOCK + 24);
    let mut writer = place.append(&printed);
    place.rotate(2, 9).unwrap();
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
    let files = ["stdout.2", "stdout.1", "stdout"].map(|name| place.read(name));
    assert_eq!(
        files.each_ref().map(Vec::len),
        [2 * BLOCK, 2 * BLOCK, BLOCK + 24]
    );
    assert!(files.concat() == printed);
    // The descriptor that programs have goes on at the end.
    writer.write_all(b"more").unwrap();
    assert!(place.read("stdout").ends_with(b"more"));
    assert_eq!(place.read("stdout").len(), BLOCK + 28);
}

#[test]
fn a_file_within_its_bounds_is_left_alone() {
    let place = Place::new();
    place.append(&lines(0, 2 * BLOCK));
    place.rotate(2, 9).unwrap();
    assert_eq!(place.names(), ["stdout"]);
}

#[test]
fn only_so_many_files_are_kept_and_they_are_the_latest() {
    let place = Place::new();
    let printed = lines(0, 9 * BLOCK + 8);
    for piece in printed.chunks(3 * BLOCK) {
        place.append(piece);
        place.rotate(1, 2).unwrap();
    }
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
    let files = ["stdout.2", "stdout.1", "stdout"].map(|name| place.read(name));
    assert!(printed.ends_with(&files.concat()));
    assert!(files.concat().len() > 2 * BLOCK);
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be() {
    let place = Place::new();
    place.append(&lines(0, 7 * BLOCK + 8));
    place.rotate(1, 0).unwrap();
    assert_eq!(place.names(), ["stdout"]);
    assert!(place.read("stdout").len() <= BLOCK);
}

#[test]
fn nothing_is_lost_or_there_twice_while_somebody_writes() {
    let place = Place::new();
    let total = 400 * BLOCK;
    let printed = lines(0, total);
    std::thread::scope(|scope| {
        let mut file = place.append(b"");
        let printed = &printed;
        scope.spawn(move || {
            for line in printed.chunks(8 * 64) {
                file.write_all(line).unwrap();
            }
        });
        while place.path("stdout.40").metadata().is_err() {
            place.rotate(8, 1000).unwrap();
        }
    });
    let mut all = Vec::new();
    for name in (1..1000).rev().map(|n| format!("stdout.{n}")) {
        all.extend(fs::read(place.path(&name)).unwrap_or_default());
    }
    all.extend(place.read("stdout"));
    assert_eq!(all.len(), total);
    assert!(all == printed, "in order, each once");
}

#[test]
fn file_systems_that_cannot_collapse_get_a_copy_and_an_empty_file() {
    let Some(place) = Place::in_memory() else {
        return;
    };
    let printed = lines(0, 5 * BLOCK + 24);
    let mut writer = place.append(&printed);
    place.rotate(2, 9).unwrap();
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
    let kept = [place.read("stdout.2"), place.read("stdout.1")].concat();
    assert!(kept == printed);
    writer.write_all(b"more").unwrap();
    assert_eq!(place.read("stdout"), b"more");
    // Far beyond the bounds, the latest counts.
    let printed = lines(0, 90 * BLOCK);
    place.append(&printed);
    place.rotate(2, 2).unwrap();
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
    assert!(printed.ends_with(&[place.read("stdout.2"), place.read("stdout.1")].concat()));
}

#[test]
fn what_somebody_writes_who_does_not_append_is_kept_without_holes() {
    let place = Place::new();
    place.append(b"");
    let file = OpenOptions::new()
        .write(true)
        .open(place.path("stdout"))
        .unwrap();
    let printed = lines(0, 30 * BLOCK);
    let mut place_in_file = 0;
    for piece in printed.chunks(3 * BLOCK) {
        file.write_all_at(piece, place_in_file).unwrap();
        place_in_file += piece.len() as u64;
        place.rotate(2, 20).unwrap();
    }
    let names = (1..=20).rev().map(|n| format!("stdout.{n}"));
    let mut kept = Vec::new();
    for name in names.chain(["stdout".to_owned()]) {
        let content = fs::read(place.path(&name)).unwrap_or_default();
        assert!(content.len() <= 2 * BLOCK, "{name}");
        kept.extend(content);
    }
    assert!(kept == printed);
}

#[test]
fn links_and_foreign_files_are_not_touched() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    let content = lines(0, 5 * BLOCK);
    fs::write(&secret, &content).unwrap();

    symlink(&secret, place.path("stdout")).unwrap();
    place.rotate(1, 2).unwrap();
    assert_eq!(place.names(), ["stdout"]);

    fs::remove_file(place.path("stdout")).unwrap();
    fs::hard_link(&secret, place.path("stdout")).unwrap();
    place.rotate(1, 2).unwrap();
    assert_eq!(place.names(), ["stdout"]);
    assert!(fs::read(&secret).unwrap() == content);

    fs::remove_file(place.path("stdout")).unwrap();
    fs::create_dir(place.path("stdout")).unwrap();
    place.rotate(1, 2).unwrap();
    fs::remove_dir(place.path("stdout")).unwrap();

    let pipe = place.path("stdout");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    place.rotate(1, 2).unwrap();
    fs::remove_file(&pipe).unwrap();
    assert!(matches!(
        place.rotate(1, 2),
        Err(RotationError::File { .. })
    ));
}

#[test]
fn a_file_of_another_user_is_not_shown_to_this_one() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let user = 65534;
    std::os::unix::fs::chown(place.home.path(), Some(user), Some(user)).unwrap();
    place.append(&lines(0, 5 * BLOCK));
    place.rotate(1, 2).unwrap();
    assert_eq!(place.names(), ["stdout"], "root's own");

    std::os::unix::fs::chown(place.path("stdout"), Some(user), Some(user)).unwrap();
    fs::set_permissions(place.path("stdout"), fs::Permissions::from_mode(0o640)).unwrap();
    place.rotate(1, 2).unwrap();
    let kept = place.path("stdout.1").metadata().unwrap();
    assert_eq!(
        (kept.uid(), kept.gid(), kept.mode() & 0o777),
        (user, user, 0o640)
    );
}

#[test]
fn links_at_the_names_of_rotated_files_lead_nowhere() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["stdout.1", "stdout.2", ".stdout.rotating"] {
        symlink(&precious, place.path(name)).unwrap();
    }
    place.append(&lines(0, 2 * BLOCK));
    place.rotate(1, 2).unwrap();
    assert!(place.read("stdout.1") == lines(0, BLOCK));
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(place.path("stdout.2").is_symlink(), "it has moved on");
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
}

#[test]
fn a_folder_in_the_way_costs_what_would_be_kept_and_not_the_bound() {
    let place = Place::new();
    fs::create_dir_all(place.path("stdout.1/inner")).unwrap();
    fs::create_dir_all(place.path("stdout.2/inner")).unwrap();
    place.append(&lines(0, 5 * BLOCK));
    let outcome = place.rotate(1, 2);
    assert!(
        matches!(outcome, Err(RotationError::Lost { .. })),
        "{outcome:?}"
    );
    assert!(place.read("stdout").len() <= BLOCK);
    assert_eq!(place.names(), ["stdout", "stdout.1", "stdout.2"]);
}

#[test]
fn folders_below_a_sandbox_are_not_reached_by_links() {
    let place = Place::new();
    let below = Path::new("containers/c");
    fs::create_dir_all(place.path("containers/c")).unwrap();
    let printed = lines(0, 3 * BLOCK);
    fs::write(place.path("containers/c/stderr"), &printed).unwrap();
    let folder = OutputFolder::open(place.home.path(), below).unwrap();
    assert_eq!(folder.size("stderr").unwrap(), printed.len() as u64);
    let max_bytes = BLOCK as u64;
    folder
        .rotate(
            "stderr",
            OutputBounds {
                max_bytes,
                rotated: 1,
            },
        )
        .unwrap();
    assert_eq!(
        place.read("containers/c/stderr.1"),
        printed[BLOCK..2 * BLOCK]
    );

    fs::rename(place.path("containers"), place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.path("containers")).unwrap();
    assert!(OutputFolder::open(place.home.path(), below).is_err());
    assert!(OutputFolder::open(place.home.path(), Path::new("../x")).is_err());
}
