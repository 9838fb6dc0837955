//! What schedulers are told: as events on a stream, or as messages to the old driver.

use meseta_proto::internal::{
    ExecutorToFrameworkMessage, ExitedExecutorMessage, FrameworkErrorMessage,
    FrameworkRegisteredMessage, FrameworkReregisteredMessage, InverseOffersMessage,
    LostSlaveMessage, RescindInverseOfferMessage, RescindResourceOfferMessage,
    ResourceOffersMessage, StatusUpdate, StatusUpdateMessage,
};
use meseta_proto::v1::scheduler::{Event, event};
use meseta_proto::v1::{
    AgentId, FrameworkId, InverseOffer, MasterInfo, Offer, OfferId, OperationStatus,
};
use meseta_proto::{Upid, v1};

use crate::master::Master;
use crate::records::Endpoint;
use crate::step::Step;

/// How C++ peers write that there is no process to acknowledge to.
pub(crate) const NO_PID: &str = "@0.0.0.0:0";

/// Something to tell a scheduler.
#[derive(Debug)]
pub(crate) enum Notice {
    /// It is subscribed, as a framework that this master or its driver has not seen before.
    Registered,
    /// It is subscribed again.
    Reregistered,
    /// Its stream is alive. The old driver knows that from its connection.
    Heartbeat,
    /// Resources for it, and the agents' pids in the same order.
    Offers(Vec<Offer>, Vec<String>),
    /// An offer is withdrawn.
    Rescind(OfferId),
    /// Agents that it is asked to leave, and their pids in the same order.
    InverseOffers(Vec<InverseOffer>, Vec<String>),
    /// An inverse offer is withdrawn.
    RescindInverse(OfferId),
    /// A task's state. To be acknowledged if it has a UUID and comes from a process.
    Update(Box<StatusUpdate>, Option<String>),
    /// An operation's state. The old driver cannot be told.
    OperationStatus(Box<OperationStatus>),
    /// Data from an executor.
    Message(ExecutorToFrameworkMessage),
    /// An executor ended.
    ExitedExecutor(ExitedExecutorMessage),
    /// An agent is lost.
    LostAgent(AgentId),
    /// The end.
    Error(String),
}

impl Notice {
    /// The type of its event.
    fn kind(&self) -> event::Type {
        use event::Type;
        match self {
            Self::Registered | Self::Reregistered => Type::Subscribed,
            Self::Heartbeat => Type::Heartbeat,
            Self::Offers(..) => Type::Offers,
            Self::Rescind(_) => Type::Rescind,
            Self::InverseOffers(..) => Type::InverseOffers,
            Self::RescindInverse(_) => Type::RescindInverseOffer,
            Self::Update(..) => Type::Update,
            Self::OperationStatus(_) => Type::UpdateOperationStatus,
            Self::Message(_) => Type::Message,
            Self::ExitedExecutor(_) | Self::LostAgent(_) => Type::Failure,
            Self::Error(_) => Type::Error,
        }
    }
}

impl Master {
    /// Tells a framework's scheduler, if it is there.
    pub(crate) fn notify(&self, step: &mut Step<'_>, framework: &FrameworkId, notice: Notice) {
        if let Some(record) = self.state.frameworks.get(framework) {
            self.notify_at(step, &record.endpoint, framework, notice);
        }
    }

    /// Tells a scheduler where it is, or was a moment ago.
    pub(crate) fn notify_at(
        &self,
        step: &mut Step<'_>,
        endpoint: &Endpoint,
        framework: &FrameworkId,
        notice: Notice,
    ) {
        if *endpoint != Endpoint::None {
            step.told.push((framework.clone(), notice.kind()));
        }
        match endpoint {
            Endpoint::Http(stream) => {
                let event = self.event(framework, notice);
                step.event(stream, event);
            }
            Endpoint::Driver(pid) => self.message(step, pid, framework, notice),
            Endpoint::None => {}
        }
    }

    /// Tells every connected framework of the loss of an agent.
    pub(crate) fn notify_all_of_lost_agent(&self, step: &mut Step<'_>, agent: &AgentId) {
        for record in self.state.frameworks.values() {
            let notice = Notice::LostAgent(agent.clone());
            self.notify_at(step, &record.endpoint, &record.id, notice);
        }
    }

