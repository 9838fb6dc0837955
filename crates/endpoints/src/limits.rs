//! Bounds on what requests may say.

/// How long the name of a `jsonp` callback may be: far more than what libraries generate.
pub const MAX_CALLBACK_LENGTH: usize = 128;
