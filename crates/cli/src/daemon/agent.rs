//! The agent's daemon.

use std::ffi::OsString;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;

use meseta_agent::http::{self, Answer};
use meseta_agent::{Action, Agent, ExitReason, Input, recovery};
use meseta_machine::{ContentType, Entropy, Reply, StreamId};
use meseta_proto::{Upid, v1};
use meseta_store::{OnDamage, Store};
use meseta_transport::{Message, Peers, Request, RequestStream, Response};
use tokio::runtime::Handle;

use super::containers::{Containers, Output};
use super::driver::{self, Clock, Effects, Inputs, Latest};
use super::exchange::{Exchange, Found};
use super::executor_socket::ExecutorSocket;
use super::fetching::Fetcher;
use super::garbage::Garbage;
use super::measures::Measures;
use super::net::{Edge, Net, header};
use super::output::{self, Outputs};
use super::process::{self, Asked, End, Ends, Signals};
use super::set_aside::SetAside;
use super::started::StartedFiles;
use super::traces::{AgentTraces, Traces};
use super::waiting::Sort;
use super::watched::{Seen, Watched};
use super::{config, edge, journal, seed, sessions, system};
use crate::address::{self, Addresses};
use crate::flags::{Flags, agent::FLAGS};
use crate::{Failure, daemon_flags, logging, say};

/// `meseta agent`.
pub(crate) fn run(args: Vec<OsString>) -> Result<(), Failure> {
    let Some(flags) = daemon_flags("meseta agent", "Run an agent", FLAGS, args)? else {
        return Ok(());
    };
    logging::start(&flags, "mesos-agent")?;
    process::run(async {
        let (ends, mut ended) = Ends::channel();
        let mut signals = Signals::install()?;
        let agent = start(&flags, ends)?;
        say(&format!("Meseta agent: http://{}/", agent.address));
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    // Executors live on and come back to the next agent of this work directory.
                    Asked::End => return Ok(()),
                    Asked::Shutdown => agent.shut_down(),
                },
                end = ended.recv() => return match end {
                    Some(End::Failed(sentence)) => Err(Failure::Start(sentence)),
                    Some(End::Done(_)) | None => Ok(()),
                },
            }
        }
    })
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Running {
    /// The address that others are told.
    pub(crate) address: SocketAddrV4,
    inputs: Inputs<Input>,
    containers: Containers,
}

impl Running {
    /// Ends every executor, takes leave of the master, and then ends the agent.
    pub(crate) fn shut_down(&self) {
        self.inputs.send(Input::Shutdown);
    }

    /// Kills every process of every container, now.
    pub(crate) fn kill_everything(&self) {
        self.containers.destroy_all();
    }
}

