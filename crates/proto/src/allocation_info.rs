//! To which role a resource is allocated. Clones share the role's name, as those of ids share theirs: every
//! resource of every task and of every offer bears one.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, skip_field};
use prost::{DecodeError, Message};

use crate::ids::{encode_text, encoded_text_len, text};

/// The number of the one field.
const ROLE: u32 = 1;

/// To which role a resource is allocated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AllocationInfo {
    /// The role's name.
    pub role: Option<Arc<str>>,
}

impl AllocationInfo {
    /// The role's name; empty when there is none.
    pub fn role(&self) -> &str {
        self.role.as_deref().unwrap_or_default()
    }

    /// Uses the other's memory if both are to the same role.
    pub fn share_with(&mut self, other: &Self) {
        if self.role == other.role {
            self.role.clone_from(&other.role);
        }
    }
}

impl Message for AllocationInfo {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if let Some(role) = &self.role {
            encode_text(ROLE, role, buf);
        }
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if number != ROLE {
            return skip_field(wire_type, number, buf, context);
        }
        let role = text(wire_type, buf, context).map_err(|mut error| {
            error.push("AllocationInfo", "role");
            error
        })?;
        self.role = Some(role);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        let role = self.role.as_deref();
        role.map_or(0, |role| encoded_text_len(ROLE, role))
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as prost writes it.
    #[derive(Clone, PartialEq, Message)]
    struct ByProst {
        #[prost(string, optional, tag = "1")]
        role: Option<String>,
    }

    #[test]
    fn it_is_on_the_wire_what_prost_makes_of_it() {
        for role in [None, Some(""), Some("eng/dev")] {
            let info = AllocationInfo {
                role: role.map(Into::into),
            };
            let by_prost = ByProst {
                role: role.map(Into::into),
            };
            let bytes = by_prost.encode_to_vec();
            assert_eq!(info.encode_to_vec(), bytes);
            assert_eq!(AllocationInfo::decode(&*bytes), Ok(info));
        }
    }
}
