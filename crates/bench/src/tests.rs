//! Every scenario, small, against the null target, with a second peer that reads along.
//!
//! The peer decodes what the generator sends by the descriptors alone, with a library that shares no
//! code with the generated types: what it cannot read in full would be lost on a genuine master.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use http::header::CONTENT_TYPE;
use meseta_transport::{Message, Request, Response, Service};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _};

use crate::arguments::{Arguments, Work};
use crate::null::Null;
use crate::report::Report;
use crate::scenarios::Context;
use crate::target::Target;

/// What the second peer has seen.
#[derive(Debug, Default)]
struct Seen {
    kinds: BTreeSet<String>,
    complaints: Vec<String>,
}

/// A target, and the peer that reads along.
#[derive(Debug, Clone)]
struct ReadAlong {
    target: Null,
    descriptors: DescriptorPool,
    seen: Arc<Mutex<Seen>>,
}

impl Service for ReadAlong {
    fn message(&self, message: Message) {
        self.read(&message.name, &message.body);
        self.target.message(message);
    }

    async fn request(&self, request: Request) -> Response {
        let json = request
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value == "application/json");
        let kind = match request.path.as_str() {
            "/master/api/v1/scheduler" => Some("mesos.v1.scheduler.Call"),
            "/master/api/v1" => Some("mesos.v1.master.Call"),
            _ => None,
        };
        if let Some(kind) = kind
            && !json
        {
            self.read(kind, &request.body);
        }
        self.target.request(request).await
    }
}

impl ReadAlong {
    fn read(&self, kind: &str, body: &[u8]) {
        let complaint = match self.descriptors.get_message_by_name(kind) {
            None => Some("there is no such message".to_owned()),
            Some(descriptor) => match DynamicMessage::decode(descriptor, body) {
                Err(error) => Some(error.to_string()),
                Ok(message) => complaint(&message),
            },
        };
        let mut seen = self.seen.lock().unwrap();
        seen.kinds.insert(kind.to_owned());
        seen.complaints
            .extend(complaint.map(|c| format!("{kind}: {c}")));
    }
}

/// What is missing from a message, or not to be understood, at any depth.
fn complaint(message: &DynamicMessage) -> Option<String> {
    if message.unknown_fields().next().is_some() {
        return Some("it has fields that nobody knows".to_owned());
    }
    let missing = message.descriptor().fields().find(|field| {
        field.cardinality() == prost_reflect::Cardinality::Required && !message.has_field(field)
    });
    if let Some(field) = missing {
        return Some(format!("{} is missing", field.full_name()));
    }
    message.fields().find_map(|(_, value)| within(value))
}

fn within(value: &prost_reflect::Value) -> Option<String> {
    match value {
        prost_reflect::Value::Message(message) => complaint(message),
        prost_reflect::Value::List(list) => list.iter().find_map(within),
        prost_reflect::Value::Map(map) => map.values().find_map(within),
        _ => None,
    }
}

/// Runs a scenario by its words, and gives its report with what the second peer saw.
fn drive(words: &str) -> (Report, Seen) {
    let words = ["bench"].into_iter().chain(words.split_whitespace());
    let arguments = Arguments::try_parse_from(words).unwrap();
    let Work::Scenario(scenario) = arguments.work else {
        panic!("a scenario");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = meseta_transport::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address();
        let seen = Arc::new(Mutex::default());
        let service = ReadAlong {
            target: Null::new(address),
            descriptors: DescriptorPool::decode(meseta_proto::DESCRIPTORS).unwrap(),
            seen: Arc::clone(&seen),
        };
        tokio::spawn(meseta_transport::serve(listener, service));
        let target = Target::find(&address.to_string(), None, false).unwrap();
        let settings = crate::settings(&arguments.common, &target);
        let report = scenario.run(&Context { target, settings }).await.unwrap();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (report, seen)
    })
}

/// Drives a scenario in both encodings; both peers must have understood everything.
fn understood(words: &str) -> Report {
    drive(&format!("{words} --encoding json --ports 2"));
    let (report, seen) = drive(words);
    assert_eq!(seen.complaints, [""; 0], "{words}");
    assert!(seen.kinds.len() > 1, "{:?}", seen.kinds);
    assert_eq!(report.notes, [""; 0], "{words}");
    let json = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    let names = |report: &Report| {
        report
            .numbers()
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&read), names(&report));
    report
}

#[test]
fn agents_register() {
    let report = understood("register --agents 20 --warm-up 2");
    assert_eq!(report.sizes["agents"], 20);
}

#[test]
fn agents_come_back_after_a_failover() {
    understood("failover --agents 5 --tasks 3 --completed 2 --frameworks 2 --warm-up 1");
}

#[test]
fn offers_are_declined() {
    understood("decline --agents 3 --frameworks 8 --roles 2 --rounds 4");
}

#[test]
fn tasks_are_launched() {
    understood(
        "launch --agents 2 --frameworks 2 --tasks 30 --slots 4 --warm-up 4 --accept-every 2",
    );
}

#[test]
fn tasks_are_launched_one_after_the_other() {
    understood("latency --agents 2 --bystanders 0 --samples 5 --warm-up 1");
}

#[test]
fn endpoints_are_polled() {
    understood("state --agents 2 --tasks 2 --launches 10 --time 100ms --rest 1ms --warm-up 2");
}

#[test]
fn events_are_followed() {
    understood("events --subscribers 2 --agents 2 --tasks 10 --warm-up 2");
}

#[test]
fn tasks_are_reconciled() {
    understood("reconcile --agents 2 --tasks 20 --at-once 7 --rounds 2");
}

#[test]
fn quotas_are_filled() {
    understood("quota --roles 3 --share 2 --idle 10ms --warm-up 1");
}

#[test]
fn everything_goes_on_together() {
    let words = "soak --time 300ms --interval 100ms --agents 2 --frameworks 2 --at-once 2 --duration 5ms --warm-up 1";
    let (report, seen) = drive(words);
    assert_eq!(seen.complaints, [""; 0]);
    assert!(
        report.notes.iter().all(|note| note.ends_with("an hour")),
        "{:?}",
        report.notes
    );
}
