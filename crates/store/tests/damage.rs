//! Files that are not as they were written: cut short, with changed bytes, with pieces missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use meseta_store::{Error, Fact, OnDamage, Store};
use tempfile::TempDir;

/// What every key was ever set to, in order; `None` where it was forgotten.
type History = BTreeMap<String, Vec<Option<Vec<u8>>>>;

const COMMITS: u8 = 40;

struct Written {
    _home: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    history: History,
    /// How long the file was after each commit.
    lengths: Vec<usize>,
}

/// A store with a life behind it, as an agent leaves it.
fn written() -> Written {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("facts");
    let mut store = Store::open(&path).unwrap();
    let mut history = History::new();
    let length = |path: &Path| usize::try_from(path.metadata().unwrap().len()).unwrap();
    let mut lengths = vec![length(&path)];
    for commit in 0..COMMITS {
        let mut changes = vec![(format!("task/{commit}"), Some(vec![commit; 200]))];
        changes.push(("agent".into(), Some(vec![commit; 30])));
        changes.push((format!("executor/{}", commit % 7), Some(vec![!commit; 90])));
        if commit > 20 {
            changes.push((format!("task/{}", commit - 20), None));
        }
        store.commit(&changes).unwrap();
        lengths.push(length(&path));
        for (key, value) in changes {
            history.entry(key).or_default().push(value);
        }
    }
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    Written {
        _home: home,
        path,
        bytes,
        history,
        lengths,
    }
}

impl Written {
    fn facts(&self) -> Vec<Fact> {
        let latest = self.history.iter();
        latest
            .filter_map(|(key, values)| Some((key.clone(), values.last()?.clone()?)))
            .collect()
    }

    /// Opens the store over these bytes; gives its facts and whether it took them for damaged.
    fn opened(&self, bytes: &[u8]) -> (Vec<Fact>, bool) {
        self.clear();
        std::fs::write(&self.path, bytes).unwrap();
        let store = Store::open(&self.path).unwrap();
        let facts = store.load().unwrap();
        let is_damaged = !store.damage().is_none();
        let kept = self.path.with_file_name("facts.damaged-1");
        assert_eq!(is_damaged, kept.exists(), "what is damaged is kept");
        if is_damaged {
            assert!(!store.damage().to_string().is_empty());
            assert_eq!(std::fs::read(kept).unwrap(), bytes, "as it is");
        }
        drop(store);
        // What was set aside once is not damaged a second time.
        let again = Store::open_with(&self.path, OnDamage::Refuse).unwrap();
        assert_eq!(again.load().unwrap(), facts);
        (facts, is_damaged)
    }

