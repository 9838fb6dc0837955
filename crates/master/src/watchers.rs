//! Operators who watch what happens in the cluster, by the event stream of the operator API.
//!
//! What happens is noted while it happens and told at the end of the step, so that agents and
//! frameworks are shown as the step leaves them. Nothing is noted while nobody watches, but for a
//! while after the last one has gone: who comes back is told what it has missed.
//!
//! A stream usually begins with all that there is, which takes up to seconds and hundreds of megabytes
//! to make. It is made for one moment at a time: who subscribes meanwhile waits, and all who have
//! waited begin with the next moment together. Nobody misses anything by that, nor is told it twice:
//! the events that follow are those since the moment that one began with.

use std::collections::VecDeque;
use std::sync::Arc;

use meseta_machine::{Reply, RequestId, StreamId};
use meseta_proto::v1::master::{Event, event};
use meseta_proto::v1::{AgentId, FrameworkId, FrameworkInfo, Task};

use crate::action::Action;
use crate::http::views;
use crate::input::Opening;
use crate::limits::{RECENT_PATIENCE, TIMER_SLACK};
use crate::master::Master;
use crate::recent::{EventId, Recent};
use crate::snapshot::Moment;
use crate::step::Step;
use crate::timers::Timer;

/// What those are told who have waited longest when too many wait.
const TOO_MANY: &str = "Too many subscribe at once; try again later";

/// Who watches, and what they have not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// The oldest come first.
    streams: VecDeque<StreamId>,
    /// The same, to go with every event.
    shared: Arc<[StreamId]>,
    news: Vec<News>,
    recent: Recent,
    /// Whether news are noted.
    attentive: bool,
    /// Whether what streams begin with is being made.
    is_opening: bool,
    /// Who waits for that; the oldest come first.
    waiting: VecDeque<(RequestId, StreamId)>,
}

/// How an operator wants to watch.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) opening: Opening,
    pub(crate) after: Option<EventId>,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum News {
    TaskAdded(Arc<Task>),
    TaskUpdated(Box<event::TaskUpdated>),
    AgentAdded(AgentId),
    AgentRemoved(AgentId),
    FrameworkAdded(FrameworkId),
    FrameworkUpdated(FrameworkId),
    FrameworkRemoved(Arc<FrameworkInfo>),
}

impl Watchers {
    /// Notes something, if anybody watches or has done so lately.
    pub(crate) fn note(&mut self, news: impl FnOnce() -> News) {
        if self.attentive {
            self.news.push(news());
        }
    }

    fn remove(&mut self, stream: &StreamId) -> bool {
        let before = self.streams.len();
        self.streams.retain(|other| other != stream);
        self.shared = self.streams.iter().cloned().collect();
        self.streams.len() < before
    }

    /// Nobody has come back.
    pub(crate) fn forget(&mut self) {
        self.attentive = false;
        self.recent.forget();
    }

    fn add(&mut self, streams: Vec<StreamId>) {
        self.attentive = true;
        self.streams.extend(streams);
        self.shared = self.streams.iter().cloned().collect();
    }
}

impl Master {
    /// An operator subscribes. When there are too many, the oldest is cut off, as in Mesos.
    pub(crate) fn on_watcher(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        stream: StreamId,
        subscription: Subscription,
    ) {
        let Subscription { opening, after } = subscription;
        let missed = match &after {
            None => Vec::new(),
            Some(after) => match self.missed(after) {
                Ok(missed) => missed,
                Err(sentence) => {
                    step.reply(request, Reply::refused(410, sentence));
                    return;
                }
            },
        };
        if after.is_none() && opening == Opening::State {
            self.watchers.waiting.push_back((request, stream));
            if self.watchers.waiting.len() > self.max_watchers()
                && let Some((oldest, _)) = self.watchers.waiting.pop_front()
            {
                step.reply(oldest, Reply::refused(503, TOO_MANY));
            }
            self.open_watches(step);
            return;
        }
        self.make_room_for_watchers(step, 1);
        step.act(Action::OpenWatch {
            request,
            stream: stream.clone(),
            moment: self.moment(),
            after: after.unwrap_or_else(|| self.last_event()),
            missed,
        });
        self.add_watchers(step, vec![stream]);
    }

    /// What the last ones begin with has been made: those who wait begin.
    pub(crate) fn on_watches_opened(&mut self, step: &mut Step<'_>) {
        self.watchers.is_opening = false;
        self.open_watches(step);
    }

    /// Lets all who wait begin, unless something is being made for others.
    fn open_watches(&mut self, step: &mut Step<'_>) {
        if self.watchers.is_opening || self.watchers.waiting.is_empty() {
            return;
        }
        self.watchers.is_opening = true;
        let watches = Vec::from(std::mem::take(&mut self.watchers.waiting));
        self.make_room_for_watchers(step, watches.len());
        let streams = watches.iter().map(|(_, stream)| stream.clone()).collect();
        step.act(Action::OpenWatches {
            watches,
            moment: self.moment(),
            after: self.last_event(),
        });
        self.add_watchers(step, streams);
    }

    fn max_watchers(&self) -> usize {
        let policy = &self.state.config.policy;
        policy.max_operator_event_stream_subscribers.max(1)
    }

    /// Cuts the oldest off, so that so many more are not too many.
    fn make_room_for_watchers(&mut self, step: &mut Step<'_>, more: usize) {
        while self.watchers.streams.len() + more > self.max_watchers() {
            let Some(oldest) = self.watchers.streams.front().cloned() else {
                return;
            };
            self.watchers.remove(&oldest);
            step.close_stream(oldest);
        }
    }

