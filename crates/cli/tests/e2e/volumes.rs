//! Persistent volumes: what a task leaves in one, the next finds there.

use serde_json::json;

use crate::support::daemon::{
    Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent, start_master,
};
use crate::support::eventually;
use crate::support::scheduler::{
    Scheduler, Voice, framework, task_on_volume, to_end_volume, to_make_volume, volume,
};

#[test]
fn a_file_in_a_volume_outlives_its_task_and_the_agent_and_goes_with_the_volume() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let port = agent_address(&registered_agents(master.address, 1)[0]).port();
    let info = framework("volumes");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);

    let offer = scheduler.offer();
    let [reserve, create] = to_make_volume("v", 64.0);
    let writer = task_on_volume("w", "echo kept > data/file", volume("v", 64.0));
    let launch = scheduler.to_launch(&writer, &offer);
    scheduler.accept(&offer, &[reserve, create, launch]);
    for operation in ["reserve", "create"] {
        let status = scheduler.operation_status();
        assert_eq!(status["state"], "OPERATION_FINISHED", "{status}");
        assert_eq!(status["operation_id"]["value"], operation);
    }
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        scheduler.expect(state);
    }
    let file = place.join("agent/volumes/roles/golden/v/file");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "kept\n");

    let before = scheduler.offer_of_volume();
    agent.kill9();
    while scheduler.event("RESCIND")["offer_id"] != before["id"] {}
    let _agent = start_agent(&place, master.address, port, &[RESOURCES]);
    registered_agents(master.address, 1);
    let offer = scheduler.offer_of_volume();
    let reader = task_on_volume("r", "grep kept data/file", volume("v", 64.0));
    let launch = scheduler.to_launch(&reader, &offer);
    scheduler.accept(&offer, &[launch]);
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        scheduler.expect(state);
    }

    let offer = scheduler.offer_of_volume();
    scheduler.accept(&offer, &to_end_volume("v", 64.0));
    let folder = file.parent().expect("its folder");
    eventually("the end of the volume", || (!folder.exists()).then_some(()));
    scheduler.tell(
        json!({"type": "RECONCILE_OPERATIONS", "reconcile_operations": {
            "operations": [{"operation_id": {"value": "create"}}],
        }}),
    );
    assert_eq!(scheduler.operation_status()["state"], "OPERATION_UNKNOWN");
}
