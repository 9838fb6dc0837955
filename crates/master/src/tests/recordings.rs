//! Calls that a genuine Mesos was sent, and what it answered.

use meseta_machine::{RequestId, StreamId};
use meseta_proto::json;
use meseta_proto::v1::scheduler::Call;
use serde_json::Value;

use super::world::*;
use crate::{Action, Input, validation};

/// The first event of a recorded stream: its type, and what an error says.
fn recorded_event(body: &str) -> (String, Option<String>) {
    let (_, event) = body.split_once('\n').unwrap();
    // Heartbeats or offers may follow.
    let event: Value = serde_json::Deserializer::from_str(event)
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    let message = event["error"]["message"].as_str().map(str::to_owned);
    (event["type"].as_str().unwrap().to_owned(), message)
}

#[test]
fn recorded_calls_are_answered_as_recorded() {
    let recordings = include_str!("../../../../tests/golden/http-master-1.11.0.jsonl");
    let mut world = World::new();
    let (mut streams, mut refusals) = (0, 0);
    for line in recordings.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let name = recorded["request"]["name"].as_str().unwrap();
        let body = recorded["request"]["body"].as_str().unwrap_or_default();
        let is_json = recorded["request"]["headers"]["Content-Type"] == "application/json";
        if !(name.starts_with("sched-") || name.starts_with("sub-")) || !is_json {
            continue;
        }
        // The edge refuses the others.
        let Ok(call) = json::from_slice::<Call>(body.as_bytes()) else {
            continue;
        };
        if validation::scheduler_call(&call, None).is_err() {
            continue;
        }
        let stream = recorded["request"]["headers"]["Mesos-Stream-Id"].as_str();
        world.actions();
        world.step(Input::SchedulerCall {
            request: RequestId(0),
            call: Box::new(call),
            stream: stream.map(|id| StreamId(id.to_owned())),
            new_stream: StreamId(name.to_owned()),
        });
        let actions = world.actions();
        let text = recorded["response"]["body"].as_str().unwrap();
        match &actions[..] {
            [Action::Reply { reply, .. }] => {
                refusals += 1;
                assert_eq!(reply.status, recorded["response"]["status"], "{name}");
                assert_eq!(reply.body, text, "{name}");
            }
            [
                Action::OpenStream { .. },
                Action::Event { event, .. },
                rest @ ..,
            ] => {
                streams += 1;
                let message = event.error.as_ref().map(|error| error.message.clone());
                let shown = (event.r#type().as_str_name().to_owned(), message);
                assert_eq!(shown, recorded_event(text), "{name}");
                let is_over = matches!(rest, [Action::CloseStream { .. }]);
                assert_eq!(is_over, event.error.is_some(), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(streams > 10 && refusals > 5, "{streams} {refusals}");
}
