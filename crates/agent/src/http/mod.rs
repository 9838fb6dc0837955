//! Requests to the executor API, parsed into calls or refused.

use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::executor::Call;

/// A request to `/api/v1/executor` (also under `/slave(1)`).
#[derive(Debug, Clone, Copy)]
pub struct ExecutorRequest<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// A call of the executor API, and how the stream that it opens is to be written.
#[derive(Debug, Clone)]
pub struct ExecutorCall {
    /// The call: complete and valid in itself.
    pub call: Box<Call>,
    /// The media type of the events, if the call is a SUBSCRIBE.
    pub stream_type: ContentType,
}

/// Parses a request.
///
/// # Errors
/// The refusal to answer with.
pub fn parse_executor_call(_request: ExecutorRequest<'_>) -> Result<ExecutorCall, Box<Reply>> {
    Err(Box::new(Reply::refused(
        503,
        "Agent has not finished recovery",
    )))
}
