//! Bounds on what is decoded.

/// How deeply messages, objects and arrays may nest. protobuf's own limit in C++, so that nothing
/// that Mesos accepts is refused; a recursive descent to this depth needs some tens of KiB of stack.
pub const MAX_DEPTH: usize = 100;

/// How long one RecordIO record may be unless the caller says otherwise. An event with the state
/// of a large cluster is the longest record there is.
pub const MAX_RECORD: usize = 256 * 1024 * 1024;

/// Digits that a RecordIO length may have: more than `u64::MAX` needs, so anything longer is noise.
pub const MAX_RECORD_LENGTH_DIGITS: usize = 20;
