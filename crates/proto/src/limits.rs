//! Bounds on what is decoded.

/// How deeply messages, objects and arrays may nest. protobuf's own limit in C++, so that nothing
/// that Mesos accepts is refused; a recursive descent to this depth needs some tens of KiB of stack.
pub const MAX_DEPTH: usize = 100;

/// How much memory decoding may take for each byte of a message, besides [`DECODED_BYTES`]. The
/// densest messages in use, launches of many small tasks, come to half of it.
pub const DECODED_BYTES_PER_BYTE: usize = 64;

/// How much memory decoding may take in any case, so that small messages of any shape pass.
pub const DECODED_BYTES: usize = 1024 * 1024;

/// How much memory decoding may take at most: the largest agent that registers again comes to half.
pub const MAX_DECODED_BYTES: usize = 1024 * 1024 * 1024;

/// How many missing fields a refusal names: enough for any mistake made by hand.
pub const MAX_MISSING: usize = 64;

/// How long one RecordIO record may be unless the caller says otherwise. An event with the state
/// of a large cluster is the longest record there is.
pub const MAX_RECORD: usize = 256 * 1024 * 1024;

/// Digits that a RecordIO length may have: more than `u64::MAX` needs, so anything longer is noise.
pub const MAX_RECORD_LENGTH_DIGITS: usize = 20;
