use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Number, Value};

use crate::limits::MAX_DEPTH;
use crate::schema::{Field, Kind, Label, Schema};
use crate::wire::{DecodeError, Wire, decode, put_bytes, put_varint};

/// Why a text is not the JSON form of a message; the sentences are Mesos's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON.
    #[error("Failed to parse body into JSON: {0}")]
    Syntax(String),
    /// JSON, but not of this message.
    #[error("Failed to convert JSON into {message} protobuf: {reason}")]
    Convert {
        /// Short name of the expected message.
        message: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Parses the JSON form of a message: unknown fields are ignored, unknown values of optional enums
/// count as absent, numbers and booleans may be given as strings.
pub fn from_slice<M: Wire>(text: &[u8]) -> Result<M, Error> {
    from_value(&parse(text)?)
}

/// Parses JSON that is more than one message.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text).map_err(|e| Error::Syntax(syntax(text, &e)))
}

/// Converts parsed JSON to a message, with the rules of [`from_slice`].
pub fn from_value<M: Wire>(value: &Value) -> Result<M, Error> {
    let failed = |reason| Error::Convert {
        message: M::SCHEMA.short_name(),
        reason,
    };
    let Value::Object(object) = value else {
        return Err(failed("Expecting a JSON object".into()));
    };
    let mut bytes = Vec::with_capacity(256);
    message(M::SCHEMA, object, MAX_DEPTH, &mut bytes).map_err(failed)?;
    decode(&bytes).map_err(|e| match e {
        DecodeError::Malformed { reason, .. } => failed(reason),
        missing @ DecodeError::MissingFields(_) => failed(missing.to_string()),
    })
}

/// Mesos's parser names the line, and shows the rest of it from the character that it met.
fn syntax(text: &[u8], error: &serde_json::Error) -> String {
    let line = text
        .split(|b| *b == b'\n')
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    let from = if error.is_eof() {
        line.len()
    } else {
        error.column().saturating_sub(1)
    };
    let near = line.get(from..).unwrap_or_default();
    let near: String = String::from_utf8_lossy(near)
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_SHOWN)
        .collect();
    format!("syntax error at line {} near: {near}", error.line().max(1))
}

/// How much of a refused text is repeated in the refusal.
const MAX_SHOWN: usize = 1024;

/// Padding may be missing, as Mesos's decoder allows.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn message(
    schema: &'static Schema,
    object: &Map<String, Value>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("nested deeper than {MAX_DEPTH} objects"));
    }
    for (name, value) in object {
        if let Some(field) = schema.field_named(name) {
            self::value(field, value, depth, out)?;
        }
    }
    Ok(())
}

fn value(field: &Field, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Object(object) => self::object(field, object, depth, out),
        Value::Array(_) if field.label != Label::Repeated => Err(format!(
            "Not expecting a JSON array for field '{}'",
            field.name
        )),
        // Arrays within arrays are flattened, as Mesos does.
        Value::Array(values) => {
            if depth == 0 {
                return Err(format!("nested deeper than {MAX_DEPTH} arrays"));
            }
            values
                .iter()
                .try_for_each(|v| self::value(field, v, depth - 1, out))
        }
        Value::String(text) => string(field, text, out),
        Value::Number(n) => number(field, n, out),
        Value::Bool(b) => boolean(field, *b, out),
    }
}

fn object(
    field: &Field,
    object: &Map<String, Value>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match field.kind {
        Kind::Message(schema) => {
            let mut inner = Vec::new();
            message(schema, object, depth - 1, &mut inner)?;
            put_bytes(field.number, &inner, out);
            Ok(())
        }
        Kind::Map(entry) => {
            for (key, inner) in object {
                let mut bytes = Vec::new();
                if let Some(field) = entry.field(1) {
                    string(field, key, &mut bytes)?;
                }
                if let Some(field) = entry.field(2) {
                    value(field, inner, depth - 1, &mut bytes)?;
                }
                put_bytes(field.number, &bytes, out);
            }
            Ok(())
        }
        _ => Err(format!(
            "Not expecting a JSON object for field '{}'",
            field.name
        )),
    }
}

fn string(field: &Field, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    match field.kind {
        Kind::String => put_bytes(field.number, text.as_bytes(), out),
        Kind::Bytes => {
            let bytes = BASE64.decode(text).map_err(|e| {
                format!("Failed to base64 decode bytes field '{}': {e}", field.name)
            })?;
            put_bytes(field.number, &bytes, out);
        }
        Kind::Enum(e) => match e.number(text) {
            Some(n) => put_varint(field.number, i64::from(n).cast_unsigned(), out),
            None if field.label == Label::Required => {
                return Err(format!("Failed to find enum for '{text}'"));
            }
            None => {}
        },
        Kind::Double | Kind::Float if matches!(text, "Infinity" | "-Infinity") => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            put_float(field, sign * f64::INFINITY, out);
        }
        Kind::Bool => match text {
            "true" => boolean(field, true, out)?,
            "false" => boolean(field, false, out)?,
            _ => {
                return Err(format!(
                    "Failed to parse '{text}' as a JSON boolean for field '{}'",
                    field.name
                ));
            }
        },
        Kind::Message(_) | Kind::Map(_) => {
            return Err(format!(
                "Not expecting a JSON string for field '{}'",
                field.name
            ));
        }
        _ => {
            let n = text.trim().parse::<Number>().map_err(|e| {
                format!(
                    "Failed to parse '{text}' as a JSON number for field '{}': {e}",
                    field.name
                )
            })?;
            number(field, &n, out)?;
        }
    }
    Ok(())
}

/// Numbers that do not fit the field's type are refused rather than wrapped.
fn number(field: &Field, number: &Number, out: &mut Vec<u8>) -> Result<(), String> {
    let out_of_range = || format!("Number {number} is out of range for field '{}'", field.name);
    let varint = match field.kind {
        Kind::Double | Kind::Float => {
            put_float(field, number.as_f64().ok_or_else(out_of_range)?, out);
            return Ok(());
        }
        Kind::Int32 => integer(number)
            .and_then(|n| i32::try_from(n).ok())
            .map(|n| i64::from(n).cast_unsigned()),
        Kind::Int64 => integer(number)
            .and_then(|n| i64::try_from(n).ok())
            .map(i64::cast_unsigned),
        Kind::Uint32 => integer(number)
            .and_then(|n| u32::try_from(n).ok())
            .map(u64::from),
        Kind::Uint64 => integer(number).and_then(|n| u64::try_from(n).ok()),
        _ => {
            return Err(format!(
                "Not expecting a JSON number for field '{}'",
                field.name
            ));
        }
    };
    put_varint(field.number, varint.ok_or_else(out_of_range)?, out);
    Ok(())
}

/// Fractions are cut off, as in Mesos.
#[allow(
    clippy::cast_possible_truncation,
    reason = "saturates, and i128 holds every integer asked for"
)]
fn integer(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
        .or_else(|| number.as_f64().filter(|f| f.is_finite()).map(|f| f as i128))
}

fn boolean(field: &Field, value: bool, out: &mut Vec<u8>) -> Result<(), String> {
    match field.kind {
        Kind::Bool => {
            put_varint(field.number, u64::from(value), out);
            Ok(())
        }
        _ => Err(format!(
            "Not expecting a JSON boolean for field '{}'",
            field.name
        )),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a float field holds a float"
)]
fn put_float(field: &Field, value: f64, out: &mut Vec<u8>) {
    use prost::encoding::{double, float};
    match field.kind {
        Kind::Float => float::encode(field.number, &(value as f32), &mut *out),
        _ => double::encode(field.number, &value, &mut *out),
    }
}
