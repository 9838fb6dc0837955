//! Requests: from what hyper read to what a service gets.

use std::error::Error as _;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, StatusCode, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use meseta_machine::Reply;
use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::limits;
use crate::response::Response;

/// An ordinary HTTP request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, percent-decoded; it starts with `/`.
    pub path: String,
    /// Names and values of the query in their order, decoded. A name without `=` has an empty value.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Who asks; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
}

/// The body of a request that is read while it arrives. Nobody waits for it but who reads it: it may take
/// as long as the connection lives.
#[derive(Debug)]
pub struct RequestStream {
    body: Incoming,
    ended: Arc<AtomicBool>,
}

impl RequestStream {
    pub(crate) fn new(body: Incoming) -> Self {
        let ended = Arc::new(AtomicBool::new(body.is_end_stream()));
        Self { body, ended }
    }

    /// Tells whether all of it has been read, also when it is there no more.
    pub(crate) fn end(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// What has arrived next, at most what a connection buffers; `None` after the last.
    ///
    /// # Errors
    /// When the connection broke, or what came is no body.
    pub async fn next(&mut self) -> Result<Option<Bytes>, io::Error> {
        loop {
            let Some(frame) = self.body.frame().await else {
                self.ended.store(true, Ordering::Relaxed);
                return Ok(None);
            };
            // Trailers carry nothing that any client sends.
            if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// Why a request does not reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { status, sentence }
    }

    pub(crate) fn bad(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Reply::refused(refusal.status.as_u16(), refusal.sentence).into()
    }
}

impl Request {
    /// Checks and decodes everything but the body.
    pub(crate) fn from_parts(parts: Parts, peer: Option<SocketAddr>) -> Result<Self, Refusal> {
        let path = parts.uri.path();
        if !path.starts_with('/') {
            return Err(Refusal::bad("Request URL path must start with '/'"));
        }
        // Nothing lives at a path that cannot be decoded or that climbs, which is what Mesos answers.
        let path = unescape(path)
            .ok()
            .filter(|path| !path.contains("/.."))
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "404 Not Found."))?;
        Ok(Self {
            method: parts.method,
            path,
            query: decode_query(parts.uri.query().unwrap_or_default())?,
            headers: parts.headers,
            body: Bytes::new(),
            peer,
        })
    }
}

/// Names and values of a query, which `&` or `;` separates as in Mesos.
fn decode_query(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let decode = |text: &str| unescape(&text.replace('+', " ")).map_err(Refusal::bad);
    query
        .split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Undoes percent-encoding, or says which escape is wrong.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    for (at, _) in text.match_indices('%') {
        let escape = text.get(at + 1..at + 3).unwrap_or_default();
        if escape.len() != 2 || !escape.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let escape: String = text.get(at..).unwrap_or_default().chars().take(3).collect();
            return Err(format!("Malformed % escape in '{text}': '{escape}'"));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| format!("'{text}' is not UTF-8 once it is decoded"))
}

/// Room for the bodies of all connections.
#[derive(Debug, Clone)]
pub(crate) struct Bodies(Arc<Semaphore>);

/// A body's share of that room, given back when it is dropped.
#[derive(Debug, Default)]
struct Room(Option<OwnedSemaphorePermit>);

/// A body that keeps its room for as long as anyone keeps the body.
struct Housed {
    body: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Room {
    fn house(self, body: Bytes) -> Bytes {
        match self {
            Self(None) => body,
            room @ Self(Some(_)) => Bytes::from_owner(Housed { body, _room: room }),
        }
    }
}

impl Default for Bodies {
    fn default() -> Self {
        let steps = limits::BODIES_BYTES / limits::BODY_STEP_BYTES;
        Self(Arc::new(Semaphore::new(steps)))
    }
}

impl Bodies {
    /// Reads a body whole, within the limits of size, of time and of what all bodies may hold, and
    /// unpacks it if the headers say that it is packed. It counts until its last copy is dropped.
    pub(crate) async fn read(&self, body: Incoming, headers: &HeaderMap) -> Result<Bytes, Refusal> {
        let (bytes, room) = self.gather(body).await?;
        let body = room.house(bytes);
        // The only coding that Mesos knows; it takes bodies in any other as they are.
        let coding = headers.get(CONTENT_ENCODING);
        if coding.is_some_and(|coding| coding == "gzip") {
            self.unpack(body).await
        } else {
            Ok(body)
        }
    }

    async fn gather(&self, mut body: Incoming) -> Result<(Bytes, Room), Refusal> {
        // Refused by its announcement, so that nothing of it is read in vain.
        if body.size_hint().lower() > limits::BODY_BYTES as u64 {
            return Err(too_large());
        }
        let deadline = Instant::now() + limits::BODY_TIME;
        let mut whole = Gathered::default();
        let mut room = Room::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = timeout(left.min(limits::BODY_SILENCE), body.frame());
            let Some(frame) = frame.await.map_err(|_| late())? else {
                return Ok((whole.into_bytes(), room));
            };
            let frame = frame.map_err(|error| {
                // What hyper says itself is only that it could not read on.
                let reason = error
                    .source()
                    .map_or(error.to_string(), ToString::to_string);
                Refusal::bad(format!("The request's body is malformed: {reason}"))
            })?;
            // Trailers carry nothing that any client of Mesos's APIs sends.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() > limits::BODY_BYTES {
                return Err(too_large());
            }
            self.widen(&mut room, whole.len() + data.len())?;
            whole.push(data);
        }
    }

    async fn unpack(&self, packed: Bytes) -> Result<Bytes, Refusal> {
        // Until it is unpacked, a body may turn out to be as large as is allowed.
        let mut largest = Room::default();
        self.widen(&mut largest, limits::BODY_BYTES)?;
        let unpacked = spawn_blocking(move || gunzip(&packed)).await;
        let unpacked = unpacked.map_err(|error| {
            let sentence = format!("The request's body could not be unpacked: {error}");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
        })??;
        drop(largest);
        let mut room = Room::default();
        self.widen(&mut room, unpacked.len())?;
        Ok(room.house(unpacked))
    }

    fn widen(&self, room: &mut Room, bytes: usize) -> Result<(), Refusal> {
        let steps = bytes / limits::BODY_STEP_BYTES;
        let held = room.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more @ 1..) = u32::try_from(steps.saturating_sub(held)) else {
            return Ok(());
        };
        let more = Arc::clone(&self.0)
            .try_acquire_many_owned(more)
            .map_err(|_| {
                let sentence = "Too many large requests are in progress; try again later";
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
            })?;
        match &mut room.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

