//! What the listener makes of requests, good and bad.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use meseta_machine::Reply;
use meseta_transport::{Body, FileBody, Opener, Response, limits, serve_unix};
use std::os::unix::net::UnixListener;
use support::{Client, Daemon, Shown, echoed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[tokio::test]
async fn requests_arrive_decoded() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send("POST /slave%281%29/api?a=%20b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    let (status, body) = client.answer().await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(body, r#"POST /slave(1)/api [("a", " b")] body"#);
}

#[tokio::test]
async fn what_a_browser_posts_for_a_page_of_another_site_reaches_no_service() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    let own = format!("Host: {0}\r\nOrigin: http://{0}", daemon.address);
    let post = |headers: &str| {
        format!("POST /teardown HTTP/1.1\r\n{headers}\r\nContent-Length: 1\r\n\r\nx")
    };
    for headers in [own.as_str(), "Host: h", "Sec-Fetch-Site: same-site"] {
        client.send(&post(headers)).await;
        assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK", "{headers}");
    }
    client
        .send(&post("Host: h\r\nOrigin: http://evil.example"))
        .await;
    let (status, body) = client.answer().await;
    assert_eq!(status, "HTTP/1.1 403 Forbidden");
    assert_eq!(
        body,
        "A browser made this request for a page of another site ('http://evil.example'), and no such \
         page may change anything here. Use this daemon's own page, or a client that is not a browser; \
         if there is a proxy in between, have it pass the header Host on as it came"
    );
}

#[tokio::test]
async fn answers_have_headers_in_the_case_of_mesos() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let head = client.head().await;
    for name in ["Content-Type: ", "Content-Length: ", "Date: "] {
        assert!(head.contains(name), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_has_nothing_more_to_say_still_gets_its_answers() {
    let daemon = Daemon::start(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Reply::ok().into()
    });
    let mut client = daemon.client().await;
    let request = "GET / HTTP/1.1\r\n\r\n";
    client.send(&format!("{request}{request}")).await;
    client.socket.shutdown().await.unwrap();
    let answers = client.rest().await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_what_is_wrong() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        .await;
    let (status, body) = client.answer().await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    let said = "The request's body is malformed: Invalid chunk size line";
    assert!(body.starts_with(said), "{body}");
}

#[tokio::test]
async fn hosts_may_be_empty_or_missing() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"] {
        client.send(head).await;
        assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK", "{head}");
    }
}

#[tokio::test]
async fn chunked_bodies_may_have_trailers_and_many_pieces() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send(
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nfoo\r\n1;extension=1\r\nb\r\n2\r\nar\r\n0\r\nTrailer: 1\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.1, "POST /a [] foobar");
    client.send("GET /b HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.answer().await.1, "GET /b [] ");
}

#[tokio::test]
async fn packed_bodies_arrive_unpacked() {
    let daemon = Daemon::echo();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"body").unwrap();
    let packed = encoder.finish().unwrap();
    let length = packed.len();
    let mut client = daemon.client().await;
    client
        .send(format!(
            "POST /a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    client.send(packed).await;
    assert_eq!(client.answer().await.1, "POST /a [] body");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    let requests: Vec<_> = (0..50)
        .map(|i| format!("GET /{i} HTTP/1.1\r\n\r\n"))
        .collect();
    client.send(requests.concat()).await;
    for i in 0..50 {
        assert_eq!(client.answer().await.1, format!("GET /{i} [] "));
    }
}

#[tokio::test]
async fn http_1_0_is_kept_alive_on_demand_only() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.1, "GET /1 [] ");
    client.send("GET /2 HTTP/1.0\r\n\r\n").await;
    assert!(client.rest().await.ends_with("GET /2 [] "));
}

#[tokio::test]
async fn clients_that_expect_it_are_told_to_continue() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ab").await;
    assert_eq!(client.answer().await.1, "POST /a [] ab");
}

