//! In which forms a request comes and wants to be answered.

use meseta_endpoints::accepts;
use meseta_machine::{ContentType, Reply};

use crate::http::Request;
use crate::nested::OutputForm;

/// The encodings of messages.
const ENCODINGS: [ContentType; 2] = [ContentType::Json, ContentType::Protobuf];

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// One message.
    Message,
    /// Records in this encoding.
    Stream(ContentType),
}

/// What the answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) content_type: ContentType,
    pub(super) form: OutputForm,
}

impl Accepted {
    /// Whether a stream alone may be answered, and no message.
    pub(super) fn is_stream(self) -> bool {
        self.content_type == ContentType::RecordIo
    }
}

/// The form of the body.
///
/// # Errors
/// The refusal to answer with, in Mesos's words.
pub(super) fn body(request: &Request<'_>) -> Result<Body, Box<Reply>> {
    let Some(given) = request.content_type else {
        let sentence = "Expecting 'Content-Type' to be present";
        return Err(Box::new(Reply::bad_request(sentence)));
    };
    let of_messages = request.more.message_content_type;
    if given == ContentType::RecordIo.as_str() {
        let Some(of_messages) = of_messages else {
            let sentence = "Expecting 'Message-Content-Type' to be set for streaming requests";
            return Err(Box::new(Reply::bad_request(sentence)));
        };
        let mut encodings = ENCODINGS.into_iter();
        let encoding = encodings.find(|it| it.as_str() == of_messages);
        return encoding.map_or_else(
            || {
                refused(
                    415,
                    "Expecting 'Message-Content-Type' of application/json or \
                     application/x-protobuf",
                )
            },
            |encoding| Ok(Body::Stream(encoding)),
        );
    }
    if !ENCODINGS.iter().any(|it| it.as_str() == given) {
        return refused(
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf or \
             application/recordio",
        );
    }
    if of_messages.is_some() {
        return refused(
            415,
            "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
        );
    }
    Ok(Body::Message)
}

/// The form of the answer.
///
/// # Errors
/// As above.
pub(super) fn accepted(request: &Request<'_>) -> Result<Accepted, Box<Reply>> {
    let of_messages = request.more.message_accept;
    let mut encodings = ENCODINGS.into_iter();
    if let Some(encoding) = encodings.find(|it| accepts(request.accept, *it)) {
        if of_messages.is_some() {
            return refused(
                406,
                "Expecting 'Message-Accept' to be not set for non-streaming responses",
            );
        }
        return Ok(Accepted {
            content_type: encoding,
            form: OutputForm {
                messages: encoding,
                stream: encoding,
            },
        });
    }
    let stream = ContentType::RecordIo;
    if !accepts(request.accept, stream) {
        return refused(
            406,
            "Expecting 'Accept' to allow application/json or application/x-protobuf or \
             application/recordio",
        );
    }
    let mut encodings = ENCODINGS.into_iter();
    let encoding = encodings.find(|it| accepts(of_messages, *it));
    let Some(messages) = encoding else {
        return refused(
            406,
            "Expecting 'Message-Accept' to allow application/json or application/x-protobuf",
        );
    };
    Ok(Accepted {
        content_type: stream,
        form: OutputForm { messages, stream },
    })
}

fn refused<T>(status: u16, sentence: &str) -> Result<T, Box<Reply>> {
    Err(Box::new(Reply::refused(status, sentence)))
}
