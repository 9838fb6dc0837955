//! Persistent volumes: what a task leaves in one, the next finds there.

use serde_json::json;

use crate::support::daemon::{
    Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent, start_master,
};
use crate::support::scheduler::{
    Scheduler, Voice, framework, task_on_volume, to_end_volume, to_make_volume, volume,
};
use crate::support::{eventually, http};

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

    // It is seen through the sandbox, which has a link to it.
    let address = agent_address(&registered_agents(master.address, 1)[0]);
    let path = format!("/frameworks/{}/executors/w/runs/latest/data", scheduler.id);
    let shown = http::get(address, &format!("/files/read?path={path}/file&offset=0"));
    assert_eq!(shown.json()["data"], "kept\n");
    let listed = http::get(address, &format!("/files/browse?path={path}")).json();
    assert_eq!(listed[0]["path"], format!("{path}/file"));

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

#[test]
fn a_volume_that_cannot_be_made_is_none_and_its_reservation_stays() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    std::fs::create_dir(place.join("agent")).expect("the agent's folder");
    std::fs::write(place.join("agent/volumes"), "in the way").expect("a file");
    let _agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    registered_agents(master.address, 1);
    let info = framework("volumes");
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let offer = scheduler.offer();
    let task = task_on_volume("t", "true", volume("v", 64.0));
    let launch = scheduler.to_launch(&task, &offer);
    let [reserve, create] = to_make_volume("v", 64.0);
    scheduler.accept(&offer, &[reserve, create, launch]);
    let reserved = scheduler.operation_status();
    assert_eq!(reserved["state"], "OPERATION_FINISHED");
    let created = scheduler.operation_status();
    assert_eq!(created["state"], "OPERATION_FAILED");
    let message = created["message"].as_str().expect("a message");
    assert!(
        message.starts_with("Failed to create the persistent volume at '"),
        "{message}"
    );
    let failed = scheduler.expect("TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    eventually("what the agent has in truth", || {
        let answer = http::request(master.address, "GET", "/slaves", &[], None).ok()?;
        let agents = answer.json();
        let reserved = &agents["slaves"][0]["reserved_resources_full"]["golden"];
        let [only] = reserved.as_array()?.as_slice() else {
            return None;
        };
        (only["scalar"]["value"] == 64.0 && only.get("disk").is_none()).then_some(())
    });
}
