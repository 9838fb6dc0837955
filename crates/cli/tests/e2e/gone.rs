//! An agent that an operator declares gone ends, its tasks end with it, and it does not come back.

use serde_json::json;

use crate::support::daemon::{
    Place, registered_agents, scheduler_api, start_agent, start_master, start_master_at,
};
use crate::support::http::operator_call;
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task};
use crate::support::{eventually, http, processes};

#[test]
fn an_agent_that_is_declared_gone_ends_with_its_tasks_and_stays_away() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let flags = [
        "--resources=cpus:1;mem:512",
        "--registration_backoff_factor=10ms",
    ];
    let agent = start_agent(&place, master.address, 0, &flags);
    let id = registered_agents(master.address, 1)[0]["id"].clone();
    let api = scheduler_api(master.address);
    let mut scheduler = Scheduler::subscribe(api, Voice::JSON, framework("gone"));
    scheduler.start_and_see_running(&shell_task("t", "sleep 1000"));

    let mark = |id: &serde_json::Value| {
        let call =
            json!({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": id}}});
        http::operator_call(master.address, &call)
    };
    let unknown = mark(&json!("nobody"));
    assert_eq!(
        (unknown.status(), unknown.text().as_str()),
        (404, "Agent 'nobody' not found")
    );
    assert_eq!(mark(&id).status(), 200);
    let status = scheduler.expect("TASK_GONE_BY_OPERATOR");
    assert_eq!(status["reason"], "REASON_AGENT_REMOVED_BY_OPERATOR");
    assert_eq!(status["message"], "Agent has been marked gone");
    eventually("the agent's end", || {
        (!processes::runs(agent.pid())).then_some(())
    });
    assert_eq!(mark(&id).status(), 200, "what is gone is gone");

    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "t"}, "agent_id": {"value": id}},
    ]}}));
    let status = scheduler.expect("TASK_GONE_BY_OPERATOR");
    assert_eq!(status["message"], "Reconciliation: Task is gone");
}

#[test]
fn who_is_gone_or_deactivated_is_so_to_the_next_master_too() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let port = master.address.port();
    let flags = [
        "--resources=cpus:1;mem:512",
        "--registration_backoff_factor=10ms",
    ];
    let gone = start_agent(&place, master.address, 0, &flags);
    let id = registered_agents(master.address, 1)[0]["id"].clone();
    let of = |kind: &str, id: &serde_json::Value| {
        let field = kind.to_lowercase();
        json!({"type": kind, &field: {"agent_id": {"value": id}}})
    };
    let mark = operator_call(master.address, &of("MARK_AGENT_GONE", &id));
    assert_eq!(mark.status(), 200);
    eventually("the agent's end", || {
        (!processes::runs(gone.pid())).then_some(())
    });
    let other = Place::new();
    let _agent = start_agent(&other, master.address, 0, &flags);
    let idle = registered_agents(master.address, 1)[0]["id"].clone();
    let call = operator_call(master.address, &of("DEACTIVATE_AGENT", &idle));
    assert_eq!(call.status(), 200);

    master.kill9();
    let master = start_master_at(&place, port, &[]);
    let shown = eventually("the agent's return", || {
        let agents = http::get(master.address, "/slaves").json();
        agents["slaves"].get(0).cloned()
    });
    assert_eq!(shown["id"], idle);
    assert_eq!(
        (&shown["deactivated"], &shown["active"]),
        (&json!(true), &json!(false))
    );
    let api = scheduler_api(master.address);
    let mut scheduler = Scheduler::subscribe(api, Voice::JSON, framework("after"));
    scheduler.tell(json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "t"}, "agent_id": {"value": id}},
    ]}}));
    let status = scheduler.expect("TASK_GONE_BY_OPERATOR");
    assert_eq!(status["message"], "Reconciliation: Task is gone");
    let call = operator_call(master.address, &of("REACTIVATE_AGENT", &idle));
    assert_eq!(call.status(), 200);
    assert_eq!(scheduler.offer()["agent_id"]["value"], idle);
}
