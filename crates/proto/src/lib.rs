//! The wire types of Mesos.
//!
//! * [`v1`]: the domain model of the whole system: messages of the v1 APIs, generated from the
//!   `.proto` files in `protos/`.
//! * [`internal`]: what master, agents, executors and old drivers post to each other over
//!   libprocess. Where such a message carries a `mesos.SlaveID`, its Rust type is [`v1::AgentId`]:
//!   v0 and v1 are the same bytes, so they are one set of structs here. [`v0`] holds the few
//!   messages whose fields differ.
//! * [`decode`] and [`json`]: from bytes to checked messages and back, as Mesos reads and writes
//!   them.
//! * [`recordio`]: the framing of event streams.
//! * [`duration`]: durations in messages, and in the text of flags and variables.
//!
//! ```
//! use meseta_proto::{json, v1::scheduler};
//!
//! let call: scheduler::Call = json::from_slice(br#"{"type": "REVIVE", "framework_id": {"value": "f"}}"#)?;
//! assert_eq!(call.r#type(), scheduler::call::Type::Revive);
//! assert_eq!(json::to_string(&call), r#"{"framework_id":{"value":"f"},"type":"REVIVE"}"#);
//! # Ok::<(), json::Error>(())
//! ```

mod allocation_info;
pub mod duration;
mod ids;
pub mod json;
pub mod limits;
pub mod recordio;
mod schema;
mod states;
mod upid;
pub mod v0;
mod wire;

pub use packages::mesos::internal;
pub use schema::{Enum, Field, Kind, Label, Schema};
pub use upid::{ParseError as UpidError, Upid};
pub use wire::{DecodeError, Wire, decode};

/// The domain model: messages of the v1 APIs, and the packages of each API.
pub mod v1 {
    pub use crate::ids::{
        AgentId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId,
    };
    pub use crate::packages::mesos::v1::*;

    /// Parts of a resource.
    pub mod resource {
        pub use crate::allocation_info::AllocationInfo;
        pub use crate::packages::mesos::v1::resource::*;
    }
}

/// The compiled descriptors of every `.proto` file, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::pedantic,
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    reason = "written by prost"
)]
mod packages {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}
