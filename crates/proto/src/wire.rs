//! Decoding with the checks that protobuf's C++ library makes and prost leaves out: required
//! fields, and enum values that the reader does not know.

use std::borrow::Cow;

use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, skip_field,
};

use crate::limits::{
    DECODED_BYTES, DECODED_BYTES_PER_BYTE, MAX_DECODED_BYTES, MAX_DEPTH, MAX_MISSING,
};
use crate::schema::{Field, Kind, Label, Schema};

/// A message whose shape is known at run time too.
pub trait Wire: Message + Default {
    /// The message's fields.
    const SCHEMA: &'static Schema;
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Truncated, a wrong wire type, text that is not UTF-8, nested too deeply, or made of so many
    /// empty parts that decoding it would take many times its size.
    #[error("not a valid {message}: {reason}")]
    Malformed {
        /// Short name of the expected message.
        message: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Well-formed but incomplete; the paths are as Mesos prints them, joined by commas.
    #[error("Missing required fields: {0}")]
    MissingFields(String),
}

/// Decodes a message, refusing it when required fields are missing at any depth.
///
/// As in C++, the value of an enum that this version does not know counts as absent.
///
/// # Errors
/// When the bytes are malformed, incomplete, nested deeper than [`MAX_DEPTH`], or would take more
/// memory than [`DECODED_BYTES_PER_BYTE`] and [`DECODED_BYTES`] allow.
pub fn decode<M: Wire>(bytes: &[u8]) -> Result<M, DecodeError> {
    let malformed = |reason: String| DecodeError::Malformed {
        message: M::SCHEMA.short_name(),
        reason,
    };
    let mut report = Report::default();
    let mut room = Room::of(bytes);
    inspect(M::SCHEMA, bytes, MAX_DEPTH, &mut room, &mut report).map_err(malformed)?;
    if !report.missing.is_empty() {
        return Err(DecodeError::MissingFields(report.missing.join(", ")));
    }
    let bytes = if report.unknown_enum {
        let mut kept = Vec::with_capacity(bytes.len());
        strip_unknown_enums(M::SCHEMA, bytes, &mut kept).map_err(malformed)?;
        Cow::Owned(kept)
    } else {
        Cow::Borrowed(bytes)
    };
    M::decode(&*bytes).map_err(|e| malformed(e.to_string()))
}

/// What a message may still take in memory. An empty part is two bytes on the wire and a thousand
/// in memory, so that the size of a body alone bounds little.
struct Room(usize);

impl Room {
    fn of(bytes: &[u8]) -> Self {
        let in_proportion = bytes.len().saturating_mul(DECODED_BYTES_PER_BYTE);
        Self(DECODED_BYTES + in_proportion.min(MAX_DECODED_BYTES))
    }

