//! The file server: gives out the executor and the images, and takes the results.
//!
//! | request | |
//! |---|---|
//! | `GET /images-executor` | the executor's program |
//! | `GET /images/NAME` | an image |
//! | `PUT /results/NAME` | takes the result of an image; there is either the whole of it afterwards or nothing |
//!
//! Names are those of the images and no others, so nothing but these files is read and nothing outside
//! of the folder of results is written, whatever a request asks for.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{BoxError, Router};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{MAX_FILE, MAX_REQUESTS, TRANSFER_TIMEOUT};

/// The path of the executor's program.
pub const EXECUTOR: &str = "/images-executor";
/// The folder of images.
pub const IMAGES: &str = "/images";
/// The folder of results.
pub const RESULTS: &str = "/results";

/// What is served.
#[derive(Debug)]
pub struct Files {
    /// The executor's program. Agents fetch it once each, perhaps all at the same moment.
    pub executor: Vec<u8>,
    /// The names of the images.
    pub names: BTreeSet<String>,
    /// The folder that holds them.
    pub images: PathBuf,
    /// The folder for the results.
    pub results: PathBuf,
}

struct Served {
    files: Files,
    executor: Bytes,
    requests: Semaphore,
}

/// Why a request is refused.
type Refusal = (StatusCode, String);

/// Serves until it is dropped.
///
/// # Errors
/// When no connections can be accepted any more.
pub async fn serve(listener: TcpListener, mut files: Files) -> io::Result<()> {
    let served = Served {
        executor: std::mem::take(&mut files.executor).into(),
        files,
        requests: Semaphore::new(MAX_REQUESTS),
    };
    let routes = Router::new()
        .route(EXECUTOR, get(executor))
        .route(&format!("{IMAGES}/{{name}}"), get(image))
        .route(&format!("{RESULTS}/{{name}}"), put(result))
        .with_state(Arc::new(served));
    axum::serve(listener, routes).await
}

async fn executor(State(served): State<Arc<Served>>) -> Bytes {
    served.executor.clone()
}

async fn image(
    State(served): State<Arc<Served>>,
    Path(name): Path<String>,
) -> Result<Vec<u8>, Refusal> {
    let _permit = served.requests.acquire().await.map_err(failed)?;
    served.check(&name)?;
    let path = served.files.images.join(&name);
    tokio::fs::read(path).await.map_err(failed)
}

async fn result(
    State(served): State<Arc<Served>>,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let _permit = served.requests.acquire().await.map_err(failed)?;
    served.check(&name)?;
    // Under another name until it is complete: nobody finds half a result.
    let partial = NamedTempFile::new_in(&served.files.results).map_err(failed)?;
    let file = File::from_std(partial.reopen().map_err(failed)?);
    timeout(TRANSFER_TIMEOUT, receive(body, file))
        .await
        .unwrap_or_else(|_| Err(too_slow()))?;
    // Replaces what is there of that name, a link too, and follows none.
    partial
        .persist(served.files.results.join(&name))
        .map_err(failed)?;
    Ok(StatusCode::CREATED)
}

async fn receive(body: Body, mut file: File) -> Result<(), Refusal> {
    let mut body = Limited::new(body, MAX_FILE);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => too_large(),
            None => (StatusCode::BAD_REQUEST, error.to_string()),
        })?;
        if let Some(bytes) = frame.data_ref() {
            file.write_all(bytes).await.map_err(failed)?;
        }
    }
    file.flush().await.map_err(failed)
}

impl Served {
    fn check(&self, name: &str) -> Result<(), Refusal> {
        if self.files.names.contains(name) {
            Ok(())
        } else {
            let sentence = format!("there is no image '{name}'\n");
            Err((StatusCode::NOT_FOUND, sentence))
        }
    }
}

