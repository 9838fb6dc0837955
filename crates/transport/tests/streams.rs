//! Event streams over real connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use bytes::Bytes;
use http::StatusCode;
use meseta_transport::{Backlog, Body, Response, SendError, StreamSender, event_stream};
use support::{Client, Daemon};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

const LIMIT: usize = 1 << 20;

/// A daemon whose every request is answered by a stream, and the senders of these.
fn subscriptions() -> (Daemon, mpsc::UnboundedReceiver<StreamSender>) {
    let (senders, streams) = mpsc::unbounded_channel();
    let daemon = Daemon::start(move |_| {
        let (sender, body) = event_stream(LIMIT, &Backlog::default());
        // A test that has seen enough drops its end.
        drop(senders.send(sender));
        async move { Response::new(StatusCode::OK, Body::Stream(body)).header("Mesos-Stream-Id", "1-2") }
    });
    (daemon, streams)
}

async fn subscribed(request: &str) -> (Daemon, Client, StreamSender) {
    let (daemon, mut streams) = subscriptions();
    let mut client = daemon.client().await;
    client.send(request).await;
    let sender = streams.recv().await.unwrap();
    (daemon, client, sender)
}

const SUBSCRIBE: &str = "POST /api/v1/scheduler HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn each_event_goes_out_at_once_as_one_chunk() {
    let (_daemon, mut client, sender) = subscribed(SUBSCRIBE).await;
    let head = client.head().await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert!(head.contains("Mesos-Stream-Id: 1-2\r\n"), "{head}");
    // Each is read before the next is sent.
    for event in ["1\na", "2\nbb", "10\n0123456789"] {
        sender.send(Bytes::from_static(event.as_bytes())).unwrap();
        let chunk = format!("{:X}\r\n{event}\r\n", event.len());
        assert_eq!(client.until(&chunk).await, chunk);
    }
    // Together, they are still one chunk each.
    for event in ["one", "two"] {
        sender.send(Bytes::from_static(event.as_bytes())).unwrap();
    }
    let chunks = "3\r\none\r\n3\r\ntwo\r\n";
    assert_eq!(client.until(chunks).await, chunks);
}

#[tokio::test]
async fn streams_flow_to_clients_that_want_the_connection_closed_or_speak_http_1_0() {
    let closing = "POST / HTTP/1.1\r\nConnection: close\r\n\r\n";
    let old = "POST / HTTP/1.0\r\n\r\n";
    for request in [closing, old] {
        let (_daemon, mut client, sender) = subscribed(request).await;
        client.head().await;
        sender.send(Bytes::from_static(b"event")).unwrap();
        client.until("event").await;
        sender.send(Bytes::from_static(b"another")).unwrap();
        client.until("another").await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_request_do_not_disturb_its_stream() {
    let (_daemon, mut client, sender) = subscribed(&format!("{SUBSCRIBE}\r\nGET /")).await;
    client.head().await;
    client.send(" HTTP").await;
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    sender.send(Bytes::from_static(b"event")).unwrap();
    client.until("event").await;
}

#[tokio::test]
async fn a_closed_stream_ends_in_order_and_the_connection_goes_on() {
    let (_daemon, mut client, sender) = subscribed(SUBSCRIBE).await;
    sender.send(Bytes::from_static(b"last")).unwrap();
    sender.close();
    client.head().await;
    assert_eq!(client.until("0\r\n\r\n").await, "4\r\nlast\r\n0\r\n\r\n");
    sender.closed().await;
    client.send(SUBSCRIBE).await;
    client.head().await;
}

#[tokio::test]
async fn the_departure_of_the_client_is_told() {
    let (_daemon, mut client, sender) = subscribed(SUBSCRIBE).await;
    client.head().await;
    drop(client);
    sender.closed().await;
    assert_eq!(sender.send(Bytes::from_static(b"x")), Err(SendError::Ended));
}

#[tokio::test]
async fn a_client_that_says_no_more_is_taken_for_gone() {
    let (_daemon, mut client, sender) = subscribed(SUBSCRIBE).await;
    client.head().await;
    sender.send(Bytes::from_static(b"event")).unwrap();
    client.until("event").await;
    client.socket.shutdown().await.unwrap();
    sender.closed().await;
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_cut_off_and_others_are_not() {
    let (daemon, mut streams) = subscriptions();
    let mut slow = daemon.client().await;
    slow.send(SUBSCRIBE).await;
    let to_slow = streams.recv().await.unwrap();
    let mut quick = daemon.client().await;
    quick.send(SUBSCRIBE).await;
    let to_quick = streams.recv().await.unwrap();

    let event = Bytes::from(vec![b'a'; 64 * 1024]);
    let overflow = loop {
        if let Err(overflow) = to_slow.send(event.clone()) {
            break overflow;
        }
        tokio::task::yield_now().await;
    };
    assert!(
        matches!(overflow, SendError::Overflow { limit: LIMIT, .. }),
        "{overflow}"
    );
    to_slow.closed().await;
    assert!(!slow.rest().await.ends_with("0\r\n\r\n"));

    to_quick.send(Bytes::from_static(b"event")).unwrap();
    quick.until("event").await;
}
