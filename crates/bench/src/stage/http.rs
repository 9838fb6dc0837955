//! A connection to the target for calls, one after the other.

use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::error::Error;
use crate::frameworks::Encoding;
use crate::limits;

/// Ties a framework's calls to its subscription.
pub(crate) const STREAM_ID: &str = "Mesos-Stream-Id";

/// Where a master takes calls of schedulers. A master of Mesos that shares its process with an agent
/// answers under this path alone.
pub(crate) const SCHEDULER_API: &str = "/master/api/v1/scheduler";

/// Where it takes calls of operators.
pub(crate) const OPERATOR_API: &str = "/master/api/v1";

/// A connection to the target, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    target: SocketAddrV4,
    requests: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An answer that has come in whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Connection {
    pub(crate) async fn open(target: SocketAddrV4) -> Result<Self, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            address: target,
            what: "a connection",
            reason,
        };
        let stream = timeout(limits::ANSWER_TIME, TcpStream::connect(target))
            .await
            .map_err(|_| unreachable("it takes too long".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| unreachable(error.to_string()))?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        // Whatever ends the connection is seen by the request that is under way.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self {
            target,
            requests,
            driver,
        })
    }

    pub(crate) fn is_usable(&self) -> bool {
        !self.requests.is_closed()
    }

    pub(crate) async fn get(&mut self, path: &'static str) -> Result<Answer, Error> {
        let request = self.request(Method::GET, path);
        let response = self.answer(path, request.body(Full::default())).await?;
        self.whole(path, response, limits::RECORD_BYTES).await
    }

    pub(crate) async fn post(
        &mut self,
        path: &'static str,
        encoding: Encoding,
        stream_id: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let response = self.open_post(path, encoding, stream_id, body).await?;
        self.whole(path, response, limits::RECORD_BYTES).await
    }

    /// Posts a call whose answer may be a stream.
    pub(crate) async fn open_post(
        &mut self,
        path: &'static str,
        encoding: Encoding,
        stream_id: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, encoding.media_type())
            .header(ACCEPT, encoding.media_type());
        if let Some(id) = stream_id {
            request = request.header(STREAM_ID, id);
        }
        self.answer(path, request.body(Full::from(body))).await
    }

    fn request(&self, method: Method, path: &'static str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.to_string())
    }

    async fn answer(
        &mut self,
        what: &'static str,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<Response<Incoming>, Error> {
        let request = request.map_err(|error| self.unreachable(what, error.to_string()))?;
        let answer = async {
            self.requests.ready().await?;
            self.requests.send_request(request).await
        };
        match timeout(limits::ANSWER_TIME, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.unreachable(what, error.to_string())),
            Err(_) => Err(self.unreachable(what, silence(limits::ANSWER_TIME))),
        }
    }

    async fn whole(
        &self,
        what: &'static str,
        response: Response<Incoming>,
        limit: usize,
    ) -> Result<Answer, Error> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), limit).collect();
        match timeout(limits::ANSWER_TIME, body).await {
            Ok(Ok(body)) => Ok(Answer {
                status,
                body: body.to_bytes(),
            }),
            Ok(Err(error)) => Err(self.unreachable(what, error.to_string())),
            Err(_) => Err(self.unreachable(what, silence(limits::ANSWER_TIME))),
        }
    }

    /// The refusal that an answer is, with its sentence.
    pub(crate) async fn refusal(&self, what: &'static str, response: Response<Incoming>) -> Error {
        match self.whole(what, response, limits::ANSWER_BYTES).await {
            Ok(answer) => answer.refusal(self.target, what),
            Err(error) => error,
        }
    }

    fn unreachable(&self, what: &'static str, reason: String) -> Error {
        Error::Unreachable {
            address: self.target,
            what,
            reason,
        }
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn refusal(&self, address: SocketAddrV4, what: &'static str) -> Error {
        Error::Refused {
            address,
            what,
            status: self.status,
            sentence: String::from_utf8_lossy(&self.body).trim().to_owned(),
        }
    }
}

fn silence(after: Duration) -> String {
    format!("nothing came within {after:?}")
}
