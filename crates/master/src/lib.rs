//! The master as a deterministic state machine.
