//! A scheduler on the old driver's protocol, written from LIBPROCESS 1, 4 and 8 alone: it shares
//! with the product nothing but the messages' types.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use meseta_proto::internal::{
    FrameworkRegisteredMessage, KillTaskMessage, LaunchTasksMessage, ReconcileTasksMessage,
    RegisterFrameworkMessage, ReregisterFrameworkMessage, ResourceOffersMessage,
    StatusUpdateAcknowledgementMessage, StatusUpdateMessage, UnregisterFrameworkMessage,
};
use meseta_proto::v0::scheduler::{Call, call as v0_call};
use meseta_proto::v1::offer::{Operation, operation};
use meseta_proto::v1::scheduler::call::{self, Type};
use meseta_proto::v1::{
    AgentId, Filters, FrameworkId, FrameworkInfo, Offer, TaskId, TaskInfo, TaskStatus,
};
use meseta_proto::{Wire, decode};
use prost::Message as _;

use super::PATIENCE;

/// Which of the drivers of the past it speaks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A message for each sort of call, over HTTP/1.0 with lengths, as in Python.
    Legacy,
    /// `mesos.scheduler.Call`, in chunks and without a host, as in C++ since 0.25.
    Call,
}

/// A driver, and what the master and agents sent to it.
#[derive(Debug)]
pub(crate) struct Driver {
    dialect: Dialect,
    /// Its process, as others see it.
    pub(crate) pid: String,
    pub(crate) id: FrameworkId,
    master: SocketAddr,
    connection: TcpStream,
    inbox: Receiver<Received>,
    /// What came while something else was awaited.
    passed_over: VecDeque<Received>,
    last_sender: Option<String>,
}

/// A message that came.
#[derive(Debug)]
struct Received {
    name: String,
    sender: Option<String>,
    body: Vec<u8>,
}

