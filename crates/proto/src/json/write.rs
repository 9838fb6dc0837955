use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::decode_varint;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::schema::{Field, Kind, Label, Schema};
use crate::wire::{RawFields, RawValue, Wire, enum_number};

/// Serializes a message as Mesos prints it: fields in declaration order, absent ones left out
/// unless they have a default that is not deprecated.
#[derive(Debug)]
pub struct AsJson<'a, M>(pub &'a M);

impl<M: Wire> Serialize for AsJson<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.encode_to_vec();
        Encoded {
            schema: M::SCHEMA,
            bytes: &bytes,
        }
        .serialize(serializer)
    }
}

/// The same of a message in its protobuf encoding. What prost has written is well-formed, so a field
/// that does not parse is left out rather than reported.
#[derive(Debug)]
pub struct Encoded<'a> {
    schema: &'static Schema,
    bytes: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Bytes that are a message of type `M`.
    pub fn new<M: Wire>(bytes: &'a [u8]) -> Self {
        Self {
            schema: M::SCHEMA,
            bytes,
        }
    }
}

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values: Vec<(usize, RawValue<'_>)> = Vec::with_capacity(self.schema.fields.len());
        for (number, value) in RawFields(self.bytes).flatten() {
            if let Some(position) = self.schema.position(number) {
                values.push((position, value));
            }
        }
        // Stable: the values of a repeated field keep their order.
        values.sort_by_key(|(position, _)| *position);

        let mut map = serializer.serialize_map(None)?;
        let mut rest = values.as_slice();
        for (position, field) in self.schema.fields.iter().enumerate() {
            let count = rest.iter().take_while(|(p, _)| *p == position).count();
            let (mine, after) = rest.split_at(count);
            rest = after;
            match (field.label, field.kind, mine.last()) {
                (_, Kind::Map(entry), Some(_)) => {
                    map.serialize_entry(
                        field.name,
                        &Entries {
                            entry,
                            values: mine,
                        },
                    )?;
                }
                (Label::Repeated, _, Some(_)) => {
                    map.serialize_entry(
                        field.name,
                        &Elements {
                            field,
                            values: mine,
                        },
                    )?;
                }
                (_, _, Some((_, value))) => {
                    map.serialize_entry(
                        field.name,
                        &One {
                            field,
                            value: *value,
                        },
                    )?;
                }
                (_, _, None) => {
                    if let (Some(default), false) = (field.default, field.deprecated) {
                        map.serialize_entry(field.name, &DefaultValue(field.kind, default))?;
                    }
                }
            }
        }
        map.end()
    }
}

struct One<'a> {
    field: &'static Field,
    value: RawValue<'a>,
}

impl Serialize for One<'_> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "as protobuf"
    )]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.field.kind, self.value) {
            (Kind::Bool, RawValue::Varint(n)) => serializer.serialize_bool(n != 0),
            (Kind::Int32, RawValue::Varint(n)) => serializer.serialize_i32(n as i32),
            (Kind::Int64, RawValue::Varint(n)) => serializer.serialize_i64(n as i64),
            (Kind::Uint32, RawValue::Varint(n)) => serializer.serialize_u32(n as u32),
            (Kind::Uint64, RawValue::Varint(n)) => serializer.serialize_u64(n),
            (Kind::Enum(e), RawValue::Varint(n)) => match e.name(enum_number(n)) {
                Some(name) => serializer.serialize_str(name),
                None => serializer.serialize_i32(enum_number(n)),
            },
            (Kind::Double, RawValue::Fixed64(n)) => serializer.serialize_f64(f64::from_bits(n)),
            (Kind::Float, RawValue::Fixed32(n)) => serializer.serialize_f32(f32::from_bits(n)),
            (Kind::String, RawValue::Bytes(b)) => {
                serializer.serialize_str(&String::from_utf8_lossy(b))
            }
            (Kind::Bytes, RawValue::Bytes(b)) => serializer.serialize_str(&STANDARD.encode(b)),
            (Kind::Message(schema), RawValue::Bytes(bytes)) => {
                Encoded { schema, bytes }.serialize(serializer)
            }
            _ => serializer.serialize_none(),
        }
    }
}

struct Elements<'a> {
    field: &'static Field,
    values: &'a [(usize, RawValue<'a>)],
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_scalar = matches!(
            self.field.kind,
            Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Enum(_)
        );
        let mut seq = serializer.serialize_seq(None)?;
        for (_, value) in self.values {
            match *value {
                RawValue::Bytes(mut packed) if is_scalar => {
                    while let Ok(n) = decode_varint(&mut packed) {
                        let value = RawValue::Varint(n);
                        seq.serialize_element(&One {
                            field: self.field,
                            value,
                        })?;
                    }
                }
                value => seq.serialize_element(&One {
                    field: self.field,
                    value,
                })?,
            }
        }
        seq.end()
    }
}

struct Entries<'a> {
    entry: &'static Schema,
    values: &'a [(usize, RawValue<'a>)],
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (_, value) in self.values {
            let RawValue::Bytes(bytes) = value else {
                continue;
            };
            let (mut key, mut inner) = (None, None);
            for (number, value) in RawFields(bytes).flatten() {
                match number {
                    1 => key = Some(value),
                    2 => inner = Some(value),
                    _ => {}
                }
            }
            let key = match key {
                Some(RawValue::Bytes(b)) => String::from_utf8_lossy(b),
                _ => "".into(),
            };
            let Some(field) = self.entry.field(2) else {
                continue;
            };
            let value = inner.unwrap_or(RawValue::Bytes(&[]));
            map.serialize_entry(&key, &One { field, value })?;
        }
        map.end()
    }
}

struct DefaultValue(Kind, &'static str);

impl Serialize for DefaultValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Kind::Bool => serializer.serialize_bool(self.1 == "true"),
            Kind::Double | Kind::Float => serializer.serialize_f64(self.1.parse().unwrap_or(0.0)),
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                serializer.serialize_i64(self.1.parse().unwrap_or(0))
            }
            _ => serializer.serialize_str(self.1),
        }
    }
}
