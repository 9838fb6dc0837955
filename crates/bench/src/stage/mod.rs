//! The sockets around emulated agents and frameworks, and the one loop that moves everything.
//!
//! Everything that happens is an [`Input`]; the loop hands it to the agent or framework that it is for,
//! and what those want goes out. So agents and frameworks are plain data that a scenario reads
//! between two turns, and it is [`Stage::until`] that a scenario mostly consists of.
//!
//! Nothing here is per agent: all agents of a port share a listener and a connection to the target. A
//! framework has the connection of its stream; calls go over a few connections that all share.

mod calls;
mod http;
mod streams;
mod wait;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::http::header::HeaderValue;
use bytes::Bytes;
use meseta_proto::Upid;
use meseta_proto::v1::FrameworkInfo;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_resources::Resources;
use meseta_transport::{Body, Message, Peers, Request, Response, Service};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(crate) use http::{Answer, Connection, OPERATOR_API};
pub(crate) use wait::say;

use crate::agents::{Fleet, Outgoing, Pattern, Shape, Standing, Tally, mark};
use crate::error::Error;
use crate::frameworks::{Book, Encoding, Policy, Scheduler, decode_event, encode};
use crate::limits;
use calls::{Job, Lanes};
use streams::Streams;

/// What a run is set to, whatever it measures.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) target: SocketAddrV4,
    /// Where the agents listen.
    pub(crate) ip: std::net::Ipv4Addr,
    /// Over how many ports they are spread.
    pub(crate) ports: usize,
    pub(crate) seed: u64,
    pub(crate) encoding: Encoding,
    pub(crate) agents: Which,
    /// How long nothing may change before a run counts as hung.
    pub(crate) patience: Duration,
}

/// Which agents frameworks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of the same run alone: the target may have real ones.
    Emulated,
    Any,
}

/// What agents are like.
#[derive(Debug, Clone)]
pub(crate) struct Agents {
    pub(crate) resources: Resources,
    pub(crate) pattern: Pattern,
    pub(crate) standing: Standing,
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A message for an agent.
    Message(Message),
    /// A framework's stream has begun.
    Opened {
        framework: usize,
        stream_id: Option<HeaderValue>,
    },
    /// A record of a framework's stream.
    Record { framework: usize, record: Bytes },
    /// A framework's stream has ended.
    Ended { framework: usize, reason: String },
    /// A call was answered.
    Answered {
        framework: usize,
        took: Duration,
        refusal: Option<String>,
    },
}

/// Emulated agents and frameworks with their sockets.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    pub(crate) fleet: Fleet,
    pub(crate) book: Book,
    /// Makes names of this run its own.
    pub(crate) run: String,
    began: Instant,
    frameworks: Vec<Emulated>,
    links: Vec<Peers>,
    listeners: Vec<AbortHandle>,
    lanes: Lanes,
    streams: Streams,
    inputs: mpsc::Receiver<Input>,
    answers: mpsc::UnboundedReceiver<Input>,
    /// What agents want to say.
    outgoing: Vec<Outgoing>,
    /// What frameworks want to say.
    wanted: Vec<(usize, Call)>,
    /// Calls that were handed to the connections, and those of them that are answered.
    called: u64,
    answered: u64,
    /// Frameworks that have left.
    left: u64,
    on_their_way: OnTheirWay,
}

#[derive(Debug)]
struct Emulated {
    scheduler: Scheduler,
    stream_id: Option<HeaderValue>,
    stream: Option<AbortHandle>,
    /// Whether it has taken its leave: its stream is to end, and what it still says is void.
    is_leaving: bool,
}

/// What has been handed to the connections since they were last known to be empty.
#[derive(Debug, Default)]
struct OnTheirWay {
    messages: usize,
    bytes: usize,
}

/// Takes what the target sends to agents.
#[derive(Debug, Clone)]
struct Inbox(mpsc::Sender<Input>);

impl Service for Inbox {
    fn message(&self, message: Message) {
        // Fails at the end of the run alone.
        let _ = self.0.blocking_send(Input::Message(message));
    }

