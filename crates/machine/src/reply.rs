use bytes::Bytes;

/// The answer to one HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What the body is; `None` for answers without one.
    pub content_type: Option<ContentType>,
    /// Further headers, by name.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

/// The media types that replies use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
    /// `text/javascript`, for answers wrapped into a `jsonp` callback.
    Javascript,
    /// `text/plain; charset=utf-8`: the sentences of refusals.
    Text,
    /// `application/octet-stream`
    Octets,
    /// `application/openmetrics-text`: what Prometheus reads.
    OpenMetrics,
    /// `application/recordio`: a stream of messages in an encoding that another header names.
    RecordIo,
}

impl ContentType {
    /// The value of the `Content-Type` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
            Self::Javascript => "text/javascript",
            Self::Text => "text/plain; charset=utf-8",
            Self::Octets => "application/octet-stream",
            Self::RecordIo => "application/recordio",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Reply {
    /// 200 without a body.
    pub fn ok() -> Self {
        Self {
            status: 200,
            content_type: None,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// 202 without a body: how schedulers' and executors' calls are answered.
    pub fn accepted() -> Self {
        Self {
            status: 202,
            ..Self::ok()
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(ContentType::Json),
            body: body.into(),
            ..Self::ok()
        }
    }

    /// A refusal with its sentence.
    pub fn refused(status: u16, sentence: impl Into<String>) -> Self {
        Self {
            status,
            content_type: Some(ContentType::Text),
            headers: Vec::new(),
            body: Bytes::from(sentence.into()),
        }
    }

    /// 400 with its sentence.
    pub fn bad_request(sentence: impl Into<String>) -> Self {
        Self::refused(400, sentence)
    }
}
