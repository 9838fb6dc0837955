//! Requests that wait for their machine's answer, and the event streams that are open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use meseta_endpoints::Weight;
use meseta_machine::{ContentType, Reply, RequestId, StreamId};
use meseta_proto::json;
use meseta_proto::{Wire, recordio};
use meseta_transport::{
    Backlog, Body, EventBody, Request, Response, SendError, StreamSender, event_stream,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::driver::Inputs;
use super::limits::{CALL_STEP_BYTES, CALLS_BYTES, MAX_READS, MAX_SMALL_CALL, MAX_STREAM_BYTES};

/// Why a request is not answered, or a stream does not begin.
const HAS_FAILED: &str = "has failed to answer this request";
pub(crate) const HAS_NO_ROOM: &str = "has no room for one more stream";

/// Where schedulers and executors make their calls.
const CALLS: [&str; 2] = ["/api/v1/scheduler", "/api/v1/executor"];

/// Between the requests of the network and the actions of a machine.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Places for requests that are looked up and bring nothing.
    reads: Semaphore,
    /// Places for those that bring a body, in steps of its size.
    calls: Arc<Semaphore>,
    next: AtomicU64,
    requests: Mutex<HashMap<RequestId, Waiting>>,
    streams: Mutex<HashMap<StreamId, Open>>,
    /// What waits for the readers of all streams.
    backlog: Backlog,
    /// How many readers were too slow.
    cut_off: AtomicU64,
}

/// How the readers of event streams keep up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlowReaders {
    pub(crate) cut_off: u64,
    pub(crate) waiting_bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Response>,
    stream_type: ContentType,
}

#[derive(Debug)]
struct Open {
    sender: StreamSender,
    stream_type: ContentType,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            reads: Semaphore::new(MAX_READS),
            calls: Arc::new(Semaphore::new(CALLS_BYTES / CALL_STEP_BYTES)),
            next: AtomicU64::new(0),
            requests: Mutex::default(),
            streams: Mutex::default(),
            backlog: Backlog::default(),
            cut_off: AtomicU64::new(0),
        }
    }
}

