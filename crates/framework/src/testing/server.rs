//! What listens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use meseta_proto::recordio;
use meseta_proto::v1::scheduler::{Call, Event, call, event};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Answer, Received};
use crate::Encoding;
use crate::connection::STREAM_ID;

pub(super) const FRAMEWORK_ID: &str = "framework-1";

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the test and the connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) answers: VecDeque<Answer>,
    pub(super) stream: Option<Arc<Stream>>,
    pub(super) is_silent: bool,
    heartbeats: Duration,
}

/// An open stream of events.
#[derive(Debug)]
pub(super) struct Stream {
    records: mpsc::UnboundedSender<Bytes>,
    encoding: Encoding,
}

impl Shared {
    pub(super) fn new(heartbeats: Duration) -> Self {
        Self {
            answers: VecDeque::new(),
            stream: None,
            is_silent: false,
            heartbeats,
        }
    }
}

impl Stream {
    /// Whether somebody may hear it.
    pub(super) fn send(&self, event: &Event) -> bool {
        let record = recordio::encode(&self.encoding.encode(event));
        self.records.send(record).is_ok()
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Mutex<Shared>>,
    tell: mpsc::UnboundedSender<Received>,
) {
    // They end with the server.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let (shared, tell) = (Arc::clone(&shared), tell.clone());
        let service = service_fn(move |request| {
            let (shared, tell) = (Arc::clone(&shared), tell.clone());
            async move { answer(request, &shared, &tell).await }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
        connections.spawn(async move { drop(served.await) });
    }
}

/// A connection that is to end has no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Mutex<Shared>>,
    tell: &mpsc::UnboundedSender<Received>,
) -> Result<Response<Body>, NoAnswer> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let is_json = |value: &http::HeaderValue| value == Encoding::Json.media_type();
    let encoding = if head.headers.get(CONTENT_TYPE).is_some_and(is_json) {
        Encoding::Json
    } else {
        Encoding::Protobuf
    };
    let call: Call = match encoding.decode(&body) {
        Ok(call) => call,
        Err(reason) => return Ok(say(StatusCode::BAD_REQUEST, reason)),
    };
    let planned = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.answers.pop_front()
    };
    let answer = match planned {
        Some(Answer::Nothing) => Err(NoAnswer),
        Some(Answer::Refusal(status, sentence)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            Ok(say(status, sentence))
        }
        Some(Answer::Redirect(to)) => {
            let mut redirect = say(StatusCode::TEMPORARY_REDIRECT, String::new());
            let location = format!("//{to}{}", head.uri.path());
            if let Ok(location) = location.try_into() {
                redirect.headers_mut().insert(LOCATION, location);
            }
            Ok(redirect)
        }
        None if call.r#type() == call::Type::Subscribe => Ok(subscribe(&call, encoding, shared)),
        None => Ok(say(StatusCode::ACCEPTED, String::new())),
    };
    // After the stream is there: the test may write to it as soon as it knows of the call. It may
    // also have seen enough.
    let _ = tell.send(Received {
        call,
        headers: head.headers,
        path: head.uri.path().to_owned(),
    });
    answer
}

/// Opens a stream, whose first event says that the framework is subscribed.
fn subscribe(call: &Call, encoding: Encoding, shared: &Arc<Mutex<Shared>>) -> Response<Body> {
    let (records, receiver) = mpsc::unbounded_channel();
    let stream = Arc::new(Stream { records, encoding });
    let (heartbeats, weak) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.stream = Some(Arc::clone(&stream));
        (shared.heartbeats, Arc::downgrade(&stream))
    };
    let id = call.framework_id.clone();
    stream.send(&Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(event::Subscribed {
            framework_id: id.unwrap_or_else(|| FRAMEWORK_ID.into()),
            heartbeat_interval_seconds: Some(heartbeats.as_secs_f64()),
            master_info: None,
        }),
        ..Event::default()
    });
    tokio::spawn(beat(heartbeats, weak, Arc::clone(shared)));
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let record = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(record)), receiver))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = answer.headers_mut();
    let id = Uuid::new_v4().to_string();
    if let Ok(id) = id.try_into() {
        headers.insert(STREAM_ID, id);
    }
    if let Ok(media_type) = encoding.media_type().try_into() {
        headers.insert(CONTENT_TYPE, media_type);
    }
    answer
}

/// Sends heartbeats for as long as the stream is there.
async fn beat(interval: Duration, stream: Weak<Stream>, shared: Arc<Mutex<Shared>>) {
    loop {
        sleep(interval).await;
        let is_silent = {
            let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.is_silent
        };
        let Some(stream) = stream.upgrade() else {
            return;
        };
        let heartbeat = Event {
            r#type: Some(event::Type::Heartbeat.into()),
            ..Event::default()
        };
        if !is_silent && !stream.send(&heartbeat) {
            return;
        }
    }
}

fn say(status: StatusCode, sentence: String) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from(sentence)).boxed_unsync());
    *answer.status_mut() = status;
    answer
}
