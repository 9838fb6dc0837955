//! Questions to a master, for the tools of the command line.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Failure;

/// How long an answer may take. A busy master answers in less than a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer that is read. The frameworks of a large cluster with their tasks take less.
const MAX_ANSWER: usize = 1024 * 1024 * 1024;

/// Asks for what stands at `target`: the status and the body.
pub(crate) fn get(master: &str, target: &str) -> Result<(u16, Bytes), Failure> {
    let failed =
        |reason: String| Failure::Start(format!("failed to ask the master at {master}: {reason}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Start(format!("failed to start: {e}")))?;
    let answer = runtime.block_on(async { timeout(PATIENCE, ask(master, target)).await });
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("it does not answer".to_owned())),
    }
}

async fn ask(
    master: &str,
    target: &str,
) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(master).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Whatever ends the connection is seen by the request.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get(target)
        .header(HOST, master)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let answer = requests.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_ANSWER)
        .collect()
        .await?;
    Ok((status, body.to_bytes()))
}
