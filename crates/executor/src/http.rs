//! HTTP/1.1 as far as the agent's APIs need it: requests with a body, and answers that arrive in
//! pieces. Written for start-up time and memory: one of these processes runs for every task.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{MAX_HEAD, MAX_HEADERS};

/// Where calls are posted, and with what headers.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) token: Option<String>,
}

const PROTOBUF: &str = "application/x-protobuf";

impl Target {
    /// One call as a request.
    pub(crate) fn post(&self, body: &[u8]) -> Vec<u8> {
        self.request(&format!("Accept: {PROTOBUF}\r\n"), body)
    }

    /// One call as a request whose answer is a stream of records.
    pub(crate) fn post_for_records(&self, body: &[u8]) -> Vec<u8> {
        let accept = format!("Accept: application/recordio\r\nMessage-Accept: {PROTOBUF}\r\n");
        self.request(&accept, body)
    }

    fn request(&self, accept: &str, body: &[u8]) -> Vec<u8> {
        let Self { path, host, token } = self;
        let authorization = token
            .as_ref()
            .map(|token| format!("Authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}\
             Content-Type: {PROTOBUF}\r\n{accept}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// The request for a page of the task's own server.
pub(crate) fn get(authority: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: meseta\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Why bytes are not an HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the answer is not HTTP: {0}")]
    Malformed(String),
    #[error("the head of the answer is longer than {MAX_HEAD} bytes")]
    TooLong,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The answer's status.
    Head(u16),
    /// More of its body.
    Body(Bytes),
    /// The answer is complete; the next may follow.
    End,
}

/// Takes a stream of answers apart, however it arrives.
#[derive(Debug, Default)]
pub(crate) struct AnswerReader {
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are to come.
    Sized(u64),
    /// A chunk's length line is to come.
    ChunkLength,
    Chunk(u64),
    /// The line end after a chunk is to come.
    ChunkEnd,
    /// Lines after the last chunk, to an empty one.
    Trailers,
    /// The body ends with the connection.
    ToEnd,
    /// The end of the answer is to be told.
    Done,
}

impl AnswerReader {
    /// Adds what was read from the connection.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece, if it has arrived. After an error the connection is useless.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part>, HttpError> {
        loop {
            match self.state {
                State::Head => return self.read_head(),
                State::Done => {
                    self.state = State::Head;
                    return Ok(Some(Part::End));
                }
                State::Sized(0) => self.state = State::Done,
                State::Sized(left) => {
                    let piece = self.take(left);
                    self.state = State::Sized(left - piece.len() as u64);
                    return Ok(as_body(piece));
                }
                State::ToEnd => return Ok(as_body(self.take(u64::MAX))),
                State::ChunkLength => match self.read_chunk_length()? {
                    Some(0) => self.state = State::Trailers,
                    Some(length) => self.state = State::Chunk(length),
                    None => return Ok(None),
                },
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(left) => {
                    let piece = self.take(left);
                    self.state = State::Chunk(left - piece.len() as u64);
                    return Ok(as_body(piece));
                }
                State::ChunkEnd => match self.read_line()? {
                    Some(line) if line.is_empty() => self.state = State::ChunkLength,
                    Some(_) => return Err(HttpError::Malformed("a chunk without end".into())),
                    None => return Ok(None),
                },
                State::Trailers => match self.read_line()? {
                    Some(line) if line.is_empty() => self.state = State::Done,
                    Some(_) => {}
                    None => return Ok(None),
                },
            }
        }
    }

    /// Whether the end of the connection is what ends the present answer.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::ToEnd
    }

    fn read_head(&mut self) -> Result<Option<Part>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(&self.buffer)
            .map_err(|e| HttpError::Malformed(e.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            return if self.buffer.len() > MAX_HEAD {
                Err(HttpError::TooLong)
            } else {
                Ok(None)
            };
        };
        let status = response.code.unwrap_or_default();
        self.state = body_of(status, response.headers)?;
        self.buffer.advance(length);
        Ok(Some(Part::Head(status)))
    }

    fn read_chunk_length(&mut self) -> Result<Option<u64>, HttpError> {
        match httparse::parse_chunk_size(&self.buffer) {
            Ok(httparse::Status::Complete((used, length))) => {
                self.buffer.advance(used);
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) if self.buffer.len() > MAX_HEAD => {
                Err(HttpError::TooLong)
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(HttpError::Malformed(
                "a chunk whose length is no number".into(),
            )),
        }
    }

    fn read_line(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Some(end) = self.buffer.iter().position(|b| *b == b'\n') else {
            return if self.buffer.len() > MAX_HEAD {
                Err(HttpError::TooLong)
            } else {
                Ok(None)
            };
        };
        let mut line = self.buffer.split_to(end);
        self.buffer.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        }
        Ok(Some(line.freeze()))
    }

    fn take(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.buffer.split_to(self.buffer.len().min(most)).freeze()
    }
}

fn as_body(piece: Bytes) -> Option<Part> {
    (!piece.is_empty()).then_some(Part::Body(piece))
}

/// What follows the head of an answer.
fn body_of(status: u16, headers: &[httparse::Header<'_>]) -> Result<State, HttpError> {
    let value = |name: &str| {
        let header = headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    if (100..200).contains(&status) || matches!(status, 204 | 304) {
        return Ok(State::Done);
    }
    if value("Transfer-Encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        return Ok(State::ChunkLength);
    }
    match value("Content-Length") {
        None => Ok(State::ToEnd),
        Some(length) => length
            .parse()
            .map(State::Sized)
            .map_err(|_| HttpError::Malformed(format!("a length of '{length}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<Part>, HttpError> {
        let mut reader = AnswerReader::default();
        let mut parts: Vec<Part> = Vec::new();
        for piece in pieces {
            reader.extend(&piece);
            while let Some(part) = reader.next_part()? {
                match (parts.last_mut(), part) {
                    (Some(Part::Body(body)), Part::Body(more)) => {
                        *body = [&body[..], &more[..]].concat().into();
                    }
                    (_, part) => parts.push(part),
                }
            }
        }
        Ok(parts)
    }

    const STREAM: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n\
        HTTP/1.1 500 Internal Server Error\r\n\r\nto the end";

    #[test]
    fn answers_are_told_apart_however_they_arrive() {
        let body = |text: &'static str| Part::Body(Bytes::from_static(text.as_bytes()));
        let expected = [
            Part::Head(202),
            Part::End,
            Part::Head(400),
            body("no"),
            Part::End,
            Part::Head(200),
            body("hello!"),
            Part::End,
            Part::Head(500),
            body("to the end"),
        ];
        for size in [1, 2, 3, 7, 64, STREAM.len()] {
            let pieces = STREAM.chunks(size).map(<[u8]>::to_vec);
            assert_eq!(parts(pieces).unwrap(), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_answer_or_has_no_end_is_refused() {
        for bytes in [
            b"SSH-2.0-OpenSSH\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n".to_vec(),
            [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; MAX_HEAD]].concat(),
        ] {
            assert!(
                parts([bytes.clone()]).is_err(),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn a_request_carries_the_secret_if_there_is_one() {
        let target = |token: Option<&str>| Target {
            path: "/slave(1)/api/v1/executor".into(),
            host: "127.0.0.1:5051".into(),
            token: token.map(str::to_owned),
        };
        let text = |token| String::from_utf8(target(token).post(b"call")).unwrap();
        assert_eq!(
            text(Some("hush")),
            "POST /slave(1)/api/v1/executor HTTP/1.1\r\nHost: 127.0.0.1:5051\r\n\
             Authorization: Bearer hush\r\nContent-Type: application/x-protobuf\r\n\
             Accept: application/x-protobuf\r\nContent-Length: 4\r\n\r\ncall"
        );
        assert!(!text(None).contains("Authorization"));
    }
}
