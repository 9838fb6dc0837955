use std::time::Duration;

use meseta_authentication::{Answer, Authenticatee, Authenticator, Credential, Credentials};
use meseta_proto::Upid;
use meseta_proto::internal::{
    AuthenticateMessage, AuthenticationCompletedMessage, AuthenticationErrorMessage,
    AuthenticationFailedMessage, AuthenticationMechanismsMessage, AuthenticationStartMessage,
    AuthenticationStepMessage, FrameworkErrorMessage, FrameworkRegisteredMessage,
    RegisterFrameworkMessage, SlaveRegisteredMessage, SlaveReregisteredMessage,
};
use meseta_proto::v1::FrameworkInfo;

use super::world::*;
use crate::Input;

/// A master that asks agents and drivers to authenticate, and knows `p` with the secret `s`.
fn strict() -> World {
    let mut world = World::before_recovery(|config| {
        let credentials = Credentials::parse("p s").unwrap();
        config.authenticator = Authenticator::new(credentials, [1; 16]);
        config.policy.authentication.agents = true;
        config.policy.authentication.frameworks = true;
    });
    world.recover(Vec::new());
    world
}

fn authenticatee() -> Upid {
    upid("crammd5-authenticatee(1)", 7000)
}

fn driver() -> Upid {
    upid("scheduler(1)", 7000)
}

fn ask(world: &mut World, client: &Upid) {
    let message = AuthenticateMessage {
        pid: client.to_string(),
    };
    world.message(&authenticatee(), "master", &message);
}

fn session(number: u32) -> String {
    format!("crammd5-authenticator-session({number})")
}

/// Speaks with session 1 until the master's verdict.
fn speak(world: &mut World, secret: &str) {
    let mut client = Authenticatee::new(Credential::new("p", secret));
    let offered = world.sent::<AuthenticationMechanismsMessage>(&authenticatee());
    let Answer::Start { mechanism, data } = client.on_mechanisms(&offered[0].mechanisms).unwrap()
    else {
        panic!("a start")
    };
    let data = Some(data);
    let start = AuthenticationStartMessage { mechanism, data };
    world.message(&authenticatee(), &session(1), &start);
    let challenge = world.sent::<AuthenticationStepMessage>(&authenticatee());
    let Answer::Step { data } = client.on_step(&challenge[0].data).unwrap() else {
        panic!("a step")
    };
    let step = AuthenticationStepMessage { data };
    world.message(&authenticatee(), &session(1), &step);
}

fn authenticate(world: &mut World, client: &Upid) {
    ask(world, client);
    speak(world, "s");
    let completed = world.sent::<AuthenticationCompletedMessage>(&authenticatee());
    assert_eq!(completed.len(), 1);
}

fn register(world: &mut World, framework: FrameworkInfo) {
    world.message(&driver(), "master", &RegisterFrameworkMessage { framework });
}

fn refusal(world: &World) -> Option<String> {
    let errors = world.sent::<FrameworkErrorMessage>(&driver());
    errors.first().map(|error| error.message.clone())
}

#[test]
fn a_driver_that_authenticated_registers_as_its_principal() {
    let mut world = strict();
    authenticate(&mut world, &driver());
    register(&mut world, framework_info());
    assert_eq!(refusal(&world), None);
    let registered = world.sent::<FrameworkRegisteredMessage>(&driver());
    let framework = &world.master.snapshot().frameworks[&registered[0].framework_id];
    assert_eq!(framework.info.principal.as_deref(), Some("p"));
}

#[test]
fn a_driver_cannot_claim_to_be_another_principal() {
    let mut world = strict();
    authenticate(&mut world, &driver());
    let principal = Some("q".to_owned());
    register(
        &mut world,
        FrameworkInfo {
            principal,
            ..framework_info()
        },
    );
    let sentence = "Framework principal 'q' does not match authenticated principal 'p'";
    assert_eq!(refusal(&world).as_deref(), Some(sentence));
}

#[test]
fn who_has_not_authenticated_or_with_a_wrong_secret_does_not_join() {
    for tries in [false, true] {
        let mut world = strict();
        if tries {
            ask(&mut world, &driver());
            speak(&mut world, "x");
            let failed = world.sent::<AuthenticationFailedMessage>(&authenticatee());
            assert_eq!(failed.len(), 1);
        }
        register(&mut world, framework_info());
        let sentence = "Framework at scheduler(1)@127.0.0.1:7000 is not authenticated";
        assert_eq!(refusal(&world).as_deref(), Some(sentence));

        let agent = upid("slave(1)", 5051);
        world.message(&agent, "master", &registration());
        world.reregister(&agent, &"old-S0".into(), vec![], vec![]);
        assert!(world.sent::<SlaveRegisteredMessage>(&agent).is_empty());
        assert!(world.sent::<SlaveReregisteredMessage>(&agent).is_empty());
    }
}

#[test]
fn schedulers_over_http_need_no_credential_of_the_old_protocol() {
    let mut world = strict();
    let scheduler = world.subscribe(framework_info());
    assert!(world.master.snapshot().frameworks[&scheduler.id].connected());
}

