//! Bounds on what requests may say.

/// How long the name of a `jsonp` callback may be: far more than what libraries generate.
pub const MAX_CALLBACK_LENGTH: usize = 128;

/// The highest level of logging that can be asked for: it logs everything.
pub const MAX_LOGGING_LEVEL: u32 = 9;

/// The longest time that requests may name. Longer ones are shortened to it: nobody waits for their end.
pub const MAX_DURATION_SECS: f64 = 10.0 * 365.0 * 24.0 * 3600.0;
