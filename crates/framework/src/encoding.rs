use meseta_proto::{Wire, decode, json};

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

    pub(crate) fn encode<M: Wire>(self, call: &M) -> Vec<u8> {
        match self {
            Self::Json => json::to_string(call).into_bytes(),
            Self::Protobuf => call.encode_to_vec(),
        }
    }

    pub(crate) fn decode<M: Wire>(self, record: &[u8]) -> Result<M, String> {
        match self {
            Self::Json => json::from_slice(record).map_err(|e| e.to_string()),
            Self::Protobuf => decode(record).map_err(|e| e.to_string()),
        }
    }
}
