use meseta_proto::v1::scheduler::{Call, Event};
use meseta_proto::{decode, json};
use prost::Message as _;

/// How calls and events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/x-protobuf`: smaller and faster.
    #[default]
    Protobuf,
}

impl Encoding {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    pub(crate) fn encode(self, call: &Call) -> Vec<u8> {
        match self {
            Self::Json => json::to_string(call).into_bytes(),
            Self::Protobuf => call.encode_to_vec(),
        }
    }

    pub(crate) fn decode(self, record: &[u8]) -> Result<Event, String> {
        match self {
            Self::Json => json::from_slice(record).map_err(|e| e.to_string()),
            Self::Protobuf => decode(record).map_err(|e| e.to_string()),
        }
    }
}