    fn event(&self, framework: &FrameworkId, notice: Notice) -> Event {
        use event::Type;
        let of_type = |kind: Type| Event {
            r#type: Some(kind.into()),
            ..Default::default()
        };
        match notice {
            Notice::Registered | Notice::Reregistered => Event {
                subscribed: Some(event::Subscribed {
                    framework_id: framework.clone(),
                    heartbeat_interval_seconds: Some(
                        self.state.config.policy.heartbeat_interval.as_secs_f64(),
                    ),
                    master_info: Some(self.master_info()),
                }),
                ..of_type(Type::Subscribed)
            },
            Notice::Heartbeat => of_type(Type::Heartbeat),
            Notice::Offers(offers, _) => Event {
                offers: Some(event::Offers { offers }),
                ..of_type(Type::Offers)
            },
            Notice::Rescind(offer_id) => Event {
                rescind: Some(event::Rescind { offer_id }),
                ..of_type(Type::Rescind)
            },
            Notice::InverseOffers(inverse_offers, _) => Event {
                inverse_offers: Some(event::InverseOffers { inverse_offers }),
                ..of_type(Type::InverseOffers)
            },
            Notice::RescindInverse(inverse_offer_id) => Event {
                rescind_inverse_offer: Some(event::RescindInverseOffer { inverse_offer_id }),
                ..of_type(Type::RescindInverseOffer)
            },
            Notice::Update(update, from) => Event {
                update: Some(event::Update {
                    status: event_status(*update, from.as_deref()),
                }),
                ..of_type(Type::Update)
            },
            Notice::OperationStatus(status) => Event {
                update_operation_status: Some(event::UpdateOperationStatus { status: *status }),
                ..of_type(Type::UpdateOperationStatus)
            },
            Notice::Message(message) => Event {
                message: Some(event::Message {
                    agent_id: message.slave_id,
                    executor_id: message.executor_id,
                    data: message.data,
                }),
                ..of_type(Type::Message)
            },
            Notice::ExitedExecutor(exited) => Event {
                failure: Some(event::Failure {
                    agent_id: Some(exited.slave_id),
                    executor_id: Some(exited.executor_id),
                    status: Some(exited.status),
                }),
                ..of_type(Type::Failure)
            },
            Notice::LostAgent(agent) => Event {
                failure: Some(event::Failure {
                    agent_id: Some(agent),
                    ..Default::default()
                }),
                ..of_type(Type::Failure)
            },
            Notice::Error(message) => error_event(message),
        }
    }

    fn message(&self, step: &mut Step<'_>, pid: &Upid, framework: &FrameworkId, notice: Notice) {
        match notice {
            Notice::Registered => step.send(
                pid,
                &FrameworkRegisteredMessage {
                    framework_id: framework.clone(),
                    master_info: self.master_info(),
                },
            ),
            Notice::Reregistered => step.send(
                pid,
                &FrameworkReregisteredMessage {
                    framework_id: framework.clone(),
                    master_info: self.master_info(),
                },
            ),
            Notice::Heartbeat | Notice::OperationStatus(_) => {}
            Notice::Offers(offers, pids) => step.send(pid, &ResourceOffersMessage { offers, pids }),
            Notice::Rescind(offer_id) => step.send(pid, &RescindResourceOfferMessage { offer_id }),
            Notice::InverseOffers(inverse_offers, pids) => step.send(
                pid,
                &InverseOffersMessage {
                    inverse_offers,
                    pids,
                },
            ),
            Notice::RescindInverse(inverse_offer_id) => {
                step.send(pid, &RescindInverseOfferMessage { inverse_offer_id });
            }
            Notice::Update(update, from) => step.send(
                pid,
                &StatusUpdateMessage {
                    update: *update,
                    pid: from,
                },
            ),
            Notice::Message(message) => step.send(pid, &message),
            Notice::ExitedExecutor(exited) => step.send(pid, &exited),
            Notice::LostAgent(slave_id) => step.send(pid, &LostSlaveMessage { slave_id }),
            Notice::Error(message) => step.send(pid, &FrameworkErrorMessage { message }),
        }
    }

    fn master_info(&self) -> MasterInfo {
        MasterInfo::clone(&self.state.master_info)
    }
}

/// The event that ends a subscription.
pub(crate) fn error_event(message: String) -> Event {
    Event {
        r#type: Some(event::Type::Error.into()),
        error: Some(event::Error { message }),
        ..Default::default()
    }
}

/// A task's status as events carry it: with a UUID only if an agent waits for its acknowledgement.
fn event_status(update: StatusUpdate, from: Option<&str>) -> v1::TaskStatus {
    let wanted = Upid::from_field(from).and(update.uuid);
    v1::TaskStatus {
        agent_id: update.slave_id.or(update.status.agent_id),
        executor_id: update.executor_id.or(update.status.executor_id),
        timestamp: Some(update.timestamp),
        uuid: wanted.filter(|uuid| !uuid.is_empty()),
        ..update.status
    }
}
