//! Operators who watch, and do so badly: who loses its stream, and who does not read.

use std::io::BufReader;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::daemon::{Place, scheduler_api, start_master};
use crate::support::events::next_record;
use crate::support::http::{self, Body};
use crate::support::scheduler::{Scheduler, Voice, framework};
use crate::support::{eventually, processes};

const SUBSCRIBE: &[u8] = br#"{"type":"SUBSCRIBE"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

/// A stream, where it begins, and its first event.
fn watch(master: SocketAddr, after: Option<&str>) -> (BufReader<Body>, String, Value) {
    let last = after.map(|id| ("last-event-id", id));
    let headers: Vec<_> = [JSON].into_iter().chain(last).collect();
    let open = http::open(master, "POST", "/api/v1", &headers, Some(SUBSCRIBE));
    let open = open.expect("a stream");
    assert_eq!(open.head.status, 200);
    let place = open.head.header("meseta-event-id").expect("a place");
    let place = place.to_owned();
    let mut stream = BufReader::new(open.body);
    let first = event(&mut stream);
    assert_eq!(first["type"], "SUBSCRIBED");
    (stream, place, first)
}

/// The next event that is no heartbeat.
fn event(stream: &mut BufReader<Body>) -> Value {
    loop {
        let record = next_record(stream).expect("an event");
        let event: Value = serde_json::from_slice(&record).expect("JSON");
        if event["type"] != "HEARTBEAT" {
            return event;
        }
    }
}

fn name(event: &Value) -> &Value {
    &event["framework_added"]["framework"]["framework_info"]["name"]
}

#[test]
fn a_watcher_that_comes_back_has_missed_nothing() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let subscribe = |name: &str| {
        Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, framework(name))
    };
    let (mut stream, begin, first) = watch(master.address, None);
    assert!(first["subscribed"]["get_state"].is_object());
    let _one = subscribe("one");
    assert_eq!(name(&event(&mut stream)), "one");
    drop(stream);
    let _two = subscribe("two");

    // It has seen one event.
    let (run, number) = begin.split_once(':').expect("a run and a number");
    let number: u64 = number.parse().expect("a number");
    let seen = format!("{run}:{}", number + 1);
    let (mut stream, again, first) = watch(master.address, Some(&seen));
    assert_eq!(again, seen);
    assert!(first["subscribed"].get("get_state").is_none());
    assert_eq!(name(&event(&mut stream)), "two");
    let _three = subscribe("three");
    assert_eq!(name(&event(&mut stream)), "three");

    let refusal = |id: &str| {
        let headers = [JSON, ("last-event-id", id)];
        let answer = http::request(master.address, "POST", "/api/v1", &headers, Some(SUBSCRIBE));
        answer.expect("an answer").status()
    };
    assert_eq!(refusal("another:1"), 410);
    assert_eq!(refusal(&format!("{run}:99")), 410);
    assert_eq!(refusal("what"), 400);
    assert_eq!(refusal("ünknown"), 400);
}

#[test]
fn many_who_begin_at_once_are_each_told_everything_once() {
    const WATCHERS: usize = 40;
    let place = Place::new();
    let master = start_master(&place, &[]);
    let address = master.address;
    let mut names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    names.push("last".into());
    let all = std::thread::scope(|scope| {
        let watching = |_| {
            scope.spawn(move || {
                let (mut stream, _, first) = watch(address, None);
                let frameworks = &first["subscribed"]["get_state"]["get_frameworks"]["frameworks"];
                let there = frameworks.as_array().into_iter().flatten();
                let mut told: Vec<Value> = there
                    .map(|framework| framework["framework_info"]["name"].clone())
                    .collect();
                while !told.contains(&"last".into()) {
                    let event = event(&mut stream);
                    if event["type"] == "FRAMEWORK_ADDED" {
                        told.push(name(&event).clone());
                    }
                }
                told
            })
        };
        let watchers: Vec<_> = (0..WATCHERS).map(watching).collect();
        let subscribe = |name: &String| {
            Scheduler::subscribe(scheduler_api(address), Voice::JSON, framework(name))
        };
        let schedulers: Vec<_> = names.iter().map(subscribe).collect();
        let all: Vec<_> = watchers.into_iter().map(|it| it.join().unwrap()).collect();
        drop(schedulers);
        all
    });
    for told in all {
        assert_eq!(told, names);
    }
}

#[test]
fn many_who_begin_at_once_share_what_they_begin_with() {
    const WATCHERS: usize = 32;
    const LARGE: usize = 16;
    let place = Place::new();
    let master = start_master(&place, &[]);
    let schedulers: Vec<_> = (0..LARGE)
        .map(|n| {
            let mut info = framework("large");
            info["webui_url"] = format!("http://{n}/{}", "x".repeat(1 << 20)).into();
            Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info)
        })
        .collect();
    let before = processes::most_resident(master.pid());
    let address = master.address;
    std::thread::scope(|scope| {
        for _ in 0..WATCHERS {
            scope.spawn(move || {
                let open = http::open(address, "POST", "/api/v1", &[JSON], Some(SUBSCRIBE));
                let open = open.expect("a stream");
                assert_eq!(open.head.status, 200);
                let first = next_record(&mut BufReader::new(open.body)).expect("an event");
                assert!(first.len() > LARGE << 20, "{}", first.len());
            });
        }
    });
    let more = processes::most_resident(master.pid()) - before;
    // A copy for each would be twice as much.
    let bound = (WATCHERS / 2 * LARGE) << 20;
    assert!(more < bound as u64, "{more}");
    drop(schedulers);
}

#[test]
fn a_watcher_that_does_not_read_is_cut_off_before_memory_grows() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let metric = |name: &str| {
        let shown = http::get(master.address, "/metrics/snapshot").json();
        shown[format!("master/{name}")].as_f64().expect("a number")
    };
    // Large enough that some of them fill the stream and the kernel's buffers.
    let large = |n: usize| {
        let mut info = framework("large");
        info["webui_url"] = format!("http://{n}/{}", "x".repeat(1 << 20)).into();
        info
    };
    let scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, large(0));
    // It is open, and nobody reads what comes.
    let (stream, _, _) = watch(master.address, None);
    let bound = 64.0 * 1024.0 * 1024.0;
    let mut n = 0;
    eventually("the end of who does not read", || {
        n += 1;
        let mut info = large(n);
        info["id"] = json!({"value": scheduler.id});
        let answer = scheduler.call(json!({
            "type": "UPDATE_FRAMEWORK",
            "update_framework": {"framework_info": info},
        }));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(metric("event_streams_waiting_bytes") <= bound);
        (metric("event_streams_cut_off") > 0.0).then_some(())
    });
    eventually("the subscriber's end", || {
        (metric("operator_event_stream_subscribers") == 0.0).then_some(())
    });
    assert!(metric("event_streams_waiting_bytes") < 1.0);
    let resident = processes::resident(master.pid());
    assert!(resident < 512 * 1024 * 1024, "{resident}");
    drop(stream);
}