/// Starts an agent. Must be called on the runtime.
pub(crate) fn start(flags: &Flags, ends: Ends) -> Result<Running, Failure> {
    let master = flags.require::<String>("master", "the agent offers its resources there")?;
    let master = address::master_address(&master)?;
    let addresses = Addresses::from_flags(flags, Some(master))?;
    let work_dir = work_dir(flags)?;
    let on_damage = match flags.get("strict")? {
        Some(true) => OnDamage::Refuse,
        Some(false) | None => OnDamage::SetAside,
    };
    let store = Store::open_with(&work_dir.join("meta/facts"), on_damage)
        .map_err(|e| Failure::Start(e.to_string()))?;
    let facts = store.load().map_err(|e| Failure::Start(e.to_string()))?;
    let listener = process::listen(addresses.bind)?;
    let address = addresses.on_port(listener.local_address().port());
    let pid = Upid::new("slave(1)", address);
    let mut config = config::agent(flags, pid, addresses.hostname, work_dir.clone())?;
    let socket = ExecutorSocket::from_flags(flags)?;
    config.domain_socket = socket.as_ref().map(|socket| socket.path().to_owned());
    let id = config.pid.id.clone();

    let traces = Traces::from_flags(flags, "meseta-agent", &config.hostname)?;
    let traces = traces.map(AgentTraces::new);

    let clock = Clock::start();
    let (inputs, receiver) = driver::queue(|_| Sort::Dispatch);
    let unready = |e| Failure::Start(format!("failed to make ready for containers: {e}"));
    let garbage = Arc::new(Garbage::start(&work_dir, inputs.clone()).map_err(unready)?);
    let fetcher = Fetcher::new(flags, &work_dir)?;
    let output = Output {
        policy: output::Policy::from_flags(flags)?,
        keeper: Outputs::start(&work_dir).map_err(unready)?,
    };
    let started = StartedFiles::new(&work_dir, &config.boot_id);
    let containers = Containers::start(
        &work_dir,
        started,
        inputs.clone(),
        Arc::clone(&garbage),
        fetcher,
        output,
        ends.clone(),
    )
    .map_err(unready)?;
    let survivors = recovery::survivors(&work_dir, &config.boot_id, &facts);
    let adopted = containers.adopt(survivors);
    let (alive, unstarted) = (adopted.alive(), adopted.unstarted());
    let damaged = store.damage().facts.clone();
    let master = config::standalone_master(master);
    inputs.send(Input::Recovered {
        facts,
        alive,
        unstarted,
        damaged,
    });
    garbage.find_former();
    inputs.send(Input::MasterDetected {
        master: Some(master.clone()),
    });

    let exited = inputs.clone();
    let effects = Shell {
        peers: Peers::new(address, Handle::current(), move |address| {
            exited.send(Input::Exited { address });
        }),
        exchange: Arc::default(),
        containers: containers.clone(),
        set_aside: SetAside::new(&work_dir),
        garbage,
        inputs: inputs.clone(),
        master,
        runtime: Handle::current(),
        ends: ends.clone(),
    };
    let exchange = Arc::clone(&effects.exchange);
    let machine = Agent::new(config, Entropy::new(seed()), clock.now());
    let machine = Watched::new(
        machine,
        Measures::new(containers.clone()),
        containers.sessions(),
        traces,
    );
    let latest = driver::run(machine, clock, receiver, Box::new(store), effects)
        .map_err(|e| Failure::Start(format!("failed to start the agent's threads: {e}")))?;
    // The ends of any number of them find somebody who takes them in.
    containers.watch(adopted);
    let service = Net::<Watched> {
        inputs: inputs.clone(),
        exchange,
        latest,
        readings: None,
    };
    if let Some(socket) = socket {
        socket.serve(&id, service.clone(), containers.clone(), ends.clone());
    }
    process::serve(listener, service, ends);
    tracing::info!(%address, "the agent listens");
    Ok(Running {
        address,
        inputs,
        containers,
    })
}

/// The work directory, made if it is not there, without links in its path: sandboxes are named by
/// their real paths.
fn work_dir(flags: &Flags) -> Result<PathBuf, Failure> {
    let path = flags.require::<PathBuf>("work_dir", "sandboxes are kept there")?;
    std::fs::create_dir_all(&path)
        .and_then(|()| path.canonicalize())
        .map_err(|e| {
            Failure::Start(format!(
                "failed to make the work directory {}: {e}",
                path.display()
            ))
        })
}

/// Carries the agent's actions out.
struct Shell {
    peers: Peers,
    exchange: Arc<Exchange>,
    containers: Containers,
    set_aside: SetAside,
    garbage: Arc<Garbage>,
    inputs: Inputs<Input>,
    master: v1::MasterInfo,
    runtime: Handle,
    ends: Ends,
}

