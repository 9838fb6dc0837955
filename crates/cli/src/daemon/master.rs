//! The master's daemon.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meseta_endpoints::Weight;
use meseta_machine::{ContentType, Entropy, RequestId, StreamId};
use meseta_master::http::{self, Answer};
use meseta_master::{Action, EventId, Input, Master, Moment, Opening};
use meseta_proto::Upid;
use meseta_store::{Forgetful, Registry, Store};
use meseta_transport::{Message, Peers, Request};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::around::AroundMaster;
use super::driver::{self, Clock, Effects, Inputs, Latest};
use super::exchange::{self, Exchange, First, Found, HAS_NO_ROOM};
use super::net::{Edge, Net, header};
use super::openings::Openings;
use super::process::{self, End, Ends, Signals};
use super::registrar::Registrar;
use super::timings::{Seen, Timed, Timings};
use super::traces::{MasterTraces, Traces};
use super::waiting::Sort;
use super::{config, edge, journal, seed, whitelist};
use crate::address::Addresses;
use crate::flags::{Flags, master::FLAGS};
use crate::{Failure, daemon_flags, logging, say};

/// `meseta master`.
pub(crate) fn run(args: Vec<OsString>) -> Result<(), Failure> {
    let Some(flags) = daemon_flags("meseta master", "Run a master", FLAGS, args)? else {
        return Ok(());
    };
    logging::start(&flags, "mesos-master")?;
    process::run(async {
        let (ends, mut ended) = Ends::channel();
        let mut signals = Signals::install()?;
        let master = start(&flags, ends)?;
        say(&format!("Meseta master: http://{}/", master.address));
        tokio::select! {
            _ = signals.next() => Ok(()),
            end = ended.recv() => match end {
                Some(End::Failed(sentence)) => Err(Failure::Start(sentence)),
                Some(End::Done(_)) | None => Ok(()),
            },
        }
    })
}

/// A running master.
#[derive(Debug)]
pub(crate) struct Running {
    /// The address that others are told.
    pub(crate) address: SocketAddrV4,
    /// What it knows.
    pub(crate) latest: Latest<Seen>,
}

/// Starts a master. Must be called on the runtime.
pub(crate) fn start(flags: &Flags, ends: Ends) -> Result<Running, Failure> {
    let addresses = Addresses::from_flags(flags, None)?;
    let store = registry(flags)?;
    let listener = process::listen(addresses.bind)?;
    let address = addresses.on_port(listener.local_address().port());
    let config = config::master(flags, Upid::new("master", address), addresses.hostname)?;

    let traces = Traces::from_flags(flags, "meseta-master", &config.hostname)?;
    let traces = traces.map(MasterTraces::new);

    let clock = Clock::start();
    let (inputs, receiver) = driver::queue(sort);
    let begin = Instant::now();
    let facts = store.load().map_err(|e| Failure::Start(e.to_string()))?;
    let registrar = Registrar::new(begin.elapsed(), store.bytes());
    inputs.send(Input::Recovered { facts });
    whitelist::watch(flags, &Handle::current(), &inputs)?;
    let exited = inputs.clone();
    let timings = Timings::new(registrar, inputs.depths());
    let unready = |e| Failure::Start(format!("failed to start the master's threads: {e}"));
    let openings = Openings::start(|moment: &Moment, stream_type| {
        http::subscribed(&moment.0, stream_type, Opening::State)
    });
    let effects = Shell {
        timings: Arc::clone(&timings),
        peers: Peers::new(address, Handle::current(), move |address| {
            exited.send(Input::Exited { address });
        }),
        exchange: Arc::default(),
        openings: openings.map_err(unready)?,
        inputs: inputs.clone(),
        runtime: Handle::current(),
        ends: ends.clone(),
    };
    let exchange = Arc::clone(&effects.exchange);
    let master = Master::new(config, Entropy::new(seed()), clock.now());
    let machine = Timed::new(master, timings, traces);
    let latest = driver::run(machine, clock, receiver, store, effects).map_err(unready)?;
    let service = Net::<Timed> {
        inputs,
        exchange,
        latest: latest.clone(),
        readings: None,
    };
    let service = service
        .with_readings(process::reading_threads())
        .map_err(unready)?;
    process::serve(listener, service, ends);
    tracing::info!(%address, "the master listens");
    Ok(Running { address, latest })
}

