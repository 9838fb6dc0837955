//! The agent's API.

use std::net::Shutdown;

use meseta_proto::v1::agent::{Call, ProcessIo};
use meseta_proto::{json as mapping, recordio};
use prost::Message as _;
use serde_json::json;

use super::{
    Cluster, JSON, Output, RECORDIO, Session, Upload, await_sleepers, call as input_call, data,
    named, open_stream, rare, record, said, size, stubborn, with,
};
use crate::support::scheduler::shell_task;
use crate::support::{eventually, http, processes};

#[test]
fn a_session_is_where_the_task_is_and_its_end_can_be_asked_for() {
    let cluster = Cluster::start();
    let command = ["sh", "-c", "pwd; echo $MESOS_SANDBOX; echo bad >&2; exit 7"];
    let mut session = cluster.session("s", &command, None);
    let head = session.output.open.head.clone();
    assert_eq!(head.header("content-type"), Some(RECORDIO));
    assert_eq!(head.header("message-content-type"), Some(JSON));
    let sandbox = cluster.world.place.sandbox_of("t");
    let sandbox = sandbox.canonicalize().expect("a sandbox");
    let sandbox = sandbox.display();
    assert_eq!(session.output.all(), format!("{sandbox}\n{sandbox}\n"));
    assert_eq!(session.output.stderr, b"bad\n");
    assert_eq!(session.status(), 7 << 8);
    let remove =
        json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": session.id}});
    assert_eq!(
        said(&http::operator_call(session.agent, &remove)),
        (200, String::new())
    );
    assert_eq!(session.wait().status(), 404);

    let mut killed = cluster.session("s", &["sh", "-c", "kill -9 $$"], None);
    killed.output.all();
    assert_eq!(killed.status(), 9);
    let mut unknown = cluster.session("u", &["no-such-program"], None);
    unknown.output.all();
    assert_eq!(unknown.status(), 1 << 8);
    let said = String::from_utf8_lossy(&unknown.output.stderr).into_owned();
    assert!(
        said.starts_with("Failed to execute 'no-such-program'"),
        "{said}"
    );
}

#[test]
fn input_comes_in_one_request_or_in_many_and_ends_when_it_is_ended() {
    let cluster = Cluster::start();
    let mut session = cluster.session("many", &["cat"], None);
    session.type_in("one\n");
    session.output.until("one\n");
    session.type_in("two\n");
    session.output.until("two\n");
    let heartbeat = json!({"type": "CONTROL", "control": {"type": "HEARTBEAT", "heartbeat": {
        "interval": {"nanoseconds": 30_000_000_000_u64},
    }}});
    assert_eq!(
        said(&session.send(&[heartbeat, data(b"")])),
        (200, String::new())
    );
    assert_eq!(session.output.all(), "one\ntwo\n");
    assert_eq!(session.status(), 0);

    let mut session = cluster.session("one", &["cat"], None);
    let mut upload = Upload::begin(&session);
    for word in ["one\n", "two\n"] {
        upload
            .send(&record(&with(&data(word.as_bytes()))))
            .expect("a record");
        session.output.until(word);
    }
    // Somebody else must wait for his turn.
    let (status, sentence) = said(&session.send(&[data(b"x")]));
    let expected = "Multiple input connections are not allowed";
    assert_eq!((status, sentence.as_str()), (409, expected));
    upload.send(&record(&with(&data(b"")))).expect("a record");
    assert_eq!(said(&upload.end()), (200, String::new()));
    assert_eq!(session.output.all(), "one\ntwo\n");
}

#[test]
fn both_streams_may_be_protobuf() {
    let cluster = Cluster::start();
    let id = cluster.inside("p");
    let launch = json!({"type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": {"container_id": id, "command": {"value": "cat"}}});
    let protobuf = "application/x-protobuf";
    let bytes = |call: serde_json::Value| {
        let call: Call = mapping::from_slice(call.to_string().as_bytes()).expect("a call");
        call.encode_to_vec()
    };
    let headers = [("content-type", protobuf), ("accept", protobuf)];
    let body = bytes(launch);
    let agent = cluster.agent();
    let mut open = http::open(agent, "POST", "/api/v1", &headers, Some(&body)).expect("an answer");
    assert_eq!(open.head.header("content-type"), Some(protobuf));
    let mut input = Vec::new();
    for call in [named(&id), with(&data(b"hello")), with(&data(b""))] {
        input.extend(recordio::encode(&bytes(call)));
    }
    let headers = [
        ("content-type", RECORDIO),
        ("message-content-type", protobuf),
    ];
    let answer = http::request(agent, "POST", "/api/v1", &headers, Some(&input));
    assert_eq!(said(&answer.expect("an answer")), (200, String::new()));
    let mut stream = Vec::new();
    std::io::Read::read_to_end(&mut open.body, &mut stream).expect("the stream");
    let mut decoder = recordio::Decoder::default();
    decoder.extend(&stream);
    let record = decoder.next_record().expect("a record").expect("a record");
    let message = ProcessIo::decode(record).expect("a message");
    assert_eq!(message.data.expect("data").data(), b"hello");
}