    async fn request(&self, _: Request) -> Response {
        Response::new(::http::StatusCode::NOT_FOUND, Body::Full(Bytes::new()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let streams = self.frameworks.iter().filter_map(|f| f.stream.as_ref());
        for task in self.listeners.iter().chain(streams) {
            task.abort();
        }
    }
}

impl Stage {
    /// Listens, with no agent and no framework yet.
    pub(crate) fn open(settings: Settings, agents: Agents) -> Result<Self, Error> {
        let runtime = Handle::current();
        let (sender, inputs) = mpsc::channel(limits::INPUTS_WAITING);
        let (answered, answers) = mpsc::unbounded_channel();
        let mut addresses = Vec::new();
        let mut links = Vec::new();
        let mut listeners = Vec::new();
        for _ in 0..settings.ports.clamp(1, limits::PORTS) {
            let listener = meseta_transport::bind(SocketAddrV4::new(settings.ip, 0))?;
            let address = listener.local_address();
            addresses.push(address);
            // Nothing is linked, so that nothing is told.
            links.push(Peers::new(address, runtime.clone(), |_| ()));
            let inbox = Inbox(sender.clone());
            let serving = async move { meseta_transport::serve(listener, inbox).await.err() };
            listeners.push(tokio::spawn(serving).abort_handle());
        }
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let run = run_name(epoch);
        let fleet = Fleet::new(Shape {
            resources: agents.resources,
            pattern: agents.pattern,
            standing: agents.standing,
            master: Upid::new("master", settings.target),
            addresses,
            run: run.clone(),
            epoch,
            seed: settings.seed,
        });
        let streams = Streams::new(settings.target, settings.encoding, sender);
        let lanes = Lanes::open(settings.target, settings.encoding, &answered);
        Ok(Self {
            settings,
            fleet,
            book: Book::default(),
            run,
            began: Instant::now(),
            frameworks: Vec::new(),
            links,
            listeners,
            lanes,
            streams,
            inputs,
            answers,
            outgoing: Vec::new(),
            wanted: Vec::new(),
            called: 0,
            answered: 0,
            left: 0,
            on_their_way: OnTheirWay::default(),
        })
    }

    /// Forgets the figures of a warm-up.
    pub(crate) fn start_anew(&mut self) {
        self.book.start_anew();
        self.fleet.tally = Tally::default();
    }

    /// The time of agents and frameworks.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn frameworks(&self) -> impl Iterator<Item = &Scheduler> {
        self.frameworks.iter().map(|emulated| &emulated.scheduler)
    }

    /// Adds a framework and subscribes it; gives its number.
    pub(crate) fn subscribe(&mut self, info: FrameworkInfo, policy: Policy) -> usize {
        let number = self.frameworks.len();
        let home = match self.settings.agents {
            Which::Emulated => Some(mark(&self.run)),
            Which::Any => None,
        };
        let mut scheduler = Scheduler::new(info, home, policy);
        let call = encode(&scheduler.subscribe(self.now()), self.settings.encoding);
        self.frameworks.push(Emulated {
            scheduler,
            stream_id: None,
            stream: Some(self.streams.open(number, call.into())),
            is_leaving: false,
        });
        number
    }

    /// Has a framework do something that may lead to calls.
    pub(crate) fn with(
        &mut self,
        framework: usize,
        act: impl FnOnce(&mut Scheduler, Duration, &mut Book, &mut Vec<Call>),
    ) {
        let now = self.now();
        let mut calls = Vec::new();
        let emulated = self.frameworks.get_mut(framework);
        if let Some(emulated) = emulated.filter(|emulated| !emulated.is_leaving) {
            act(&mut emulated.scheduler, now, &mut self.book, &mut calls);
        }
        self.wanted
            .extend(calls.into_iter().map(|call| (framework, call)));
    }

    /// The same for all frameworks.
    pub(crate) fn with_all(
        &mut self,
        mut act: impl FnMut(&mut Scheduler, Duration, &mut Book, &mut Vec<Call>),
    ) {
        for framework in 0..self.frameworks.len() {
            self.with(framework, &mut act);
        }
    }

    /// Takes what has happened, and sends what is wanted. Waits for something to happen, but not
    /// beyond `until`.
    async fn turn(&mut self, until: Instant) {
        self.fleet.on_time(self.began.elapsed(), &mut self.outgoing);
        let asked = self
            .fleet
            .ask_some(self.began.elapsed(), &mut self.outgoing);
        self.send().await;
        if asked {
            self.take_waiting();
            self.send().await;
            // The sockets' turn.
            tokio::task::yield_now().await;
            return;
        }
        let due = self.fleet.next_wake().map(|at| self.began + at);
        let wake = due.map_or(until, |due| due.min(until));
        let input = tokio::select! {
            Some(input) = self.inputs.recv() => Some(input),
            Some(answer) = self.answers.recv() => Some(answer),
            () = tokio::time::sleep_until(wake.into()) => None,
        };
        if let Some(input) = input {
            self.take(input);
            self.take_waiting();
        }
        self.send().await;
        tokio::task::yield_now().await;
    }

    fn take_waiting(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        for _ in 0..limits::INPUTS_AT_ONCE {
            match self.inputs.try_recv() {
                Ok(input) => self.take(input),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Message(message) => self.fleet.on_message(&message, now, &mut self.outgoing),
            Input::Opened {
                framework,
                stream_id,
            } => {
                if let Some(emulated) = self.frameworks.get_mut(framework) {
                    emulated.stream_id = stream_id;
                }
            }
            Input::Record { framework, record } => {
                match decode_event(&record, self.settings.encoding) {
                    Ok(event) => {
                        self.with(framework, |s, now, book, out| {
                            s.on_event(event, now, book, out);
                        });
                    }
                    Err(reason) => self.book.refuse(format!("an event: {reason}")),
                }
            }
            Input::Ended { framework, reason } => {
                let Some(emulated) = self.frameworks.get_mut(framework) else {
                    return;
                };
                emulated.scheduler.on_disconnected();
                if emulated.is_leaving {
                    self.left += 1;
                } else {
                    self.book.disconnected += 1;
                    self.book.note(reason);
                }
            }
            Input::Answered {
                framework,
                took,
                refusal,
            } => {
                self.answered += 1;
                self.book.calls.add(took);
                let caller = self.frameworks.get(framework);
                let is_there = caller.is_some_and(|caller| !caller.is_leaving);
                if let Some(refusal) = refusal.filter(|_| is_there) {
                    self.book.refuse(refusal);
                }
            }
        }
    }

    /// Hands everything that is wanted to the connections, and waits while they are full.
    async fn send(&mut self) {
        for message in std::mem::take(&mut self.outgoing) {
            self.on_their_way.messages += 1;
            self.on_their_way.bytes += message.body.len();
            if let Some(link) = self.links.get(message.port) {
                link.send(&message.from, &message.to, message.name, message.body);
            }
            if self.on_their_way.messages >= limits::MESSAGES_ON_THEIR_WAY
                || self.on_their_way.bytes >= limits::BYTES_ON_THEIR_WAY
            {
                self.flush().await;
            }
        }
        for (framework, call) in std::mem::take(&mut self.wanted) {
            let emulated = self.frameworks.get(framework);
            let job = Job {
                framework,
                stream_id: emulated.and_then(|emulated| emulated.stream_id.clone()),
                body: encode(&call, self.settings.encoding).into(),
            };
            self.called += 1;
            // Acknowledgements depend on no other call; the others of a framework stay in order.
            let lane = match call.r#type() {
                call::Type::Acknowledge => usize::try_from(self.called).unwrap_or_default(),
                _ => framework,
            };
            self.lanes.call(lane, job).await;
        }
    }

    async fn flush(&mut self) {
        for link in &self.links {
            link.flush().await;
        }
        self.on_their_way = OnTheirWay::default();
    }
}

/// A name that no other run has.
fn run_name(epoch: Duration) -> String {
    format!("bench-{:x}-{:x}", epoch.as_micros(), std::process::id())
}
