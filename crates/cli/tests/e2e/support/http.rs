//! A plain HTTP/1.1 client: one connection a request, and nothing between the test and the wire.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An answer's status line and headers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads up to the empty line.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|word| word.trim().parse().ok())
            .ok_or_else(|| broken(format!("no status line but {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(Self { status, headers });
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// An answer as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}) but {} {:?}", self.status(), self.text()))
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) socket: TcpStream,
}

/// Sends a request and reads the head of its answer.
pub(crate) fn open(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> io::Result<Open> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(body) = body {
        request.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    let socket = TcpStream::connect(address)?;
    (&socket).write_all(&bytes)?;
    answer(socket)
}

/// Reads the head of the answer that comes on a connection.
pub(crate) fn answer(socket: TcpStream) -> io::Result<Open> {
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let head = Head::read(&mut reader)?;
    // Streams are quiet for as long as nothing happens.
    socket.set_read_timeout(None)?;
    let framing = if head
        .header("transfer-encoding")
        .is_some_and(|v| v.contains("chunked"))
    {
        Framing::Chunked { left: 0 }
    } else if let Some(length) = head.header("content-length") {
        Framing::Length(
            length
                .parse()
                .map_err(|_| broken(format!("content-length: {length}")))?,
        )
    } else {
        Framing::UntilClose
    };
    Ok(Open {
        head,
        body: Body { reader, framing },
        socket,
    })
}

/// Sends a request and reads all of its answer.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> io::Result<Answer> {
    open(address, method, target, headers, body)?.finish()
}

/// What stands at `target`, which must be there.
pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    let answer = request(address, "GET", target, &[], None)
        .unwrap_or_else(|e| panic!("GET {target} of {address}: {e}"));
    assert_eq!(
        answer.status(),
        200,
        "GET {target} of {address}: {}",
        answer.text()
    );
    answer
}

/// Makes a call of the operator API.
pub(crate) fn operator_call(address: SocketAddr, call: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let body = call.to_string();
    request(address, "POST", "/api/v1", &headers, Some(body.as_bytes()))
        .unwrap_or_else(|e| panic!("{call} to {address}: {e}"))
}

impl Open {
    /// Reads the rest.
    pub(crate) fn finish(mut self) -> io::Result<Answer> {
        self.socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut body = Vec::new();
        self.body.read_to_end(&mut body)?;
        Ok(Answer {
            head: self.head,
            body,
        })
    }
}

/// The body of an answer, without its framing.
#[derive(Debug)]
pub(crate) struct Body {
    reader: BufReader<TcpStream>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    /// What is left of the present chunk.
    Chunked {
        left: u64,
    },
    /// After the last chunk.
    Ended,
    UntilClose,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunked { left: 0 } = self.framing {
            self.begin_chunk()?;
        }
        let left = match &mut self.framing {
            Framing::UntilClose => return self.reader.read(buffer),
            Framing::Ended | Framing::Length(0) => return Ok(0),
            Framing::Length(left) | Framing::Chunked { left } => left,
        };
        let most = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= read as u64;
        if let Framing::Chunked { left: 0 } = self.framing {
            self.line()?;
        }
        Ok(read)
    }
}

impl Body {
    fn begin_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let left = u64::from_str_radix(line.trim(), 16)
            .map_err(|_| broken(format!("{line:?} for a chunk's size")))?;
        if left == 0 {
            self.line()?;
            self.framing = Framing::Ended;
        } else {
            self.framing = Framing::Chunked { left };
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
