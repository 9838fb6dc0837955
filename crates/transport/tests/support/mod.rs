//! A daemon to talk to, and a client that speaks raw bytes.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::future::Future;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;

use meseta_transport::{Message, Request, Response, Service, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A service that shows its messages to the test and answers as the test says.
#[derive(Clone)]
pub(crate) struct Shown {
    messages: UnboundedSender<Message>,
    answer: Arc<dyn Fn(Request) -> Answer + Send + Sync>,
}

impl Shown {
    pub(crate) fn new<F, A>(answer: F) -> (Self, UnboundedReceiver<Message>)
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let (messages, shown) = unbounded_channel();
        let answer = Arc::new(move |request| Box::pin(answer(request)) as Answer);
        (Self { messages, answer }, shown)
    }
}

impl Service for Shown {
    fn message(&self, message: Message) {
        // A test that has seen enough drops its end.
        drop(self.messages.send(message));
    }

    async fn request(&self, request: Request) -> Response {
        (self.answer)(request).await
    }
}

/// A served address; dropping it ends the server.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddrV4,
    pub(crate) messages: UnboundedReceiver<Message>,
    task: JoinHandle<()>,
}

impl Daemon {
    pub(crate) fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address();
        let (service, messages) = Shown::new(answer);
        let task = tokio::spawn(async move {
            serve(listener, service).await.unwrap();
        });
        Self {
            address,
            messages,
            task,
        }
    }

    /// A daemon that answers with the request: its method, path, query and body.
    pub(crate) fn echo() -> Self {
        Self::start(|request| async move { echoed(&request) })
    }

    pub(crate) async fn client(&self) -> Client {
        Client {
            socket: TcpStream::connect(self.address).await.unwrap(),
            unread: Vec::new(),
        }
    }

    /// Sends one request on a connection of its own and reads until the server ends it.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client().await;
        client.send(bytes).await;
        client.rest().await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn echoed(request: &Request) -> Response {
    let Request {
        method,
        path,
        query,
        body,
        ..
    } = request;
    let body = String::from_utf8_lossy(body);
    meseta_machine::Reply::json(format!("{method} {path} {query:?} {body}")).into()
}

/// The client's end of a connection.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads up to and with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .unread
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.unread.split_off(at + end.len());
                let read = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(read).unwrap();
            }
            let read = self.socket.read_buf(&mut self.unread).await.unwrap();
            assert!(
                read > 0,
                "ended after {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        }
    }

    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// The status line and the body of an answer with a length.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .expect(&head);
        let length: usize = length.parse().unwrap();
        while self.unread.len() < length {
            assert!(self.socket.read_buf(&mut self.unread).await.unwrap() > 0);
        }
        let rest = self.unread.split_off(length);
        let body = std::mem::replace(&mut self.unread, rest);
        let status = head.lines().next().unwrap().to_owned();
        (status, String::from_utf8(body).unwrap())
    }

    /// Everything until the server ends the connection, in whichever way.
    pub(crate) async fn rest(&mut self) -> String {
        while let Ok(1..) = self.socket.read_buf(&mut self.unread).await {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }
}
