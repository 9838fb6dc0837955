//! One HTTP connection to a master or an agent.

use std::path::PathBuf;
use std::{fmt, io};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::address;
use crate::encoding::Encoding;
use crate::limits::{ANSWER_TIMEOUT, MAX_ANSWER};
use crate::{Error, Tls};

/// Ties calls to the subscription that they belong to.
pub(crate) const STREAM_ID: &str = "Mesos-Stream-Id";

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `host:port`.
    Tcp(String),
    /// `host:port`, over TLS.
    Tls(String),
    /// The path of a socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// The host that requests name.
    fn host(&self) -> &str {
        match self {
            Self::Tcp(address) | Self::Tls(address) => address,
            Self::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Where calls are posted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    pub(crate) encoding: Encoding,
    /// Marked as sensitive, so that it is never printed.
    pub(crate) authorization: Option<HeaderValue>,
    /// Whom to trust, if the endpoint is called over TLS.
    pub(crate) tls: Option<Tls>,
}

/// A connection, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    requests: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, Error> {
        let opened = async {
            match &target.endpoint {
                Endpoint::Tcp(address) => handshake(dial(address).await?).await,
                Endpoint::Tls(address) => {
                    let tls = target.tls.as_ref();
                    let tls = tls.ok_or_else(|| io::Error::other("nobody is trusted"))?;
                    handshake(tls.connect(address, dial(address).await?).await?).await
                }
                Endpoint::Unix(path) => handshake(UnixStream::connect(path).await?).await,
            }
        };
        let unreachable = |reason: String| Error::Unreachable {
            peer: target.endpoint.to_string(),
            reason,
        };
        let (requests, driver) = timeout(ANSWER_TIMEOUT, opened)
            .await
            .map_err(|_| unreachable("it does not take the connection".into()))?
            .map_err(|e| unreachable(e.to_string()))?;
        Ok(Self {
            target: target.clone(),
            requests,
            driver,
        })
    }

    /// Whether this leads to the target and can take another call.
    pub(crate) fn is_usable(&self, target: &Target) -> bool {
        self.target == *target && !self.requests.is_closed()
    }

    /// Posts a call and waits for the head of the answer.
    pub(crate) async fn post(
        &mut self,
        body: Vec<u8>,
        stream_id: Option<&str>,
    ) -> Result<Response<Incoming>, Error> {
        let media_type = self.target.encoding.media_type();
        let mut request = Request::post(&self.target.path)
            .header(HOST, self.target.endpoint.host())
            .header(CONTENT_TYPE, media_type)
            .header(ACCEPT, media_type);
        if let Some(authorization) = &self.target.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
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
        let is_unauthenticated = answer.status() == StatusCode::UNAUTHORIZED;
        let body = read_body(answer).await;
        let sentence = body.map_or_else(
            || "(without a readable reason)".to_owned(),
            |body| String::from_utf8_lossy(&body).trim().to_owned(),
        );
        if is_unauthenticated {
            return Error::Unauthenticated {
                peer: self.target.endpoint.to_string(),
                sentence,
                has_credential: self.target.authorization.is_some(),
            };
        }
        Error::Refused {
            peer: self.target.endpoint.to_string(),
            status,
            sentence,
        }
    }

    fn unreachable(&self, reason: &str) -> Error {
        Error::Unreachable {
            peer: self.target.endpoint.to_string(),
            reason: reason.to_owned(),
        }
    }
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<(SendRequest<Full<Bytes>>, JoinHandle<()>)> {
    let (requests, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Whatever ends the connection is seen by the request that is under way.
    Ok((
        requests,
        tokio::spawn(async move { drop(connection.await) }),
    ))
}

/// The body of an answer that is no stream; without it the connection cannot be used again.
pub(crate) async fn read_body(answer: Response<Incoming>) -> Option<Bytes> {
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect();
    let body = timeout(ANSWER_TIMEOUT, body).await.ok()?;
    Some(body.ok()?.to_bytes())
}

/// Where a redirect leads.
pub(crate) fn leader(answer: &Response<Incoming>, asked: &Target) -> Result<Endpoint, Error> {
    let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok());
    let leader = location.and_then(|location| address::follow(&asked.endpoint, location));
    leader.ok_or_else(|| Error::Unreachable {
        peer: asked.endpoint.to_string(),
        reason: format!(
            "it redirects to '{}', which cannot be followed",
            location.unwrap_or_default()
        ),
    })
}
