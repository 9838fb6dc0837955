//! Calls of schedulers, whichever way they came.

use meseta_allocator::InverseAnswer;
use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::internal::{
    FrameworkToExecutorMessage, KillTaskMessage, ShutdownExecutorMessage,
};
use meseta_proto::v1::FrameworkId;
use meseta_proto::v1::scheduler::{Call, call};

use crate::master::Master;
use crate::records::Endpoint;
use crate::step::Step;

/// The request that a call came in.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) request: RequestId,
    pub(crate) stream: Option<StreamId>,
}

impl Master {
    /// A call over HTTP.
    pub(crate) fn on_scheduler_call(
        &mut self,
        step: &mut Step<'_>,
        origin: Origin,
        mut call: Call,
        new_stream: StreamId,
    ) {
        let Origin { request, stream } = origin;
        if let Some(subscribe) = call.subscribe.take_if(|_| call.r#type == Some(SUBSCRIBE)) {
            if stream.is_some() {
                let sentence = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
                step.reply(request, Reply::bad_request(sentence));
            } else {
                step.open_stream(request, new_stream.clone());
                self.subscribe_stream(step, new_stream, subscribe);
            }
            return;
        }
        let id = call.framework_id.take().unwrap_or_default();
        let reply = match self.check_stream(&id, stream.as_ref()) {
            Ok(()) => self.carry_out(step, &id, call),
            Err(refusal) => refusal,
        };
        step.reply(request, reply);
    }

    /// Checks that a call comes from whom the framework's events go to.
    fn check_stream(&self, id: &FrameworkId, stream: Option<&StreamId>) -> Result<(), Reply> {
        let Some(framework) = self.framework(id) else {
            return Err(Reply::bad_request("Framework cannot be found"));
        };
        let current = match &framework.endpoint {
            Endpoint::None => return Err(Reply::refused(403, "Framework is not subscribed")),
            Endpoint::Driver(_) => {
                return Err(Reply::refused(403, "Framework is not connected via HTTP"));
            }
            Endpoint::Http(current) => current,
        };
        match stream {
            None => Err(Reply::bad_request(
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            )),
            Some(stream) if stream != current => Err(Reply::bad_request(format!(
                "The stream ID '{stream}' included in this request didn't match the stream ID \
                 currently associated with framework ID {id}"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Does what a subscribed framework's scheduler calls for.
    pub(super) fn carry_out(&mut self, step: &mut Step<'_>, id: &FrameworkId, call: Call) -> Reply {
        use call::Type;
        let kind = call.r#type();
        self.count_of(id, |counts| *counts.calls.entry(kind).or_default() += 1);
        match kind {
            Type::Teardown => {
                self.state.metrics.messages.unregister_framework += 1;
                self.remove_framework(step, id);
            }
            Type::Accept => self.accept(step, id, call.accept.unwrap_or_default()),
            Type::Decline => self.decline(step, id, &call.decline.unwrap_or_default()),
            Type::Revive => self.revive(id, &call.revive.unwrap_or_default().roles),
            Type::Suppress => self.suppress(id, &call.suppress.unwrap_or_default().roles),
            Type::Kill => self.kill(step, id, call.kill.unwrap_or_default()),
            Type::Shutdown => self.shut_down_executor(step, id, call.shutdown.unwrap_or_default()),
            Type::Acknowledge => self.acknowledge(step, id, call.acknowledge.unwrap_or_default()),
            Type::Reconcile => {
                self.reconcile(step, id, &call.reconcile.unwrap_or_default().tasks);
            }
            Type::Message => self.send_to_executor(step, id, call.message.unwrap_or_default()),
            Type::UpdateFramework => {
                let update = call.update_framework.unwrap_or_default();
                return self.update_framework(step, id, update);
            }
            // What a scheduler requests is no more than a hint, which Mesos does not follow either.
            Type::Request => self.state.metrics.messages.resource_request += 1,
            Type::AcknowledgeOperationStatus => {
                let acknowledge = call.acknowledge_operation_status.unwrap_or_default();
                self.acknowledge_operation(step, id, acknowledge);
            }
            Type::ReconcileOperations => {
                let reconcile = call.reconcile_operations.unwrap_or_default();
                self.reconcile_operations(step, id, reconcile.operations);
            }
            Type::AcceptInverseOffers => {
                let accept = call.accept_inverse_offers.unwrap_or_default();
                let (ids, filters) = (&accept.inverse_offer_ids, accept.filters.as_ref());
                self.answer_inverse_offers(step, id, ids, InverseAnswer::Accepted, filters);
            }
            Type::DeclineInverseOffers => {
                let decline = call.decline_inverse_offers.unwrap_or_default();
                let (ids, filters) = (&decline.inverse_offer_ids, decline.filters.as_ref());
                self.answer_inverse_offers(step, id, ids, InverseAnswer::Declined, filters);
            }
            Type::Subscribe | Type::Unknown => return Reply::refused(501, ""),
        }
        Reply::accepted()
    }

    /// Has a task killed. Of one that is not in the books, the scheduler is told what is known.
    fn kill(&mut self, step: &mut Step<'_>, id: &FrameworkId, kill: call::Kill) {
        self.state.metrics.messages.kill_task += 1;
        let Some(task) = self.task(id, &kill.task_id) else {
            let asked = call::reconcile::Task {
                task_id: kill.task_id,
                agent_id: kill.agent_id,
            };
            self.reconcile(step, id, &[asked]);
            return;
        };
        let agent_id = task.agent_id.clone();
        if kill.agent_id.is_some_and(|named| named != agent_id) {
            return;
        }
        // The agent may be away without the master's knowing: it is told again when it comes back.
        if let Some(agent) = self.agent_mut(&agent_id) {
            agent.kills.insert((id.clone(), kill.task_id.clone()));
        }
        if let Some(pid) = self.connected_agent(&agent_id) {
            let message = KillTaskMessage {
                framework_id: id.clone(),
                task_id: kill.task_id,
                kill_policy: kill.kill_policy,
            };
            step.send(&pid, &message);
        }
    }

    fn shut_down_executor(
        &mut self,
        step: &mut Step<'_>,
        id: &FrameworkId,
        shutdown: call::Shutdown,
    ) {
        if let Some(agent) = self.state.agents.get(&shutdown.agent_id) {
            let message = ShutdownExecutorMessage {
                executor_id: Some(shutdown.executor_id),
                framework_id: Some(id.clone()),
            };
            step.send(&agent.pid, &message);
        }
    }

    fn send_to_executor(&mut self, step: &mut Step<'_>, id: &FrameworkId, message: call::Message) {
        self.state.metrics.messages.framework_to_executor += 1;
        let Some(pid) = self.connected_agent(&message.agent_id) else {
            self.state.metrics.invalid_framework_to_executor_messages += 1;
            return;
        };
        let message = FrameworkToExecutorMessage {
            slave_id: message.agent_id,
            framework_id: id.clone(),
            executor_id: message.executor_id,
            data: message.data,
        };
        step.send(&pid, &message);
        self.state.metrics.valid_framework_to_executor_messages += 1;
    }
}

const SUBSCRIBE: i32 = call::Type::Subscribe as i32;
