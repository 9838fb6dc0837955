//! Which records are shown of many: by ids, in pages, by what is searched for.

use serde_json::Value;

use super::{body, busy, fresh, refusal};

#[test]
fn records_are_selected_by_their_ids() {
    let snapshot = busy();
    let ids = |target: &str, list: &str, id: &str| -> Vec<String> {
        let body = body(&snapshot, target);
        let records = body[list].as_array().unwrap().iter();
        records
            .map(|r| r[id].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("/slaves?slave_id=M-S9", "slaves", "id"), [""; 0]);
    assert_eq!(
        ids("/slaves?slave_id=M-S9", "recovered_slaves", "id"),
        ["M-S9"]
    );
    assert_eq!(
        ids("/frameworks?framework_id=M-0001", "frameworks", "name"),
        ["old"]
    );
    assert_eq!(
        ids(
            "/frameworks?framework_id=M-0002",
            "completed_frameworks",
            "name"
        ),
        ["ended"]
    );
    assert_eq!(
        ids("/tasks?task_id=t3&framework_id=M-0000", "tasks", "id"),
        ["t3"]
    );
    assert_eq!(ids("/tasks?framework_id=nope", "tasks", "id"), [""; 0]);
}

#[test]
fn tasks_come_in_pages_and_in_order() {
    let snapshot = busy();
    let ids = |query: &str| -> Vec<String> {
        let body = body(&snapshot, &format!("/tasks?{query}"));
        let tasks = body["tasks"].as_array().unwrap().iter();
        tasks
            .map(|t| t["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(""), ["t3", "t1", "t2"]);
    assert_eq!(ids("order=asc&limit=-1"), ["t2", "t1", "t3"]);
    assert_eq!(ids("offset=1&limit=1"), ["t1"]);
    assert_eq!(ids("offset=9"), [""; 0]);
    assert_eq!(ids("limit=0"), [""; 0]);
}

#[test]
fn tasks_are_searched_and_counted_before_they_are_cut_into_pages() {
    let snapshot = busy();
    let found = |query: &str| -> (Vec<String>, Value) {
        let body = body(&snapshot, &format!("/tasks?order=asc&{query}"));
        let tasks = body["tasks"].as_array().unwrap().iter();
        let ids = tasks.map(|t| t["id"].as_str().unwrap().to_owned());
        (ids.collect(), body["total"].clone())
    };
    let all = (vec!["t2".to_owned(), "t1".into(), "t3".into()], Value::Null);
    assert_eq!(found(""), all);
    assert_eq!(found("search=&state="), all);
    let (ids, total) = found("search=T&limit=1&total=true");
    assert_eq!((ids, total), (vec!["t2".to_owned()], 3.into()));
    assert_eq!(found("search=3&total=true").0, ["t3"]);
    assert_eq!(found("search=nothing&total=true"), (vec![], 0.into()));
    assert_eq!(found("slave_id=nowhere").0, [""; 0]);
    assert_eq!(found("state=TASK_RUNNING").0, ["t1"]);
    assert_eq!(found("state=TASK_FINISHED,TASK_LOST").0, ["t3"]);
}

#[test]
fn the_history_of_a_task_is_told_in_whole_to_who_asks_for_it() {
    let snapshot = busy();
    let task = |query: &str| {
        let body = body(&snapshot, &format!("/tasks?task_id=t3{query}"));
        body["tasks"][0].clone()
    };
    assert!(task("")["history"].is_null());
    assert!(task("")["statuses"][0]["message"].is_null());
    let history = &task("&history=true")["history"];
    assert_eq!(history[0]["message"], "as told");
    assert_eq!(history[0]["reason"], "REASON_EXECUTOR_TERMINATED");
    assert_eq!(history[0]["healthy"], true);
}

#[test]
fn bad_parameters_of_tasks_are_refused() {
    for (query, sentence) in [
        (
            "limit=x",
            "Expecting 'limit' to be a number, but received 'x'",
        ),
        (
            "limit=",
            "Expecting 'limit' to be a number, but received ''",
        ),
        (
            "offset=1.5",
            "Expecting 'offset' to be a number, but received '1.5'",
        ),
        (
            "offset=-1",
            "Expecting 'offset' not to be negative, but received '-1'",
        ),
        (
            "order=sideways",
            "Expecting 'order' to be 'asc' or 'des', but received 'sideways'",
        ),
    ] {
        assert_eq!(refusal(&fresh(), &format!("/tasks?{query}")), sentence);
    }
}
