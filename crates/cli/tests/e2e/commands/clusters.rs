//! Which cluster a command speaks to, and as whom.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use serde_json::json;

use super::{User, constant};
use crate::support::daemon::{Cluster, Place, registered_agents, start_agent};
use crate::support::gateway::{Demands, Gateway};
use crate::support::genuine::oracle;
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task};
use crate::support::web::{self, Reply};
use crate::support::{eventually, free_address, servers, skip};

#[test]
fn the_leader_is_found_through_dead_and_following_masters() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let user = User {
        place: &cluster.place,
        master: None,
    };
    let leader = format!("//{}/api/v1", cluster.master());
    let following = web::serve(move |_| {
        Reply::empty("307 Temporary Redirect").header("Location", leader.clone())
    });
    let lost = web::serve(|_| Reply::with("503 Service Unavailable", "No leader"));
    let dead = free_address();
    let masters = format!("--master={dead},{lost},{following}");
    assert!(user.told(&["agent", "list", &masters]).contains("-S0"));
    user.told(&["weight", "set", "web=2", &masters]);

    let masters = format!("--master={dead},{lost}");
    let said = user.refused(&["agent", "list", &masters]);
    assert!(
        said.contains("No leader") && said.contains("refused"),
        "{said}"
    );
}

#[test]
fn contexts_keep_addresses_and_credentials() {
    let place = Place::new();
    let (asked, requests) = mpsc::channel();
    let master = web::serve(move |request| {
        let _ = asked.send(request);
        Reply::empty("401 Unauthorized")
    });
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
        let request = requests.recv().expect("a request");
        request.header("authorization").map(str::to_owned)
    };
    let text = user.transcript(&["context list", "context list -o json", "agent list"]);
    // ops:xyzzy
    assert_eq!(authorization().as_deref(), Some("Basic b3BzOnh5enp5"));
    // A master that is named outright gets no credentials of a context.
    let named = format!("--master={master}");
    user.refused(&["agent", "list", &named]);
    assert_eq!(authorization(), None);
    let more = user.transcript(&[
        "context use lab",
        "context list",
        "context use no",
        "context remove lab",
        "context list",
    ]);
    constant(|| insta::assert_snapshot!("contexts", text + &more));
}

#[test]
fn a_password_opens_what_asks_for_it() {
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let user = User {
        place: &cluster.place,
        master: None,
    };
    let demands = Demands::default().password("ops", "xy: zzy");
    let gateway = Gateway::start(cluster.master(), demands);
    for (name, secret) in [("good", "xy: zzy\n"), ("bad", "xyzzy\n")] {
        let file = cluster.place.join(name);
        std::fs::write(&file, secret).expect("a secret");
        let address = format!("--address={}", gateway.address);
        let secret = format!("--secret={}", file.display());
        user.told(&["context", "set", name, &address, "--principal=ops", &secret]);
    }
    user.told(&["context", "use", "good"]);
    assert!(user.told(&["agent", "list"]).contains("-S0"));
    user.told(&["weight", "set", "web=2"]);
    assert!(user.told(&["weight", "list"]).contains("web"));
    assert!(user.told(&["events"]).contains("SUBSCRIBED"));
    let passed = gateway.passed();
    assert!(passed.len() >= 4, "{passed:?}");

    for words in [
        &["agent", "list", "--context=bad"][..],
        &["agent", "list", &format!("--master={}", gateway.address)],
    ] {
        let said = user.refused(words);
        assert!(said.contains("401") && said.contains("--secret"), "{said}");
    }
    assert_eq!(gateway.passed(), passed);
}

