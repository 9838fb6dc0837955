//! One HTTP connection to a master.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Error;
use crate::encoding::Encoding;
use crate::limits::{ANSWER_TIMEOUT, MAX_ANSWER};

/// As the C++ library posts: a master that shares its process with agents answers only here.
const PATH: &str = "/master/api/v1/scheduler";

/// Ties calls to the subscription that they belong to.
pub(crate) const STREAM_ID: &str = "Mesos-Stream-Id";

/// A connection, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    master: String,
    requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn open(master: &str) -> Result<Self, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            master: master.to_owned(),
            reason,
        };
        let stream = timeout(ANSWER_TIMEOUT, TcpStream::connect(master))
            .await
            .map_err(|_| unreachable("it does not take the connection".into()))?
            .map_err(|e| unreachable(e.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|e| unreachable(e.to_string()))?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        // Whatever ends the connection is seen by the request that is under way.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            master: master.to_owned(),
            requests,
            driver,
        })
    }

    /// Whether this leads to the master and can take another call.
    pub(crate) fn is_usable(&self, master: &str) -> bool {
        self.master == master && !self.requests.is_closed()
    }

    /// Posts a call and waits for the head of the answer.
    pub(crate) async fn post(
        &mut self,
        body: Vec<u8>,
        encoding: Encoding,
        stream_id: Option<&str>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::post(PATH)
            .header(HOST, &self.master)
            .header(CONTENT_TYPE, encoding.media_type())
            .header(ACCEPT, encoding.media_type());
        if let Some(id) = stream_id {
            request = request.header(STREAM_ID, id);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|e| self.unreachable(&e.to_string()))?;
        let answer = async {
            self.requests.ready().await?;
            self.requests.send_request(request).await
        };
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unreachable(&error.to_string())),
            Err(_) => Err(self.unreachable("it does not answer")),
        }
    }

    /// The refusal that an answer is.
    pub(crate) async fn refusal(&self, answer: Response<Incoming>) -> Error {
        let status = answer.status().as_u16();
        let body = read_body(answer).await;
        let sentence = body.map_or_else(
            || "(without a readable reason)".to_owned(),
            |body| String::from_utf8_lossy(&body).trim().to_owned(),
        );
        Error::Refused {
            master: self.master.clone(),
            status,
            sentence,
        }
    }

    fn unreachable(&self, reason: &str) -> Error {
        Error::Unreachable {
            master: self.master.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// The body of an answer that is no stream; without it the connection cannot be used again.
pub(crate) async fn read_body(answer: Response<Incoming>) -> Option<Bytes> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect();
    let body = timeout(ANSWER_TIMEOUT, body).await.ok()?;
    Some(body.ok()?.to_bytes())
}
