//! An agent that a test plays by hand, and the executor under test as a real process.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use meseta_proto::v1::agent;
use meseta_proto::v1::executor::{Call, Event, call, event};
use meseta_proto::v1::framework_info::{Capability, capability};
use meseta_proto::v1::{
    AgentInfo, CommandInfo, ContainerId, ExecutorInfo, FrameworkInfo, Resource, TaskGroupInfo,
    TaskInfo, TaskState, TaskStatus, resource,
};
use meseta_proto::{decode, recordio};
use prost::Message as _;
use tempfile::TempDir;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent's executor API on a socket in a folder.
pub(crate) struct Agent {
    home: TempDir,
    session: Option<Session>,
}

struct Session {
    calls: Receiver<(Call, Request)>,
    requests: Receiver<(agent::Call, Request)>,
    /// Those that came before the test asked for them.
    early: Vec<(agent::Call, Request)>,
    open: Arc<Mutex<Vec<UnixStream>>>,
    events: Option<UnixStream>,
}

/// What came with a call.
pub(crate) struct Request {
    pub(crate) head: String,
    connection: UnixStream,
}

impl Request {
    /// Answers a request to the agent's own API.
    pub(crate) fn answer(mut self, status: &str, body: &[u8]) {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        self.connection
            .write_all(&[head.as_bytes(), body].concat())
            .unwrap();
    }
}

impl Agent {
    pub(crate) fn start() -> Self {
        let mut agent = Self {
            home: tempfile::tempdir().unwrap(),
            session: None,
        };
        agent.restart();
        agent
    }

