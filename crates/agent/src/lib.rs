//! The agent as a deterministic state machine.
