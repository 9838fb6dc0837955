//! Programs in tasks' containers whose input and output are somebody's: over the agent's API, in the form
//! that Mesos's own command line speaks it, and by `meseta task exec`.

mod commands;
mod pods;
mod raw;
mod terminals;

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use meseta_proto::recordio;
use serde_json::{Value, json};

use crate::support::custom::World;
use crate::support::http::{self, Answer, Open};
use crate::support::scheduler::shell_task;
use crate::support::{eventually, processes};

const JSON: &str = "application/json";
const RECORDIO: &str = "application/recordio";

/// A cluster with one task that runs, and its container.
struct Cluster {
    world: World,
    container: Value,
}

impl Cluster {
    fn start() -> Self {
        Self::running(&shell_task("t", "exec sleep 1000"))
    }

    fn running(task: &Value) -> Self {
        let flags = ["--executor_reregistration_timeout=20secs"];
        let mut world = World::with(&flags);
        let status = world.scheduler.start_and_see_running(task);
        let container = status["container_status"]["container_id"].clone();
        assert!(container.is_object(), "{status}");
        Self { world, container }
    }

    fn agent(&self) -> SocketAddr {
        self.world.agent()
    }

    /// The id of a container inside of the task's.
    fn inside(&self, name: &str) -> Value {
        json!({"value": name, "parent": self.container})
    }

    /// Starts a session that must start.
    fn session(&self, name: &str, command: &[&str], terminal: Option<Value>) -> Session {
        let id = self.inside(name);
        let open = launch(self.agent(), &id, command, terminal);
        let status = open.head.status;
        assert_eq!(status, 200, "{name}");
        Session {
            agent: self.agent(),
            id,
            output: Output::of(open),
        }
    }
}

/// Asks for a session as Mesos's command line does.
fn launch(agent: SocketAddr, id: &Value, command: &[&str], terminal: Option<Value>) -> Open {
    let mut launch = json!({
        "container_id": id,
        "command": {"value": command[0], "arguments": command, "shell": false},
    });
    if let Some(info) = terminal {
        launch["container"] = json!({"type": "MESOS", "tty_info": info});
    }
    let call = json!({
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": launch,
    });
    open_stream(agent, &call)
}

fn open_stream(agent: SocketAddr, call: &Value) -> Open {
    let headers = [
        ("content-type", JSON),
        ("accept", RECORDIO),
        ("message-accept", JSON),
    ];
    let body = call.to_string().into_bytes();
    http::open(agent, "POST", "/api/v1", &headers, Some(&body)).expect("an answer")
}

/// A session that was started.
struct Session {
    agent: SocketAddr,
    id: Value,
    output: Output,
}

impl Session {
    /// How it has ended, as `wait` gives it.
    fn status(&self) -> i64 {
        let answer = self.wait();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let status = &answer.json()["wait_container"]["exit_status"];
        status
            .as_i64()
            .unwrap_or_else(|| panic!("{}", answer.text()))
    }

    fn wait(&self) -> Answer {
        http::operator_call(
            self.agent,
            &json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": self.id}}),
        )
    }

    /// Sends some input in a request of its own.
    fn send(&self, input: &[Value]) -> Answer {
        let mut all = vec![named(&self.id)];
        all.extend(input.iter().map(with));
        let records: Vec<u8> = all.iter().flat_map(record).collect();
        let headers = [
            ("content-type", RECORDIO),
            ("message-content-type", JSON),
            ("accept", JSON),
        ];
        http::request(self.agent, "POST", "/api/v1", &headers, Some(&records)).expect("an answer")
    }

    fn type_in(&self, keys: &str) {
        let answer = self.send(&[data(keys.as_bytes())]);
        assert_eq!(said(&answer), (200, String::new()));
    }
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status(), answer.text())
}

fn call(attach: &Value) -> Value {
    json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": attach})
}

fn named(id: &Value) -> Value {
    call(&json!({"type": "CONTAINER_ID", "container_id": id}))
}