#[test]
fn a_terminal_has_the_size_that_it_is_given_and_its_keys_mean_what_they_mean_on_one() {
    let cluster = Cluster::start();
    let info = json!({"window_size": {"rows": 33, "columns": 77}});
    let mut session = cluster.session("t", &["sh"], Some(info));
    session.type_in("stty size; tty\n");
    session.output.until("33 77\r\n/dev/pts/");
    assert_eq!(said(&session.send(&[size(11, 22)])), (200, String::new()));
    session.type_in("stty size; echo then-$((40 + 2))\n");
    session.output.until("11 22\r\nthen-42");
    let sleep = rare(1);
    session.type_in(&format!("sleep {sleep}\n"));
    await_sleepers(&sleep, 1);
    // An empty word does not end a terminal's input; Ctrl-C and Ctrl-D are keys.
    assert_eq!(said(&session.send(&[data(b"")])), (200, String::new()));
    session.type_in("\x03");
    session.type_in("echo ended-by-$?\n");
    session.output.until("ended-by-130");
    session.type_in("exit 5\n");
    session.output.all();
    assert_eq!(session.status(), 5 << 8);
    await_sleepers(&sleep, 0);
}

#[test]
fn a_session_ends_with_its_connection_whatever_it_has_started() {
    let cluster = Cluster::start();
    for (name, terminal, number) in [("p", None, 2), ("t", Some(json!({})), 3)] {
        let sleep = rare(number);
        let mut session = cluster.session(name, &["sh", "-c", &stubborn(&sleep)], terminal);
        session.output.until("ready");
        // Two sleep, and their shells have the number in a longer word.
        await_sleepers(&sleep, 2);
        session
            .output
            .open
            .socket
            .shutdown(Shutdown::Both)
            .expect("a cut");
        await_sleepers(&sleep, 0);
        assert_eq!(session.status(), 9);
    }
    // The task is none the worse.
    let mut session = cluster.session("after", &["echo", "still"], None);
    assert_eq!(session.output.all(), "still\n");
}

#[test]
fn what_a_session_leaves_behind_ends_with_it() {
    let cluster = Cluster::start();
    let sleep = rare(4);
    let leaves = format!("(setsid sh -c 'trap \"\" HUP; sleep {sleep}' &) ; echo gone");
    let mut session = cluster.session("s", &["sh", "-c", &leaves], None);
    assert_eq!(session.output.all(), "gone\n");
    await_sleepers(&sleep, 0);
    assert_eq!(session.status(), 0);
}

#[test]
fn an_agent_that_dies_takes_its_sessions_along_and_leaves_the_task() {
    let mut cluster = Cluster::start();
    let sleeps = [rare(5), rare(6)];
    let mut sessions = Vec::new();
    for (sleep, terminal) in sleeps.iter().zip([None, Some(json!({}))]) {
        let mut session = cluster.session(
            sleep.split('.').next().expect("a name"),
            &["sh", "-c", &stubborn(sleep)],
            terminal,
        );
        session.output.until("ready");
        await_sleepers(sleep, 2);
        sessions.push(session);
    }
    cluster.world.kill_agent();
    for sleep in &sleeps {
        await_sleepers(sleep, 0);
    }
    cluster.world.start_agent();
    // It is known how they ended, or not, and the task goes on.
    for session in &sessions {
        eventually("an end that is known", || {
            (session.wait().status() == 200).then_some(())
        });
    }
    let mut session = cluster.session("after", &["echo", "still"], None);
    assert_eq!(session.output.all(), "still\n");
    let mut attached = cluster.session("e", &["sh", "-c", "echo $MESOS_EXECUTOR_ID"], None);
    assert_eq!(attached.output.all(), "t\n");
}

