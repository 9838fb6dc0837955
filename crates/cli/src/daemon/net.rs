//! The network's side of a daemon: messages become inputs, requests are looked up in the latest
//! snapshot or asked of the machine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use meseta_endpoints::{Weight, not_found};
use meseta_transport::{Message, Request, RequestStream, Response, Service};

use super::compression::compressed;
use super::driver::{Inputs, Latest};
use super::exchange::{Exchange, Found};
use super::limits::KEPT_ANSWERS;
use super::readings::Readings;

/// What the network's side needs to know of a machine.
pub(crate) trait Edge: 'static {
    type Input: Send + 'static;
    type Snapshot: Send + Sync + 'static;

    /// A message as an input.
    fn input(message: Message) -> Self::Input;

    /// Whether a message says nothing that the machine would do something about at once.
    fn can_wait(_: &Message) -> bool {
        false
    }

    /// What a request comes to.
    fn look_up(
        snapshot: &Self::Snapshot,
        exchange: &Exchange,
        request: &Request,
    ) -> Found<Self::Input>;

    /// How much it takes to answer a request.
    fn weight(_: &Self::Snapshot, _: &Request) -> Weight {
        Weight::Ordinary
    }

    /// Lets go of what was kept for the next heavy request: there was none for a while.
    fn rest(_: &Self::Snapshot) {}

    /// Whether the body of a request is to be read as it arrives.
    fn is_streamed(_: &Self::Snapshot, _: &Request) -> bool {
        false
    }

    /// Answers a request whose body is read as it arrives; snapshots are asked for when they are needed.
    fn streamed(
        latest: Latest<Self::Snapshot>,
        request: Request,
        body: RequestStream,
    ) -> impl Future<Output = Response> + Send {
        drop((latest, request, body));
        async { not_found().into() }
    }
}

/// A daemon's messages and requests from the network.
pub(crate) struct Net<E: Edge> {
    pub(crate) inputs: Inputs<E::Input>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) latest: Latest<E::Snapshot>,
    /// Where heavy requests are answered.
    pub(crate) readings: Option<Arc<Readings>>,
}

impl<E: Edge> Net<E> {
    /// The same, with heavy requests answered away from others.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub(crate) fn with_readings(self, threads: usize) -> std::io::Result<Self> {
        let (latest, exchange) = (self.latest.clone(), Arc::clone(&self.exchange));
        let render = move |request: &Request| {
            let found = E::look_up(&latest.get(), &exchange, request);
            match found {
                Found::Response(response) => Some(compressed(request, response)),
                Found::Question(..) | Found::Held(..) => None,
            }
        };
        let latest = self.latest.clone();
        let rest = move || E::rest(&latest.get());
        let readings = Readings::start(threads, render, KEPT_ANSWERS, rest)?;
        Ok(Self {
            readings: Some(Arc::new(readings)),
            ..self
        })
    }

    async fn answer(self, request: Request) -> Response {
        let weight = E::weight(&self.latest.get(), &request);
        if weight == Weight::Heavy
            && let Some(readings) = &self.readings
            && let Some(response) = readings.ask(&request).await
        {
            return response;
        }
        let Self {
            inputs,
            exchange,
            latest,
            ..
        } = self;
        let asked = Arc::clone(&exchange);
        let look_up = move |request: &Request| match E::look_up(&latest.get(), &asked, request) {
            Found::Response(response) => Found::Response(compressed(request, response)),
            other => other,
        };
        exchange.respond(inputs, request, weight, look_up).await
    }
}

impl<E: Edge> Service for Net<E> {
    fn message(&self, message: Message) {
        self.inputs.send(E::input(message));
    }

    fn take_at_once(&self, message: Message) -> Option<Message> {
        if !E::can_wait(&message) {
            return Some(message);
        }
        let left = self.inputs.leave(E::input(message.clone()));
        left.err().map(|_| message)
    }

    fn try_message(&self, message: Message) -> Option<Message> {
        let taken = self.inputs.try_send(E::input(message.clone()));
        taken.err().map(|_| message)
    }

    fn request(&self, request: Request) -> impl Future<Output = Response> + Send {
        self.clone().answer(request)
    }

    fn is_streamed(&self, request: &Request) -> bool {
        E::is_streamed(&self.latest.get(), request)
    }

    fn streamed(
        &self,
        request: Request,
        body: RequestStream,
    ) -> impl Future<Output = Response> + Send {
        E::streamed(self.latest.clone(), request, body)
    }
}

impl<E: Edge> Clone for Net<E> {
    fn clone(&self) -> Self {
        Self {
            inputs: self.inputs.clone(),
            exchange: Arc::clone(&self.exchange),
            latest: self.latest.clone(),
            readings: self.readings.clone(),
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
