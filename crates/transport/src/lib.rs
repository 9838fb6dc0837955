//! One listener for libprocess messages, streams and plain HTTP, and the libprocess client.