impl Effects<Action> for Shell {
    fn apply(&mut self, action: Action) {
        journal::of_agent(&action);
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
            Action::OpenSession {
                request,
                container_id,
                form,
            } => {
                let response = self.containers.sessions().open(&container_id, form);
                self.exchange.answer(request, response);
            }
            Action::Event { stream, event } => self.exchange.write(&stream, &*event),
            Action::CloseStream { stream } => self.exchange.close(&stream),
            Action::Launch(launch) => self.containers.launch(launch),
            Action::SetAside { facts } => self.set_aside.keep(&facts),
            Action::ForgetStarted { container_id } => {
                self.containers.forget_started(&container_id);
            }
            Action::Destroy { container_id } => self.containers.destroy(container_id),
            Action::Signal {
                container_id,
                signal,
            } => self.containers.signal(container_id, signal),
            Action::RemoveNested {
                container_id,
                directory,
            } => self.containers.remove_nested(container_id, directory),
            Action::Remove { path } => self.containers.discard(path),
            Action::ChangeVolumes {
                operation,
                create,
                remove,
            } => self.containers.change_volumes(operation, create, remove),
            Action::LinkVolumes {
                container_id,
                directory,
                user,
                volumes,
            } => self
                .containers
                .link_volumes(container_id, directory, user, volumes),
            Action::MeasureLoad => {
                let inputs = self.inputs.clone();
                self.runtime.spawn_blocking(move || {
                    let load = system::load();
                    inputs.send(Input::LoadMeasured { load });
                });
            }
            Action::MeasureDisk => self.garbage.measure(),
            // There is one master to be found: the one that the flags name.
            Action::Redetect => {
                let (inputs, master) = (self.inputs.clone(), Some(self.master.clone()));
                self.runtime
                    .spawn_blocking(move || inputs.send(Input::MasterDetected { master }));
            }
            Action::Exit { reason } => self.ends.tell(match reason {
                ExitReason::Shutdown(why) => End::Done(why),
                ExitReason::Conflict(why) => End::Failed(why),
            }),
            // The driver has taken these out and made them durable.
            Action::Persist { .. } | Action::Record { .. } | Action::Note { .. } => {}
        }
    }

    fn room(&mut self, has_room: bool) -> bool {
        let is_told = self.inputs.try_send(Input::Room { has_room }).is_ok();
        if is_told && has_room {
            tracing::info!("there is room on the disk again; tasks are launched");
        } else if is_told {
            tracing::warn!("the disk is full; no task is launched, those that run go on");
        }
        is_told
    }

    fn store_failed(&mut self, error: &meseta_store::Error) {
        self.ends.tell(End::Failed(format!(
            "the agent's memory can't be written: {error}"
        )));
    }

    fn machine_ended(&mut self) {
        self.ends.tell(End::Failed(
            "a fault has ended the agent; the lines above say which".into(),
        ));
    }
}

impl Edge for Watched {
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

    fn look_up(seen: &Seen, exchange: &Exchange, request: &Request) -> Found<Input> {
        let answer = http::answer_with(&seen.snapshot, &as_seen(request), seen);
        match answer {
            Answer::Reply(reply) => Found::Response(reply.into()),
            Answer::ExecutorCall {
                call,
                stream_type,
                principal,
            } => {
                let (request, answer) = exchange.ask(stream_type);
                let new_stream = StreamId(uuid::Uuid::new_v4().to_string());
                let input = Input::ExecutorCall {
                    request,
                    call,
                    new_stream,
                    principal,
                };
                Found::Question(input, answer)
            }
            Answer::ContainerCall(call) => {
                let (request, answer) = exchange.ask(ContentType::Json);
                Found::Held(Input::ContainerCall { request, call }, answer)
            }
            Answer::AttachOutput { container_id, form } => {
                let watched = seen.sessions.watch(&container_id, form);
                Found::Response(
                    watched.unwrap_or_else(|| {
                        http::not_attachable(&seen.snapshot, &container_id).into()
                    }),
                )
            }
            Answer::Elsewhere => {
                let attached = || seen.attached();
                let response = seen.with_files(|files| edge::answer(files, attached, request));
                Found::Response(response)
            }
        }
    }

    fn is_streamed(seen: &Seen, request: &Request) -> bool {
        let content_type = header(request, "content-type").unwrap_or_default();
        let method = request.method.as_str();
        http::is_streamed(&seen.snapshot, method, &request.path, content_type)
    }

    fn streamed(
        latest: Latest<Seen>,
        request: Request,
        body: RequestStream,
    ) -> impl Future<Output = Response> + Send {
        sessions::feed(latest, request, body)
    }
}

/// What the machine's endpoints see of a request.
fn as_seen(request: &Request) -> http::Request<'_> {
    let header = |name| header(request, name);
    http::Request {
        method: request.method.as_str(),
        path: &request.path,
        query: &request.query,
        content_type: header("content-type"),
        accept: header("accept"),
        authorization: header("authorization"),
        more: http::MoreHeaders {
            message_accept: header("message-accept"),
            message_content_type: header("message-content-type"),
            origin: header("origin"),
            host: header("host"),
        },
        body: &request.body,
        now: config::since_epoch(),
    }
}

/// What the head of a request with input is for.
///
/// # Errors
/// The refusal to answer with.
pub(super) fn attaching(seen: &Seen, request: &Request) -> Result<http::Attaching, Box<Reply>> {
    http::attaching(&seen.snapshot, &as_seen(request))
}