fn with(io: &Value) -> Value {
    call(&json!({"type": "PROCESS_IO", "process_io": io}))
}

fn data(bytes: &[u8]) -> Value {
    json!({"type": "DATA", "data": {"type": "STDIN", "data": BASE64.encode(bytes)}})
}

fn size(rows: u32, columns: u32) -> Value {
    json!({"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": {
        "window_size": {"rows": rows, "columns": columns},
    }}})
}

fn record(message: &Value) -> Vec<u8> {
    recordio::encode(message.to_string().as_bytes()).to_vec()
}

/// A request whose body goes on for as long as the test likes, as Mesos's command line sends its input.
struct Upload(TcpStream);

impl Upload {
    fn to(agent: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(agent).expect("a connection");
        let head = format!(
            "POST /api/v1 HTTP/1.1\r\nhost: {agent}\r\ncontent-type: {RECORDIO}\r\n\
             message-content-type: {JSON}\r\naccept: {JSON}\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).expect("a request");
        Self(socket)
    }

    fn begin(session: &Session) -> Self {
        let mut upload = Self::to(session.agent);
        upload.send(&record(&named(&session.id))).expect("a record");
        upload
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(bytes)?;
        self.0.write_all(b"\r\n")
    }

    fn end(mut self) -> Answer {
        self.0.write_all(b"0\r\n\r\n").expect("the last chunk");
        self.answer()
    }

    fn answer(self) -> Answer {
        let open = http::answer(self.0).expect("an answer");
        open.finish().expect("its body")
    }
}

/// What a container prints, as it comes.
struct Output {
    open: Open,
    decoder: recordio::Decoder,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    has_ended: bool,
}

impl Output {
    fn of(open: Open) -> Self {
        Self {
            open,
            decoder: recordio::Decoder::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            has_ended: false,
        }
    }

    /// Reads on, if there is more.
    fn read(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        let length = self.open.body.read(&mut buffer).expect("the stream");
        self.has_ended = length == 0;
        self.decoder.extend(&buffer[..length]);
        while let Some(record) = self.decoder.next_record().expect("records") {
            let message: Value = serde_json::from_slice(&record).expect("JSON");
            if message["type"] != "DATA" {
                continue;
            }
            let text = message["data"]["data"].as_str().expect("data");
            let bytes = BASE64.decode(text).expect("base64");
            match message["data"]["type"].as_str() {
                Some("STDOUT") => self.stdout.extend(bytes),
                Some("STDERR") => self.stderr.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Reads until something was printed.
    fn until(&mut self, awaited: &str) {
        while !self.text().contains(awaited) {
            assert!(!self.has_ended, "no {awaited:?} in {:?}", self.text());
            self.read();
        }
    }

    /// Reads to the end.
    fn all(&mut self) -> String {
        while !self.has_ended {
            self.read();
        }
        self.text()
    }
}

/// The processes with a word in their arguments.
fn with_word(word: &str) -> BTreeSet<u32> {
    processes::all()
        .filter(|pid| processes::runs(*pid))
        .filter(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = arguments.split(|byte| *byte == 0);
            words.any(|it| it == word.as_bytes())
        })
        .collect()
}

/// A number of seconds to sleep that no other test has, to know the sleepers by.
fn rare(number: u32) -> String {
    format!("{}.{}", 10_000 + number, std::process::id())
}

/// A shell's words for a program that does all it can to outlive what it is in.
fn stubborn(sleep: &str) -> String {
    format!(
        "trap '' HUP TERM INT; (setsid sh -c \"trap '' HUP TERM; sleep {sleep}\" &); echo ready; \
         sleep {sleep}; sleep {sleep}"
    )
}

fn await_sleepers(sleep: &str, count: usize) {
    eventually(&format!("{count} times sleep {sleep}"), || {
        (with_word(sleep).len() == count).then_some(())
    });
}
