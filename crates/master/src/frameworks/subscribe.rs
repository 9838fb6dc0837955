//! How schedulers come, and come back.

use std::sync::Arc;

use meseta_machine::StreamId;
use meseta_proto::internal::FrameworkErrorMessage;
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::{FrameworkId, FrameworkInfo};
use meseta_proto::{Upid, v0};

use super::{Wishes, new_record};
use crate::events::{Notice, error_event};
use crate::master::Master;
use crate::offers::Rescinding;
use crate::records::Endpoint;
use crate::step::Step;
use crate::timers::Timer;
use crate::validation::{self, Invalid};

impl Master {
    /// A scheduler subscribes over HTTP; its stream is open by now.
    pub(super) fn subscribe_stream(
        &mut self,
        step: &mut Step<'_>,
        stream: StreamId,
        subscribe: call::Subscribe,
    ) {
        let call::Subscribe {
            framework_info: mut info,
            suppressed_roles,
            offer_constraints,
        } = subscribe;
        self.count_subscription(&info);
        let wishes = Wishes {
            suppressed_roles,
            offer_constraints,
        };
        let checked = self
            .check_framework(&info)
            .and_then(|()| wishes.check(&info))
            .and_then(|()| self.prepare_return(step, &mut info));
        if let Err(Invalid(sentence)) = checked {
            step.event(&stream, error_event(sentence));
            step.close_stream(stream);
            return;
        }
        let endpoint = Endpoint::Http(stream);
        match known_id(&info) {
            None => self.enter(step, &info, &wishes, endpoint),
            Some(id) => {
                // As Mesos has it, a scheduler over HTTP always takes over from its predecessor.
                self.take_over(step, &id, &info, &wishes, endpoint, Notice::Registered);
            }
        }
    }

    /// A scheduler subscribes through the old driver.
    pub(super) fn subscribe_driver(
        &mut self,
        step: &mut Step<'_>,
        from: &Upid,
        subscribe: v0::scheduler::call::Subscribe,
    ) {
        let force = subscribe.force.unwrap_or_default();
        let mut info = subscribe.framework_info;
        self.count_subscription(&info);
        let wishes = Wishes {
            suppressed_roles: subscribe.suppressed_roles,
            offer_constraints: subscribe.offer_constraints,
        };
        let checked = self
            .check_framework(&info)
            .and_then(|()| self.check_principal(from, &mut info))
            .and_then(|()| wishes.check(&info));
        if let Err(Invalid(sentence)) = checked {
            refuse(step, from, sentence);
            return;
        }
        let endpoint = Endpoint::Driver(from.clone());
        let there = self.peers.driver(from).cloned();
        let Some(id) = known_id(&info) else {
            match there {
                // It has not heard the answer to its last attempt.
                Some(id) => self.notify(step, &id, Notice::Registered),
                None => self.enter(step, &info, &wishes, endpoint),
            }
            return;
        };
        if there.is_some_and(|other| other != id) {
            // A refusal would end the framework that is at this address.
            self.drop_message();
            return;
        }
        if let Err(Invalid(sentence)) = self.prepare_return(step, &mut info) {
            refuse(step, from, sentence);
            return;
        }
        let recovered = self.framework(&id).is_some_and(|f| f.recovered);
        let is_same = self.last_pid(&id).is_some_and(|pid| pid == *from);
        if !recovered && !is_same && !force {
            refuse(step, from, "Framework failed over".to_owned());
            return;
        }
        let notice = if recovered || force {
            Notice::Registered
        } else {
            Notice::Reregistered
        };
        self.take_over(step, &id, &info, &wishes, endpoint, notice);
    }

    fn count_subscription(&mut self, info: &FrameworkInfo) {
        let messages = &mut self.state.metrics.messages;
        match known_id(info) {
            Some(_) => messages.reregister_framework += 1,
            None => messages.register_framework += 1,
        }
    }

    /// A framework that says its id may be unknown to this master, which then takes it at its word.
    /// What cannot change in its life is kept.
    fn prepare_return(&mut self, step: &Step<'_>, info: &mut FrameworkInfo) -> Result<(), Invalid> {
        let Some(id) = known_id(info) else {
            return Ok(());
        };
        self.recover_framework(step, info);
        let Some(framework) = self.framework(&id) else {
            return Ok(());
        };
        info.user.clone_from(&framework.info.user);
        if info.checkpoint() != framework.info.checkpoint() {
            info.checkpoint = framework.info.checkpoint;
        }
        validation::framework_update(&framework.info, info)
    }

    /// A framework subscribes for the first time.
    fn enter(
        &mut self,
        step: &mut Step<'_>,
        info: &FrameworkInfo,
        wishes: &Wishes,
        endpoint: Endpoint,
    ) {
        let id = self.next_framework_id();
        let mut record = new_record(step, &id, info);
        record.suppressed_roles = wishes.suppressed_roles.iter().cloned().collect();
        record.offer_constraints = wishes.offer_constraints.clone().map(Arc::new);
        self.add_framework(record);
        self.connect(step, &id, endpoint);
        self.notify(step, &id, Notice::Registered);
        self.start_heartbeat(step, &id);
    }

    /// A framework's scheduler is back, or another one takes over from it.
    fn take_over(
        &mut self,
        step: &mut Step<'_>,
        id: &FrameworkId,
        info: &FrameworkInfo,
        wishes: &Wishes,
        endpoint: Endpoint,
        notice: Notice,
    ) {
        self.set_framework_info(id, info, wishes);
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let old = framework.endpoint.clone();
        if std::mem::take(&mut framework.recovered) {
            framework.registered_time = step.now.wall;
        }
        framework.reregistered_time = Some(step.now.wall);
        framework.active = true;
        let rescinding = if old == endpoint {
            Rescinding::Told
        } else {
            let sentence = Notice::Error("Framework failed over".to_owned());
            self.notify_at(step, &old, id, sentence);
            Rescinding::Silent
        };
        // What an earlier scheduler was offered, the new one does not know.
        self.remove_offers_of_framework(step, id, rescinding);
        if old != endpoint {
            self.disconnect_endpoint(step, id);
        }
        self.connect(step, id, endpoint);
        self.timers.cancel(&Timer::FrameworkFailover(id.clone()));
        self.allocator.activate_framework(id);
        self.notify(step, id, notice);
        self.start_heartbeat(step, id);
        self.send_framework_to_agents(step, id);
    }

    /// Where the framework's driver is, or was before it was disconnected.
    fn last_pid(&self, id: &FrameworkId) -> Option<Upid> {
        let now = self.framework(id)?.endpoint.pid();
        now.or_else(|| self.former_drivers.get(id)).cloned()
    }
}

/// An empty id counts as none.
fn known_id(info: &FrameworkInfo) -> Option<FrameworkId> {
    info.id.clone().filter(|id| !id.as_str().is_empty())
}

fn refuse(step: &mut Step<'_>, driver: &Upid, sentence: String) {
    step.send(driver, &FrameworkErrorMessage { message: sentence });
}
