use super::*;

struct Place {
    _home: tempfile::TempDir,
    cache: Arc<Cache>,
}

impl Place {
    fn new(capacity: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::new(home.path().to_owned(), capacity);
        std::fs::create_dir(cache.directory(None)).unwrap();
        Self { _home: home, cache }
    }

    fn claim(&self, uri: &str) -> Claim {
        self.cache.claim(&key(uri), &Cancelled::default())
    }

    fn filling(&self, uri: &str) -> Filling {
        match self.claim(uri) {
            Claim::Fill(filling) => filling,
            other => panic!("{other:?}"),
        }
    }

    fn fill(&self, uri: &str, size: u64) -> Use {
        let filling = self.filling(uri);
        std::fs::write(filling.directory().join(filling.file()), "x").unwrap();
        filling.complete(size)
    }

    fn has(&self, uri: &str) -> bool {
        matches!(self.claim(uri), Claim::Ready(_))
    }
}

fn key(uri: &str) -> Key {
    Key {
        user: None,
        uri: uri.into(),
    }
}

/// Fetches that claim one URI, and their answers.
fn waiting(place: &Place, count: usize) -> Vec<std::thread::JoinHandle<Claim>> {
    let start = || {
        let cache = Arc::clone(&place.cache);
        std::thread::spawn(move || cache.claim(&key("a"), &Cancelled::default()))
    };
    (0..count).map(|_| start()).collect()
}

#[test]
fn all_that_ask_at_once_share_one_download() {
    let place = Place::new(10);
    let filling = place.filling("a");
    let others = waiting(&place, 20);
    let path = filling.complete(5).path().to_owned();
    for other in others {
        match other.join().unwrap() {
            Claim::Ready(copy) => assert_eq!(copy.path(), path),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(place.cache.used(), 5);
}

#[test]
fn users_do_not_share_copies() {
    let place = Place::new(10);
    drop(place.fill("a", 1));
    let theirs = Key {
        user: Some("alice".into()),
        ..key("a")
    };
    let claim = place.cache.claim(&theirs, &Cancelled::default());
    assert!(matches!(claim, Claim::Fill(_)), "{claim:?}");
}

#[test]
fn what_was_not_used_for_longest_goes_when_there_is_no_room() {
    let place = Place::new(10);
    let first = place.fill("a", 4).path().to_owned();
    let second = place.fill("b", 4).path().to_owned();
    assert!(place.has("a"));
    drop(place.fill("c", 4));
    assert_eq!(place.cache.used(), 8);
    assert!(first.exists() && !second.exists());
    assert!(place.has("a") && place.has("c") && !place.has("b"));
}

#[test]
fn what_is_in_use_stays_until_it_is_not() {
    let place = Place::new(10);
    let first = place.fill("a", 8);
    let second = place.fill("b", 8);
    assert!(first.path().exists() && second.path().exists());
    let path = first.path().to_owned();
    drop(first);
    assert!(!path.exists() && second.path().exists());
    assert_eq!(place.cache.used(), 8);
}

#[test]
fn a_download_that_fails_fails_for_those_who_wait_and_later_ones_try_again() {
    let place = Place::new(10);
    let filling = place.filling("a");
    let seen = Arc::clone(&filling.failed);
    let other = waiting(&place, 1).remove(0);
    // Until the other waits: it holds on to the outcome then.
    while Arc::strong_count(&seen) < 4 {
        std::thread::yield_now();
    }
    filling.fail();
    assert!(matches!(other.join().unwrap(), Claim::Failed));
    place.filling("a");
}

#[test]
fn a_download_that_is_given_up_is_taken_over_by_one_who_waits() {
    let place = Place::new(10);
    let filling = place.filling("a");
    let other = waiting(&place, 1).remove(0);
    drop(filling);
    assert!(matches!(other.join().unwrap(), Claim::Fill(_)));
}

#[test]
fn who_is_cancelled_waits_no_longer() {
    let place = Place::new(10);
    let filling = place.filling("a");
    let cancelled = Cancelled::default();
    let (cache, theirs) = (Arc::clone(&place.cache), cancelled.clone());
    let other = std::thread::spawn(move || cache.claim(&key("a"), &theirs));
    cancelled.cancel();
    place.cache.wake();
    assert!(matches!(other.join().unwrap(), Claim::Cancelled));
    drop(filling);
}
