//! Ids are one-string messages; these make them as handy as strings without being strings.
//!
//! All but those of containers are written here rather than by prost: a clone shares the text. An id of a
//! task is in the books of its framework and its agent, in its statuses, and in every message about it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::{Buf, BufMut};
use prost::encoding::{
    DecodeContext, WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len,
    skip_field, string,
};
use prost::{DecodeError, Message};

use crate::packages::mesos::v1::ContainerId;

/// The number of the one field.
const VALUE: u32 = 1;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Eq)]
        pub struct $name {
            value: Arc<str>,
        }

        // Ids are compared with clones of themselves most of all, whose text need not be read.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.value, &other.value) || self.value == other.value
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.value, &other.value) {
                    return Ordering::Equal;
                }
                self.value.cmp(&other.value)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.value.hash(state);
            }
        }

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.value
            }

            /// Uses the other's memory if both are the same id.
            pub fn share_with(&mut self, other: &Self) {
                if self.value == other.value {
                    self.value.clone_from(&other.value);
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.value)
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self { value: value.into() }
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self { value: value.into() }
            }
        }

        impl Message for $name {
            fn encode_raw(&self, buf: &mut impl BufMut) {
                encode_text(VALUE, &self.value, buf);
            }

            fn merge_field(
                &mut self,
                number: u32,
                wire_type: WireType,
                buf: &mut impl Buf,
                context: DecodeContext,
            ) -> Result<(), DecodeError> {
                if number != VALUE {
                    return skip_field(wire_type, number, buf, context);
                }
                self.value = text(wire_type, buf, context).map_err(|mut error| {
                    error.push(stringify!($name), "value");
                    error
                })?;
                Ok(())
            }

            fn encoded_len(&self) -> usize {
                encoded_text_len(VALUE, &self.value)
            }

            fn clear(&mut self) {
                *self = Self::default();
            }
        }
    )*};
}

id!(
    /// Names an agent: a master gives it.
    AgentId,
    /// Names an executor of a framework on an agent.
    ExecutorId,
    /// Names a framework: a master gives it.
    FrameworkId,
    /// Names an offer: a master gives it.
    OfferId,
    /// Names an operation: its framework gives it.
    OperationId,
    /// Names a resource provider.
    ResourceProviderId,
    /// Names a task of a framework, which gives it.
    TaskId,
);

pub(crate) fn encode_text(number: u32, text: &str, buf: &mut impl BufMut) {
    encode_key(number, WireType::LengthDelimited, buf);
    encode_varint(text.len() as u64, buf);
    buf.put_slice(text.as_bytes());
}

pub(crate) fn encoded_text_len(number: u32, text: &str) -> usize {
    key_len(number) + encoded_len_varint(text.len() as u64) + text.len()
}

/// Reads text into memory of its own, without a copy between.
pub(crate) fn text(
    wire_type: WireType,
    buf: &mut impl Buf,
    context: DecodeContext,
) -> Result<Arc<str>, DecodeError> {
    if wire_type == WireType::LengthDelimited
        && let Some((text, read)) = whole_text(buf.chunk())
    {
        let text = text.into();
        buf.advance(read);
        return Ok(text);
    }
    // In pieces, or malformed.
    let mut text = String::new();
    string::merge(wire_type, &mut text, buf, context)?;
    Ok(text.into())
}

/// The text at the beginning of the bytes, and how many bytes it takes with its length.
fn whole_text(bytes: &[u8]) -> Option<(&str, usize)> {
    let mut rest = bytes;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let text = rest.get(..length)?;
    let read = bytes.len() - rest.len() + length;
    Some((std::str::from_utf8(text).ok()?, read))
}

impl From<&str> for ContainerId {
    fn from(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            parent: None,
        }
    }
}

impl ContainerId {
    /// The container that this one is in, however deep; itself, if it is in none.
    pub fn root(&self) -> &Self {
        self.lineage().last().unwrap_or(self)
    }

    /// This container, the one that it is in, and so on to the root.
    pub fn lineage(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |id| id.parent.as_deref())
    }
}

/// As Mesos prints nested containers: `parent.child`.
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of one string as prost writes it.
    #[derive(Clone, PartialEq, Message)]
    struct ByProst {
        #[prost(string, required, tag = "1")]
        value: String,
    }

    #[test]
    fn ids_are_on_the_wire_what_prost_makes_of_them() {
        for value in ["", "t", "ü", &"x".repeat(300)] {
            let id = TaskId::from(value);
            let by_prost = ByProst {
                value: value.to_owned(),
            };
            let bytes = by_prost.encode_to_vec();
            assert_eq!(id.encode_to_vec(), bytes);
            assert_eq!(TaskId::decode(&*bytes), Ok(id.clone()));
            let in_pieces = bytes[..bytes.len() / 2].chain(&bytes[bytes.len() / 2..]);
            assert_eq!(TaskId::decode(in_pieces), Ok(id));
        }
    }

    #[test]
    fn the_last_of_several_values_counts_and_unknown_fields_are_skipped() {
        let bytes = [10, 1, b'a', 16, 7, 10, 1, b'b'];
        assert_eq!(TaskId::decode(&bytes[..]), Ok("b".into()));
    }

    #[test]
    fn what_prost_refuses_is_refused_alike() {
        for bytes in [&[10, 2, b'a'][..], &[10, 1, 0xff], &[8, 1], &[10, 0xff]] {
            let error = TaskId::decode(bytes).unwrap_err().to_string();
            let by_prost = ByProst::decode(bytes).unwrap_err().to_string();
            assert_eq!(error, by_prost.replace("ByProst", "TaskId"));
        }
    }

    #[test]
    fn a_clone_shares_the_text() {
        let id = TaskId::from("t");
        let mut other = TaskId::from("t");
        assert!(Arc::ptr_eq(&id.value, &id.clone().value));
        assert!(!Arc::ptr_eq(&id.value, &other.value));
        other.share_with(&id);
        assert!(Arc::ptr_eq(&id.value, &other.value));
    }
}
