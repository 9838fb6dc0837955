//! Answers: a status, headers, and a body that is at hand, in a file, or yet to happen.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use hyper::body::{Frame, SizeHint};
use meseta_machine::Reply;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::limits;
use crate::stream::EventBody;

/// The answer to a [`crate::Request`].
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// All headers but those about the body's length, the connection and the date.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// At hand.
    Full(Bytes),
    /// A part of a file, read as the client takes it.
    File(FileBody),
    /// Events as they happen.
    Stream(EventBody),
    /// What somebody sends who waits until the client has taken it. It ends with the sender.
    Channel(mpsc::Receiver<Bytes>),
}

impl Body {
    /// Whether it goes on for as long as the client listens.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Channel(_))
    }
}

impl Response {
    /// An answer with this body and no headers of its own.
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }

    /// Sets a header. A value that cannot stand in one is left out, which is logged: an answer
    /// without it helps the client more than none.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        } else {
            tracing::warn!(name, value, "left out a header that is not valid");
        }
        self
    }

    /// An answer after which the connection ends, because the rest of the request is not read.
    pub(crate) fn closing(mut self) -> Self {
        self.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or_else(|_| {
            tracing::error!(
                status = reply.status,
                "answered with 500: not an HTTP status"
            );
            StatusCode::INTERNAL_SERVER_ERROR
        });
        let mut response = Self::new(status, Body::Full(reply.body));
        if let Some(content_type) = reply.content_type {
            let value = HeaderValue::from_static(content_type.as_str());
            response.headers.insert(CONTENT_TYPE, value);
        }
        reply
            .headers
            .iter()
            .fold(response, |response, (name, value)| {
                response.header(name, value)
            })
    }
}

/// A part of a file as the body of an answer. Reading happens on the runtime's threads for
/// blocking work, one step at a time, so that a large file costs no memory.
#[derive(Debug)]
pub struct FileBody {
    remaining: u64,
    state: FileState,
}

#[derive(Debug)]
enum FileState {
    Resting(Option<File>),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
}

impl FileBody {
    /// The next `length` bytes from the file's position on. If there are fewer, because the file
    /// was cut meanwhile, the connection breaks: its length has been promised by then.
    pub fn new(file: File, length: u64) -> Self {
        Self {
            remaining: length,
            state: FileState::Resting(Some(file)),
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match &mut self.state {
                FileState::Resting(_) if self.remaining == 0 => return Poll::Ready(None),
                FileState::Resting(file) => {
                    let Some(file) = file.take() else {
                        return Poll::Ready(None);
                    };
                    let step = usize::try_from(self.remaining)
                        .unwrap_or(usize::MAX)
                        .min(limits::FILE_STEP_BYTES);
                    let reading = tokio::task::spawn_blocking(move || read_step(file, step));
                    self.state = FileState::Reading(reading);
                }
                FileState::Reading(reading) => {
                    let done = ready!(Pin::new(reading).poll(context));
                    self.state = FileState::Resting(None);
                    let (file, bytes) = match done.map_err(io::Error::other).flatten() {
                        Ok(done) => done,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.remaining -= bytes.len() as u64;
                    self.state = FileState::Resting(Some(file));
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
        }
    }
}

fn read_step(mut file: File, step: usize) -> io::Result<(File, Bytes)> {
    let mut bytes = vec![0; step];
    let length = file.read(&mut bytes)?;
    if length == 0 {
        let message = "the file became shorter while it was sent";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    bytes.truncate(length);
    Ok((file, bytes.into()))
}

/// A body on its way out. Drops what it `holds` when the answer is complete or given up.
pub(crate) struct Outgoing<H> {
    body: Body,
    _holds: H,
}

impl<H> Outgoing<H> {
    pub(crate) fn new(body: Body, cut: &Arc<Notify>, holds: H) -> Self {
        if let Body::Stream(events) = &body {
            events.cut_with(Arc::clone(cut));
        }
        Self {
            body,
            _holds: holds,
        }
    }
}

impl<H: Unpin> hyper::body::Body for Outgoing<H> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.get_mut().body {
            Body::Full(bytes) if bytes.is_empty() => None,
            Body::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Body::File(file) => ready!(file.poll_step(context)),
            Body::Stream(events) => {
                ready!(events.poll_event(context)).map(|event| event.map_err(io::Error::other))
            }
            Body::Channel(receiver) => ready!(receiver.poll_recv(context)).map(Ok),
        };
        Poll::Ready(next.map(|step| step.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Body::Full(bytes) => bytes.is_empty(),
            Body::File(file) => file.remaining == 0,
            Body::Stream(_) | Body::Channel(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::File(file) => SizeHint::with_exact(file.remaining),
            Body::Stream(_) | Body::Channel(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_keep_their_status_type_and_headers() {
        let mut reply = Reply::bad_request("no");
        reply.headers.push(("Allow", "POST".into()));
        let response = Response::from(reply);
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            response.headers["content-type"],
            "text/plain; charset=utf-8"
        );
        assert_eq!(response.headers["allow"], "POST");
        assert!(matches!(response.body, Body::Full(body) if body == "no"));
    }

    #[test]
    fn headers_that_would_split_the_answer_are_left_out() {
        let response = Response::from(Reply::ok()).header("Location", "//h:1\r\nEvil: 1");
        assert!(response.headers.is_empty());
    }
}
