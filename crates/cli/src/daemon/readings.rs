//! Large answers, rendered once for all who ask for the same.
//!
//! Dashboards and monitoring ask a master for its whole state again and again, which takes up to a
//! second of a core each time in the largest clusters. Who asks while such an answer is being rendered
//! shares the next with all who ask for the same meanwhile: what twenty clients are told is rendered as
//! often as for one. It begins after all of them have asked, so that everybody sees their own changes.
//! Mesos batches requests in the same way.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use meseta_transport::{Body, Request, Response};
use tokio::sync::oneshot;

/// How much less than others the threads that render get of a core that both want: the nice level.
/// Whoever launches tasks meanwhile must not notice.
pub(super) const NICENESS: i32 = 10;

/// The headers that an answer may depend on.
const HEADERS: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST];

/// The threads that render large answers, and who waits for them. They end with this.
#[derive(Debug)]
pub(crate) struct Readings {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order of the first who asked for each.
    order: VecDeque<Question>,
    waiting: HashMap<Question, (Request, Askers)>,
    /// Whether nobody has asked since it was told that nobody asks.
    is_quiet: bool,
    has_ended: bool,
}

/// What a thread is to do next.
enum Next {
    Render(Box<Request>, Askers),
    /// Nobody has asked for a while.
    Rest,
    End,
}

/// Who waits for an answer, which is `None` when there is none that can be shared.
type Askers = Vec<oneshot::Sender<Option<Answer>>>;

/// What makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    /// All values of each of [`HEADERS`].
    headers: Vec<Vec<HeaderValue>>,
    body: Bytes,
}

/// An answer that can be given to many.
#[derive(Debug, Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Readings {
    /// Starts so many threads, which render with `render`. What that gives `None` for, or an answer
    /// that goes on, is not theirs. When nobody has asked for `quiet`, one of them does `rest`.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub(crate) fn start(
        threads: usize,
        render: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
        quiet: Duration,
        rest: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let this = Self {
            shared: Arc::default(),
        };
        // Nothing is left of answers before the first.
        this.shared.lock().is_quiet = true;
        let work = Arc::new((render, rest));
        for _ in 0..threads {
            let (shared, work) = (Arc::clone(&this.shared), Arc::clone(&work));
            std::thread::Builder::new()
                .name("reader".into())
                .spawn(move || {
                    // It is as well without.
                    let _ = rustix::process::setpriority_process(None, NICENESS);
                    let (render, rest) = &*work;
                    shared.work(quiet, render, rest);
                })?;
        }
        Ok(this)
    }

    /// The answer to a request, rendered after this was called; `None` if it has to be found out in
    /// another way.
    pub(crate) async fn ask(&self, request: &Request) -> Option<Response> {
        let (sender, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            queue.is_quiet = false;
            let question = Question::of(request);
            if let Some((_, waiting)) = queue.waiting.get_mut(&question) {
                waiting.push(sender);
            } else {
                queue.order.push_back(question.clone());
                let entry = (request.clone(), vec![sender]);
                queue.waiting.insert(question, entry);
                self.shared.changed.notify_one();
            }
        }
        let Answer {
            status,
            headers,
            body,
        } = answer.await.ok()??;
        let mut response = Response::new(status, Body::Full(body));
        response.headers = headers;
        Some(response)
    }
}

impl Drop for Readings {
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// The queue is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(
        &self,
        quiet: Duration,
        render: &impl Fn(&Request) -> Option<Response>,
        rest: &impl Fn(),
    ) {
        loop {
            match self.next(quiet) {
                Next::Render(request, waiting) => answer(&request, waiting, render),
                Next::Rest => rest(),
                Next::End => return,
            }
        }
    }

    /// What to do next. Whoever asks for what is rendered from now on is told something newer.
    fn next(&self, quiet: Duration) -> Next {
        let mut queue = self.lock();
        loop {
            if queue.has_ended {
                return Next::End;
            }
            let question = queue.order.pop_front();
            if let Some((request, waiting)) = question.and_then(|it| queue.waiting.remove(&it)) {
                return Next::Render(request.into(), waiting);
            }
            if queue.is_quiet {
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let woken = self.changed.wait_timeout(queue, quiet);
            let (after, waited) = woken.unwrap_or_else(PoisonError::into_inner);
            queue = after;
            if waited.timed_out() && queue.order.is_empty() && !queue.is_quiet {
                queue.is_quiet = true;
                return Next::Rest;
            }
        }
    }
}