    fn clear(&self) {
        for entry in std::fs::read_dir(self.path.parent().unwrap()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    /// Nothing is there that was never true.
    fn check_values(&self, facts: &[Fact], what: &str) {
        for (key, value) in facts {
            let known = self.history.get(key);
            let known = known.is_some_and(|values| values.iter().flatten().any(|v| v == value));
            assert!(known, "{what}: {key} was never {value:?}");
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_has_every_commit_before_that_and_no_half_of_one() {
    let written = written();
    // Around every end of a commit, and here and there between them.
    let ends = written.lengths.iter();
    let around = ends.flat_map(|end| end - 1..=end + 1);
    let lengths = around.chain((0..written.bytes.len()).step_by(149));
    for length in lengths.filter(|length| *length <= written.bytes.len()) {
        let (facts, is_damaged) = written.opened(&written.bytes[..length]);
        assert!(!is_damaged, "{length}: a crash is no damage");
        let whole = written.lengths.iter().filter(|end| **end <= length).count();
        let commits = whole.saturating_sub(1);
        let tasks = facts.iter().filter(|(key, _)| key.starts_with("task/"));
        let newest = tasks.filter_map(|(_, value)| value.first()).max();
        let expected = commits.checked_sub(1).map(|it| u8::try_from(it).unwrap());
        assert_eq!(newest.copied(), expected, "{length}");
        let agent = facts.iter().find(|(key, _)| key == "agent");
        assert_eq!(agent.map(|(_, value)| value[0]), expected, "{length}");
    }
}

#[test]
fn a_changed_byte_costs_what_it_has_met_and_is_never_taken_for_the_truth() {
    let written = written();
    let whole = written.facts();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let at = random.usize(..written.bytes.len());
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 1 << random.u32(..8);
        let (facts, is_damaged) = written.opened(&bytes);
        written.check_values(&facts, &format!("byte {at}"));
        // One byte is in one commit, of at most four facts. What changed once more is not lost.
        let missing = whole.iter().filter(|fact| !facts.contains(fact)).count();
        assert!(missing <= 4, "byte {at}: {missing} facts are lost");
        // A mark that is spoilt in the last, half written frame is all that may look like a crash.
        assert!(
            is_damaged || facts == whole || at >= written.lengths[39],
            "byte {at}"
        );
    }
}

#[test]
fn bytes_that_are_missing_added_or_zero_cost_what_they_have_met() {
    let written = written();
    let whole = written.facts();
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..150 {
        let mut bytes = written.bytes.clone();
        let from = random.usize(..bytes.len());
        let to = (from + random.usize(1..600)).min(bytes.len());
        match round % 3 {
            0 => drop(bytes.drain(from..to)),
            1 => bytes[from..to].fill(0),
            _ => drop(bytes.splice(from..from, (from..to).map(|_| random.u8(..)))),
        }
        let (facts, _) = written.opened(&bytes);
        written.check_values(&facts, &format!("bytes {from}..{to}"));
        let missing = whole.iter().filter(|fact| !facts.contains(fact)).count();
        // Of the salt there are two copies close to each other: without both nothing can be told.
        if from > 64 {
            assert!(
                missing <= 16,
                "bytes {from}..{to}: {missing} facts are lost"
            );
        }
    }
}

#[test]
fn last_sectors_that_never_reached_the_disk_are_no_damage_and_cost_the_last_commits_alone() {
    let written = written();
    // At the end of a commit a block of another size may begin: a file grows in place.
    let sectors = (0..written.bytes.len()).step_by(512);
    let ends = written.lengths.iter().copied();
    for from in sectors.chain(ends).filter(|from| *from > 64) {
        // As long as it was, and much longer than anything in it.
        for more in [0, 10_000] {
            let mut bytes = written.bytes.clone();
            bytes[from..].fill(0);
            bytes.resize(bytes.len() + more, 0);
            let (facts, is_damaged) = written.opened(&bytes);
            assert!(!is_damaged, "{from}: a crash is no damage");
            let whole = written.lengths.iter().filter(|end| **end <= from).count();
            let newest = facts.iter().filter(|(key, _)| key.starts_with("task/"));
            let newest = newest.filter_map(|(_, value)| value.first()).max();
            let expected = whole.checked_sub(2).map(|it| u8::try_from(it).unwrap());
            assert_eq!(newest.copied(), expected, "{from}");
        }
    }
}

#[test]
fn the_facts_that_are_lost_are_named() {
    let written = written();
    let mut bytes = written.bytes.clone();
    let needle = vec![13_u8; 200];
    let at = bytes.windows(200).position(|part| part == needle).unwrap();
    bytes[at + 50] ^= 1;
    // Its task was forgotten later: nothing is lost.
    std::fs::write(&written.path, &bytes).unwrap();
    assert!(
        Store::open(&written.path)
            .unwrap()
            .damage()
            .facts
            .is_empty()
    );

    let needle = vec![33_u8; 200];
    let at = bytes.windows(200).position(|part| part == needle).unwrap();
    bytes[at + 50] ^= 1;
    written.clear();
    std::fs::write(&written.path, &bytes).unwrap();
    let refusal = Store::open_with(&written.path, OnDamage::Refuse).unwrap_err();
    assert!(matches!(refusal, Error::Damaged { .. }));
    assert!(
        refusal
            .to_string()
            .ends_with("is damaged: the facts task/33 can't be read")
    );
    assert_eq!(
        std::fs::read(&written.path).unwrap(),
        bytes,
        "it is left alone"
    );
    let store = Store::open(&written.path).unwrap();
    assert!(store.damage().facts.iter().eq(["task/33"]));
    assert_eq!(store.load().unwrap().len() + 1, written.facts().len());
}

#[test]
fn files_that_are_none_of_ours_are_kept_and_those_of_other_versions_refused() {
    let written = written();
    let (facts, is_damaged) = written.opened(&vec![7; 65_536]);
    assert!(facts.is_empty() && is_damaged);
    written.clear();
    std::fs::write(
        &written.path,
        [b"meseta facts 2\r\n".as_slice(), &[9; 100]].concat(),
    )
    .unwrap();
    let refusal = Store::open(&written.path).unwrap_err();
    assert!(matches!(refusal, Error::Version { .. }), "{refusal}");
}

#[test]
fn damaged_files_that_are_kept_are_a_handful() {
    let written = written();
    for _ in 0..20 {
        std::fs::write(&written.path, [7; 1000]).unwrap();
        drop(Store::open(&written.path).unwrap());
    }
    let files = std::fs::read_dir(written.path.parent().unwrap()).unwrap();
    assert!(files.count() <= 10);
}

#[test]
fn a_store_that_changes_for_ever_stays_small_and_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("facts");
    let mut store = Store::open(&path).unwrap();
    store
        .commit(&[("first".into(), Some(vec![1; 10]))])
        .unwrap();
    for round in 0..200_u32 {
        let value = round.to_le_bytes().repeat(5_000);
        store.commit(&[("changing".into(), Some(value))]).unwrap();
        let length = path.metadata().unwrap().len();
        assert!(length < 1_200_000, "{length}");
    }
    let expected = [
        ("changing".to_owned(), 199_u32.to_le_bytes().repeat(5_000)),
        ("first".to_owned(), vec![1; 10]),
    ];
    assert_eq!(store.load().unwrap(), expected);
    drop(store);
    assert_eq!(Store::open(&path).unwrap().load().unwrap(), expected);
}
