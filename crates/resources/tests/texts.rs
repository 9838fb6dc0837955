//! What operators write and what everyone reads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not there fails the test"
)]

use meseta_proto::{json, v1};
use meseta_resources::{Resources, SummaryValue, attribute_summary, parse_attributes, validate};

fn refusal(text: &str) -> String {
    Resources::parse(text, "*").unwrap_err().to_string()
}

fn message(json: &str) -> v1::Resource {
    json::from_slice(json.as_bytes()).unwrap()
}

/// A scalar with other fields.
fn scalar(name: &str, value: f64, rest: &str) -> v1::Resource {
    message(&format!(
        r#"{{"name":"{name}","type":"SCALAR","scalar":{{"value":{value}}}{rest}}}"#
    ))
}

#[test]
fn text_is_shown_as_mesos_shows_it() {
    for (given, shown) in [
        ("", "{}"),
        ("cpus:2;mem:1024", "cpus:2; mem:1024"),
        ("cpus : 2 ; mem(*) : 1024;", "cpus:2; mem:1024"),
        ("cpus:0.1;cpus:0.2", "cpus:0.3"),
        ("cpus:1.0006", "cpus:1.001"),
        ("cpus:0", "{}"),
        ("ports:[31000-32000, 1-5, 6-7]", "ports:[1-7, 31000-32000]"),
        ("zones:{b, a}", "zones:{b, a}"),
        ("cpus(web):1", "cpus(reservations: [(STATIC,web)]):1"),
    ] {
        let read = Resources::parse(given, "*").unwrap();
        assert_eq!(read.to_string(), shown, "{given}");
    }
    assert_eq!(
        Resources::parse("cpus:1;mem(*):2", "web")
            .unwrap()
            .to_string(),
        "cpus(reservations: [(STATIC,web)]):1; mem:2"
    );
}

#[test]
fn json_says_the_same_as_text() {
    let json = r#"[
        {"name":"cpus","type":"SCALAR","scalar":{"value":2},"role":"web"},
        {"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":5}]}}]"#;
    assert_eq!(
        Resources::parse(json, "*").unwrap(),
        Resources::parse("cpus(web):2;ports:[1-5]", "*").unwrap()
    );
}

#[test]
fn malformed_text_is_refused_in_the_words_of_mesos() {
    for (text, sentence) in [
        (
            "cpus",
            "Bad value for resources, missing or extra ':' in cpus",
        ),
        (
            "cpus:1:2",
            "Bad value for resources, missing or extra ':' in cpus:1:2",
        ),
        (
            "cpus(web:1",
            "Bad value for resources, mismatched parentheses in cpus(web:1",
        ),
        (
            "cpus)(web:1",
            "Bad value for resources, mismatched parentheses in cpus)(web:1",
        ),
        (
            "cpus:many",
            "Bad type for resource cpus value many type TEXT",
        ),
        ("ports:[5-1]", "Invalid ranges resource: begin > end"),
        (
            "ports:[1-2",
            "Failed to parse resource ports value [1-2 error Mismatched brackets",
        ),
        (
            "foo(a):1;foo(b):[0-1]",
            "Resources with the same name ('foo') but different types are not allowed",
        ),
        ("cpus(/a):1", "Role '/a' cannot start with a slash"),
    ] {
        assert_eq!(refusal(text), sentence);
    }
}

