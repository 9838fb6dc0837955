//! Web servers of the tests' own: what they answer is a function of what they are asked.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::eventually;

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next request on a connection; `None` at its end.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().ok_or(io::ErrorKind::InvalidData);
        let mut request = Self {
            method: word()?,
            target: word()?,
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            line.clear();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            let header = (name.to_owned(), value.trim().to_owned());
            request.headers.push(header);
        }
        let length = request.header("content-length").unwrap_or("0");
        request.body = vec![0; length.parse().map_err(io::Error::other)?];
        from.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status and its reason.
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    content: Vec<u8>,
    /// How many times the content stands in the body.
    times: usize,
}

impl Reply {
    pub(crate) fn ok(content: impl Into<Vec<u8>>) -> Self {
        Self::with("200 OK", content)
    }

    pub(crate) fn empty(status: &'static str) -> Self {
        Self::with(status, [])
    }

    pub(crate) fn with(status: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: content.into(),
            times: 1,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The content so many times, one after the other.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write_head(
            to,
            self.status,
            &self.headers,
            self.content.len() * self.times,
        )?;
        (0..self.times).try_for_each(|_| to.write_all(&self.content))
    }
}

fn write_head(
    to: &mut impl Write,
    status: &str,
    headers: &[(&str, String)],
    length: usize,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    to.write_all(head.as_bytes())
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// Gives every connection to `serve`, on a thread of its own, until the process ends.
pub(crate) fn accept<F>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
{
    let (listener, address) = listen();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            // What fails here fails at the client, which tells of it.
            thread::spawn(move || serve(connection));
        }
    });
    address
}

/// A server that answers each request so, until the process ends.
pub(crate) fn serve<F>(answer: F) -> SocketAddr
where
    F: Fn(Request) -> Reply + Clone + Send + 'static,
{
    accept(move |connection| {
        let mut requests = BufReader::new(connection.try_clone()?);
        let mut connection = connection;
        while let Some(request) = Request::read(&mut requests)? {
            answer(request).write(&mut connection)?;
        }
        Ok(())
    })
}

/// A server that answers nothing by itself.
#[derive(Debug)]
pub(crate) struct Silent {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Silent {
    pub(crate) fn start() -> Self {
        let (listener, address) = listen();
        listener.set_nonblocking(true).expect("a setting");
        Self { listener, address }
    }

    /// Waits for the next request, which waits for its answer then.
    pub(crate) fn request(&self) -> Asker {
        let (connection, _) = eventually("a request", || self.listener.accept().ok());
        connection.set_nonblocking(false).expect("a setting");
        let copy = connection.try_clone().expect("a descriptor");
        Request::read(&mut BufReader::new(copy)).expect("a request");
        Asker(connection)
    }
}

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) struct Asker(TcpStream);

impl Asker {
    /// Begins an answer of so many bytes with these.
    pub(crate) fn answer(&mut self, length: usize, beginning: &[u8]) {
        write_head(&mut self.0, "200 OK", &[], length)
            .and_then(|()| self.0.write_all(beginning))
            .expect("somebody who reads");
    }
}
