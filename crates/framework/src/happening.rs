use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::{
    AgentId, ExecutorId, FrameworkId, InverseOffer, MasterInfo, Offer, OfferId, OperationStatus,
    TaskStatus,
};

use crate::Incoming;

/// What a scheduler gets to know, sorted by kind: see [`Incoming::into_happening`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// The framework is subscribed, for the first time or again: now is the time to reconcile.
    Subscribed {
        /// Its id, to be remembered for the next life of the scheduler.
        framework_id: FrameworkId,
        /// The leading master, if it says who it is.
        master: Option<Box<MasterInfo>>,
    },
    /// Offers, to be accepted or declined.
    Offers(Vec<Offer>),
    /// An offer is void.
    Rescinded(OfferId),
    /// Machines are to be left, or resources given back.
    InverseOffers(Vec<InverseOffer>),
    /// An inverse offer is void.
    InverseOfferRescinded(OfferId),
    /// What became of a task; comes again until it is acknowledged.
    Update(Box<TaskStatus>),
    /// What became of an operation; comes again until it is acknowledged.
    OperationUpdate(Box<OperationStatus>),
    /// An executor says something.
    Message {
        /// Where it runs.
        agent_id: AgentId,
        /// Who it is.
        executor_id: ExecutorId,
        /// What it says.
        data: Vec<u8>,
    },
    /// An executor has ended. What became of its tasks comes as updates.
    ExecutorEnded {
        /// Where it ran.
        agent_id: Option<AgentId>,
        /// Who it was.
        executor_id: ExecutorId,
        /// How it ended, as `wait` tells, or less than 0 if that is unknown.
        status: Option<i32>,
    },
    /// An agent is gone. What became of its tasks comes as updates.
    AgentLost(Option<AgentId>),
    /// The master has ended the framework, for that reason; nothing follows.
    Ended(String),
    /// There is no master at the moment; see [`Incoming::Disconnected`].
    Disconnected {
        /// What happened.
        reason: String,
    },
    /// An event of a kind that this version does not know.
    Unknown(Box<Event>),
}

impl Incoming<Event> {
    /// Sorted by kind, for a `match`:
    ///
    /// ```no_run
    /// # use meseta_framework::{Error, Events, Happening, Scheduler};
    /// # async fn run(scheduler: Scheduler, mut events: Events) -> Result<(), Error> {
    /// while let Some(incoming) = events.next().await? {
    ///     match incoming.into_happening() {
    ///         Happening::Offers(offers) => {
    ///             let ids = offers.into_iter().map(|offer| offer.id);
    ///             scheduler.decline(ids, None).await?;
    ///         }
    ///         Happening::Update(status) => scheduler.acknowledge(&status).await?,
    ///         Happening::Disconnected { reason } => eprintln!("no master: {reason}"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_happening(self) -> Happening {
        match self {
            Self::Event(event) => sort(event),
            Self::Disconnected { reason } => Happening::Disconnected { reason },
        }
    }
}

fn sort(mut event: Box<Event>) -> Happening {
    let sorted = match event.r#type() {
        event::Type::Subscribed => event.subscribed.take().map(|it| Happening::Subscribed {
            framework_id: it.framework_id,
            master: it.master_info.map(Box::new),
        }),
        event::Type::Offers => event.offers.take().map(|it| Happening::Offers(it.offers)),
        event::Type::InverseOffers => event
            .inverse_offers
            .take()
            .map(|it| Happening::InverseOffers(it.inverse_offers)),
        event::Type::Rescind => event
            .rescind
            .take()
            .map(|it| Happening::Rescinded(it.offer_id)),
        event::Type::RescindInverseOffer => event
            .rescind_inverse_offer
            .take()
            .map(|it| Happening::InverseOfferRescinded(it.inverse_offer_id)),
        event::Type::Update => event
            .update
            .take()
            .map(|it| Happening::Update(Box::new(it.status))),
        event::Type::UpdateOperationStatus => event
            .update_operation_status
            .take()
            .map(|it| Happening::OperationUpdate(Box::new(it.status))),
        event::Type::Message => event.message.take().map(|it| Happening::Message {
            agent_id: it.agent_id,
            executor_id: it.executor_id,
            data: it.data,
        }),
        event::Type::Failure => event.failure.take().map(|it| match it.executor_id {
            Some(executor_id) => Happening::ExecutorEnded {
                agent_id: it.agent_id,
                executor_id,
                status: it.status,
            },
            None => Happening::AgentLost(it.agent_id),
        }),
        event::Type::Error => event.error.take().map(|it| Happening::Ended(it.message)),
        event::Type::Heartbeat | event::Type::Unknown => None,
    };
    sorted.unwrap_or(Happening::Unknown(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(event: Event) -> Happening {
        Incoming::Event(Box::new(event)).into_happening()
    }

    fn of(kind: event::Type) -> Event {
        Event {
            r#type: Some(kind.into()),
            ..Event::default()
        }
    }

    #[test]
    fn the_end_of_an_executor_and_of_an_agent_are_told_apart() {
        let failure = |executor_id: Option<&str>| Event {
            failure: Some(event::Failure {
                agent_id: Some("a".into()),
                executor_id: executor_id.map(Into::into),
                status: Some(9),
            }),
            ..of(event::Type::Failure)
        };
        assert_eq!(
            happening(failure(None)),
            Happening::AgentLost(Some("a".into()))
        );
        let expected = Happening::ExecutorEnded {
            agent_id: Some("a".into()),
            executor_id: "e".into(),
            status: Some(9),
        };
        assert_eq!(happening(failure(Some("e"))), expected);
    }

    #[test]
    fn an_event_without_what_its_kind_promises_is_unknown() {
        for kind in [event::Type::Offers, event::Type::Unknown] {
            let event = of(kind);
            let expected = Happening::Unknown(Box::new(event.clone()));
            assert_eq!(happening(event), expected);
        }
        let offers = Event {
            offers: Some(event::Offers::default()),
            ..of(event::Type::Offers)
        };
        assert_eq!(happening(offers), Happening::Offers(Vec::new()));
    }
}