    /// Listens (again).
    pub(crate) fn restart(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (call_sender, calls) = channel();
        let (request_sender, requests) = channel();
        let open = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::clone(&open);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let mut connections = connections.lock().unwrap();
                connections.push(connection.try_clone().unwrap());
                let senders = (call_sender.clone(), request_sender.clone());
                thread::spawn(move || serve(&connection, &senders.0, &senders.1));
            }
        });
        self.session = Some(Session {
            calls,
            requests,
            early: Vec::new(),
            open,
            events: None,
        });
    }

    /// Is gone, as after a crash.
    pub(crate) fn stop(&mut self) {
        std::fs::remove_file(self.socket()).unwrap();
        let session = self.session.take().unwrap();
        for connection in session.open.lock().unwrap().iter() {
            // One that the executor has closed already is as good.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.home.path().join("agent.sock")
    }

    pub(crate) fn sandbox(&self) -> &Path {
        self.home.path()
    }

    fn receive(&mut self) -> (Call, Request) {
        let session = self.session.as_ref().expect("the agent is running");
        session
            .calls
            .recv_timeout(PATIENCE)
            .expect("a call of the executor")
    }

    /// The next call must be a subscription; answers it with a status other than 200.
    pub(crate) fn refuse_subscription(&mut self, status: &str) {
        let (call, mut request) = self.receive();
        assert_eq!(call.r#type(), call::Type::Subscribe);
        let sentence = "because";
        write!(
            request.connection,
            "HTTP/1.1 {status}\r\nContent-Length: 7\r\n\r\n{sentence}"
        )
        .unwrap();
    }

    /// The next call must be a subscription; accepts it for a framework with these capabilities.
    pub(crate) fn accept_subscription(
        &mut self,
        capabilities: &[capability::Type],
    ) -> (call::Subscribe, Request) {
        let (call, request) = self.receive();
        assert_eq!(call.r#type(), call::Type::Subscribe);
        let mut stream = request.connection.try_clone().unwrap();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        .unwrap();
        self.session.as_mut().unwrap().events = Some(stream);
        self.send(&Event {
            r#type: Some(event::Type::Subscribed.into()),
            subscribed: Some(event::Subscribed {
                executor_info: ExecutorInfo {
                    executor_id: call.executor_id,
                    ..ExecutorInfo::default()
                },
                framework_info: FrameworkInfo {
                    capabilities: capabilities
                        .iter()
                        .map(|c| Capability {
                            r#type: Some((*c).into()),
                        })
                        .collect(),
                    ..FrameworkInfo::default()
                },
                agent_info: AgentInfo {
                    hostname: "here".into(),
                    ..AgentInfo::default()
                },
                container_id: Some(executor_container()),
            }),
            ..Event::default()
        });
        (call.subscribe.unwrap(), request)
    }

    pub(crate) fn send(&mut self, event: &Event) {
        let record = recordio::encode(&event.encode_to_vec());
        let stream = self.session.as_mut().unwrap().events.as_mut().unwrap();
        // In one piece: the executor may act on it, and end, as soon as it has the record.
        let length = format!("{:x}\r\n", record.len());
        stream
            .write_all(&[length.as_bytes(), &record, b"\r\n"].concat())
            .unwrap();
    }

    pub(crate) fn launch(&mut self, task: TaskInfo) {
        self.send(&Event {
            r#type: Some(event::Type::Launch.into()),
            launch: Some(event::Launch { task }),
            ..Event::default()
        });
    }

    pub(crate) fn launch_group(&mut self, tasks: Vec<TaskInfo>) {
        let task_group = TaskGroupInfo { tasks };
        self.send(&Event {
            r#type: Some(event::Type::LaunchGroup.into()),
            launch_group: Some(event::LaunchGroup { task_group }),
            ..Event::default()
        });
    }

    /// The next request of this type to the agent's own API. They come on connections of their own,
    /// in any order.
    pub(crate) fn request(&mut self, kind: agent::call::Type) -> (agent::Call, Request) {
        let session = self.session.as_mut().expect("the agent is running");
        loop {
            let found = session.early.iter().position(|(c, _)| c.r#type() == kind);
            if let Some(found) = found {
                return session.early.remove(found);
            }
            let next = session.requests.recv_timeout(PATIENCE);
            session.early.push(next.expect("a request of the executor"));
        }
    }

    pub(crate) fn kill(&mut self, kill: event::Kill) {
        self.send(&Event {
            r#type: Some(event::Type::Kill.into()),
            kill: Some(kill),
            ..Event::default()
        });
    }

    pub(crate) fn shutdown(&mut self) {
        self.send(&Event {
            r#type: Some(event::Type::Shutdown.into()),
            ..Event::default()
        });
    }

    pub(crate) fn acknowledge(&mut self, status: &TaskStatus) {
        self.send(&Event {
            r#type: Some(event::Type::Acknowledged.into()),
            acknowledged: Some(event::Acknowledged {
                task_id: status.task_id.clone(),
                uuid: status.uuid.clone().unwrap(),
            }),
            ..Event::default()
        });
    }

    /// The next status update, which is not acknowledged.
    pub(crate) fn next_update(&mut self) -> TaskStatus {
        let (call, mut request) = self.receive();
        write!(
            request.connection,
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        )
        .unwrap();
        call.update.expect("an update").status
    }

    /// The next status update must be of this state; acknowledges it.
    pub(crate) fn expect(&mut self, state: TaskState) -> TaskStatus {
        let status = self.next_update();
        assert_eq!(status.state(), state, "{status:?}");
        self.acknowledge(&status);
        status
    }
}

/// Reads requests until the connection ends.
fn serve(
    connection: &UnixStream,
    calls: &Sender<(Call, Request)>,
    requests: &Sender<(agent::Call, Request)>,
) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "))
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let is_executor_call = head.contains("/api/v1/executor HTTP");
        let request = Request {
            head,
            connection: connection.try_clone().unwrap(),
        };
        // The test may have seen enough.
        if is_executor_call {
            let _ = calls.send((decode(&body).unwrap(), request));
        } else {
            let _ = requests.send((decode(&body).unwrap(), request));
        }
    }
}

/// The executor under test.
pub(crate) struct Executor {
    pub(crate) pid: i32,
    pub(crate) stdout: BufReader<ChildStdout>,
    ended: Receiver<(ExitStatus, String)>,
}

impl Executor {
    pub(crate) fn start(agent: &Agent, variables: &[(&str, &str)]) -> Self {
        Self::run(agent, &[], variables)
    }

    /// One for task groups.
    pub(crate) fn start_default(agent: &Agent, variables: &[(&str, &str)]) -> Self {
        Self::run(agent, &["default"], variables)
    }

    fn run(agent: &Agent, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child: Child = Command::new(env!("CARGO_BIN_EXE_meseta-executor"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MESOS_DOMAIN_SOCKET", agent.socket())
            .env("MESOS_FRAMEWORK_ID", "f")
            .env("MESOS_EXECUTOR_ID", "t")
            .env("MESOS_SANDBOX", agent.sandbox())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let pid = i32::try_from(child.id()).unwrap();
        let (sender, ended) = channel();
        thread::spawn(move || {
            let mut stderr = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut stderr)
                .unwrap();
            let _ = sender.send((child.wait().unwrap(), stderr));
        });
        Self { pid, stdout, ended }
    }

    /// The next line of the task's standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for the executor's end; gives its exit status and what it wrote to standard error.
    pub(crate) fn end(&self) -> (i32, String) {
        let (status, stderr) = self
            .ended
            .recv_timeout(PATIENCE)
            .expect("the executor's end");
        (status.code().unwrap_or(-1), stderr)
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(
            self.ended.recv_timeout(Duration::ZERO),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind: the executor's task ends with it.
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid)
            && self.is_running()
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

pub(crate) fn executor_container() -> ContainerId {
    ContainerId {
        value: "executor".into(),
        parent: None,
    }
}

/// Whether a process exists, even as one that nobody has waited for.
pub(crate) fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

pub(crate) fn shell(command: &str) -> CommandInfo {
    CommandInfo {
        shell: Some(true),
        value: Some(command.to_owned()),
        ..CommandInfo::default()
    }
}

pub(crate) fn task(command: CommandInfo) -> TaskInfo {
    TaskInfo {
        name: "t".into(),
        task_id: "t".into(),
        agent_id: "a".into(),
        command: Some(command),
        resources: vec![Resource {
            name: "cpus".into(),
            allocation_info: Some(resource::AllocationInfo {
                role: Some("golden".into()),
            }),
            ..Resource::default()
        }],
        ..TaskInfo::default()
    }
}