    fn moment(&self) -> Moment {
        Moment(Arc::new(self.state.clone()))
    }

    fn last_event(&self) -> EventId {
        EventId {
            run: self.state.config.id.clone(),
            number: self.watchers.recent.last,
        }
    }

    /// Tells streams what happens from now on.
    fn add_watchers(&mut self, step: &mut Step<'_>, streams: Vec<StreamId>) {
        // Some clients read an event only when the next one begins.
        let heartbeat = of_type(event::Type::Heartbeat).into();
        step.tell_watchers(Arc::from(streams.clone()), heartbeat);
        self.timers.cancel(&Timer::RecentEvents);
        if self.watchers.streams.is_empty() {
            self.schedule_watchers_heartbeat(step);
        }
        self.watchers.add(streams);
        self.state.watchers = self.watchers.streams.len();
    }

    /// What somebody has missed who has seen this event, or why that can't be told.
    fn missed(&self, after: &EventId) -> Result<Vec<Arc<Event>>, String> {
        let run = &self.state.config.id;
        let why = if after.run == *run {
            let missed = self.watchers.recent.after(after.number);
            match missed {
                Some(missed) => return Ok(missed),
                None => "not all of them are remembered".to_owned(),
            }
        } else {
            format!("this is another run of the master, {run}")
        };
        Err(format!(
            "The events after {after} can't be told: {why}. Subscribe without Last-Event-ID"
        ))
    }

    fn schedule_watchers_heartbeat(&mut self, step: &Step<'_>) {
        let due = step.now.monotonic + self.state.config.policy.heartbeat_interval;
        self.timers
            .set_about(Timer::WatchersHeartbeat, due, TIMER_SLACK);
    }

    pub(crate) fn on_watchers_heartbeat_due(&mut self, step: &mut Step<'_>) {
        if !self.watchers.streams.is_empty() {
            let streams = Arc::clone(&self.watchers.shared);
            step.tell_watchers(streams, of_type(event::Type::Heartbeat).into());
            self.schedule_watchers_heartbeat(step);
        }
    }

    /// A stream ended. Says whether it was a watcher's.
    pub(crate) fn on_watcher_gone(&mut self, step: &Step<'_>, stream: &StreamId) -> bool {
        let was_there = self.watchers.remove(stream);
        if was_there {
            self.state.watchers = self.watchers.streams.len();
        }
        if was_there && self.watchers.streams.is_empty() {
            self.timers.cancel(&Timer::WatchersHeartbeat);
            let end = step.now.monotonic + RECENT_PATIENCE;
            self.timers.set(Timer::RecentEvents, end);
        }
        was_there
    }

    /// Tells those who watch what this step has brought.
    pub(crate) fn tell_watchers(&mut self, step: &mut Step<'_>) {
        let news = std::mem::take(&mut self.watchers.news);
        let mut added: Vec<FrameworkId> = Vec::new();
        for news in news {
            let event = match news {
                News::FrameworkAdded(id) => {
                    added.push(id.clone());
                    self.framework_added(&id)
                }
                // It has been told as it is now.
                News::FrameworkUpdated(id) if added.contains(&id) => None,
                News::FrameworkUpdated(id) => self.framework_updated(&id),
                other => self.event_of(other),
            };
            if let Some(event) = event.map(Arc::new) {
                self.watchers.recent.add(Arc::clone(&event));
                if !self.watchers.streams.is_empty() {
                    step.tell_watchers(Arc::clone(&self.watchers.shared), event);
                }
            }
        }
    }

    fn framework_added(&self, id: &FrameworkId) -> Option<Event> {
        let framework = views::framework(&self.state, self.framework(id)?);
        Some(Event {
            framework_added: Some(event::FrameworkAdded { framework }),
            ..of_type(event::Type::FrameworkAdded)
        })
    }

    fn framework_updated(&self, id: &FrameworkId) -> Option<Event> {
        let framework = views::framework(&self.state, self.framework(id)?);
        Some(Event {
            framework_updated: Some(event::FrameworkUpdated { framework }),
            ..of_type(event::Type::FrameworkUpdated)
        })
    }

    fn event_of(&self, news: News) -> Option<Event> {
        let event = match news {
            News::TaskAdded(task) => Event {
                task_added: Some(event::TaskAdded {
                    task: Task::clone(&task),
                }),
                ..of_type(event::Type::TaskAdded)
            },
            News::TaskUpdated(updated) => Event {
                task_updated: Some(*updated),
                ..of_type(event::Type::TaskUpdated)
            },
            News::AgentAdded(id) => Event {
                agent_added: Some(event::AgentAdded {
                    agent: views::agent(&self.state, self.state.agents.get(&id)?),
                }),
                ..of_type(event::Type::AgentAdded)
            },
            News::AgentRemoved(agent_id) => Event {
                agent_removed: Some(event::AgentRemoved { agent_id }),
                ..of_type(event::Type::AgentRemoved)
            },
            News::FrameworkAdded(id) => self.framework_added(&id)?,
            News::FrameworkUpdated(id) => self.framework_updated(&id)?,
            News::FrameworkRemoved(info) => Event {
                framework_removed: Some(event::FrameworkRemoved {
                    framework_info: FrameworkInfo::clone(&info),
                }),
                ..of_type(event::Type::FrameworkRemoved)
            },
        };
        Some(event)
    }
}

fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Event::default()
    }
}