    /// Takes what an occurrence of a field needs. Singular values lie within their message, but
    /// counting them again keeps the count simple, and above the truth.
    fn take(&mut self, field: &Field, value: &RawValue<'_>) -> Result<(), String> {
        let needed = match (field.kind, value) {
            (Kind::Message(inner) | Kind::Map(inner), RawValue::Bytes(_)) => inner.size,
            _ if field.label != Label::Repeated => return Ok(()),
            (Kind::String | Kind::Bytes, RawValue::Bytes(text)) => size_of::<String>() + text.len(),
            // Packed numbers: a byte on the wire may be eight in memory.
            (_, RawValue::Bytes(packed)) => packed.len().saturating_mul(size_of::<u64>()),
            _ => size_of::<u64>(),
        };
        match self.0.checked_sub(needed) {
            Some(left) => self.0 = left,
            None => return Err("it has too many parts".to_owned()),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Report {
    missing: Vec<String>,
    unknown_enum: bool,
}

fn inspect(
    schema: &'static Schema,
    bytes: &[u8],
    depth: usize,
    room: &mut Room,
    report: &mut Report,
) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("nested deeper than {MAX_DEPTH} messages"));
    }
    let before = report.missing.len();
    let mut seen: u64 = 0;
    let mut occurrences: Vec<(usize, usize)> = Vec::new();
    for field in RawFields(bytes) {
        let (number, value) = field?;
        let Some(position) = schema.position(number) else {
            continue;
        };
        let Some(field) = schema.fields.get(position) else {
            continue;
        };
        room.take(field, &value)?;
        match (field.kind, value) {
            (Kind::Enum(e), RawValue::Varint(n)) if !e.has(enum_number(n)) => {
                report.unknown_enum = true;
                continue;
            }
            (Kind::Message(inner) | Kind::Map(inner), RawValue::Bytes(inner_bytes)) => {
                let known = report.missing.len();
                inspect(inner, inner_bytes, depth - 1, room, report)?;
                let index = match field.label {
                    Label::Repeated => Some(count_one(&mut occurrences, position)),
                    Label::Optional | Label::Required => None,
                };
                for missing in report.missing.iter_mut().skip(known) {
                    *missing = match index {
                        Some(index) => format!("{}[{index}].{missing}", field.name),
                        None => format!("{}.{missing}", field.name),
                    };
                }
                report.missing.truncate(before + MAX_MISSING);
            }
            _ => {}
        }
        seen |= 1 << position;
    }
    let lacking = schema.required & !seen;
    if lacking != 0 {
        let fields = schema.fields.iter().enumerate();
        let own = fields
            .filter(|(position, _)| lacking & 1 << position != 0)
            .map(|(_, field)| field.name.to_owned());
        // As protobuf lists them: a message's own fields before those of its parts.
        report.missing.splice(before..before, own);
        report.missing.truncate(before + MAX_MISSING);
    }
    Ok(())
}

/// Counts one more occurrence of the field, and says how many there were before.
fn count_one(occurrences: &mut Vec<(usize, usize)>, position: usize) -> usize {
    if let Some((_, last)) = occurrences.iter_mut().find(|(p, _)| *p == position) {
        *last += 1;
        return *last;
    }
    occurrences.push((position, 0));
    0
}

/// Copies a message without the enum values that the schema does not know.
fn strip_unknown_enums(
    schema: &'static Schema,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = rest;
        let (number, value) = RawFields(rest).next_from(&mut rest)?;
        let raw = start.get(..start.len() - rest.len()).unwrap_or_default();
        match (schema.field(number).map(|f| f.kind), value) {
            (Some(Kind::Enum(e)), RawValue::Varint(n)) if e.name(enum_number(n)).is_none() => {}
            (Some(Kind::Message(inner) | Kind::Map(inner)), RawValue::Bytes(inner_bytes)) => {
                let mut kept = Vec::with_capacity(inner_bytes.len());
                strip_unknown_enums(inner, inner_bytes, &mut kept)?;
                put_bytes(number, &kept, out);
            }
            _ => out.extend_from_slice(raw),
        }
    }
    Ok(())
}

/// Enums travel as sign-extended 64-bit varints.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half holds the number"
)]
pub(crate) fn enum_number(varint: u64) -> i32 {
    (varint as u32).cast_signed()
}

pub(crate) fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(
        u64::from(number) << 3 | WireType::LengthDelimited as u64,
        out,
    );
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_varint(u64::from(number) << 3 | WireType::Varint as u64, out);
    encode_varint(value, out);
}

/// A value as it lies on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    Group,
}

/// The fields of an encoded message, one after the other.
pub(crate) struct RawFields<'a>(pub(crate) &'a [u8]);

impl<'a> RawFields<'a> {
    fn next_from(&self, rest: &mut &'a [u8]) -> Result<(u32, RawValue<'a>), String> {
        let mut buf = self.0;
        let (number, wire_type) = decode_key(&mut buf).map_err(|e| e.to_string())?;
        let value = match wire_type {
            WireType::Varint => {
                RawValue::Varint(decode_varint(&mut buf).map_err(|e| e.to_string())?)
            }
            WireType::SixtyFourBit => RawValue::Fixed64(u64::from_le_bytes(take(&mut buf)?)),
            WireType::ThirtyTwoBit => RawValue::Fixed32(u32::from_le_bytes(take(&mut buf)?)),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut buf).map_err(|e| e.to_string())?;
                let length = usize::try_from(length).map_err(|_| "a length beyond memory")?;
                let (value, after) = buf.split_at_checked(length).ok_or("truncated")?;
                buf = after;
                RawValue::Bytes(value)
            }
            WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire_type, number, &mut buf, DecodeContext::default())
                    .map_err(|e| e.to_string())?;
                RawValue::Group
            }
        };
        *rest = buf;
        Ok((number, value))
    }
}

/// A field whose number and length, or whose value, take one byte each, and what follows it. Nearly all
/// fields are so.
#[inline]
fn short(bytes: &[u8]) -> Option<(u32, RawValue<'_>, &[u8])> {
    let [key @ 8..0x80, value @ 0..0x80, rest @ ..] = bytes else {
        return None;
    };
    let number = u32::from(key >> 3);
    match key & 7 {
        0 => Some((number, RawValue::Varint((*value).into()), rest)),
        2 => {
            let (value, rest) = rest.split_at_checked((*value).into())?;
            Some((number, RawValue::Bytes(value), rest))
        }
        _ => None,
    }
}

