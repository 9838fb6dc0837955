//! Messages of the old scheduler driver: each is a call in another form.

use meseta_machine::is_uuid;
use meseta_proto::internal::{
    DeactivateFrameworkMessage, FrameworkErrorMessage, FrameworkToExecutorMessage, KillTaskMessage,
    LaunchTasksMessage, ReconcileTasksMessage, RegisterFrameworkMessage,
    ReregisterFrameworkMessage, ResourceRequestMessage, ReviveOffersMessage,
    StatusUpdateAcknowledgementMessage, UnregisterFrameworkMessage,
};
use meseta_proto::v1::FrameworkId;
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::scheduler::Call;
use meseta_proto::v1::scheduler::call::{self, Type, reconcile};
use meseta_proto::{Upid, v0};

use crate::master::Master;
use crate::step::Step;
use crate::validation;

impl Master {
    /// A call in a `mesos.scheduler.Call`, which `body` is the encoding of.
    pub(crate) fn on_driver_call(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        call: v0::scheduler::Call,
        body: &[u8],
    ) {
        if call.r#type() == Type::Subscribe && self.hold(from, "mesos.scheduler.Call", body) {
            return;
        }
        let (call, force) = to_v1(call);
        if validation::scheduler_call(&call, None).is_err() {
            self.drop_message();
            return;
        }
        match (call.r#type(), call.subscribe) {
            (Type::Subscribe, Some(subscribe)) => {
                let subscribe = v0::scheduler::call::Subscribe {
                    framework_info: subscribe.framework_info,
                    force,
                    suppressed_roles: subscribe.suppressed_roles,
                    offer_constraints: subscribe.offer_constraints,
                };
                self.subscribe_driver(step, from, subscribe);
            }
            (Type::AcknowledgeOperationStatus | Type::ReconcileOperations, _) => {
                self.drop_message();
            }
            (_, subscribe) => self.call_by_driver(step, from, Call { subscribe, ..call }),
        }
    }

    pub(crate) fn on_register_framework(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: RegisterFrameworkMessage,
    ) {
        let id = message.framework.id.as_ref();
        if id.is_some_and(|id| !id.as_str().is_empty()) {
            refuse(step, from, "Registering with 'id' already set");
            return;
        }
        let subscribe = v0::scheduler::call::Subscribe {
            framework_info: message.framework,
            ..Default::default()
        };
        self.subscribe_driver(step, from, subscribe);
    }

    pub(crate) fn on_reregister_framework(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: ReregisterFrameworkMessage,
    ) {
        let id = message.framework.id.as_ref();
        if id.is_none_or(|id| id.as_str().is_empty()) {
            refuse(step, from, "Re-registering without an 'id'");
            return;
        }
        let subscribe = v0::scheduler::call::Subscribe {
            framework_info: message.framework,
            force: Some(message.failover),
            ..Default::default()
        };
        self.subscribe_driver(step, from, subscribe);
    }

    pub(crate) fn on_unregister_framework(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: UnregisterFrameworkMessage,
    ) {
        let call = call_of(Type::Teardown, message.framework_id);
        self.call_by_driver(step, from, call);
    }

    /// The driver wants no more offers, but stays connected.
    pub(crate) fn on_deactivate_framework(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: &DeactivateFrameworkMessage,
    ) {
        self.state.metrics.messages.deactivate_framework += 1;
        let id = &message.framework_id;
        if self.peers.driver(from) == Some(id) {
            self.deactivate_framework(step, id);
        } else {
            self.drop_message();
        }
    }

    pub(crate) fn on_launch_tasks(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: LaunchTasksMessage,
    ) {
        let filters = Some(message.filters);
        let call = if message.tasks.is_empty() {
            Call {
                decline: Some(call::Decline {
                    offer_ids: message.offer_ids,
                    filters,
                }),
                ..call_of(Type::Decline, message.framework_id)
            }
        } else {
            let launch = Operation {
                r#type: Some(operation::Type::Launch.into()),
                launch: Some(operation::Launch {
                    task_infos: message.tasks,
                }),
                ..Default::default()
            };
            Call {
                accept: Some(call::Accept {
                    offer_ids: message.offer_ids,
                    operations: vec![launch],
                    filters,
                }),
                ..call_of(Type::Accept, message.framework_id)
            }
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_revive_offers(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: ReviveOffersMessage,
    ) {
        let call = Call {
            revive: Some(call::Revive {
                roles: message.roles,
            }),
            ..call_of(Type::Revive, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_kill_task(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: KillTaskMessage,
    ) {
        let call = Call {
            kill: Some(call::Kill {
                task_id: message.task_id,
                agent_id: None,
                kill_policy: message.kill_policy,
            }),
            ..call_of(Type::Kill, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_resource_request(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: ResourceRequestMessage,
    ) {
        let call = Call {
            request: Some(call::Request {
                requests: message.requests,
            }),
            ..call_of(Type::Request, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_framework_to_executor(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: FrameworkToExecutorMessage,
    ) {
        let call = Call {
            message: Some(call::Message {
                agent_id: message.slave_id,
                executor_id: message.executor_id,
                data: message.data,
            }),
            ..call_of(Type::Message, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_reconcile_tasks(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: ReconcileTasksMessage,
    ) {
        let tasks = message.statuses.into_iter();
        let tasks = tasks.map(|status| reconcile::Task {
            task_id: status.task_id,
            agent_id: status.agent_id,
        });
        let call = Call {
            reconcile: Some(call::Reconcile {
                tasks: tasks.collect(),
            }),
            ..call_of(Type::Reconcile, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    pub(crate) fn on_status_update_acknowledgement(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        message: StatusUpdateAcknowledgementMessage,
    ) {
        // An agent of C++ ends itself over anything else.
        if !is_uuid(&message.uuid) {
            self.state.metrics.invalid_status_update_acknowledgements += 1;
            return;
        }
        let call = Call {
            acknowledge: Some(call::Acknowledge {
                agent_id: message.slave_id,
                task_id: message.task_id,
                uuid: message.uuid,
            }),
            ..call_of(Type::Acknowledge, message.framework_id)
        };
        self.call_by_driver(step, from, call);
    }

    /// Carries out a call, if it comes from where the framework's driver is.
    fn call_by_driver(&mut self, step: &mut Step<'_>, from: &Upid, mut call: Call) {
        let id = call.framework_id.take().unwrap_or_default();
        if self.peers.driver(from) == Some(&id) {
            let kind = call.r#type();
            let reply = self.carry_out(step, &id, call);
            if kind == Type::UpdateFramework && reply.status != 200 {
                let sentence = String::from_utf8_lossy(&reply.body);
                refuse(step, from, &sentence);
            }
        } else if self.former_drivers.get(&id) == Some(from) {
            refuse(step, from, "Framework disconnected");
        } else {
            self.drop_message();
        }
    }
}

fn call_of(kind: Type, framework: FrameworkId) -> Call {
    Call {
        r#type: Some(kind.into()),
        framework_id: Some(framework),
        ..Default::default()
    }
}

fn refuse(step: &mut Step<'_>, driver: &Upid, sentence: &str) {
    let message = FrameworkErrorMessage {
        message: sentence.to_owned(),
    };
    step.send(driver, &message);
}

/// The same call in v1, which has no word for what a driver says with `force`.
fn to_v1(call: v0::scheduler::Call) -> (Call, Option<bool>) {
    let force = call.subscribe.as_ref().and_then(|s| s.force);
    let subscribe = call.subscribe.map(|subscribe| call::Subscribe {
        framework_info: subscribe.framework_info,
        suppressed_roles: subscribe.suppressed_roles,
        offer_constraints: subscribe.offer_constraints,
    });
    let call = Call {
        framework_id: call.framework_id,
        r#type: call.r#type,
        subscribe,
        accept: call.accept,
        decline: call.decline,
        accept_inverse_offers: call.accept_inverse_offers,
        decline_inverse_offers: call.decline_inverse_offers,
        revive: call.revive,
        kill: call.kill,
        shutdown: call.shutdown,
        acknowledge: call.acknowledge,
        acknowledge_operation_status: call.acknowledge_operation_status,
        reconcile: call.reconcile,
        reconcile_operations: call.reconcile_operations,
        message: call.message,
        request: call.request,
        suppress: call.suppress,
        update_framework: call.update_framework,
    };
    (call, force)
}
