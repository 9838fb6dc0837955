//! How a daemon talks to the rest of its cluster.
//!
//! One listener per daemon takes everything: messages of libprocess, which are HTTP POSTs with a
//! sender; calls of the v1 APIs with the event streams that answer them; and plain HTTP. [`serve`]
//! tells them apart and hands them to a [`Service`]. [`Peers`] sends messages to other processes and
//! tells when a linked one is gone. What a message means is no matter here.
//!
//! Nothing that a peer sends or fails to read costs more than [`limits`] allows.
//!
//! ```no_run
//! use http::StatusCode;
//! use meseta_transport::{Body, Message, Request, Response, Service};
//!
//! #[derive(Clone)]
//! struct Echo;
//!
//! impl Service for Echo {
//!     fn message(&self, message: Message) {
//!         tracing::info!(from = %message.from, name = message.name, "a message");
//!     }
//!
//!     async fn request(&self, request: Request) -> Response {
//!         Response::new(StatusCode::OK, Body::Full(request.body))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = meseta_transport::bind("127.0.0.1:5050".parse()?)?;
//! match meseta_transport::serve(listener, Echo).await? {}
//! # }
//! ```

mod connection;
mod foreign;
pub mod limits;
mod listener;
mod message;
mod peers;
mod request;
mod response;
mod server;
mod stream;

pub use listener::{BindError, Listener, bind};
pub use message::Message;
pub use peers::Peers;
pub use request::{Request, RequestStream};
pub use response::{Body, FileBody, Response};
pub use server::{Opener, Service, serve, serve_unix};
pub use stream::{Backlog, EventBody, SendError, StreamSender, event_stream};
