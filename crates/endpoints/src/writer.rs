//! Answers of the operator API, written part by part in either encoding.
//!
//! One description of an answer makes both. Records go into it one at a time, so that no copy of
//! the whole state is made, however large it is. In JSON, a list without elements is an empty one,
//! where the mapping of messages would leave it out: as in Mesos, whose readers rely on it.

use meseta_machine::ContentType;
use meseta_proto::Wire;
use meseta_proto::json::Encoded;
use prost::encoding::{WireType, encode_key, encode_varint};

/// An answer, or a part of it, on its way into bytes.
#[derive(Debug)]
pub enum Writer {
    /// An object that is not closed yet.
    Json(Vec<u8>),
    /// The fields of a message.
    Protobuf(Vec<u8>),
}

/// A field: its name in JSON, its number in protobuf.
pub type Field = (&'static str, u32);

impl Writer {
    /// An empty answer.
    pub fn new(content_type: ContentType) -> Self {
        match content_type {
            ContentType::Protobuf => Self::Protobuf(Vec::new()),
            _ => Self::Json(vec![b'{']),
        }
    }

    /// Writes a field that names one of a few.
    pub fn name(&mut self, field: Field, name: &str, number: i32) {
        match self {
            Self::Json(out) => {
                begin(out, field);
                // Names of enums need no escapes.
                out.push(b'"');
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
            }
            Self::Protobuf(out) => prost::encoding::int32::encode(field.1, &number, out),
        }
    }

    /// Writes a number.
    pub fn double(&mut self, field: Field, value: f64) {
        match self {
            Self::Json(out) => {
                begin(out, field);
                // A vector takes whatever is written.
                let _ = serde_json::to_writer(out, &value);
            }
            Self::Protobuf(out) => prost::encoding::double::encode(field.1, &value, out),
        }
    }

    /// Writes messages of one type, which are encoded already.
    pub fn list<M: Wire>(&mut self, field: Field, messages: impl Iterator<Item: AsRef<[u8]>>) {
        self.extended_list::<M>(field, messages, "", "");
    }

    /// The same with an `entry` that is in the JSON of each message alone, behind its `beginning`.
    pub fn extended_list<M: Wire>(
        &mut self,
        field: Field,
        messages: impl Iterator<Item: AsRef<[u8]>>,
        beginning: &str,
        entry: &str,
    ) {
        match self {
            Self::Json(out) => {
                begin(out, field);
                out.push(b'[');
                for (i, message) in messages.enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    let message = Encoded::new::<M>(message.as_ref());
                    let start = out.len();
                    let _ = serde_json::to_writer(&mut *out, &message);
                    if !entry.is_empty()
                        && out
                            .get(start..)
                            .is_some_and(|it| it.starts_with(beginning.as_bytes()))
                    {
                        let place = start + beginning.len();
                        out.splice(place..place, entry.bytes());
                    }
                }
                out.push(b']');
            }
            Self::Protobuf(out) => {
                for message in messages {
                    append(out, field, message.as_ref());
                }
            }
        }
    }

    /// Writes a message that is made of parts itself.
    pub fn part(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        match self {
            Self::Json(out) => {
                begin(out, field);
                out.push(b'{');
                write(self);
                if let Self::Json(out) = self {
                    out.push(b'}');
                }
            }
            Self::Protobuf(out) => {
                // Its length comes first, and is known last.
                let mut part = Self::Protobuf(Vec::new());
                write(&mut part);
                if let Self::Protobuf(part) = part {
                    append(out, field, &part);
                }
            }
        }
    }

    /// The whole answer.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json(mut out) => {
                out.push(b'}');
                out
            }
            Self::Protobuf(out) => out,
        }
    }
}

/// Begins an entry of a JSON object.
fn begin(out: &mut Vec<u8>, (name, _): Field) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a field that holds a message.
fn append(out: &mut Vec<u8>, (_, number): Field, message: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}
