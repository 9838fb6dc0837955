//! What a message looks like, as static tables written by the build script from the descriptors.

use crate::wire::Wire;

/// A message type.
#[derive(Debug)]
pub struct Schema {
    /// Full protobuf name, such as `mesos.v1.TaskInfo`.
    pub name: &'static str,
    /// In the order of the `.proto` file, which is the order in which Mesos prints them as JSON.
    pub fields: &'static [Field],
    /// What the message takes in memory, without what it points to.
    pub(crate) size: usize,
    /// For each number up to the highest, which field has it: 1 for the first, 0 for none.
    places: &'static [u8],
    /// The required fields, as a bit for each.
    pub(crate) required: u64,
}

impl Schema {
    /// The field with this number.
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.get(self.position(number)?)
    }

    /// The position in [`Schema::fields`] of the field with this number.
    pub(crate) fn position(&self, number: u32) -> Option<usize> {
        let place = self.places.get(usize::try_from(number).ok()?)?;
        usize::from(*place).checked_sub(1)
    }

    /// The field with this name, written as in the `.proto` file.
    pub fn field_named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The name without its package and scope: `Call`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// As in the `.proto` file.
    pub name: &'static str,
    /// The field's number on the wire.
    pub number: u32,
    /// Optional, required or repeated.
    pub label: Label,
    /// The type of its value.
    pub kind: Kind,
    /// The default that the `.proto` file gives, as text.
    pub default: Option<&'static str>,
    /// Whether the `.proto` file marks it so.
    pub deprecated: bool,
}

/// How often a field may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// At most once.
    Optional,
    /// Exactly once.
    Required,
    /// Any number of times.
    Repeated,
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "protobuf's own names")]
pub enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float,
    Double,
    String,
    Bytes,
    Enum(&'static Enum),
    Message(&'static Schema),
    /// A map, by the schema of its entries (`key` 1, `value` 2).
    Map(&'static Schema),
}

/// An enumeration type.
#[derive(Debug)]
pub struct Enum {
    /// Names and numbers, in the order of the `.proto` file.
    pub values: &'static [(&'static str, i32)],
    /// The numbers below 64, as a bit for each.
    small: u64,
}

impl Enum {
    /// Whether a number has a name.
    pub fn has(&self, number: i32) -> bool {
        match u32::try_from(number) {
            Ok(number @ 0..64) => self.small & 1 << number != 0,
            _ => self.name(number).is_some(),
        }
    }

    /// The name of a number.
    pub fn name(&self, number: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(_, n)| *n == number)
            .map(|(name, _)| *name)
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, number)| *number)
    }
}

include!(concat!(env!("OUT_DIR"), "/schemas.rs"));
