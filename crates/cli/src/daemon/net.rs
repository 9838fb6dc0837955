//! The network's side of a daemon: messages become inputs, requests are looked up in the latest
//! snapshot or asked of the machine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use meseta_transport::{Message, Request, Response, Service};

use super::compression::compressed;
use super::driver::{Inputs, Latest};
use super::exchange::{Exchange, Found};

/// What the network's side needs to know of a machine.
pub(crate) trait Edge: 'static {
    type Input: Send + 'static;
    type Snapshot: Send + Sync + 'static;

    /// A message as an input.
    fn input(message: Message) -> Self::Input;

    /// What a request comes to.
    fn look_up(
        snapshot: &Self::Snapshot,
        exchange: &Exchange,
        request: &Request,
    ) -> Found<Self::Input>;
}

/// A daemon's messages and requests from the network.
pub(crate) struct Net<E: Edge> {
    pub(crate) inputs: Inputs<E::Input>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) latest: Latest<E::Snapshot>,
}

impl<E: Edge> Service for Net<E> {
    fn message(&self, message: Message) {
        self.inputs.send(E::input(message));
    }

    fn request(&self, request: Request) -> impl Future<Output = Response> + Send {
        let this = self.clone();
        let exchange = Arc::clone(&self.exchange);
        exchange.respond(
            self.inputs.clone(),
            request,
            move |request| match E::look_up(&this.latest.get(), &this.exchange, request) {
                Found::Response(response) => Found::Response(compressed(request, response)),
                other => other,
            },
        )
    }
}

impl<E: Edge> Clone for Net<E> {
    fn clone(&self) -> Self {
        Self {
            inputs: self.inputs.clone(),
            exchange: Arc::clone(&self.exchange),
            latest: self.latest.clone(),
        }
    }
}

impl<E: Edge> fmt::Debug for Net<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

/// The text of a header, if it is there and is text.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}