fn gunzip(packed: &[u8]) -> Result<Bytes, Refusal> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(packed)
        .take(limits::BODY_BYTES as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| Refusal::bad(format!("The request's body is not gzip: {error}")))?;
    if unpacked.len() > limits::BODY_BYTES {
        return Err(too_large());
    }
    Ok(unpacked.into())
}

fn late() -> Refusal {
    let sentence = "The request's body did not arrive in time";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence)
}

fn too_large() -> Refusal {
    let sentence = format!("The request's body exceeds {} bytes", limits::BODY_BYTES);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

/// The pieces of a body. One that came in one piece, as most do, is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.all.extend_from_slice(&first);
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            return self.first;
        }
        self.all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(uri: &str) -> Result<Request, Refusal> {
        let (parts, ()) = http::Request::builder()
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts();
        Request::from_parts(parts, None)
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(
            decode("/slave%281%29/state").unwrap().path,
            "/slave(1)/state"
        );
        assert_eq!(
            decode("//api/v1/scheduler").unwrap().path,
            "//api/v1/scheduler"
        );
        assert_eq!(decode("/a+b").unwrap().path, "/a+b");
    }

    #[test]
    fn queries_are_decoded_in_order() {
        let query = decode("/tasks?order=asc&limit=-1;path=%2fa+b&flag&x==")
            .unwrap()
            .query;
        let expected = [
            ("order", "asc"),
            ("limit", "-1"),
            ("path", "/a b"),
            ("flag", ""),
            ("x", "="),
        ];
        assert_eq!(
            query,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn nothing_is_found_at_paths_that_climb_or_cannot_be_decoded() {
        for path in [
            "/%zz",
            "/%",
            "/%1",
            "/%ff",
            "/..%2f..%2fetc/passwd",
            "/a/../b",
        ] {
            let refusal = decode(path).unwrap_err();
            assert_eq!(
                refusal,
                Refusal::new(StatusCode::NOT_FOUND, "404 Not Found."),
                "{path}"
            );
        }
    }

    #[test]
    fn a_malformed_query_is_refused_with_its_place() {
        assert_eq!(
            decode("/state?a=1&b=%zz9").unwrap_err(),
            Refusal::bad("Malformed % escape in '%zz9': '%zz'")
        );
        assert_eq!(
            decode("/state?%ff").unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            decode("/state?%c3").unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            decode("/state?%é1").unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn a_path_must_start_with_a_slash() {
        assert_eq!(decode("*").unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn bodies_find_room_until_it_is_taken_and_give_it_back() {
        let bodies = Bodies::default();
        let mut rooms = Vec::new();
        for _ in 0..limits::BODIES_BYTES / limits::BODY_BYTES {
            let mut room = Room::default();
            bodies.widen(&mut room, limits::BODY_BYTES / 2).unwrap();
            bodies.widen(&mut room, limits::BODY_BYTES).unwrap();
            rooms.push(room);
        }
        let mut room = Room::default();
        bodies
            .widen(&mut room, limits::BODY_STEP_BYTES - 1)
            .unwrap();
        let refusal = bodies
            .widen(&mut room, limits::BODY_STEP_BYTES)
            .unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        rooms.clear();
        bodies.widen(&mut room, limits::BODY_STEP_BYTES).unwrap();
    }

    #[test]
    fn a_body_keeps_its_room_while_anyone_keeps_it() {
        let bodies = Bodies::default();
        let free = bodies.0.available_permits();
        let mut room = Room::default();
        bodies.widen(&mut room, limits::BODY_BYTES).unwrap();
        let body = room.house(Bytes::from_static(b"body"));
        let part = body.slice(1..2);
        drop(body);
        assert!(bodies.0.available_permits() < free);
        assert_eq!(part, "o");
        drop(part);
        assert_eq!(bodies.0.available_permits(), free);
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packer, bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn packed_bodies_are_unpacked_within_the_limit() {
        assert_eq!(gunzip(&packed(b"body")).unwrap(), "body");
        let bomb = packed(&vec![0; limits::BODY_BYTES + 1]);
        assert!(bomb.len() < limits::BODY_BYTES / 100);
        assert_eq!(gunzip(&bomb).unwrap_err(), too_large());
    }

    #[test]
    fn what_is_not_packed_or_cut_short_is_refused() {
        let whole = packed(b"body");
        for bytes in [b"body".as_slice(), &whole[..whole.len() - 1]] {
            assert_eq!(gunzip(bytes).unwrap_err().status, StatusCode::BAD_REQUEST);
        }
    }
}
