use std::time::Duration;

use meseta_authentication::{Authenticator, Credential, Credentials, Session, Verdict};
use meseta_proto::Wire;
use meseta_proto::internal::{
    AuthenticateMessage, AuthenticationCompletedMessage, AuthenticationErrorMessage,
    AuthenticationFailedMessage, AuthenticationMechanismsMessage, AuthenticationStartMessage,
    AuthenticationStepMessage, RegisterSlaveMessage, ReregisterSlaveMessage,
};

use super::{Did, MASTER, World, pid};
use crate::{Action, ExitReason, Input};

const SESSION: &str = "crammd5-authenticator-session(1)@10.0.0.1:5050";

/// An agent with a credential that has just asked to be authenticated, and the process that asks.
fn asking() -> (World, String) {
    let mut world = World::with(|config| config.credential = Some(Credential::new("p", "s")));
    world.detect();
    let did = world.wait(Duration::from_secs(1));
    assert!(did.sent::<RegisterSlaveMessage>().is_empty());
    let message = did.sent_one::<AuthenticateMessage>();
    assert_eq!(message.pid, "slave(1)@10.0.0.2:5051");
    let process = asker(&did);
    (world, process)
}

/// The process that asked last.
fn asker(did: &Did) -> String {
    let mut asked = did.0.iter().rev().filter_map(|action| match action {
        Action::Send { from, name, to, .. } if *name == AuthenticateMessage::SCHEMA.name => {
            assert_eq!(*to, pid(MASTER));
            Some(from.clone())
        }
        _ => None,
    });
    asked.next().unwrap()
}

fn say<M: Wire>(world: &mut World, from: &str, to: &str, message: &M) -> Did {
    world.step(Input::Message {
        from: pid(from),
        to: to.into(),
        name: M::SCHEMA.name.into(),
        body: message.encode_to_vec().into(),
    })
}

fn mechanisms() -> AuthenticationMechanismsMessage {
    AuthenticationMechanismsMessage {
        mechanisms: vec!["CRAM-MD5".into()],
    }
}

/// Authenticates the agent as far as a master with these credentials lets it.
fn authenticate(world: &mut World, process: &str, credentials: &str) -> Did {
    let credentials = Credentials::parse(credentials).unwrap();
    let authenticator = Authenticator::new(credentials, [1; 16]);
    let mut session = Session::new(authenticator.challenge(1, "h"));
    let did = say(world, SESSION, process, &mechanisms());
    let start = did.sent_one::<AuthenticationStartMessage>();
    let data = start
        .data
        .expect("empty, but there: C++ masters ask for it");
    let Verdict::Continue(data) = session.on_start(&start.mechanism, &data) else {
        panic!("a challenge")
    };
    let did = say(world, SESSION, process, &AuthenticationStepMessage { data });
    let step = did.sent_one::<AuthenticationStepMessage>();
    match session.on_step(&authenticator, &step.data) {
        Verdict::Completed(principal) => {
            assert_eq!(principal, "p");
            say(world, SESSION, process, &AuthenticationCompletedMessage {})
        }
        Verdict::Failed => say(world, SESSION, process, &AuthenticationFailedMessage {}),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_with_a_credential_authenticates_before_it_registers() {
    let (mut world, process) = asking();
    let did = authenticate(&mut world, &process, "p s");
    did.sent_one::<RegisterSlaveMessage>();
    let again = world.wait(Duration::from_mins(1));
    assert!(!again.sent::<RegisterSlaveMessage>().is_empty());
    assert!(again.sent::<AuthenticateMessage>().is_empty());
    world.register();
    assert!(world.agent.snapshot().registered);
}

#[test]
fn an_agent_that_is_refused_ends_and_lets_its_executors_live() {
    let (mut world, process) = asking();
    let did = authenticate(&mut world, &process, "p other");
    let sentence = "Master master@10.0.0.1:5050 refused authentication";
    assert_eq!(did.exit(), Some(ExitReason::Conflict(sentence.into())));
    assert!(did.destroyed().is_empty());
}

#[test]
fn an_agent_that_registers_anew_authenticates_anew() {
    let (mut world, process) = asking();
    authenticate(&mut world, &process, "p s");
    world.register();
    world.step(Input::Exited {
        address: pid(MASTER).address,
    });
    let did = world.wait(Duration::from_secs(1));
    assert!(did.sent::<ReregisterSlaveMessage>().is_empty());
    let process = asker(&did);
    let did = authenticate(&mut world, &process, "p s");
    did.sent_one::<ReregisterSlaveMessage>();
}

#[test]
fn an_agent_whose_master_went_away_before_it_was_registered_authenticates_anew() {
    let (mut world, process) = asking();
    authenticate(&mut world, &process, "p s");
    world.step(Input::Exited {
        address: pid(MASTER).address,
    });
    let did = world.wait(Duration::from_secs(2));
    assert!(did.sent::<RegisterSlaveMessage>().is_empty());
    let process = asker(&did);
    let did = authenticate(&mut world, &process, "p s");
    did.sent_one::<RegisterSlaveMessage>();
}

#[test]
fn attempts_that_come_to_nothing_are_repeated_with_growing_patience() {
    let (mut world, first) = asking();
    let error = AuthenticationErrorMessage {
        error: Some("No authenticator loaded".into()),
    };
    let did = say(&mut world, SESSION, &first, &error);
    assert!(did.0.is_empty(), "not at once: {did:?}");
    let soon = world.wait(Duration::from_secs(4));
    assert!(soon.0.is_empty(), "{soon:?}");
    let did = world.wait(Duration::from_secs(4));
    let second = asker(&did);
    assert_ne!(first, second);
    let late = world.wait(Duration::from_hours(1));
    let attempts = late.sent::<AuthenticateMessage>().len();
    assert!((60..240).contains(&attempts), "{attempts} in an hour");
    let process = asker(&late);
    let did = authenticate(&mut world, &process, "p s");
    did.sent_one::<RegisterSlaveMessage>();
}

#[test]
fn only_the_master_and_about_the_present_attempt_is_listened_to() {
    let (mut world, first) = asking();
    let stranger = "crammd5-authenticator-session(1)@10.0.0.9:5050";
    let did = say(&mut world, stranger, &first, &mechanisms());
    assert!(did.0.is_empty(), "{did:?}");
    world.wait(Duration::from_secs(8));
    let did = say(&mut world, SESSION, &first, &mechanisms());
    assert!(did.0.is_empty(), "{did:?}");
    let did = say(&mut world, SESSION, &first, &AuthenticationFailedMessage {});
    assert_eq!(did.exit(), None);
}

#[test]
fn a_master_that_skips_the_challenge_is_not_believed() {
    let (mut world, process) = asking();
    say(&mut world, SESSION, &process, &mechanisms());
    let completed = AuthenticationCompletedMessage {};
    let did = say(&mut world, SESSION, &process, &completed);
    assert!(did.sent::<RegisterSlaveMessage>().is_empty());
    let did = world.wait(Duration::from_secs(8));
    assert_eq!(did.sent::<AuthenticateMessage>().len(), 1);
}