/// Renders an answer and tells all who wait for it.
fn answer(request: &Request, waiting: Askers, render: impl Fn(&Request) -> Option<Response>) {
    // A fault in rendering is the fault of one answer: who asked is told in the other way.
    let rendered = catch_unwind(AssertUnwindSafe(|| render(request)));
    let answer = rendered.ok().flatten().and_then(Answer::of);
    for asker in waiting {
        // One who has gone needs no answer.
        let _ = asker.send(answer.clone());
    }
}

impl Question {
    fn of(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: HEADERS
                .iter()
                .map(|name| request.headers.get_all(name).iter().cloned().collect())
                .collect(),
            body: request.body.clone(),
        }
    }
}

impl Answer {
    fn of(response: Response) -> Option<Self> {
        let Body::Full(body) = response.body else {
            return None;
        };
        Some(Self {
            status: response.status,
            headers: response.headers,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn get(path: &str) -> Request {
        Request {
            method: Method::GET,
            path: path.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            peer: None,
        }
    }

    fn started(render: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Readings {
        Readings::start(1, render, Duration::MAX, || {}).unwrap()
    }

    fn text(response: Option<Response>) -> String {
        let Some(Body::Full(body)) = response.map(|response| response.body) else {
            panic!("no answer");
        };
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_who_ask_for_the_same_share_an_answer_that_is_newer_than_their_question() {
        let (begun, has_begun) = mpsc::channel();
        let (proceed, may_proceed) = mpsc::channel::<()>();
        let may_proceed = Mutex::new(may_proceed);
        let rendered = AtomicUsize::new(0);
        let readings = started(move |request| {
            let number = rendered.fetch_add(1, Ordering::Relaxed);
            begun.send(()).unwrap();
            may_proceed.lock().unwrap().recv().unwrap();
            let body = format!("{} {number}", request.path);
            Some(Response::new(StatusCode::OK, Body::Full(body.into())))
        });
        let readings = Arc::new(readings);
        let ask = |path: &'static str| {
            let readings = Arc::clone(&readings);
            tokio::spawn(async move { text(readings.ask(&get(path)).await) })
        };
        let first = ask("/state");
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        let later: Vec<_> = (0..20).map(|_| ask("/state")).collect();
        while readings
            .shared
            .lock()
            .waiting
            .values()
            .map(|(_, all)| all.len())
            .sum::<usize>()
            < 20
        {
            tokio::task::yield_now().await;
        }
        let other = ask("/tasks");
        for _ in 0..3 {
            proceed.send(()).unwrap();
        }
        assert_eq!(first.await.unwrap(), "/state 0");
        for answer in later {
            assert_eq!(answer.await.unwrap(), "/state 1");
        }
        assert_eq!(other.await.unwrap(), "/tasks 2");
    }

    #[tokio::test]
    async fn a_fault_in_one_answer_leaves_the_next_ones_alone() {
        let readings = started(|request| {
            assert_ne!(request.path, "/bad");
            Some(Response::new(StatusCode::OK, Body::Full("well".into())))
        });
        assert!(readings.ask(&get("/bad")).await.is_none());
        assert_eq!(text(readings.ask(&get("/good")).await), "well");
    }

    #[tokio::test]
    async fn what_cannot_be_rendered_is_said_not_to_be() {
        let readings = started(|_| None);
        assert!(readings.ask(&get("/state")).await.is_none());
    }

    #[tokio::test]
    async fn rest_comes_once_after_the_last_answer() {
        let (resting, mut rests) = tokio::sync::mpsc::unbounded_channel();
        let render = |_: &Request| Some(Response::new(StatusCode::OK, Body::Full("".into())));
        let quiet = Duration::from_millis(1);
        let rest = move || resting.send(()).unwrap();
        let readings = Readings::start(1, render, quiet, rest).unwrap();
        for _ in 0..2 {
            readings.ask(&get("/state")).await.unwrap();
            assert_eq!(rests.recv().await, Some(()));
        }
        drop(readings);
        assert_eq!(rests.recv().await, None, "there was no third");
    }

    #[test]
    fn requests_with_other_headers_or_bodies_are_not_the_same() {
        let plain = get("/state");
        let mut compressed = plain.clone();
        let gzip = HeaderValue::from_static("gzip");
        compressed.headers.insert(ACCEPT_ENCODING, gzip.clone());
        let mut posted = plain.clone();
        posted.body = "{}".into();
        let mut later = compressed.clone();
        let brotli = HeaderValue::from_static("br");
        later.headers.insert(ACCEPT_ENCODING, brotli);
        let other = later.clone();
        later.headers.append(ACCEPT_ENCODING, gzip);
        assert_ne!(Question::of(&other), Question::of(&later));
        assert_ne!(Question::of(&plain), Question::of(&compressed));
        assert_ne!(Question::of(&plain), Question::of(&posted));
        assert_eq!(Question::of(&plain), Question::of(&plain.clone()));
    }
}