impl Driver {
    /// A driver that has said nothing yet.
    pub(crate) fn new(master: SocketAddr, dialect: Dialect) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (sender, inbox) = channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(connection, &sender));
            }
        });
        Self {
            dialect,
            pid: format!("scheduler(1)@{address}"),
            id: FrameworkId::default(),
            master,
            connection: connect(master),
            inbox,
            passed_over: VecDeque::new(),
            last_sender: None,
        }
    }

    /// A driver whose framework the master has registered.
    pub(crate) fn register(master: SocketAddr, dialect: Dialect, info: FrameworkInfo) -> Self {
        let mut driver = Self::new(master, dialect);
        driver.subscribe(info, Force::No);
        driver.id = driver.receive::<FrameworkRegisteredMessage>().framework_id;
        driver
    }

    /// Registers a framework, or again one with an id.
    pub(crate) fn subscribe(&mut self, info: FrameworkInfo, force: Force) {
        self.id = info.id.clone().unwrap_or_default();
        match (self.dialect, &info.id) {
            (Dialect::Legacy, None) => self.send(&RegisterFrameworkMessage { framework: info }),
            (Dialect::Legacy, Some(_)) => self.send(&ReregisterFrameworkMessage {
                framework: info,
                failover: force == Force::Yes,
            }),
            (Dialect::Call, id) => self.send(&Call {
                framework_id: id.clone(),
                r#type: Some(Type::Subscribe.into()),
                subscribe: Some(v0_call::Subscribe {
                    framework_info: info,
                    force: Some(force == Force::Yes),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        }
    }

    /// Launches tasks on an offer, or declines it if there are none.
    pub(crate) fn launch(&mut self, offer: &Offer, tasks: Vec<TaskInfo>) {
        let filters = Filters {
            refuse_seconds: Some(0.0),
        };
        if self.dialect == Dialect::Legacy {
            let message = LaunchTasksMessage {
                framework_id: self.id.clone(),
                tasks,
                filters,
                offer_ids: vec![offer.id.clone()],
            };
            return self.send(&message);
        }
        let launch = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id.clone()],
            operations: vec![launch],
            filters: Some(filters),
        };
        self.send(&Call {
            accept: Some(accept),
            ..self.call(Type::Accept)
        });
    }

    /// Takes note of an update, if its sender waits for that.
    pub(crate) fn acknowledge(&mut self, message: &StatusUpdateMessage) {
        let update = &message.update;
        let (Some(uuid), Some(agent)) = (update.uuid.clone(), update.slave_id.clone()) else {
            return;
        };
        let task_id = update.status.task_id.clone();
        if self.dialect == Dialect::Legacy {
            let message = StatusUpdateAcknowledgementMessage {
                slave_id: agent,
                framework_id: self.id.clone(),
                task_id,
                uuid,
            };
            return self.send(&message);
        }
        let acknowledge = call::Acknowledge {
            agent_id: agent,
            task_id,
            uuid,
        };
        self.send(&Call {
            acknowledge: Some(acknowledge),
            ..self.call(Type::Acknowledge)
        });
    }

    pub(crate) fn kill(&mut self, task: &str) {
        if self.dialect == Dialect::Legacy {
            let message = KillTaskMessage {
                framework_id: self.id.clone(),
                task_id: task.into(),
                kill_policy: None,
            };
            return self.send(&message);
        }
        let kill = call::Kill {
            task_id: task.into(),
            ..Default::default()
        };
        self.send(&Call {
            kill: Some(kill),
            ..self.call(Type::Kill)
        });
    }

    /// Asks for the state of these tasks, or of all.
    pub(crate) fn reconcile(&mut self, tasks: &[(&str, Option<&AgentId>)]) {
        if self.dialect == Dialect::Legacy {
            let statuses = tasks.iter().map(|(task, agent)| TaskStatus {
                task_id: TaskId::from(*task),
                agent_id: (*agent).cloned(),
                ..Default::default()
            });
            let message = ReconcileTasksMessage {
                framework_id: self.id.clone(),
                statuses: statuses.collect(),
                framework: None,
            };
            return self.send(&message);
        }
        let tasks = tasks.iter().map(|(task, agent)| call::reconcile::Task {
            task_id: TaskId::from(*task),
            agent_id: (*agent).cloned(),
        });
        let reconcile = call::Reconcile {
            tasks: tasks.collect(),
        };
        self.send(&Call {
            reconcile: Some(reconcile),
            ..self.call(Type::Reconcile)
        });
    }

    /// Ends the framework.
    pub(crate) fn unregister(&mut self) {
        if self.dialect == Dialect::Legacy {
            let framework_id = self.id.clone();
            return self.send(&UnregisterFrameworkMessage { framework_id });
        }
        self.send(&self.call(Type::Teardown));
    }

    fn call(&self, kind: Type) -> Call {
        Call {
            framework_id: Some(self.id.clone()),
            r#type: Some(kind.into()),
            ..Default::default()
        }
    }

    /// Sends a message to the master.
    pub(crate) fn send<M: Wire>(&mut self, message: &M) {
        let request = self.request(self.master, "master", message);
        let sent = self.connection.write_all(&request);
        sent.expect("the master takes messages");
    }

    /// Sends a message to another process.
    pub(crate) fn send_to<M: Wire>(&mut self, address: SocketAddr, process: &str, message: &M) {
        let request = self.request(address, process, message);
        let sent = connect(address).write_all(&request);
        sent.expect("it takes messages");
    }

    fn request<M: Wire>(&self, to: SocketAddr, process: &str, message: &M) -> Vec<u8> {
        let name = M::SCHEMA.name;
        let body = message.encode_to_vec();
        let pid = &self.pid;
        let mut request = match self.dialect {
            Dialect::Legacy => format!(
                "POST /{process}/{name} HTTP/1.0\r\nHost: {to}\r\nConnection: Keep-Alive\r\n\
                 Libprocess-From: {pid}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ),
            Dialect::Call => format!(
                "POST /{process}/{name} HTTP/1.1\r\nUser-Agent: libprocess/{pid}\r\n\
                 Libprocess-From: {pid}\r\nConnection: Keep-Alive\r\nHost: \r\n\
                 Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                body.len()
            ),
        }
        .into_bytes();
        request.extend(body);
        if self.dialect == Dialect::Call {
            request.extend(b"\r\n0\r\n\r\n");
        }
        request
    }

    /// The process that sent what was received last, by its own account.
    pub(crate) fn last_sender(&self) -> Option<&str> {
        self.last_sender.as_deref()
    }

    /// The next message of a type, past others (which stay for later).
    pub(crate) fn receive<M: Wire + Default>(&mut self) -> M {
        let is_it = |received: &Received| received.name == M::SCHEMA.name;
        let end = Instant::now() + PATIENCE;
        let waiting = self.passed_over.iter().position(is_it);
        let mut found = waiting.and_then(|at| self.passed_over.remove(at));
        while found.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(received) = self.inbox.recv_timeout(left) else {
                let came: Vec<&str> = self.passed_over.iter().map(|r| r.name.as_str()).collect();
                panic!(
                    "no {} within {PATIENCE:?}; what came: {came:?}",
                    M::SCHEMA.name
                )
            };
            if is_it(&received) {
                found = Some(received);
            } else {
                self.passed_over.push_back(received);
            }
        }
        let Received { sender, body, .. } = found.expect("the loop ends with it");
        self.last_sender = sender;
        decode(&body).expect("a message as its name says")
    }

    /// The next offer; of each message the agents' pids are as many as the offers.
    pub(crate) fn offer(&mut self) -> Offer {
        let ResourceOffersMessage { mut offers, pids } = self.receive();
        assert_eq!(offers.len(), pids.len(), "C++ drivers end over it");
        let offer = offers.remove(0);
        for offer in offers {
            let alone = ResourceOffersMessage {
                offers: vec![offer],
                pids: vec![String::new()],
            };
            self.passed_over.push_back(Received {
                name: ResourceOffersMessage::SCHEMA.name.to_owned(),
                sender: None,
                body: alone.encode_to_vec(),
            });
        }
        offer
    }

    /// The next update, acknowledged.
    pub(crate) fn update(&mut self) -> StatusUpdateMessage {
        let message: StatusUpdateMessage = self.receive();
        self.acknowledge(&message);
        message
    }
}

/// Whether a scheduler takes over from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    Yes,
    No,
}

