//! What event streams begin with: the state of a whole cluster, made once for all that begin with the
//! same moment.
//!
//! The machine lets all streams begin together whose requests have waited, and waits for word of it
//! before it lets the next ones ([`Input::WatchesOpened`](meseta_master::Input)). So one thread of low
//! priority is enough: what it makes is one record in each encoding that was asked for, which the
//! streams share. Records are let go when the last client has taken one, or is gone; only so many are
//! in memory at once, and who finds no room for another is told so.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use meseta_machine::ContentType;
use tokio::sync::oneshot;

use super::limits::{MAX_OPENINGS, OPENING_PATIENCE};
use super::readings::NICENESS;

/// Who waits for a record, and in which encoding. Nothing comes when there is no room for it.
pub(crate) type Asker = (ContentType, oneshot::Sender<Bytes>);

/// The thread that makes what streams of moments of type `M` begin with. It ends with this.
pub(crate) struct Openings<M> {
    jobs: Sender<Job<M>>,
}

/// What streams of one moment begin with.
struct Job<M> {
    moment: M,
    askers: Vec<Asker>,
    done: Box<dyn FnOnce() + Send>,
}

impl<M: Send + 'static> Openings<M> {
    /// Starts the thread, which makes records with `render`.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub(crate) fn start(
        render: impl Fn(&M, ContentType) -> Vec<u8> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        std::thread::Builder::new()
            .name("openings".into())
            .spawn(move || {
                // It is as well without.
                let _ = rustix::process::setpriority_process(None, NICENESS);
                let places = Places::new(MAX_OPENINGS);
                carry_out(&waiting, &places, OPENING_PATIENCE, render);
            })?;
        Ok(Self { jobs })
    }

    /// Has records made for all who ask, and says when it is done. Does not wait for it.
    pub(crate) fn make(&self, moment: M, askers: Vec<Asker>, done: impl FnOnce() + Send + 'static) {
        let done = Box::new(done);
        // The thread lives as long as this.
        let _ = self.jobs.send(Job {
            moment,
            askers,
            done,
        });
    }
}

impl<M> fmt::Debug for Openings<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Openings").finish_non_exhaustive()
    }
}

fn carry_out<M>(
    jobs: &Receiver<Job<M>>,
    places: &Arc<Places>,
    patience: Duration,
    render: impl Fn(&M, ContentType) -> Vec<u8>,
) {
    for Job {
        moment,
        mut askers,
        done,
    } in jobs
    {
        while let Some((encoding, _)) = askers.first() {
            let encoding = *encoding;
            let (same, others) = askers.into_iter().partition(|(its, _)| *its == encoding);
            askers = others;
            answer(same, places, patience, || render(&moment, encoding));
        }
        // It may have been the last to know of what the cluster was like.
        drop(moment);
        done();
    }
}

/// Gives all who still wait the same record.
fn answer(
    mut askers: Vec<Asker>,
    places: &Arc<Places>,
    patience: Duration,
    render: impl FnOnce() -> Vec<u8>,
) {
    askers.retain(|(_, asker)| !asker.is_closed());
    if askers.is_empty() {
        return;
    }
    let Some(place) = places.take(patience) else {
        tracing::warn!(
            streams = askers.len(),
            "refused event streams: clients take what others began with too slowly"
        );
        return;
    };
    // A fault in rendering is the fault of these streams alone, which end without a beginning.
    let Ok(record) = catch_unwind(AssertUnwindSafe(render)) else {
        return;
    };
    let record = Bytes::from_owner(Opening {
        record: framed(record),
        _place: place,
    });
    for (_, asker) in askers {
        // One who has gone needs none.
        let _ = asker.send(record.clone());
    }
}

/// A record in the framing of `RecordIO`, in the memory that it is in: it is large.
fn framed(mut record: Vec<u8>) -> Vec<u8> {
    let length = format!("{}\n", record.len());
    record.splice(..0, length.into_bytes());
    record.shrink_to_fit();
    record
}