fn registry(flags: &Flags) -> Result<Box<dyn Registry>, Failure> {
    if flags.get::<String>("registry")?.as_deref() == Some("in_memory") {
        return Ok(Box::new(Forgetful));
    }
    let work_dir = flags.require::<PathBuf>(
        "work_dir",
        "the registry is kept there, unless --registry=in_memory",
    )?;
    match Store::open(&work_dir.join("registry")) {
        Ok(store) => Ok(Box::new(store)),
        Err(error) => Err(Failure::Start(error.to_string())),
    }
}

/// As what an input waits.
fn sort(input: &Input) -> Sort {
    match input {
        Input::Message { .. } => Sort::Message,
        Input::SchedulerCall { .. }
        | Input::Teardown { .. }
        | Input::Operator { .. }
        | Input::Watch { .. }
        | Input::Why { .. } => Sort::HttpRequest,
        Input::Recovered { .. }
        | Input::Exited { .. }
        | Input::StreamClosed { .. }
        | Input::WatchesOpened
        | Input::Whitelist { .. }
        | Input::Wake => Sort::Dispatch,
    }
}

/// Carries the master's actions out.
struct Shell {
    timings: Arc<Timings>,
    peers: Peers,
    exchange: Arc<Exchange>,
    /// What operators' event streams begin with is made there.
    openings: Openings<Moment>,
    inputs: Inputs<Input>,
    runtime: Handle,
    ends: Ends,
}

impl Shell {
    fn open_watch<F>(
        &self,
        request: RequestId,
        stream: StreamId,
        after: &EventId,
        first: impl FnOnce(ContentType) -> F,
    ) where
        F: Future<Output = Result<First, &'static str>> + Send + 'static,
    {
        let inputs = self.inputs.clone();
        self.exchange.open_after(
            &self.runtime,
            request,
            stream,
            vec![("Meseta-Event-Id", after.to_string())],
            first,
            move |stream| inputs.send(Input::StreamClosed { stream }),
        );
    }
}

impl Effects<Action> for Shell {
    fn apply(&mut self, action: Action) {
        journal::of_master(&action);
        match action {
            Action::Send {
                from,
                to,
                name,
                body,
            } => self.peers.send(&from, &to, name, body),
            Action::Link { address } => self.peers.link(address),
            Action::Reply { request, reply } => self.exchange.reply(request, reply),
            Action::OpenStream { request, stream } => {
                let inputs = self.inputs.clone();
                self.exchange
                    .open(&self.runtime, request, stream, move |stream| {
                        inputs.send(Input::StreamClosed { stream });
                    });
            }
            Action::Event { stream, event } => self.exchange.write(&stream, &*event),
            Action::OpenWatch {
                request,
                stream,
                moment,
                after,
                missed,
            } => {
                let exchange = Arc::clone(&self.exchange);
                self.open_watch(request, stream, &after, move |stream_type| {
                    exchange.rendered(move || {
                        let first = http::subscribed(&moment.0, stream_type, Opening::Bare);
                        let missed = missed
                            .iter()
                            .map(|event| exchange::encoded(&**event, stream_type));
                        std::iter::once(first).chain(missed).collect()
                    })
                });
            }
            Action::OpenWatches {
                watches,
                moment,
                after,
            } => {
                let mut askers = Vec::new();
                for (request, stream) in watches {
                    self.open_watch(request, stream, &after, |stream_type| {
                        let (asker, record) = oneshot::channel();
                        askers.push((stream_type, asker));
                        async { record.await.map(First::Shared).map_err(|_| HAS_NO_ROOM) }
                    });
                }
                let inputs = self.inputs.clone();
                let done = move || inputs.send(Input::WatchesOpened);
                self.openings.make(moment, askers, done);
            }
            Action::TellWatchers { streams, event } => {
                self.exchange.write_to_all(&streams, &*event);
            }
            Action::CloseStream { stream } => self.exchange.close(&stream),
            // The driver has taken these out and made them durable.
            Action::Persist { .. } => {}
        }
    }

