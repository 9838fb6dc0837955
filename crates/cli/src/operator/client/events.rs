//! What happens on a cluster, as its master tells.

use meseta_master::EventId as Place;
use meseta_proto::v1::master::Event;
use meseta_proto::v1::master::event::Type;

use super::streams::Messages;
use crate::operator::error::Error;

/// A stream of events, which has no end of its own.
#[derive(Debug)]
pub(in crate::operator) struct Events {
    /// Where the stream is, if its master counts. Not all do: Mesos does not.
    place: Option<Place>,
    messages: Messages<Event>,
}

impl Events {
    pub(super) fn new(place: Option<Place>, messages: Messages<Event>) -> Self {
        Self { place, messages }
    }

    /// The last event that was seen, for a stream that goes on after it.
    pub(in crate::operator) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Waits for the next event. The end of the stream is an error.
    pub(in crate::operator) fn next(&mut self) -> Result<Event, Error> {
        let event = self.messages.next()?;
        let event = event.ok_or_else(|| self.messages.broken("the stream has ended"))?;
        let counts = !matches!(event.r#type(), Type::Heartbeat | Type::Subscribed);
        if let Some(place) = self.place.as_mut().filter(|_| counts) {
            place.number += 1;
        }
        Ok(event)
    }
}