#[test]
fn what_operations_make_is_refused_at_the_command_line() {
    let one = |rest: &str| {
        refusal(&format!(
            r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},{rest}}}]"#
        ))
    };
    assert_eq!(
        one(r#""role":"r","disk":{"persistence":{"id":"i"}}"#),
        "Persistent volumes cannot be specified at the command line"
    );
    assert_eq!(
        one(r#""revocable":{}"#),
        "Revocable resources cannot be specified at the command line; do not include a \
         'revocable' key in the resources JSON"
    );
    assert_eq!(
        one(r#""reservations":[{"type":"DYNAMIC","role":"r"}]"#),
        "Dynamic reservations cannot be specified at the command line; do not include a \
         reservation with DYNAMIC type in the resources JSON"
    );
}

#[test]
fn every_detail_of_a_resource_is_shown() {
    for (message, shown) in [
        (
            scalar(
                "cpus",
                0.5,
                r#","allocation_info":{"role":"r"},"revocable":{}"#,
            ),
            "cpus(allocated: r){REV}:0.5",
        ),
        (
            scalar(
                "disk",
                64.0,
                r#","reservations":[{"type":"STATIC","role":"r"},
                   {"type":"DYNAMIC","role":"r/s","principal":"p",
                    "labels":{"labels":[{"key":"k","value":"v"},{"key":"l"}]}}],
                   "disk":{"persistence":{"id":"i"},"volume":{"mode":"RW","container_path":"data"}},
                   "shared":{}"#,
            ),
            "disk(reservations: [(STATIC,r),(DYNAMIC,r/s,p,{k: v, l})])[i:data]<SHARED>:64<1>",
        ),
        (
            scalar(
                "disk",
                1.0,
                r#","disk":{"source":{"type":"MOUNT","mount":{"root":"/mnt"}}}"#,
            ),
            "disk[MOUNT:/mnt]:1",
        ),
    ] {
        assert_eq!(Resources::from_v1(&[message]).unwrap().to_string(), shown);
    }
}

#[test]
fn invalid_messages_are_refused_in_the_words_of_mesos() {
    for (message, sentence) in [
        (
            scalar("", 1.0, ""),
            "Resource ':1' is invalid: Empty resource name",
        ),
        (
            scalar("cpus", -1.0, ""),
            "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0",
        ),
        (
            scalar("cpus", 1.0, r#","reservation":{"principal":"p"}"#),
            "Resource 'cpus:1' is invalid: Invalid reservation: role \"*\" cannot be dynamically \
             reserved",
        ),
        (
            scalar("cpus", 1.0, r#","shared":{}"#),
            "Resource 'cpus<SHARED>:1' is invalid: Resource cpus cannot be shared",
        ),
        (
            scalar("disk", 1.0, r#","shared":{}"#),
            "Resource 'disk<SHARED>:1' is invalid: Only persistent volumes can be shared",
        ),
        (
            scalar(
                "cpus",
                1.0,
                r#","reservations":[{"type":"STATIC","role":"a"},{"type":"DYNAMIC","role":"b"}]"#,
            ),
            "Resource 'cpus(reservations: [(STATIC,a),(DYNAMIC,b)]):1' is invalid: Invalid refined \
             reservation: role 'b' is not a refinement of 'a'",
        ),
        (
            message(
                r#"{"name":"ports","type":"RANGES",
                    "ranges":{"range":[{"begin":1,"end":5},{"begin":5,"end":6}]}}"#,
            ),
            "Resource 'ports:[1-5, 5-6]' is invalid: Invalid ranges resource: overlapping ranges",
        ),
        (
            message(r#"{"name":"zones","type":"SET","set":{"item":["a","a"]}}"#),
            "Resource 'zones:{a, a}' is invalid: Invalid set resource: duplicated elements",
        ),
        (
            message(r#"{"name":"cpus","type":"SCALAR"}"#),
            "Resource 'cpus:0' is invalid: Invalid scalar resource",
        ),
    ] {
        assert_eq!(validate(&[message]).unwrap_err().to_string(), sentence);
    }
}

#[test]
fn endpoints_show_totals_by_name() {
    let text = "cpus:1;cpus(r):2;mem:64;ports:[1-2];zones:{a}";
    let resources = Resources::parse(text, "*").unwrap();
    let summary = resources.summary();
    let names: Vec<&str> = summary.keys().map(String::as_str).collect();
    assert_eq!(names, ["cpus", "disk", "gpus", "mem", "ports", "zones"]);
    assert_eq!(summary["cpus"], SummaryValue::Number(3.0));
    assert_eq!(summary["disk"], SummaryValue::Number(0.0));
    assert_eq!(summary["ports"], SummaryValue::Text("[1-2]".into()));
    assert_eq!(summary["zones"], SummaryValue::Text("{a}".into()));
    let reserved = resources.reserved_summary();
    assert_eq!(reserved["r"]["cpus"], SummaryValue::Number(2.0));
}

#[test]
fn attributes_are_scalars_ranges_or_text() {
    let attributes = parse_attributes("rack:r2-d2;zone:3;ports:[1-5];url:http://x:80").unwrap();
    let summary = attribute_summary(&attributes);
    assert_eq!(summary["rack"], SummaryValue::Text("r2-d2".into()));
    assert_eq!(summary["zone"], SummaryValue::Number(3.0));
    assert_eq!(summary["ports"], SummaryValue::Text("[1-5]".into()));
    assert_eq!(summary["url"], SummaryValue::Text("http://x:80".into()));
    for (text, sentence) in [
        ("rack", "Invalid attribute key:value pair 'rack'"),
        ("rack:{a}", "Bad type for attribute rack text {a} type SET"),
    ] {
        assert_eq!(parse_attributes(text).unwrap_err().to_string(), sentence);
    }
}
