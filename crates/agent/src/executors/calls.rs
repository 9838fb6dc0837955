//! Calls of the executor API, valid in themselves: [`crate::http`] has seen to that.

use std::sync::Arc;

use meseta_authentication::Claims;
use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::v1::executor::{self, call};
use meseta_proto::v1::{ContainerId, TaskId};

use crate::Action;
use crate::agent::{Agent, Phase, Timer, Turn};
use crate::executors::{RunKey, ToExecutor};
use crate::http::tokens;
use crate::limits::EXECUTOR_HEARTBEAT_INTERVAL;
use crate::records::ExecutorState;
use crate::updates::Taken;

impl Agent {
    pub(crate) fn on_executor_call(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        call: executor::Call,
        new_stream: StreamId,
        principal: Option<&Claims>,
    ) {
        use executor::call::Type;
        let kind = call.r#type();
        let key = (call.framework_id, call.executor_id);
        let reply = match self.admit_call(&key, kind, principal) {
            Err(refusal) => refusal,
            Ok(()) => match (kind, call.subscribe, call.update, call.message) {
                (Type::Subscribe, subscribe, ..) => {
                    let subscribe = subscribe.unwrap_or_default();
                    self.on_subscribe(turn, request, &key, subscribe, new_stream);
                    return;
                }
                (Type::Update, _, Some(update), _) => {
                    match self.take_executor_update(turn, &key, update.status) {
                        Taken::Kept => Reply::accepted(),
                        Taken::Full => {
                            Reply::refused(503, "Too many status updates are not acknowledged")
                        }
                    }
                }
                (Type::Message, _, _, Some(message)) => {
                    self.send_executor_message(turn, &key, message.data);
                    Reply::accepted()
                }
                (Type::Heartbeat, ..) => Reply::accepted(),
                (Type::Unknown | Type::Update | Type::Message, ..) => Reply {
                    status: 501,
                    ..Reply::ok()
                },
            },
        };
        turn.act(Action::Reply { request, reply });
    }

    fn admit_call(
        &self,
        key: &RunKey,
        kind: call::Type,
        principal: Option<&Claims>,
    ) -> Result<(), Reply> {
        // An executor that were told that nobody knows it would end.
        if self.has_refused {
            return Err(Reply::refused(503, "Agent has not finished recovery"));
        }
        // Its ids may be dummies.
        if kind == call::Type::Heartbeat {
            return Ok(());
        }
        if !self.frameworks.contains_key(&key.0) {
            return Err(Reply::bad_request("Framework cannot be found"));
        }
        let Some(executor) = self.executor(key) else {
            return Err(Reply::bad_request("Executor cannot be found"));
        };
        if let Some(claims) = principal {
            tokens::check(claims, &key.0, &key.1, &executor.container_id)
                .map_err(|sentence| Reply::refused(403, sentence))?;
        }
        if executor.state == ExecutorState::Registering && kind != call::Type::Subscribe {
            return Err(Reply::refused(403, "Executor is not subscribed"));
        }
        Ok(())
    }

    fn on_subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        key: &RunKey,
        subscribe: call::Subscribe,
        stream: StreamId,
    ) {
        turn.act(Action::OpenStream {
            request,
            stream: stream.clone(),
        });
        if !self.may_subscribe(key) {
            turn.act(Action::Event {
                stream: stream.clone(),
                event: Arc::new(ToExecutor::Shutdown.into_event()),
            });
            turn.act(Action::CloseStream { stream });
            return;
        }
        self.open_stream(turn, key, stream);

        let updates = subscribe.unacknowledged_updates;
        let mut known: Vec<TaskId> = updates.iter().map(|u| u.status.task_id.clone()).collect();
        known.extend(
            subscribe
                .unacknowledged_tasks
                .into_iter()
                .map(|t| t.task_id),
        );
        self.take_back_lost_launches(turn, key, &known);
        let has_purpose = self.has_purpose(key);
        if has_purpose {
            self.send_subscribed(turn, key);
        }
        for update in updates {
            // What is refused now comes again with the next SUBSCRIBE.
            self.take_executor_update(turn, key, update.status);
        }
        if has_purpose {
            self.deliver(turn, key);
        } else {
            self.shut_down_executor(turn, key);
        }
        self.end_recovery_when_complete(turn);
    }

    pub(crate) fn may_subscribe(&self, key: &RunKey) -> bool {
        let welcome = self.frameworks.get(&key.0).is_some_and(|f| !f.terminating);
        let state = self.executor(key).map(|e| e.state);
        welcome
            && !matches!(self.phase, Phase::Terminating(_))
            && matches!(
                state,
                Some(ExecutorState::Registering | ExecutorState::Running)
            )
    }

    /// Makes the stream the executor's, in place of an earlier one.
    fn open_stream(&mut self, turn: &mut Turn<'_>, key: &RunKey, stream: StreamId) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let earlier = executor.stream.replace(stream.clone());
        executor.state = ExecutorState::Running;
        let container = executor.container_id.clone();
        if let Some(earlier) = earlier {
            self.event_streams.remove(&earlier);
            turn.act(Action::CloseStream { stream: earlier });
        }
        self.event_streams.insert(stream, key.clone());
        if let Some(run) = self.runs.get_mut(key) {
            run.pid = None;
        }
        self.timers
            .cancel(&Timer::ExecutorRegistration(container.clone()));
        let at = turn.after(EXECUTOR_HEARTBEAT_INTERVAL);
        self.timers.set(Timer::ExecutorHeartbeat(container), at);
    }

    fn send_subscribed(&self, turn: &mut Turn<'_>, key: &RunKey) {
        let (Some(framework), Some(executor)) = (self.frameworks.get(&key.0), self.executor(key))
        else {
            return;
        };
        let Some(stream) = executor.stream.clone() else {
            return;
        };
        let event = executor::Event {
            r#type: Some(executor::event::Type::Subscribed.into()),
            subscribed: Some(executor::event::Subscribed {
                executor_info: (*executor.info).clone(),
                framework_info: (*framework.info).clone(),
                agent_info: (*self.info).clone(),
                container_id: Some(executor.container_id.clone()),
            }),
            ..executor::Event::default()
        };
        turn.act(Action::Event {
            stream,
            event: Arc::new(event),
        });
    }

    pub(crate) fn send_heartbeat(&mut self, turn: &mut Turn<'_>, container: &ContainerId) {
        let Some(key) = self.containers.get(container) else {
            return;
        };
        let Some(stream) = self.executor(key).and_then(|e| e.stream.clone()) else {
            return;
        };
        let event = executor::Event {
            r#type: Some(executor::event::Type::Heartbeat.into()),
            ..executor::Event::default()
        };
        turn.act(Action::Event {
            stream,
            event: Arc::new(event),
        });
        let at = turn.after(EXECUTOR_HEARTBEAT_INTERVAL);
        let timer = Timer::ExecutorHeartbeat(container.clone());
        self.timers.set(timer, at);
    }

    /// The executor may come back; only its container's end is the end of it.
    pub(crate) fn on_stream_closed(&mut self, stream: &StreamId) {
        let Some(key) = self.event_streams.remove(stream) else {
            return;
        };
        if let Some(executor) = self.executor_mut(&key) {
            executor.stream = None;
            let container = executor.container_id.clone();
            self.timers.cancel(&Timer::ExecutorHeartbeat(container));
        }
    }
}
