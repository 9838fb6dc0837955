//! Who has no credential, or a wrong one, does not join a cluster that asks for one.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use meseta_proto::internal::FrameworkErrorMessage;
use meseta_proto::v1::FrameworkInfo;

use crate::support::daemon::{
    Daemon, Place, agent_address, finish, meseta, registered_agents, start_agent, start_master,
};
use crate::support::driver::{Dialect, Driver, Force};
use crate::support::genuine::oracle;
use crate::support::{eventually, http};

const CREDENTIALS: &str = r#"{"credentials": [{"principal": "sherman", "secret": "kitesurf"}]}"#;

/// A file that only its owner reads.
fn secret(place: &Place, name: &str, text: &str) -> String {
    let path = place.join(name);
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
    path.display().to_string()
}

/// A master that asks everybody to authenticate.
fn strict_master(place: &Place) -> Daemon {
    let file = secret(place, "credentials", CREDENTIALS);
    let flags = [
        "--authenticate_agents",
        "--authenticate_frameworks",
        &format!("--credentials={file}"),
    ];
    start_master(place, &flags)
}

fn frameworks(master: SocketAddr) -> usize {
    let state = http::get(master, "/state").json();
    state["frameworks"].as_array().map_or(0, Vec::len)
}

#[test]
fn an_agent_joins_with_its_credential_and_comes_back_after_the_masters_restart() {
    let place = Place::new();
    let master = strict_master(&place);
    let file = secret(&place, "credential", "sherman kitesurf\n");
    let credential = format!("--credential={file}");
    let flags = [credential.as_str(), "--registration_backoff_factor=10ms"];
    let _agent = start_agent(&place, master.address, 0, &flags);
    let before = registered_agents(master.address, 1).remove(0);
    // The master shows an agent before it has told it so; one that was never told comes as new.
    eventually("the agent to know its id", || {
        let state = http::get(agent_address(&before), "/state").json();
        (state["id"] == before["id"]).then_some(())
    });

    let address = master.address;
    master.kill9();
    let mut command = meseta();
    command
        .args(["master", "--ip=127.0.0.1", "--authenticate_agents"])
        .arg(format!("--port={}", address.port()))
        .arg(format!(
            "--credentials={}",
            place.join("credentials").display()
        ))
        .arg(format!("--work_dir={}", place.join("master").display()));
    let master = Daemon::start(&place, "master", &mut command);
    let after = registered_agents(master.address, 1).remove(0);
    assert_eq!(before["id"], after["id"]);
}

#[test]
fn an_agent_with_a_wrong_credential_ends_and_says_why() {
    let place = Place::new();
    let master = strict_master(&place);
    let file = secret(&place, "credential", "sherman hanggliding");
    let mut command = meseta();
    command
        .args(["agent", "--ip=127.0.0.1", "--port=0"])
        .arg("--registration_backoff_factor=10ms")
        .arg(format!("--credential={file}"))
        .arg(format!("--master={}", master.address))
        .arg(format!("--work_dir={}", place.join("agent").display()));
    let (status, _) = finish(&place, "agent", &mut command);
    assert!(!status.success());
    let log = fs::read_to_string(place.join("agent.log")).expect("its log");
    let sentence = format!("Master master@{} refused authentication", master.address);
    assert!(log.contains(&sentence), "{log}");
    assert!(!log.contains("hanggliding"), "{log}");
}

#[test]
fn files_without_credentials_are_refused_at_the_start() {
    let place = Place::new();
    for (text, sentence) in [
        ("", "expected at least one credential"),
        ("p hush\nq", "invalid credential at line 2"),
        (r#"{"credentials": "hush"}"#, "invalid JSON of credentials"),
    ] {
        let file = secret(&place, "credentials", text);
        let mut command = meseta();
        command
            .args([
                "master",
                "--ip=127.0.0.1",
                "--port=0",
                "--registry=in_memory",
            ])
            .arg(format!("--credentials={file}"));
        let (status, _) = finish(&place, "master", &mut command);
        assert_eq!(status.code(), Some(2), "{text}");
        let log = fs::read_to_string(place.join("master.log")).expect("its log");
        assert!(log.contains(sentence) && !log.contains("hush"), "{log}");
    }
}

#[test]
fn an_old_driver_that_has_not_authenticated_is_refused() {
    let place = Place::new();
    let master = strict_master(&place);
    for dialect in [Dialect::Legacy, Dialect::Call] {
        let mut driver = Driver::new(master.address, dialect);
        let info = FrameworkInfo {
            user: "root".into(),
            name: "stranger".into(),
            ..Default::default()
        };
        driver.subscribe(info, Force::No);
        let refused: FrameworkErrorMessage = driver.receive();
        let sentence = format!("Framework at {} is not authenticated", driver.pid);
        assert_eq!(refused.message, sentence);
    }
    assert_eq!(frameworks(master.address), 0);
}

#[test]
fn the_genuine_driver_joins_with_its_credential_and_with_no_other() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let master = strict_master(&place);
    let driver = |credential: &[&str]| oracle.driver(&place, master.address, credential);
    let wrong = driver(&["sherman", "hanggliding"]);
    assert_eq!(wrong.line("CB error "), "Master refused authentication");
    let stranger = driver(&["lemmy", "kitesurf"]);
    assert_eq!(stranger.line("CB error "), "Master refused authentication");
    let none = driver(&[]);
    let sentence = none.line("CB error ");
    assert!(sentence.ends_with("is not authenticated"), "{sentence}");

    let right = driver(&["sherman", "kitesurf"]);
    right.line("CB registered fid=");
    let state = http::get(master.address, "/state").json();
    assert_eq!(state["frameworks"][0]["principal"], "sherman");
    assert_eq!(frameworks(master.address), 1);
}

#[test]
fn the_genuine_agent_joins_our_master_with_its_credential() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let master = strict_master(&place);
    let file = secret(
        &place,
        "credential",
        r#"{"principal": "sherman", "secret": "kitesurf"}"#,
    );
    let flags = [("MESOS_CREDENTIAL", file.as_str())];
    let _genuine = oracle.agent(&place, master.address, &flags);
    let agent = registered_agents(master.address, 1).remove(0);
    assert_eq!(agent["version"], "1.11.0");
}

#[test]
fn our_agent_joins_a_genuine_master_that_asks_for_a_credential() {
    let Some(oracle) = oracle() else {
        return;
    };
    let place = Place::new();
    let credentials = secret(&place, "credentials", CREDENTIALS);
    let credential = secret(
        &place,
        "credential",
        r#"{"principal": "sherman", "secret": "kitesurf"}"#,
    );
    let genuine = oracle.cluster(
        &place,
        &[
            ("MESOS_AUTHENTICATE_AGENTS", "true"),
            ("MESOS_CREDENTIALS", &credentials),
            ("MESOS_CREDENTIAL", &credential),
        ],
    );
    let flag = format!("--credential={credential}");
    let flags = [flag.as_str(), "--resources=cpus:3;mem:512;disk:100"];
    let _agent = start_agent(&place, genuine.address, 0, &flags);
    registered_agents(genuine.address, 2);
}