#[test]
fn masters_behind_tls_are_trusted_by_the_authority_that_is_named() {
    if !servers::are_set_up() {
        return;
    }
    let cluster = Cluster::start();
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("shop"));
    scheduler.start_and_see_running(&shell_task("cart-1", "echo hello; sleep 1000"));
    let user = User {
        place: &cluster.place,
        master: None,
    };
    let (certificate, authority) = servers::certificate(&cluster.place);
    let gateway = Gateway::start(cluster.master(), Demands::default().tls(&certificate));
    let masters = format!("https://{}", gateway.address);
    let master = format!("--master={masters}");
    let authority = format!("--ca-cert={}", authority.display());

    let said = user.refused(&["agent", "list", &master]);
    assert!(
        said.contains("UnknownIssuer") && said.contains("--ca-cert"),
        "{said}"
    );
    let listed = user.told(&["agent", "list", &master, &authority]);
    assert!(listed.contains("-S0"), "{listed}");
    assert!(gateway.passed().len() == 1, "{:?}", gateway.passed());

    // Agents are taken to speak as their masters do, unless the context says something else.
    let address = format!("--address={masters}");
    user.told(&["context", "set", "prod", &address, &authority]);
    let said = user.refused(&["task", "logs", "cart-1"]);
    assert!(said.contains("--agents=http"), "{said}");
    user.told(&["context", "set", "prod", "--agents=http"]);
    eventually("the task's output", || {
        (user.told(&["task", "logs", "cart-1"]) == "hello\n").then_some(())
    });
    assert!(user.told(&["events"]).contains("1 task"));

    let encrypted = format!("--master=https://{}", cluster.master());
    let said = user.refused(&["agent", "list", &encrypted]);
    assert!(said.contains("plain HTTP"), "{said}");
    let none = format!("--ca-cert={}", cluster.place.join("none").display());
    let said = user.refused(&["agent", "list", &master, &none]);
    assert!(said.contains("read the certificates"), "{said}");
}

/// What a shell offers to go on with after words of which the last is begun; nothing if it is not
/// installed.
fn completed(shell: &str, script: &Path, words: &[&str]) -> Option<Vec<String>> {
    let last = words.len() - 1;
    let line = words.join(" ");
    let script = script.display();
    let program = match shell {
        "bash" => format!(
            "source {script}; COMP_WORDS=({line}); COMP_CWORD={last}; \
             _meseta meseta '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words[last],
            words[last - 1],
        ),
        _ => format!("source {script}; complete -C '{line}'"),
    };
    let output = Command::new(shell).args(["-c", &program]).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Some say what a word means, after a tab.
    let offered = text.lines().filter_map(|line| line.split('\t').next());
    Some(offered.map(str::to_owned).collect())
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
        let script = place.join(shell);
        std::fs::write(&script, text).expect("the script");
        if shell == "zsh" {
            // It completes on terminals alone.
            match Command::new(shell).arg("-n").arg(&script).output() {
                Ok(checked) => assert!(checked.status.success(), "{checked:?}"),
                Err(_) => skip("zsh is not installed"),
            }
            continue;
        }
        for (words, offered) in [
            (&["meseta", "agent", "dr"][..], "drain"),
            (&["meseta", "task", "logs", "--ta"], "--tail"),
            (&["meseta", "agent", "list", "-o", "y"], "yaml"),
            (&["meseta", "master", "--advertise_i"], "--advertise_ip"),
        ] {
            match completed(shell, &script, words) {
                Some(found) => assert_eq!(found, [offered], "{shell}: {words:?}"),
                None => skip(&format!("{shell} is not installed")),
            }
        }
    }
    let folder = place.join("man");
    user.told(&["man", &folder.display().to_string()]);
    let page = std::fs::read_to_string(folder.join("meseta-agent-drain.1")).expect("a page");
    assert!(page.contains("\\-\\-grace"), "{page}");
}

#[test]
fn a_genuine_mesos_is_seen_and_changed_as_well() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let genuine = oracle.cluster(&place, &[]);
    let master = genuine.address;
    let agent = start_agent(&place, master, 0, &["--resources=cpus:3;mem:512;disk:1000"]);
    registered_agents(master, 2);
    let info = framework("shop");
    let mut scheduler = Scheduler::subscribe(genuine.scheduler_api(), Voice::JSON, info);
    let offer = scheduler.offer_of(agent.address);
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