fn too_large() -> Refusal {
    let sentence = format!("a result has {MAX_FILE} bytes at most\n");
    (StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

fn too_slow() -> Refusal {
    let sentence = format!("it took more than {TRANSFER_TIMEOUT:?}\n");
    (StatusCode::REQUEST_TIMEOUT, sentence)
}

fn failed(error: impl Into<BoxError>) -> Refusal {
    let error: BoxError = error.into();
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};

    use tempfile::TempDir;
    use tokio::task::spawn_blocking;

    use super::*;

    struct Server {
        address: SocketAddr,
        folder: TempDir,
    }

    async fn server() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let (images, results) = (folder.path().join("images"), folder.path().join("results"));
        fs::create_dir(&images).unwrap();
        fs::create_dir(&results).unwrap();
        fs::write(images.join("a b.png"), "an image").unwrap();
        fs::write(images.join("secret.png"), "not listed").unwrap();
        let files = Files {
            executor: b"a program".to_vec(),
            names: BTreeSet::from(["a b.png".to_owned()]),
            images,
            results,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, files));
        Server { address, folder }
    }

    impl Server {
        /// The status of the answer, and its body.
        async fn ask(&self, head: &str, body: Vec<u8>) -> (u16, String) {
            let address = self.address;
            let head = format!("{head} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
            let exchange = spawn_blocking(move || {
                let mut socket = TcpStream::connect(address).unwrap();
                write!(socket, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
                // A server that refuses need not read all of it.
                let _ = socket.write_all(&body);
                let mut answer = Vec::new();
                let _ = socket.read_to_end(&mut answer);
                String::from_utf8(answer).unwrap()
            });
            let answer = exchange.await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            (status, body.to_owned())
        }

        /// The names of all that is in a folder.
        fn names(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path().join(folder)).unwrap();
            let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
            entries
                .map(|entry| name(entry).into_string().unwrap())
                .collect()
        }
    }

    #[tokio::test]
    async fn programs_and_images_are_given_out_and_results_taken() {
        let server = server().await;
        let nothing = Vec::new;
        let program = server.ask("GET /images-executor", nothing()).await;
        assert_eq!(program, (200, "a program".to_owned()));
        let image = server.ask("GET /images/a%20b.png", nothing()).await;
        assert_eq!(image, (200, "an image".to_owned()));
        for content in ["first", "second"] {
            let put = server.ask("PUT /results/a%20b.png", content.into()).await;
            assert_eq!(put.0, 201);
            let path = server.folder.path().join("results/a b.png");
            assert_eq!(fs::read_to_string(path).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn names_that_are_no_image_lead_nowhere() {
        let server = server().await;
        for name in [
            "secret.png",
            "..%2Fescaped.png",
            "..",
            "%2e%2e",
            "%2Fetc%2Fpasswd",
            "a%20b.png%00",
            "new.png",
        ] {
            let (get, _) = server.ask(&format!("GET /images/{name}"), Vec::new()).await;
            assert_eq!(get, 404, "{name}");
            let put = format!("PUT /results/{name}");
            let (put, _) = server.ask(&put, b"content".to_vec()).await;
            assert_eq!(put, 404, "{name}");
        }
        assert_eq!(server.names("results"), Vec::<String>::new());
        assert_eq!(server.names("").len(), 2);
    }

    #[tokio::test]
    async fn an_upload_that_is_too_large_or_breaks_off_leaves_nothing() {
        let server = server().await;
        // One byte too many: the server has read all of it when it refuses, and its answer arrives.
        let body = vec![7; MAX_FILE + 1];
        let (status, sentence) = server.ask("PUT /results/a%20b.png", body).await;
        assert_eq!(status, 413);
        assert!(sentence.contains("bytes at most"), "{sentence}");

        let address = server.address;
        spawn_blocking(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            write!(
                socket,
                "PUT /results/a%20b.png HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf"
            )
            .unwrap();
        })
        .await
        .unwrap();
        // Whatever the server still has of it, it is gone once another has been taken.
        let (status, _) = server
            .ask("PUT /results/a%20b.png", b"whole".to_vec())
            .await;
        assert_eq!(status, 201);
        while server.names("results").len() > 1 {
            tokio::task::yield_now().await;
        }
        let path = server.folder.path().join("results/a b.png");
        assert_eq!(fs::read_to_string(path).unwrap(), "whole");
    }
}
