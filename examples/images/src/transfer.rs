//! Files over HTTP, from the executor's side.

use axum::body::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client as Requests;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::limits::{MAX_FILE, TRANSFER_TIMEOUT};

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{uri} answers {status}")]
    Refused { uri: Uri, status: StatusCode },
    #[error("{uri} is larger than {MAX_FILE} bytes")]
    TooLarge { uri: Uri },
    #[error("{uri}: {reason}")]
    Broken { uri: Uri, reason: String },
}

/// Connections to file servers, which many tasks share.
#[derive(Debug, Clone)]
pub(crate) struct Client(Requests<HttpConnector, Full<Bytes>>);

impl Client {
    pub(crate) fn new() -> Self {
        Self(Requests::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) async fn download(&self, uri: &Uri) -> Result<Bytes, Error> {
        let request = Request::get(uri).body(Full::default());
        self.send(uri, request).await
    }

    pub(crate) async fn upload(&self, uri: &Uri, content: Vec<u8>) -> Result<(), Error> {
        let request = Request::put(uri).body(Full::from(content));
        self.send(uri, request).await.map(drop)
    }

    async fn send(
        &self,
        uri: &Uri,
        request: http::Result<Request<Full<Bytes>>>,
    ) -> Result<Bytes, Error> {
        let broken = |reason: String| Error::Broken {
            uri: uri.clone(),
            reason,
        };
        let exchange = async {
            let request = request.map_err(|e| broken(e.to_string()))?;
            let answer = self.0.request(request).await;
            let answer = answer.map_err(|e| broken(with_causes(&e)))?;
            if !answer.status().is_success() {
                return Err(Error::Refused {
                    uri: uri.clone(),
                    status: answer.status(),
                });
            }
            match Limited::new(answer.into_body(), MAX_FILE).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(e) if e.is::<LengthLimitError>() => Err(Error::TooLarge { uri: uri.clone() }),
                Err(e) => Err(broken(e.to_string())),
            }
        };
        timeout(TRANSFER_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(broken(format!("it took more than {TRANSFER_TIMEOUT:?}"))))
    }
}

/// An error's own words often say no more than that there is another below.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}