#[test]
fn an_agent_authenticates_anew_after_its_link_broke() {
    let mut world = strict();
    let pid = upid("slave(1)", 7000);
    authenticate(&mut world, &pid);
    let id = world.agent(&pid);
    world.step(Input::Exited {
        address: pid.address,
    });
    world.actions();
    world.reregister(&pid, &id, vec![], vec![]);
    assert!(world.sent::<SlaveReregisteredMessage>(&pid).is_empty());
    assert!(!world.master.snapshot().agents[&id].connected);
}

#[test]
fn a_registration_that_comes_too_early_is_dealt_with_after_the_verdict() {
    for (secret, expected) in [("s", 0), ("x", 1)] {
        let mut world = strict();
        ask(&mut world, &driver());
        register(&mut world, framework_info());
        assert_eq!(refusal(&world), None);
        assert!(world.master.snapshot().frameworks.is_empty());
        speak(&mut world, secret);
        let refused = world.sent::<FrameworkErrorMessage>(&driver()).len();
        assert_eq!(refused, expected);
        let entered = world.master.snapshot().frameworks.len();
        assert_eq!(entered, 1 - expected);
    }
}

#[test]
fn what_is_held_is_bounded_in_sum() {
    let mut world = strict();
    let labels = "x".repeat(crate::limits::MAX_HELD_BYTES / 2);
    let big = FrameworkInfo {
        webui_url: Some(labels),
        ..framework_info()
    };
    for port in 1..=3 {
        let client = upid("scheduler(1)", port);
        ask(&mut world, &client);
        let framework = big.clone();
        let message = RegisterFrameworkMessage { framework };
        world.message(&client, "master", &message);
    }
    assert_eq!(world.master.snapshot().metrics.dropped_messages, 2);
}

#[test]
fn an_attempt_ends_when_its_time_is_over() {
    let mut world = strict();
    ask(&mut world, &driver());
    register(&mut world, framework_info());
    world.pass(Duration::from_secs(15));
    speak_after_the_end(&mut world);
    assert!(world.master.snapshot().frameworks.is_empty());
    assert_eq!(refusal(&world), None);
}

#[test]
fn an_attempt_ends_with_the_link_to_its_client() {
    let mut world = strict();
    ask(&mut world, &driver());
    world.step(Input::Exited {
        address: driver().address,
    });
    speak_after_the_end(&mut world);
}

fn speak_after_the_end(world: &mut World) {
    let start = AuthenticationStartMessage {
        mechanism: "CRAM-MD5".into(),
        data: None,
    };
    world.message(&authenticatee(), &session(1), &start);
    let answers = world.sent::<AuthenticationStepMessage>(&authenticatee());
    assert!(answers.is_empty());
}

#[test]
fn a_new_attempt_ends_the_one_before_and_what_it_came_to() {
    let mut world = strict();
    authenticate(&mut world, &driver());
    ask(&mut world, &driver());
    ask(&mut world, &driver());
    let begun = world.sent::<AuthenticationMechanismsMessage>(&authenticatee());
    assert_eq!(begun.len(), 3);
    let start = AuthenticationStartMessage {
        mechanism: "CRAM-MD5".into(),
        data: None,
    };
    for (number, expected) in [(2, 1), (3, 2)] {
        world.message(&authenticatee(), &session(number), &start);
        let challenges = world.sent::<AuthenticationStepMessage>(&authenticatee());
        assert_eq!(challenges.len(), expected, "session {number}");
    }
    let wrong = AuthenticationStepMessage {
        data: b"p 0".to_vec(),
    };
    world.message(&authenticatee(), &session(3), &wrong);
    register(&mut world, framework_info());
    assert!(refusal(&world).unwrap().ends_with("is not authenticated"));
}

#[test]
fn only_who_began_an_attempt_has_a_say_in_it() {
    let mut world = strict();
    ask(&mut world, &driver());
    let start = AuthenticationStartMessage {
        mechanism: "PLAIN".into(),
        data: None,
    };
    let other = upid("crammd5-authenticatee(1)", 7001);
    world.message(&other, &session(1), &start);
    assert!(world.sent::<AuthenticationErrorMessage>(&other).is_empty());
    world.message(&authenticatee(), &session(1), &start);
    let errors = world.sent::<AuthenticationErrorMessage>(&authenticatee());
    let sentence = "SASL(-4): no mechanism available: Couldn't find mech PLAIN";
    assert_eq!(errors[0].error.as_deref(), Some(sentence));
}

#[test]
fn a_master_that_knows_no_credentials_refuses_those_who_have_one() {
    let mut world = World::new();
    ask(&mut world, &driver());
    speak(&mut world, "s");
    let failed = world.sent::<AuthenticationFailedMessage>(&authenticatee());
    assert_eq!(failed.len(), 1);
    register(&mut world, framework_info());
    assert_eq!(refusal(&world), None, "but asks for none");
}