/// A connection for messages to the master. Answers are read and forgotten, as drivers do.
fn connect(master: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(master).expect("the master listens");
    let mut answers = connection.try_clone().expect("another handle");
    thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    connection
}

/// Reads messages until the sender goes.
fn serve(connection: TcpStream, inbox: &Sender<Received>) {
    let Ok(mut answers) = connection.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(connection);
    while let Some(received) = read(&mut reader) {
        let accepted = answers.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
        if accepted.is_err() || inbox.send(received).is_err() {
            return;
        }
    }
}

/// Reads a request. One without a word about its body has none.
fn read(reader: &mut impl BufRead) -> Option<Received> {
    let first = line(reader)?;
    let target = first.strip_prefix("POST /")?.split(' ').next()?;
    let (_, name) = target.split_once('/')?;
    let name = name.to_owned();
    let (mut length, mut chunked, mut sender) = (0, false, None);
    loop {
        let header = line(reader)?.to_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(("libprocess-from", value)) => sender = Some(value.trim().to_owned()),
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        return Some(Received { name, sender, body });
    }
    loop {
        let size = usize::from_str_radix(&line(reader)?, 16).ok()?;
        let mut chunk = vec![0; size];
        reader.read_exact(&mut chunk).ok()?;
        line(reader)?;
        if size == 0 {
            return Some(Received { name, sender, body });
        }
        body.extend(chunk);
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = reader.by_ref().take(64 * 1024).read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