impl Exchange {
    /// Looks a request up, and waits for the machine where it must. What a body becomes in memory
    /// is bounded by letting few be in work at once, whether or not their senders wait.
    pub(crate) async fn respond<I: Send + 'static>(
        self: Arc<Self>,
        inputs: Inputs<I>,
        request: Request,
        weight: Weight,
        look_up: impl FnOnce(&Request) -> Found<I> + Send + 'static,
    ) -> Response {
        let brings = request.body.len();
        if brings == 0 && weight == Weight::Light {
            // Whoever asks whether the daemon is well waits behind nobody.
            return match look_up(&request) {
                Found::Response(response) => response,
                Found::Question(_, answer) | Found::Held(_, answer) => awaited(answer).await,
            };
        }
        if brings == 0 {
            let _place = self.reads.acquire().await;
            return match asked(inputs, request, look_up).await {
                Asked::Response(response) => response,
                Asked::Question(answer) | Asked::Held(answer) => awaited(answer).await,
            };
        }
        let steps = (1 + brings / CALL_STEP_BYTES).min(CALLS_BYTES / CALL_STEP_BYTES);
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let Ok(place) = Arc::clone(&self.calls).acquire_many_owned(steps).await else {
            return failed("is about to end");
        };
        let in_work = tokio::spawn(async move {
            let asked = asked(inputs, request, look_up).await;
            let asked = match asked {
                Asked::Held(answer) => return Asked::Held(answer),
                Asked::Question(answer) => Asked::Response(awaited(answer).await),
                Asked::Response(response) => Asked::Response(response),
            };
            drop(place);
            asked
        });
        match in_work.await {
            Ok(Asked::Response(response)) => response,
            // The machine bounds how many of these it holds.
            Ok(Asked::Held(answer) | Asked::Question(answer)) => awaited(answer).await,
            Err(_) => failed(HAS_FAILED),
        }
    }

    /// A number for a request, and its answer once the machine gives one. Should the request open
    /// a stream, its events will be of `stream_type`.
    pub(crate) fn ask(&self, stream_type: ContentType) -> (RequestId, oneshot::Receiver<Response>) {
        let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting {
            answer,
            stream_type,
        };
        lock(&self.requests).insert(request, waiting);
        (request, receiver)
    }

    /// Answers a request.
    pub(crate) fn reply(&self, request: RequestId, reply: Reply) {
        if let Some(waiting) = lock(&self.requests).remove(&request) {
            // Whoever asked may be gone; there is nobody to tell then.
            let _ = waiting.answer.send(reply.into());
        }
    }

    /// Answers a request with what was made for it.
    pub(crate) fn answer(&self, request: RequestId, response: Response) {
        if let Some(waiting) = lock(&self.requests).remove(&request) {
            let _ = waiting.answer.send(response);
        }
    }

    /// Answers a request with a stream, and calls `closed` when its reader has gone or is too slow.
    pub(crate) fn open(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        request: RequestId,
        stream: StreamId,
        closed: impl FnOnce(StreamId) + Send + 'static,
    ) {
        let Some(waiting) = lock(&self.requests).remove(&request) else {
            return;
        };
        let (sender, body) = event_stream(MAX_STREAM_BYTES, &self.backlog);
        let open = Open {
            sender: sender.clone(),
            stream_type: waiting.stream_type,
        };
        lock(&self.streams).insert(stream.clone(), open);
        let response = Response::new(StatusCode::OK, Body::Stream(body))
            .header("Content-Type", waiting.stream_type.as_str())
            .header("Mesos-Stream-Id", &stream.0);
        let _ = waiting.answer.send(response);
        let exchange = Arc::clone(self);
        runtime.spawn(async move {
            sender.closed().await;
            // A stream that the machine has closed is no news to it.
            if lock(&exchange.streams).remove(&stream).is_some() {
                closed(stream);
            }
        });
    }

    /// Answers a request with a stream that begins with what `first` gives for its encoding. What is
    /// written meanwhile comes after that. `headers` are beside its own.
    pub(crate) fn open_after<F>(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        request: RequestId,
        stream: StreamId,
        headers: Vec<(&'static str, String)>,
        first: impl FnOnce(ContentType) -> F,
        closed: impl FnOnce(StreamId) + Send + 'static,
    ) where
        F: Future<Output = Result<First, &'static str>> + Send + 'static,
    {
        let Some(waiting) = lock(&self.requests).remove(&request) else {
            // Not from here: the caller may be the one who has to take the news.
            runtime.spawn(async move { closed(stream) });
            return;
        };
        let Waiting {
            answer,
            stream_type,
        } = waiting;
        let (sender, body) = event_stream(MAX_STREAM_BYTES, &self.backlog);
        let open = Open {
            sender: sender.clone(),
            stream_type,
        };
        lock(&self.streams).insert(stream.clone(), open);
        let exchange = Arc::clone(self);
        let first = first(stream_type);
        runtime.spawn(async move {
            let response = match begin(&body, first.await) {
                Ok(()) => {
                    let response = Response::new(StatusCode::OK, Body::Stream(body))
                        .header("Content-Type", stream_type.as_str())
                        .header("Mesos-Stream-Id", &stream.0);
                    headers.iter().fold(response, |response, (name, value)| {
                        response.header(name, value)
                    })
                }
                Err(why) => failed(why),
            };
            let _ = answer.send(response);
            sender.closed().await;
            if lock(&exchange.streams).remove(&stream).is_some() {
                closed(stream);
            }
        });
    }

    /// Records that are rendered for one stream, away from the workers of the network.
    pub(crate) async fn rendered(
        self: Arc<Self>,
        render: impl FnOnce() -> Vec<Vec<u8>> + Send + 'static,
    ) -> Result<First, &'static str> {
        // As many are rendered at once as other answers.
        let _place = self.reads.acquire().await;
        let records = spawn_blocking(move || {
            let records = render();
            records.iter().map(|it| recordio::encode(it)).collect()
        });
        let records = records.await.map_err(|_| HAS_FAILED)?;
        Ok(First::Own(records))
    }

    /// Writes an event to several streams, encoded once for each encoding that their readers asked
    /// for.
    pub(crate) fn write_to_all<M: Wire>(&self, streams: &[StreamId], event: &M) {
        let (mut as_json, mut as_protobuf) = (None, None);
        for stream in streams {
            let open = lock(&self.streams)
                .get(stream)
                .map(|open| (open.sender.clone(), open.stream_type));
            let Some((sender, stream_type)) = open else {
                continue;
            };
            let record = match stream_type {
                ContentType::Protobuf => &mut as_protobuf,
                _ => &mut as_json,
            };
            let record =
                record.get_or_insert_with(|| recordio::encode(&encoded(event, stream_type)));
            self.put_in(&sender, record.clone());
        }
    }

    /// Writes an event to a stream, in the encoding that its reader asked for.
    pub(crate) fn write<M: Wire>(&self, stream: &StreamId, event: &M) {
        let open = lock(&self.streams)
            .get(stream)
            .map(|open| (open.sender.clone(), open.stream_type));
        let Some((sender, stream_type)) = open else {
            return;
        };
        self.put_in(&sender, recordio::encode(&encoded(event, stream_type)));
    }

    /// A reader that is too slow is cut off by the sender, and reported by `closed`.
    fn put_in(&self, sender: &StreamSender, record: Bytes) {
        if let Err(SendError::Overflow { .. }) = sender.send(record) {
            self.cut_off.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many readers were too slow until now, and how many bytes wait for all others.
    pub(crate) fn slow_readers(&self) -> SlowReaders {
        SlowReaders {
            cut_off: self.cut_off.load(Ordering::Relaxed),
            waiting_bytes: self.backlog.bytes(),
        }
    }

    /// Ends a stream after what was written to it.
    pub(crate) fn close(&self, stream: &StreamId) {
        if let Some(open) = lock(&self.streams).remove(stream) {
            open.sender.close();
        }
    }
}

/// What a stream begins with, framed.
#[derive(Debug)]
pub(crate) enum First {
    /// Some records of its own.
    Own(Vec<Bytes>),
    /// A record that it shares with others.
    Shared(Bytes),
}

/// Puts into a stream what it begins with, or says why that can't be.
fn begin(body: &EventBody, first: Result<First, &'static str>) -> Result<(), &'static str> {
    match first? {
        First::Own(records) => body.begin_with(records).map_err(|_| HAS_NO_ROOM),
        First::Shared(record) => {
            body.begin_with_shared(record);
            Ok(())
        }
    }
}

/// An event in the encoding that its reader asked for.
pub(crate) fn encoded<M: Wire>(event: &M, stream_type: ContentType) -> Vec<u8> {
    match stream_type {
        ContentType::Protobuf => event.encode_to_vec(),
        _ => json::to_vec(event),
    }
}

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Found<I> {
    /// An answer.
    Response(Response),
    /// A question to the machine, and where it will answer.
    Question(I, oneshot::Receiver<Response>),
    /// The same, when the answer may take for ever: it takes up no place that others need.
    Held(I, oneshot::Receiver<Response>),
}

/// What a request has come to so far.
enum Asked {
    Response(Response),
    /// The machine has the question.
    Question(oneshot::Receiver<Response>),
    Held(oneshot::Receiver<Response>),
}

async fn awaited(answer: oneshot::Receiver<Response>) -> Response {
    answer.await.unwrap_or_else(|_| failed("is about to end"))
}

/// What is read may be large, so it is looked up away from the workers of the network. Only calls,
/// which are no more than parsed, stay there: two changes of threads would cost more than they do.
async fn asked<I: Send + 'static>(
    inputs: Inputs<I>,
    request: Request,
    look_up: impl FnOnce(&Request) -> Found<I> + Send + 'static,
) -> Asked {
    let found = if is_small_call(&request) {
        Ok(look_up(&request))
    } else {
        spawn_blocking(move || look_up(&request)).await
    };
    match found {
        Ok(Found::Response(response)) => Asked::Response(response),
        Ok(Found::Question(input, answer)) => {
            put(inputs, input).await;
            Asked::Question(answer)
        }
        Ok(Found::Held(input, answer)) => {
            put(inputs, input).await;
            Asked::Held(answer)
        }
        Err(_) => Asked::Response(failed(HAS_FAILED)),
    }
}

async fn put<I: Send + 'static>(inputs: Inputs<I>, input: I) {
    if let Err(input) = inputs.try_send(input) {
        // Waits for a place in the queue.
        let _ = spawn_blocking(move || inputs.send(input)).await;
    }
}

fn is_small_call(request: &Request) -> bool {
    let is_call = CALLS.iter().any(|path| request.path.ends_with(path));
    is_call && request.body.len() <= MAX_SMALL_CALL
}

fn failed(why: &str) -> Response {
    Reply::refused(503, format!("This daemon {why}")).into()
}

/// These maps are whole between any two statements, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
