//! Which cluster a command speaks to, and as whom.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use serde_json::json;

use super::{User, constant};
use crate::support::daemon::{Cluster, Place, RESOURCES, registered_agents, start_agent};
use crate::support::genuine::{Genuine, SECONDS, free_port, oracle};
use crate::support::scheduler::{Endpoint, Scheduler, Voice, framework, shell_task};
use crate::support::{eventually, skip};

/// A server that answers each request so, and gives the requests' heads.
fn answering(answer: String) -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let (heads, received) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
            let mut head = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                head.push_str(&line.to_lowercase());
                line.clear();
            }
            let mut stream = stream;
            let _ = stream.write_all(answer.as_bytes());
            if heads.send(head).is_err() {
                return;
            }
        }
    });
    (address, received)
}

#[test]
fn the_leader_is_found_through_dead_and_following_masters() {
    let cluster = Cluster::in_place(Place::new(), &[RESOURCES]);
    registered_agents(cluster.master(), 1);
    let user = User {
        place: &cluster.place,
        master: None,
    };
    let (following, _heads) = answering(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: //{}/api/v1\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        cluster.master()
    ));
    let (lost, _more_heads) = answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\
         No leader"
            .to_owned(),
    );
    let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let masters = format!("--master={dead},{lost},{following}");
    assert!(user.told(&["agent", "list", &masters]).contains("-S0"));
    user.told(&["weight", "set", "web=2", &masters]);

    let masters = format!("--master={dead},{lost}");
    let said = user.run(&["agent", "list", &masters]);
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("No leader") && said.contains("refused"),
        "{said}"
    );
}

#[test]
fn contexts_keep_addresses_and_credentials() {
    let place = Place::new();
    let (master, heads) = answering(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    );
    let secret = place.join("secret");
    std::fs::write(&secret, "xyzzy\n").expect("a secret");
    let user = User {
        place: &place,
        master: None,
    };
    let address = format!("--address={master}");
    let secret = format!("--secret={}", secret.display());
    user.told(&[
        "context",
        "set",
        "prod",
        &address,
        "--principal=ops",
        &secret,
    ]);
    user.told(&["context", "set", "lab", "--address=10.0.0.1"]);
    let file = user.home().join("meseta/config.toml");
    let permissions = std::fs::metadata(&file).expect("the file").permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);

    let authorization = || {
        let head = heads.recv().expect("a request");
        let mut lines = head.lines().map(str::to_owned);
        lines.find_map(|line| Some(line.strip_prefix("authorization: ")?.to_owned()))
    };
    let text = user.transcript(&["context list", "context list -o json", "agent list"]);
    // ops:xyzzy, in lower case as the whole head.
    assert_eq!(authorization().as_deref(), Some("basic b3bzonh5enp5"));
    // A master that is named outright gets no credentials of a context.
    let named = format!("--master={master}");
    assert!(!user.run(&["agent", "list", &named]).status.success());
    assert_eq!(authorization(), None);
    let more = user.transcript(&["context use lab", "context list", "context use no"]);
    constant(|| insta::assert_snapshot!("contexts", text + &more));
}

#[test]
fn completions_and_manual_pages_are_written() {
    let place = Place::new();
    let user = User {
        place: &place,
        master: None,
    };
    for shell in ["bash", "zsh", "fish"] {
        let text = user.told(&["completions", shell]);
        assert!(text.contains("teardown") && text.contains("work_dir"));
    }
    let folder = place.join("man");
    user.told(&["man", &folder.display().to_string()]);
    let page = std::fs::read_to_string(folder.join("meseta-agent-drain.1")).expect("a page");
    assert!(page.contains("\\-\\-grace"), "{page}");
}

#[test]
fn a_genuine_mesos_is_seen_and_changed_as_well() {
    let Some(oracle) = oracle() else {
        return skip("no genuine Mesos in target/oracle");
    };
    let place = Place::new();
    let port = free_port();
    let _genuine = Genuine::run(
        &place,
        &oracle,
        &["cluster", &port.to_string(), SECONDS],
        &[],
    );
    let master = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    registered_agents(master, 1);
    let agent = start_agent(&place, master, 0, &["--resources=cpus:3;mem:512;disk:1000"]);
    registered_agents(master, 2);
    let endpoint = Endpoint {
        address: master,
        target: "/master/api/v1/scheduler",
    };
    let mut scheduler = Scheduler::subscribe(endpoint, Voice::JSON, framework("shop"));
    let offer = loop {
        let offer = scheduler.offer();
        if offer["url"]["address"]["port"] == agent.address.port() {
            break offer;
        }
    };
    let answer = scheduler.launch(&offer, &[shell_task("cart-1", "echo hello; sleep 1000")]);
    assert_eq!(answer.status(), 202, "{}", answer.text());
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    scheduler.tell(json!({"type": "SUPPRESS"}));
    let user = User::of(&place, master);
    eventually("the task's output", || {
        (user.told(&["task", "logs", "cart-1"]) == "hello\n").then_some(())
    });
    assert!(user.told(&["role", "list"]).contains("golden"));
    let text = user.transcript(&[
        "task list",
        "task show cart",
        "version",
        "weight set web=2",
        "weight list",
        "quota set web --limit=cpus:2",
        "quota list",
        "quota remove web",
        "reserve S1 cpus:1;disk:512 --role=web",
        "volume create S1 v1 --role=web --size=128",
        "volume list",
        "volume destroy S1 v1 --yes",
        "unreserve S1 --role=web",
        "maintenance schedule other/10.0.0.9 --start=2026-05-01T02:00:00Z",
        "maintenance schedule",
        "maintenance schedule --clear",
        "agent deactivate S1",
        "agent list",
        "agent reactivate S1",
        "framework teardown shop --yes",
        "task list",
    ]);
    assert!(user.told(&["top"]).contains("CPUS"));
    assert!(user.told(&["events"]).contains("SUBSCRIBED"));
    // The genuine one has a framework of its own, which comes before ours or after it.
    let (_, number) = scheduler.id.rsplit_once('-').expect("an id of a framework");
    let text = text.replace(&format!("-{number}"), "-0000");
    constant(|| insta::assert_snapshot!("genuine", text));
}