/// A record, and its place among those in memory.
struct Opening {
    record: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Opening {
    fn as_ref(&self) -> &[u8] {
        &self.record
    }
}

/// Room for some records.
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Room for one, until this is dropped.
struct Place(Arc<Places>);

impl Places {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(count),
            freed: Condvar::new(),
        })
    }

    /// It is a number, which is whole whatever happens.
    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, patience: Duration) -> Option<Place> {
        let waited = self
            .freed
            .wait_timeout_while(self.free(), patience, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Answer = oneshot::Receiver<Bytes>;

    /// Asks in so many encodings.
    fn asking(encodings: &[ContentType]) -> (Vec<Asker>, Vec<Answer>) {
        let ask = |encoding: &ContentType| {
            let (asker, answer) = oneshot::channel();
            ((*encoding, asker), answer)
        };
        encodings.iter().map(ask).unzip()
    }

    /// Has `jobs` carried out with so many places, and says how often something was rendered.
    fn carried_out(places: &Arc<Places>, patience: Duration, jobs: Vec<(u8, Vec<Asker>)>) -> usize {
        let rendered = AtomicUsize::new(0);
        let (sender, receiver) = channel();
        for (moment, askers) in jobs {
            let done = Box::new(|| {});
            let job = Job {
                moment,
                askers,
                done,
            };
            sender.send(job).unwrap();
        }
        drop(sender);
        carry_out(&receiver, places, patience, |moment, encoding| {
            rendered.fetch_add(1, Ordering::Relaxed);
            assert_ne!(*moment, b'!');
            format!("{} {}", char::from(*moment), encoding.as_str()).into_bytes()
        });
        rendered.into_inner()
    }

    fn text(answer: Answer) -> Option<String> {
        let record = answer.blocking_recv().ok()?;
        Some(String::from_utf8(record.to_vec()).unwrap())
    }

    const JSON: ContentType = ContentType::Json;
    const PROTOBUF: ContentType = ContentType::Protobuf;

    #[test]
    fn a_moment_is_rendered_once_for_each_encoding_that_somebody_waits_for() {
        let (askers, answers) = asking(&[JSON, PROTOBUF, JSON, JSON]);
        let places = Places::new(2);
        assert_eq!(
            carried_out(&places, Duration::ZERO, vec![(b'a', askers)]),
            2
        );
        let answers: Vec<_> = answers.into_iter().filter_map(text).collect();
        let json = "18\na application/json";
        let protobuf = "24\na application/x-protobuf";
        assert_eq!(answers, [json, protobuf, json, json]);
        assert_eq!(*places.free(), 2, "nobody has any of it in memory");

        let (askers, answers) = asking(&[JSON]);
        drop(answers);
        assert_eq!(
            carried_out(&places, Duration::ZERO, vec![(b'a', askers)]),
            0
        );
    }

    #[test]
    fn who_finds_no_room_gets_nothing_until_the_last_has_taken_what_others_began_with() {
        let places = Places::new(1);
        let (askers, mut first) = asking(&[JSON, JSON]);
        let (more, second) = asking(&[PROTOBUF]);
        let jobs = vec![(b'a', askers), (b'b', more)];
        assert_eq!(carried_out(&places, Duration::ZERO, jobs), 1);
        assert!(second.into_iter().all(|answer| text(answer).is_none()));

        let held: Vec<_> = first.drain(..).map(|it| it.blocking_recv()).collect();
        assert_eq!(*places.free(), 0);
        drop(held);
        let (askers, answers) = asking(&[JSON]);
        carried_out(&places, Duration::ZERO, vec![(b'c', askers)]);
        assert!(answers.into_iter().all(|answer| text(answer).is_some()));
    }

    #[test]
    fn one_waits_for_room_as_long_as_it_takes_within_reason() {
        let places = Places::new(1);
        let place = places.take(Duration::ZERO).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| places.take(Duration::from_mins(1)).is_some());
            drop(place);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_fault_in_one_leaves_the_next_ones_alone() {
        let places = Places::new(1);
        let (bad, unanswered) = asking(&[JSON]);
        let (good, answered) = asking(&[JSON]);
        let jobs = vec![(b'!', bad), (b'a', good)];
        assert_eq!(carried_out(&places, Duration::ZERO, jobs), 2);
        assert!(unanswered.into_iter().all(|answer| text(answer).is_none()));
        assert!(answered.into_iter().all(|answer| text(answer).is_some()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_said_when_all_is_made() {
        let openings = Openings::start(|moment: &&str, _| moment.as_bytes().to_vec()).unwrap();
        let (askers, answers) = asking(&[JSON, PROTOBUF]);
        let (said, done) = oneshot::channel();
        openings.make("now", askers, move || said.send(()).unwrap());
        done.await.unwrap();
        for mut answer in answers {
            assert_eq!(answer.try_recv().unwrap(), "3\nnow");
        }
    }
}