#[test]
fn others_may_look_on_at_a_session_and_at_nothing_else() {
    let cluster = Cluster::start();
    let mut session = cluster.session("s", &["cat"], None);
    let attach = |id: &serde_json::Value| {
        let call = json!({"type": "ATTACH_CONTAINER_OUTPUT",
            "attach_container_output": {"container_id": id}});
        open_stream(cluster.agent(), &call)
    };
    let mut other = Output::of(attach(&session.id));
    session.type_in("hello\n");
    session.output.until("hello");
    other.until("hello");
    session.send(&[data(b"")]);
    assert_eq!(other.all(), "hello\n");
    session.output.all();

    let refusal = |id| {
        let open = attach(&id);
        let status = open.head.status;
        (status, open.finish().expect("a refusal").text())
    };
    let disabled = "I/O switchboard server was disabled for this container";
    assert_eq!(
        refusal(cluster.container.clone()),
        (500, disabled.to_owned())
    );
    let (status, sentence) = refusal(cluster.inside("unknown"));
    assert!(sentence.starts_with("Unknown container "), "{sentence}");
    assert_eq!(status, 500);
    assert_eq!(refusal(json!({"value": "nobody"})).0, 404);
}

#[test]
fn nonsense_is_refused_and_spoils_nothing() {
    let cluster = Cluster::start();
    let mut session = cluster.session("s", &["cat"], None);
    for (nonsense, expected) in [
        (&b"rubbish\n"[..], 400),
        (b"99999999999\n{}", 400),
        (b"3\n{}}", 400),
    ] {
        // Before anything else, and after the container is named.
        let mut first = Upload::to(session.agent);
        first.send(nonsense).expect("a chunk");
        assert_eq!(first.end().status(), expected, "{nonsense:?}");
        let mut second = Upload::begin(&session);
        second.send(nonsense).expect("a chunk");
        assert_eq!(second.end().status(), expected, "{nonsense:?}");
    }
    let upload = Upload::to(session.agent);
    let sentence = "Received EOF while reading request body".to_owned();
    assert_eq!(said(&upload.end()), (400, sentence));
    let unknown = json!({"type": "PROCESS_IO", "process_io": {"type": "UNKNOWN"}});
    let mut upload = Upload::begin(&session);
    upload
        .send(&record(&input_call(&unknown)))
        .expect("a record");
    let sentence = "'process_io.type' is unknown".to_owned();
    assert_eq!(said(&upload.end()), (400, sentence));
    let (status, sentence) = said(&session.send(&[size(1, 1)]));
    assert!(
        sentence.starts_with("Unable to set the window size: "),
        "{sentence}"
    );
    assert_eq!(status, 400);
    session.type_in("as ever\n");
    session.output.until("as ever");
}

#[test]
fn a_program_prints_no_faster_than_its_reader_reads_and_reads_no_more_than_is_sent() {
    let cluster = Cluster::start();
    let agent = cluster.world.agent.as_ref().expect("an agent").pid();
    let mut session = cluster.session("s", &["sh", "-c", "echo $$; exec yes"], None);
    session.output.until("\n");
    let pid: u32 = session
        .output
        .text()
        .lines()
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a pid");
    // It waits for its reader once the kernel's buffers are full.
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("its counts");
        let line = io
            .lines()
            .find(|it| it.starts_with("wchar"))
            .expect("a count");
        line.split(' ')
            .next_back()
            .and_then(|it| it.parse::<u64>().ok())
            .expect("a number")
    };
    let mut before = (written(), 0);
    eventually("the end of its printing", || {
        let now = written();
        before = if now == before.0 {
            (now, before.1 + 1)
        } else {
            (now, 0)
        };
        (before.1 > 50).then_some(())
    });
    assert!(processes::resident(agent) < 200 * 1024 * 1024);
    // It goes on when he does.
    let so_far = session.output.stdout.len() as u64;
    while (session.output.stdout.len() as u64) < so_far + 8 * 1024 * 1024 {
        session.output.read();
    }
    drop(session);
    eventually("its end", || (!processes::runs(pid)).then_some(()));
}

