//! Outgoing connections against real and unruly peers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::net::{SocketAddr, SocketAddrV4};

use bytes::Bytes;
use meseta_proto::Upid;
use meseta_transport::{Peers, limits};
use support::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

fn peers() -> (Peers, mpsc::UnboundedReceiver<SocketAddrV4>) {
    let (sender, exited) = mpsc::unbounded_channel();
    let own = "127.0.0.1:5050".parse().unwrap();
    // A test that has seen enough drops its end.
    let tell = move |address| sender.send(address).unwrap_or_default();
    (Peers::new(own, Handle::current(), tell), exited)
}

async fn listen() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("bound to IPv4");
    };
    (listener, address)
}

#[tokio::test]
async fn messages_arrive_whole_and_in_the_order_in_which_they_were_sent() {
    let mut daemon = Daemon::echo();
    let (peers, _exited) = peers();
    let sizes = [0, 1, 100, limits::PEER_WRITE_BYTES, 1 << 20, 3];
    for i in 0..600 {
        let to = Upid::new(format!("slave({})", i % 3), daemon.address);
        let body = Bytes::from(vec![b'a'; if i < 12 { sizes[i % sizes.len()] } else { i }]);
        peers.send("master", &to, &format!("m{i}"), body);
    }
    for i in 0..600 {
        let message = daemon.messages.recv().await.unwrap();
        assert_eq!(message.from.to_string(), "master@127.0.0.1:5050");
        assert_eq!(message.to, format!("slave({})", i % 3));
        assert_eq!(message.name, format!("m{i}"));
        assert_eq!(
            message.body.len(),
            if i < 12 { sizes[i % sizes.len()] } else { i }
        );
    }
}

#[tokio::test]
async fn nothing_waits_for_answers_and_all_messages_share_one_connection() {
    let (listener, address) = listen().await;
    let (peers, _exited) = peers();
    peers.link(address);
    for id in ["a", "b"] {
        peers.send("master", &Upid::new(id, address), "m", Bytes::new());
    }
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.windows(9).any(|window| window == b"POST /b/m") {
        assert!(socket.read_buf(&mut read).await.unwrap() > 0);
    }
    assert!(read.starts_with(b"POST /a/m"));
}

#[tokio::test]
async fn the_end_of_a_link_is_told_once_and_the_next_message_connects_again() {
    let (listener, address) = listen().await;
    let (peers, mut exited) = peers();
    peers.link(address);
    drop(listener.accept().await.unwrap());
    assert_eq!(exited.recv().await, Some(address));

    let to = Upid::new("a", address);
    peers.send("master", &to, "m", Bytes::new());
    let (mut socket, _) = listener.accept().await.unwrap();
    assert!(socket.read(&mut [0; 8]).await.unwrap() > 0);

    // Not linked any more: this one's end is nobody's matter. It has been noticed when a message
    // connects once more.
    drop(socket);
    let again = async {
        loop {
            peers.send("master", &to, "m", Bytes::new());
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        accepted = listener.accept() => drop(accepted.unwrap()),
        () = again => {}
    }
    assert!(exited.try_recv().is_err());
}

#[tokio::test]
async fn a_link_that_cannot_be_made_is_told() {
    let (listener, address) = listen().await;
    drop(listener);
    let (peers, mut exited) = peers();
    peers.send("master", &Upid::new("a", address), "m", Bytes::new());
    peers.link(address);
    assert_eq!(exited.recv().await, Some(address));
}

#[tokio::test]
async fn answers_of_any_kind_are_thrown_away() {
    let (listener, address) = listen().await;
    let (peers, mut exited) = peers();
    peers.link(address);
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.write_all(&vec![b'!'; 8 << 20]).await.unwrap();
    peers.send("master", &Upid::new("a", address), "m", Bytes::new());
    assert!(socket.read(&mut [0; 8]).await.unwrap() > 0);
    assert!(exited.try_recv().is_err());
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off_once_its_queue_is_full() {
    let (listener, address) = listen().await;
    let (peers, mut exited) = peers();
    peers.link(address);
    let (mut socket, _) = listener.accept().await.unwrap();
    let body = Bytes::from(vec![0; 1 << 20]);
    let to = Upid::new("a", address);
    let gone = loop {
        peers.send("master", &to, "m", body.clone());
        tokio::task::yield_now().await;
        if let Ok(gone) = exited.try_recv() {
            break gone;
        }
    };
    assert_eq!(gone, address);
    let mut sink = Vec::new();
    drop(socket.read_to_end(&mut sink).await);

    peers.send("master", &to, "again", Bytes::new());
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut read = [0; 13];
    socket.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"POST /a/again");
}

#[tokio::test]
async fn a_message_larger_than_the_queue_is_sent_all_the_same() {
    let mut daemon = Daemon::echo();
    let (peers, _exited) = peers();
    let body = Bytes::from(vec![0; limits::PEER_QUEUE_BYTES + 1]);
    peers.send("master", &Upid::new("a", daemon.address), "m", body.clone());
    assert_eq!(daemon.messages.recv().await.unwrap().body, body);
}

#[tokio::test]
async fn flushing_waits_until_all_is_sent_or_lost() {
    let mut daemon = Daemon::echo();
    let (listener, nobody) = listen().await;
    drop(listener);
    let (peers, _exited) = peers();
    let body = Bytes::from(vec![0; 4 << 20]);
    peers.send("slave(1)", &Upid::new("a", daemon.address), "last", body);
    peers.send("slave(1)", &Upid::new("a", nobody), "lost", Bytes::new());
    peers.flush().await;
    drop(peers);
    assert_eq!(daemon.messages.recv().await.unwrap().name, "last");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_unless_they_are_linked() {
    let (listener, address) = listen().await;
    let (peers, mut exited) = peers();
    peers.link(address);
    let (mut linked, _) = listener.accept().await.unwrap();
    let (other, elsewhere) = listen().await;
    peers.send("master", &Upid::new("a", elsewhere), "m", Bytes::new());
    let (mut idle, _) = other.accept().await.unwrap();
    let mut read = Vec::new();
    idle.read_to_end(&mut read).await.unwrap();
    assert!(read.starts_with(b"POST /a/m"));

    peers.send("master", &Upid::new("a", address), "m", Bytes::new());
    assert!(linked.read(&mut [0; 8]).await.unwrap() > 0);
    assert!(exited.try_recv().is_err());
}

#[tokio::test]
async fn dropping_the_peers_drops_their_connections() {
    let (listener, address) = listen().await;
    let (peers, mut exited) = peers();
    peers.link(address);
    let (mut socket, _) = listener.accept().await.unwrap();
    drop(peers);
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(exited.recv().await, None);
}
