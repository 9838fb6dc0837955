//! What the endpoints of master and agent share: routes, queries, refusals, and the v0 forms of
//! JSON.
//!
//! Everything here is a pure function of a request and of records; forms are written straight into
//! the bytes of the reply, however large the state is.
//!
//! ```
//! use meseta_endpoints::{Query, json, route};
//!
//! assert_eq!(route("/master/state.json", "master"), ["state.json"]);
//! assert_eq!(route("//slave(1)/files/browse", "slave(1)"), ["files", "browse"]);
//!
//! let query = [("jsonp".to_owned(), "show".to_owned())];
//! let reply = json(Query(&query), &["a"]);
//! assert_eq!(&reply.body[..], br#"show(["a"])"#);
//! ```

mod call;
pub mod forms;
pub mod limits;
mod metrics;
mod process;
mod prometheus;
mod reply;
mod request;
mod routes;
mod text;
mod timing;
mod writer;

pub use call::{accepts, call};
pub use metrics::{Gauges, Sums, duration, metrics};
pub use process::{NoProcess, Piece, Process, logging, set_logging_level, system};
pub use prometheus::prometheus;
pub use reply::{
    build, flag_messages, flags, is_callback, json, json_text, message, method_not_allowed,
    not_a_callback, not_found, typed, version,
};
pub use request::{Query, endpoint, route};
pub use routes::{Parameter, Route, Weight, find, help, openapi};
pub use text::TextObject;
pub use timing::Timing;
pub use writer::{Field, Writer};