#[test]
fn nothing_is_left_of_sessions() {
    let cluster = Cluster::start();
    let agent = cluster.world.agent.as_ref().expect("an agent").pid();
    let round = |number: usize| {
        let terminal = number.is_multiple_of(2).then(|| json!({}));
        let mut session = cluster.session(
            &format!("s{number}"),
            &["sh", "-c", "true & exit 0"],
            terminal,
        );
        session.output.all();
        assert_eq!(session.status(), 0);
    };
    // What the first needs stays.
    (0..4).for_each(round);
    let before = processes::descriptors(agent);
    (4..24).for_each(round);
    eventually("as many descriptors as before", || {
        (processes::descriptors(agent) <= before + 2).then_some(())
    });
    eventually("no children but the executor", || {
        let own = processes::descendants(agent);
        let zombies = own.iter().filter(|pid| !processes::runs(**pid)).count();
        (zombies == 0).then_some(())
    });
    assert!(
        !cluster
            .world
            .place
            .sandbox_of("t")
            .join("containers")
            .exists()
    );
}

#[test]
fn no_page_from_elsewhere_opens_a_session() {
    let cluster = Cluster::start();
    let agent = cluster.agent();
    let call = json!({"type": "LAUNCH_NESTED_CONTAINER_SESSION",
    "launch_nested_container_session": {
        "container_id": cluster.inside("s"), "command": {"value": "true"},
    }});
    let body = call.to_string().into_bytes();
    let own = format!("http://{agent}");
    let ask = |content_type: &str, origin: &str| {
        let headers = [("content-type", content_type), ("origin", origin)];
        let open = http::open(agent, "POST", "/api/v1", &headers, Some(&body)).expect("an answer");
        let status = open.head.status;
        let allowed = open
            .head
            .header("access-control-allow-origin")
            .map(str::to_owned);
        (status, allowed)
    };
    assert_eq!(ask(JSON, "http://evil.example"), (403, None));
    assert_eq!(ask(JSON, "null"), (403, None));
    // What a browser sends without asking the agent first.
    for plain in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        assert_eq!(ask(plain, "http://evil.example"), (403, None));
    }
    // A browser that asks whether it may is told nothing.
    let headers = [
        ("origin", "http://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let asked = http::request(agent, "OPTIONS", "/api/v1", &headers, None).expect("an answer");
    assert_eq!(asked.status(), 405);
    assert_eq!(asked.head.header("access-control-allow-origin"), None);
    assert_eq!(ask(JSON, &own), (200, None));
}

/// A task on a terminal, which answers to what is typed there.
fn on_terminal() -> serde_json::Value {
    let talks = "stty size; while read line; do echo \"got-$line\"; stty size; done";
    let mut task = shell_task("t", talks);
    task["container"] = json!({"type": "MESOS", "tty_info": {
        "window_size": {"rows": 33, "columns": 77},
    }});
    task
}

#[test]
fn a_task_may_have_a_terminal_which_outlives_the_agent() {
    let mut cluster = Cluster::running(&on_terminal());
    let watch = |cluster: &Cluster| {
        let call = json!({"type": "ATTACH_CONTAINER_OUTPUT",
            "attach_container_output": {"container_id": cluster.container}});
        // An agent that begins a life does not know the container from the first moment on.
        let open = eventually("the container", || {
            let open = open_stream(cluster.agent(), &call);
            (open.head.status == 200).then_some(open)
        });
        let output = Output::of(open);
        Session {
            agent: cluster.agent(),
            id: cluster.container.clone(),
            output,
        }
    };
    let mut first = watch(&cluster);
    let mut second = watch(&cluster);
    first.type_in("one\n");
    for output in [&mut first.output, &mut second.output] {
        output.until("got-one\r\n33 77");
    }
    // Who leaves takes nothing along.
    drop(first);
    let mut upload = Upload::begin(&second);
    upload
        .send(&record(&with(&size(11, 22))))
        .expect("a record");
    upload
        .send(&record(&with(&data(b"two\n"))))
        .expect("a record");
    second.output.until("got-two\r\n11 22");
    let (status, _) = said(&second.send(&[data(b"x")]));
    assert_eq!(status, 409);
    assert_eq!(said(&upload.end()), (200, String::new()));

    cluster.world.kill_agent();
    cluster.world.start_agent();
    let mut third = watch(&cluster);
    third.type_in("three\n");
    third.output.until("got-three\r\n11 22");
    // All of it is in the sandbox, too.
    let stdout = cluster.world.place.sandbox_of("t").join("stdout");
    let printed = std::fs::read_to_string(stdout).expect("its output");
    for word in ["33 77", "got-one", "got-two", "got-three"] {
        assert!(printed.contains(word), "{printed}");
    }
    third.type_in("\x03");
    let ended = cluster.world.scheduler.expect("TASK_FAILED");
    let message = ended["message"].as_str().unwrap_or_default();
    assert!(message.contains("signal"), "{ended}");
    third.output.all();
}