    fn storing(&mut self, changes: usize) {
        self.timings.storing(changes);
    }

    fn stored(&mut self, time: Duration, bytes: u64) {
        self.timings.stored(time, bytes);
    }

    fn store_failed(&mut self, error: &meseta_store::Error) {
        self.ends.tell(End::Failed(format!(
            "the registry can't be written: {error}"
        )));
    }

    fn machine_ended(&mut self) {
        self.ends.tell(End::Failed(
            "a fault has ended the master; the lines above say which".into(),
        ));
    }
}

impl Edge for Timed {
    type Input = Input;
    type Snapshot = Seen;

    fn input(message: Message) -> Input {
        let Message {
            from,
            to,
            name,
            body,
        } = message;
        Input::Message {
            from,
            to,
            name,
            body,
        }
    }

    fn can_wait(message: &Message) -> bool {
        meseta_master::can_wait(&message.name, &message.body)
    }

    fn weight(seen: &Seen, request: &Request) -> Weight {
        let process = &seen.snapshot.config.pid.id;
        http::weight(process, &asked(request))
    }

    fn rest(seen: &Seen) {
        seen.earlier.forget();
    }

    fn look_up(seen: &Seen, exchange: &Exchange, request: &Request) -> Found<Input> {
        let snapshot = &seen.snapshot;
        let around = AroundMaster {
            start_time: snapshot.config.start_time,
            timings: &seen.timings,
            slow_readers: exchange.slow_readers(),
            spans: seen.spans.as_deref(),
            flags: &snapshot.config.flags,
        };
        let answer = http::answer_with(snapshot, &asked(request), &around, &seen.earlier);
        match answer {
            Answer::Reply(reply) => Found::Response(reply.into()),
            Answer::SchedulerCall {
                call,
                stream,
                stream_type,
            } => {
                let (request, answer) = exchange.ask(stream_type);
                let new_stream = StreamId(uuid::Uuid::new_v4().to_string());
                let input = Input::SchedulerCall {
                    request,
                    call,
                    stream,
                    new_stream,
                };
                Found::Question(input, answer)
            }
            Answer::Teardown { framework_id } => {
                let (request, answer) = exchange.ask(meseta_machine::ContentType::Json);
                let input = Input::Teardown {
                    request,
                    framework_id,
                };
                Found::Question(input, answer)
            }
            Answer::Operator(change) => {
                let (request, answer) = exchange.ask(meseta_machine::ContentType::Json);
                Found::Question(Input::Operator { request, change }, answer)
            }
            Answer::Subscribe {
                stream_type,
                opening,
                after,
            } => {
                let (request, answer) = exchange.ask(stream_type);
                let stream = StreamId(uuid::Uuid::new_v4().to_string());
                let input = Input::Watch {
                    request,
                    stream,
                    opening,
                    after,
                };
                // It may wait for others, and shall not keep calls waiting meanwhile.
                Found::Held(input, answer)
            }
            Answer::Why(question) => {
                let (request, answer) = exchange.ask(meseta_machine::ContentType::Json);
                Found::Question(Input::Why { request, question }, answer)
            }
            Answer::Elsewhere => {
                let attached = || around.attached();
                Found::Response(edge::answer(&around.files(), attached, request))
            }
        }
    }
}

/// A request as the machine's endpoints read it.
fn asked(request: &Request) -> http::Request<'_> {
    let header = |name| header(request, name);
    http::Request {
        method: request.method.as_str(),
        path: &request.path,
        query: &request.query,
        content_type: header("content-type"),
        accept: header("accept"),
        stream_id: header("mesos-stream-id"),
        // What is no text is not an id either, which must not look like none.
        last_event_id: request
            .headers
            .get("last-event-id")
            .map(|id| id.to_str().unwrap_or_default()),
        host: header("host"),
        body: &request.body,
    }
}