#[tokio::test]
async fn malformed_requests_are_refused_and_end_the_connection() {
    let daemon = Daemon::echo();
    for request in [
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "POST  HTTP/1.1\r\n\r\n",
        "GET ?x=1 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ] {
        let answer = daemon.exchange(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{request:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn refusals_of_whole_requests_leave_the_connection_open() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client.send("GET /%zz HTTP/1.1\r\n\r\n").await;
    let missing = ("HTTP/1.1 404 Not Found".into(), "404 Not Found.".into());
    assert_eq!(client.answer().await, missing);
    client.send("OPTIONS * HTTP/1.1\r\n\r\n").await;
    assert_eq!(
        client.answer().await.1,
        "Request URL path must start with '/'"
    );
    client.send("GET /?a=%zz HTTP/1.1\r\n\r\n").await;
    let malformed = "Malformed % escape in '%zz': '%zz'";
    let refused = ("HTTP/1.1 400 Bad Request".into(), malformed.into());
    assert_eq!(client.answer().await, refused);
}

#[tokio::test]
async fn heads_are_bounded() {
    let daemon = Daemon::echo();
    let long = format!(
        "GET / HTTP/1.1\r\nA: {}\r\n\r\n",
        "a".repeat(limits::HEAD_BYTES)
    );
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    for head in [long, many] {
        let answer = daemon.exchange(head).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    }
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(limits::HEAD_BYTES));
    let answer = daemon.exchange(path).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    let fits = "a".repeat(limits::HEAD_BYTES - 1024);
    let mut client = daemon.client().await;
    client
        .send(format!("GET / HTTP/1.1\r\nA: {fits}\r\n\r\n"))
        .await;
    assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn refusals_reach_clients_that_are_still_sending() {
    let daemon = Daemon::echo();
    // More than the kernel takes in one go.
    let rest = "a".repeat(6_000_000);
    let length = limits::BODY_BYTES + 1;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nA: ".to_owned(), "HTTP/1.1 431 "),
        (
            format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"),
            "HTTP/1.1 413 ",
        ),
        (
            "POST /%zz HTTP/1.1\r\nContent-Length: 6000000\r\n\r\n".to_owned(),
            "HTTP/1.1 404 ",
        ),
    ] {
        for _ in 0..5 {
            let answer = daemon.exchange(format!("{head}{rest}")).await;
            assert!(answer.starts_with(status), "{status}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_unread() {
    let daemon = Daemon::echo();
    let length = limits::BODY_BYTES + 1;
    let request = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    let answer = daemon.exchange(request).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{answer}"
    );
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_refused_once_it_is_too_large() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client
        .send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "a".repeat(1 << 20));
    let (mut answers, mut requests) = client.socket.split();
    let endless = async { while requests.write_all(chunk.as_bytes()).await.is_ok() {} };
    let answer = async {
        let mut answer = [0; 12];
        answers.read_exact(&mut answer).await.unwrap();
        answer
    };
    let (answer, ()) = tokio::join!(answer, endless);
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_ends_the_connection() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\nA: b\r\n").await;
    assert_eq!(client.rest().await, "");

    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.answer().await;
    client.send("GET / HTTP/1.1\r\nA: b\r\n").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up() {
    let daemon = Daemon::echo();
    for framing in [
        "Content-Length: 2\r\n\r\na",
        "Transfer-Encoding: chunked\r\n\r\n1\r\na",
    ] {
        let answer = daemon
            .exchange(format!("POST / HTTP/1.1\r\n{framing}"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_between_requests_lasts_as_long_as_it_likes() {
    let daemon = Daemon::echo();
    let mut client = daemon.client().await;
    for _ in 0..3 {
        tokio::time::advance(Duration::from_hours(100)).await;
        // The line break after the body belongs to nothing: some clients send one.
        client
            .send("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na\r\n")
            .await;
        assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    let size = 64 << 20;
    let daemon = Daemon::start(move |_| async move { Reply::json(vec![b'a'; size]).into() });
    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    // The clock goes on once the server has filled all buffers.
    tokio::time::sleep(limits::WRITE_SILENCE * 2).await;
    assert!(client.rest().await.len() < size);
}

#[tokio::test]
async fn files_are_sent_from_their_position_for_their_length() {
    let daemon = Daemon::start(|request| async move {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'a'; limits::FILE_STEP_BYTES])
            .unwrap();
        file.write_all(&vec![b'b'; limits::FILE_STEP_BYTES])
            .unwrap();
        file.write_all(b"end").unwrap();
        file.seek(SeekFrom::Start(1)).unwrap();
        let length = 2 * limits::FILE_STEP_BYTES as u64 + 2;
        let promised = if request.path == "/cut" {
            length + 1
        } else {
            length
        };
        Response::new(StatusCode::OK, Body::File(FileBody::new(file, promised)))
    });
    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let (_, body) = client.answer().await;
    assert_eq!(body.len(), 2 * limits::FILE_STEP_BYTES + 2);
    assert!(body.starts_with("aaa") && body.ends_with("bbend"));

    client.send("HEAD / HTTP/1.1\r\n\r\n").await;
    assert!(client.head().await.contains("Content-Length: 524290\r\n"));

    client.send("GET /cut HTTP/1.1\r\n\r\n").await;
    assert!(client.head().await.contains("Content-Length: 524291\r\n"));
    assert!(client.rest().await.len() < 524_291);
}

#[tokio::test]
async fn a_unix_socket_is_served_alike() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (service, _messages) = Shown::new(|request| async move {
        assert_eq!(request.peer, None);
        echoed(&request)
    });
    let own_pid = i32::try_from(std::process::id()).ok();
    let admits = move |opener: Opener| opener.pid == own_pid;
    let server = tokio::spawn(serve_unix(listener, admits, service));
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(b"GET /a HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("GET /a [] "), "{answer}");
    server.abort();
}

#[tokio::test]
async fn who_is_not_admitted_to_a_unix_socket_gets_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (service, _messages) = Shown::new(|request| async move { echoed(&request) });
    let server = tokio::spawn(serve_unix(listener, |_: Opener| false, service));
    let mut socket = UnixStream::connect(&path).await.unwrap();
    // The connection may be gone before the request is sent.
    let _ = socket.write_all(b"GET /a HTTP/1.0\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    server.abort();
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_connections() {
    let daemon = Daemon::echo();
    let mut client: Client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.answer().await;
    drop(daemon);
    assert_eq!(client.rest().await, "");
}
