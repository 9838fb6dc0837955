//! Libprocess messages as their senders write them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use bytes::Bytes;
use meseta_machine::Reply;
use meseta_transport::{Message, Response, Service, bind, serve};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

fn message(name: &str, body: &'static str) -> Message {
    Message {
        from: "scheduler(1)@10.0.0.1:7".parse().unwrap(),
        to: "master".into(),
        name: name.into(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

#[tokio::test]
async fn messages_of_every_known_sender_are_taken_and_answered() {
    let mut daemon = Daemon::echo();
    let mut client = daemon.client().await;
    for (request, name, body) in [
        // C++, with a body and without.
        (
            "POST /master/a.B HTTP/1.1\r\nUser-Agent: libprocess/scheduler(1)@10.0.0.1:7\r\n\
             Libprocess-From: scheduler(1)@10.0.0.1:7\r\nConnection: Keep-Alive\r\nHost: \r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "a.B",
            "abc",
        ),
        (
            "POST /master/a.C HTTP/1.1\r\nUser-Agent: libprocess/scheduler(1)@10.0.0.1:7\r\n\
             Libprocess-From: scheduler(1)@10.0.0.1:7\r\nConnection: Keep-Alive\r\nHost: \r\n\r\n",
            "a.C",
            "",
        ),
        // mesos-go.
        (
            "POST /master/a.D HTTP/1.1\r\nHost: h:1\r\nUser-Agent: Go-http-client/1.1\r\n\
             Content-Length: 2\r\nContent-Type: application/x-protobuf\r\n\
             libprocess-from: scheduler(1)@10.0.0.1:7\r\n\r\nde",
            "a.D",
            "de",
        ),
        // compactor.
        (
            "POST /master/a.E HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\
             Libprocess-From: scheduler(1)@10.0.0.1:7\r\n\r\nx",
            "a.E",
            "x",
        ),
    ] {
        client.send(request).await;
        let (status, answer) = client.answer().await;
        assert!(status.ends_with(" 202 Accepted"), "{request}: {status}");
        assert_eq!(answer, "");
        assert_eq!(daemon.messages.recv().await, Some(message(name, body)));
    }
}

#[tokio::test]
async fn messages_that_name_no_sender_or_receiver_are_refused() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    for (path, sender) in [
        ("/master/m", "junk"),
        ("/master", "a@10.0.0.1:7"),
        ("/%zz/m", "a@10.0.0.1:7"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nLibprocess-From: {sender}\r\n\r\n");
        client.send(head).await;
        assert_eq!(
            client.answer().await.0,
            "HTTP/1.1 400 Bad Request",
            "{path} {sender}"
        );
    }
}

fn numbered(count: usize) -> String {
    let head = "HTTP/1.1\r\nLibprocess-From: scheduler(1)@10.0.0.1:7\r\n\r\n";
    let one = |i| format!("POST /master/{i} {head}");
    (0..count).map(one).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn what_was_sent_counts_in_its_order_even_if_its_sender_leaves_without_the_answers() {
    let mut daemon = Daemon::echo();
    let mut client = daemon.client().await;
    // As much as fits into the receiver's kernel: what waits in the sender's is lost with it.
    client.send(numbered(500)).await;
    drop(client);
    for i in 0..500 {
        assert_eq!(daemon.messages.recv().await.unwrap().name, i.to_string());
    }
}

/// A service that holds messages back until the test lets it go on.
#[derive(Clone)]
struct Gated {
    gate: Arc<Mutex<()>>,
    seen: mpsc::UnboundedSender<String>,
}

impl Service for Gated {
    fn message(&self, message: Message) {
        let _open = self.gate.blocking_lock();
        self.seen.send(message.name).unwrap();
    }

    async fn request(&self, _: meseta_transport::Request) -> Response {
        Reply::ok().into()
    }
}

#[tokio::test]
async fn a_service_that_holds_messages_back_neither_loses_them_nor_holds_up_requests() {
    let gate = Arc::new(Mutex::new(()));
    let (seen, mut names) = mpsc::unbounded_channel();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address();
    let server = tokio::spawn(serve(
        listener,
        Gated {
            gate: Arc::clone(&gate),
            seen,
        },
    ));

    let closed = gate.lock().await;
    let mut senders = Vec::new();
    let count = meseta_transport::limits::MESSAGES_WAITING + 100;
    // One message a connection, each of which waits for its place in the queue.
    for i in 0..count {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!("POST /a/{i} HTTP/1.1\r\nLibprocess-From: a@10.0.0.1:7\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        senders.push(socket);
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 200 OK\r\n"), "{answer}");
    // They leave while their messages wait.
    drop(senders);
    drop(closed);

    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(names.recv().await.unwrap().parse::<usize>().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    server.abort();
}

/// A service that takes messages at once while it may, and says which way they came.
#[derive(Clone)]
struct Either {
    takes_at_once: Arc<AtomicBool>,
    gate: Arc<Mutex<()>>,
    seen: mpsc::UnboundedSender<(String, &'static str)>,
}

impl Service for Either {
    fn message(&self, message: Message) {
        let _open = self.gate.blocking_lock();
        self.seen.send((message.name, "queued")).unwrap();
    }

    fn try_message(&self, message: Message) -> Option<Message> {
        if !self.takes_at_once.load(Ordering::SeqCst) {
            return Some(message);
        }
        self.seen.send((message.name, "at once")).unwrap();
        None
    }

    async fn request(&self, _: meseta_transport::Request) -> Response {
        Reply::ok().into()
    }
}

#[tokio::test]
async fn a_message_is_taken_at_once_unless_one_before_it_waits() {
    let takes_at_once = Arc::new(AtomicBool::new(true));
    let gate = Arc::new(Mutex::new(()));
    let (seen, mut ways) = mpsc::unbounded_channel();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address();
    let service = Either {
        takes_at_once: Arc::clone(&takes_at_once),
        gate: Arc::clone(&gate),
        seen,
    };
    let server = tokio::spawn(serve(listener, service));
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut answered = [0; 1024];
    let mut send = async |name: &str| {
        let head = format!("POST /a/{name} HTTP/1.1\r\nLibprocess-From: a@10.0.0.1:7\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        assert!(socket.read(&mut answered).await.unwrap() > 0);
    };
    send("first").await;
    assert_eq!(ways.recv().await.unwrap(), ("first".into(), "at once"));
    let closed = gate.lock().await;
    takes_at_once.store(false, Ordering::SeqCst);
    send("held").await;
    takes_at_once.store(true, Ordering::SeqCst);
    send("behind").await;
    drop(closed);
    assert_eq!(ways.recv().await.unwrap(), ("held".into(), "queued"));
    assert_eq!(ways.recv().await.unwrap(), ("behind".into(), "queued"));
    server.abort();
}