fn take<const N: usize>(buf: &mut &[u8]) -> Result<[u8; N], String> {
    let (value, rest) = buf.split_first_chunk::<N>().ok_or("truncated")?;
    *buf = rest;
    Ok(*value)
}

impl<'a> Iterator for RawFields<'a> {
    type Item = Result<(u32, RawValue<'a>), String>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        if let Some((number, value, rest)) = short(self.0) {
            self.0 = rest;
            return Some(Ok((number, value)));
        }
        let mut rest = self.0;
        let item = self.next_from(&mut rest);
        self.0 = if item.is_ok() { rest } else { &[] };
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::offer::{Operation, operation};
    use crate::v1::scheduler::{Call, call};
    use crate::v1::{FrameworkId, TaskId, TaskInfo};

    #[test]
    fn missing_required_fields_are_named_by_path() {
        let mut bytes = Vec::new();
        put_varint(2, 1, &mut bytes);
        put_bytes(3, &[], &mut bytes);
        assert_eq!(
            decode::<Call>(&bytes),
            Err(DecodeError::MissingFields(
                "subscribe.framework_info".into()
            ))
        );
    }

    #[test]
    fn what_a_message_lacks_itself_comes_before_what_its_parts_lack() {
        let mut bytes = Vec::new();
        put_bytes(4, &[], &mut bytes);
        put_bytes(2, &[], &mut bytes);
        put_bytes(4, &[10, 1, b'x'], &mut bytes);
        let missing = "name, agent_id, resources[0].name, resources[0].type, task_id.value, \
                       resources[1].type";
        let refused = decode::<TaskInfo>(&bytes);
        assert_eq!(refused, Err(DecodeError::MissingFields(missing.into())));
    }

    #[test]
    fn an_unknown_enum_value_counts_as_absent() {
        let call = Call {
            framework_id: Some(FrameworkId::from("f")),
            r#type: Some(77),
            kill: Some(call::Kill {
                task_id: TaskId::from("t"),
                ..Default::default()
            }),
            ..Default::default()
        };
        let decoded: Call = decode(&call.encode_to_vec()).unwrap();
        assert_eq!(
            decoded,
            Call {
                r#type: None,
                ..call
            }
        );
    }

    #[test]
    fn what_would_take_many_times_its_size_is_refused() {
        let mut accept = Vec::new();
        for _ in 0..200_000 {
            put_bytes(2, &[], &mut accept);
        }
        let refused = decode::<call::Accept>(&accept).unwrap_err();
        assert!(refused.to_string().contains("too many parts"), "{refused}");

        let launch = Operation {
            launch: Some(operation::Launch {
                task_infos: vec![TaskInfo {
                    name: "t".into(),
                    task_id: "t1".into(),
                    agent_id: "6dbb1c3a-6c0e-4c4c-9e0b-3b9f0f3a5ad1-S0".into(),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        };
        let accept = call::Accept {
            operations: vec![launch; 100_000],
            ..Default::default()
        };
        assert_eq!(decode(&accept.encode_to_vec()), Ok(accept));
    }

    #[test]
    fn a_refusal_names_a_bounded_number_of_missing_fields() {
        let mut reconcile = Vec::new();
        for _ in 0..10_000 {
            put_bytes(1, &[], &mut reconcile);
        }
        let Err(DecodeError::MissingFields(paths)) = decode::<call::Reconcile>(&reconcile) else {
            panic!("a task needs an id");
        };
        assert!(paths.starts_with("tasks[0].task_id, tasks[1].task_id, "));
        assert_eq!(paths.split(", ").count(), MAX_MISSING);
    }

    #[test]
    fn truncation_and_depth_are_refused() {
        let call = Call {
            framework_id: Some(FrameworkId::from("f")),
            ..Default::default()
        };
        let bytes = call.encode_to_vec();
        assert!(decode::<Call>(&bytes[..bytes.len() - 1]).is_err());

        let mut nested = Vec::new();
        put_bytes(1, b"leaf", &mut nested);
        for _ in 0..200 {
            let mut outer = Vec::new();
            put_bytes(1, b"id", &mut outer);
            put_bytes(2, &nested, &mut outer);
            nested = outer;
        }
        assert!(decode::<crate::v1::ContainerId>(&nested).is_err());
    }
}
