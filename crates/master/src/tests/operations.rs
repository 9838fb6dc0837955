//! Operations on resources, from ACCEPT to acknowledgement.

use meseta_proto::internal::{
    AcknowledgeOperationStatusMessage, ApplyOperationMessage, CheckpointResourcesMessage,
    ReconcileOperationsMessage, RegisterSlaveMessage, ReregisterSlaveMessage, RunTaskMessage,
    UpdateOperationStatusMessage, UpdateSlaveMessage, update_slave_message,
};
use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::scheduler::{Call, call};
use meseta_proto::v1::{
    AgentId, FrameworkId, Offer, OperationState, OperationStatus, TaskState, Uuid, agent_info,
};
use meseta_proto::{Upid, json};
use meseta_resources::Resources;

use super::world::*;

const RESERVED: &str =
    r#""name":"disk","type":"SCALAR","reservations":[{"type":"DYNAMIC","role":"web"}]"#;
const VOLUME: &str =
    r#""disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"p"}}"#;

/// An operation on so much reserved disk.
pub(super) fn operation(kind: &str, id: &str, amount: u32) -> Operation {
    let (field, more) = match kind {
        "RESERVE" | "UNRESERVE" => ("resources", String::new()),
        _ => ("volumes", format!(",{VOLUME}")),
    };
    let text = format!(
        r#"{{"type":"{kind}","id":{{"value":"{id}"}},"{}":{{"{field}":[
        {{{RESERVED},"scalar":{{"value":{amount}}}{more}}}]}}}}"#,
        kind.to_lowercase()
    );
    json::from_slice(text.as_bytes()).unwrap()
}

/// The same without a wish for feedback.
pub(super) fn quiet(operation: Operation) -> Operation {
    Operation {
        id: None,
        ..operation
    }
}

/// A master, an agent that tells how operations end, and a scheduler with an offer.
struct Scene {
    world: World,
    pid: Upid,
    agent: AgentId,
    scheduler: Scheduler,
    offer: Offer,
}

impl Scene {
    fn new() -> Self {
        Self::of(&registration())
    }

    fn of(registration: &RegisterSlaveMessage) -> Self {
        let mut world = World::new();
        let pid = upid("slave(1)", 5051);
        world.message(&pid, "master", registration);
        let agent = world
            .master
            .snapshot()
            .agents
            .keys()
            .next()
            .unwrap()
            .clone();
        let scheduler = world.subscribe(framework_info());
        let offer = world.offers(&scheduler).remove(0);
        Self {
            world,
            pid,
            agent,
            scheduler,
            offer,
        }
    }

    fn accept(&mut self, operations: Vec<Operation>) {
        let offer = self.offer.id.clone();
        self.world.accept_with(&self.scheduler, &offer, operations);
    }

    fn applied(&self) -> Vec<ApplyOperationMessage> {
        self.world.sent(&self.pid)
    }

    fn statuses(&mut self) -> Vec<OperationStatus> {
        let events = self.world.events(&self.scheduler).into_iter();
        events
            .filter_map(|event| Some(event.update_operation_status?.status))
            .collect()
    }

    /// The agent tells how an operation ended.
    fn tell(&mut self, order: &ApplyOperationMessage, state: OperationState) {
        let status = OperationStatus {
            operation_id: order.operation_info.id.clone(),
            state: state.into(),
            uuid: Some(Uuid { value: vec![7; 16] }),
            agent_id: Some(self.agent.clone()),
            ..Default::default()
        };
        let message = UpdateOperationStatusMessage {
            framework_id: order.framework_id.clone(),
            slave_id: Some(self.agent.clone()),
            latest_status: Some(status.clone()),
            status,
            operation_uuid: Some(order.operation_uuid.clone()),
        };
        self.world.message(&self.pid, "master", &message);
    }

    fn acknowledge(&mut self, id: &str) {
        let call = Call {
            acknowledge_operation_status: Some(call::AcknowledgeOperationStatus {
                agent_id: Some(self.agent.clone()),
                operation_id: id.into(),
                uuid: vec![7; 16],
                ..Default::default()
            }),
            ..call(call::Type::AcknowledgeOperationStatus)
        };
        self.world.call(&self.scheduler, call);
    }

    fn reconcile(&mut self, ids: &[&str]) -> Vec<OperationStatus> {
        let operations = ids.iter().map(|id| call::reconcile_operations::Operation {
            operation_id: (*id).into(),
            agent_id: Some(self.agent.clone()),
            ..Default::default()
        });
        let call = Call {
            reconcile_operations: Some(call::ReconcileOperations {
                operations: operations.collect(),
            }),
            ..call(call::Type::ReconcileOperations)
        };
        self.world.call(&self.scheduler, call);
        self.statuses()
    }

    fn total(&self) -> String {
        self.world.master.snapshot().agents[&self.agent]
            .total
            .to_string()
    }

    fn outstanding(&self) -> usize {
        let snapshot = self.world.master.snapshot();
        let of_agent = snapshot.agents[&self.agent].operations.len();
        if let Some(framework) = snapshot.frameworks.get(&self.scheduler.id) {
            assert_eq!(framework.operations.len(), of_agent);
        }
        of_agent
    }
}

#[test]
fn operations_build_on_each_other_and_a_task_uses_what_they_made() {
    let mut scene = Scene::new();
    let mut task = command_task("t", &scene.offer, "cpus:1;mem:64");
    let volume = operation("CREATE", "", 64)
        .create
        .unwrap()
        .volumes
        .remove(0);
    task.resources.push(volume);
    scene.accept(vec![
        operation("RESERVE", "op1", 100),
        operation("CREATE", "op2", 64),
        launch(vec![task]),
    ]);

    let [reserve, create] = &scene.applied()[..] else {
        panic!("two operations")
    };
    assert_eq!(reserve.framework_id.as_ref(), Some(&scene.scheduler.id));
    assert_eq!(reserve.resource_version_uuid.uuid.value, vec![9; 16]);
    assert_ne!(reserve.operation_uuid, create.operation_uuid);
    let reserved = &reserve.operation_info.reserve.as_ref().unwrap().resources;
    assert_eq!(
        Resources::from_v1(reserved).unwrap().to_string(),
        "disk(allocated: web)(reservations: [(DYNAMIC,web)]):100"
    );
    let [run] = &scene.world.sent::<RunTaskMessage>(&scene.pid)[..] else {
        panic!("one launch")
    };
    assert_eq!(
        Resources::from_v1(&run.task.resources).unwrap().to_string(),
        "cpus(allocated: web):1; mem(allocated: web):64; \
         disk(allocated: web)(reservations: [(DYNAMIC,web)])[v:p]:64"
    );
    assert_eq!(
        scene.total(),
        "cpus:4; mem:4096; disk:900; disk(reservations: [(DYNAMIC,web)]):36; \
         disk(reservations: [(DYNAMIC,web)])[v:p]:64"
    );
    let checkpointed = &scene.world.master.snapshot().agents[&scene.agent].checkpointed;
    assert_eq!(checkpointed.disk(), Some(100.0));
    let offered = scene.world.offers(&scene.scheduler).remove(0);
    let offered = Resources::from_v1(&offered.resources).unwrap();
    assert_eq!(
        offered.reserved_to("web").to_string(),
        "disk(allocated: web)(reservations: [(DYNAMIC,web)]):36",
        "what was made of the offer and not used is offered at once"
    );
}

#[test]
fn who_asks_for_feedback_is_told_until_it_acknowledges() {
    let mut scene = Scene::new();
    scene.accept(vec![operation("RESERVE", "op", 10)]);
    let order = scene.applied().remove(0);
    assert_eq!(
        scene.reconcile(&[])[0].state(),
        OperationState::OperationPending
    );

    scene.tell(&order, OperationState::OperationFinished);
    let [told] = &scene.statuses()[..] else {
        panic!("one status")
    };
    assert_eq!(told.operation_id, Some("op".into()));
    assert_eq!(told.state(), OperationState::OperationFinished);
    assert_eq!(told.uuid, Some(Uuid { value: vec![7; 16] }));
    assert_eq!(told.agent_id.as_ref(), Some(&scene.agent));
    scene.tell(&order, OperationState::OperationFinished);
    assert_eq!(scene.statuses().len(), 1, "it comes again");
    let [known, unknown] = &scene.reconcile(&["op", "other"])[..] else {
        panic!("two statuses")
    };
    assert_eq!(known.state(), OperationState::OperationFinished);
    assert_eq!(known.uuid, None);
    assert_eq!(unknown.state(), OperationState::OperationUnknown);

    assert_eq!(scene.outstanding(), 1);
    scene.acknowledge("op");
    let [sent] = &scene
        .world
        .sent::<AcknowledgeOperationStatusMessage>(&scene.pid)[..]
    else {
        panic!("one acknowledgement")
    };
    assert_eq!(sent.operation_uuid, order.operation_uuid);
    assert_eq!(sent.status_uuid.value, vec![7; 16]);
    assert_eq!(scene.outstanding(), 0);
    let metrics = scene.world.master.snapshot().metrics;
    assert_eq!(metrics.valid_operation_status_updates, 2);
    assert_eq!(metrics.valid_operation_status_update_acknowledgements, 1);
    scene.acknowledge("op");
    let metrics = scene.world.master.snapshot().metrics;
    assert_eq!(metrics.invalid_operation_status_update_acknowledgements, 1);
}

#[test]
fn the_master_acknowledges_where_nobody_asked_or_who_asked_is_gone() {
    let mut scene = Scene::new();
    scene.accept(vec![
        quiet(operation("RESERVE", "", 10)),
        operation("RESERVE", "op", 10),
    ]);
    let orders = scene.applied();
    assert_eq!(scene.outstanding(), 2);
    scene.tell(&orders[0], OperationState::OperationFinished);
    assert!(scene.statuses().is_empty());
    assert_eq!(scene.outstanding(), 1);

    scene
        .world
        .call(&scene.scheduler.clone(), call(call::Type::Teardown));
    scene.tell(&orders[1], OperationState::OperationFinished);
    let sent = scene
        .world
        .sent::<AcknowledgeOperationStatusMessage>(&scene.pid);
    let sent: Vec<_> = sent.into_iter().map(|sent| sent.operation_uuid).collect();
    assert_eq!(
        sent,
        [
            orders[0].operation_uuid.clone(),
            orders[1].operation_uuid.clone()
        ]
    );
    assert_eq!(scene.outstanding(), 0);
}

#[test]
fn an_operation_that_cannot_be_is_refused_with_the_reason_and_changes_nothing() {
    let mut scene = Scene::new();
    let before = scene.total();
    scene.accept(vec![
        operation("UNRESERVE", "a", 10),
        operation("DESTROY", "b", 10),
        operation("RESERVE", "c", 5000),
        quiet(operation("RESERVE", "", 5000)),
        Operation {
            reserve: None,
            ..operation("RESERVE", "d", 1)
        },
    ]);
    let place = format!("on agent {} at slave(1)@127.0.0.1:5051 (host)", scene.agent);
    let statuses = scene.statuses();
    let told: Vec<_> = statuses
        .iter()
        .map(|status| {
            assert_eq!(status.state(), OperationState::OperationError);
            assert_eq!((&status.uuid, &status.agent_id), (&None, &None));
            let id = status.operation_id.as_ref().unwrap();
            format!("{id}: {}", status.message.as_ref().unwrap())
        })
        .collect();
    let offered = "cpus(allocated: web):4; mem(allocated: web):4096; disk(allocated: web):1000";
    assert_eq!(
        told,
        [
            format!(
                "a: {offered} does not contain disk(allocated: web)(reservations: [(DYNAMIC,web)]):10"
            ),
            format!("b: Persistent volumes not found; {place}"),
            format!("c: {offered} does not contain disk(allocated: web):5000"),
            "d: Operation attempted with invalid resources: A RESERVE offer operation must have the \
             Offer.Operation.reserve field set."
                .to_owned(),
        ]
    );
    assert_eq!(scene.total(), before);
    assert!(scene.applied().is_empty());
}

#[test]
fn what_volumes_are_resized_to_is_for_later_offers() {
    let mut scene = Scene::new();
    let resize = |kind: &str, rest: &str| -> Operation {
        let text = format!(
            r#"{{"type":"{}_VOLUME","{kind}_volume":{{
            "volume":{{{RESERVED},"scalar":{{"value":64}},{VOLUME}}},{rest}}}}}"#,
            kind.to_uppercase()
        );
        json::from_slice(text.as_bytes()).unwrap()
    };
    let grow = resize(
        "grow",
        &format!(r#""addition":{{{RESERVED},"scalar":{{"value":36}}}}"#),
    );
    scene.accept(vec![
        quiet(operation("RESERVE", "", 100)),
        quiet(operation("CREATE", "", 64)),
        grow,
        operation("DESTROY", "gone", 100),
    ]);
    assert_eq!(
        scene.total(),
        "cpus:4; mem:4096; disk:900; disk(reservations: [(DYNAMIC,web)])[v:p]:100"
    );
    let [refused] = &scene.statuses()[..] else {
        panic!("one status")
    };
    assert!(
        refused
            .message
            .as_ref()
            .unwrap()
            .contains("does not contain")
    );
    let offer = scene.world.offers(&scene.scheduler).remove(0);
    assert_eq!(
        Resources::from_v1(&offer.resources)
            .unwrap()
            .persistent_volumes()
            .to_string(),
        "disk(allocated: web)(reservations: [(DYNAMIC,web)])[v:p]:100"
    );
}

#[test]
fn agents_that_know_no_operations_are_told_what_to_keep() {
    let mut registration = registration();
    registration
        .agent_capabilities
        .retain(|c| c.r#type() != agent_info::capability::Type::ResourceProvider);
    let mut scene = Scene::of(&registration);
    scene.accept(vec![
        operation("RESERVE", "op", 10),
        quiet(operation("RESERVE", "", 10)),
    ]);
    let [refused] = &scene.statuses()[..] else {
        panic!("one status")
    };
    assert_eq!(
        refused.message.as_deref(),
        Some(&*format!(
            "Operation requested feedback, but agent {} does not have the required \
                 RESOURCE_PROVIDER capability",
            scene.agent
        ))
    );
    let [kept] = &scene.world.sent::<CheckpointResourcesMessage>(&scene.pid)[..] else {
        panic!("one message")
    };
    assert_eq!(
        Resources::from_v1(&kept.resources).unwrap().to_string(),
        "disk(reservations: [(DYNAMIC,web)]):10"
    );
    assert!(scene.applied().is_empty());
    assert_eq!(scene.outstanding(), 0);
}

#[test]
fn an_operation_that_an_agent_never_got_is_dropped() {
    let mut scene = Scene::new();
    scene.accept(vec![operation("RESERVE", "op", 10)]);
    let order = scene.applied().remove(0);
    let update = UpdateSlaveMessage {
        slave_id: scene.agent.clone(),
        operations: Some(update_slave_message::Operations::default()),
        update_oversubscribed_resources: Some(false),
        ..Default::default()
    };
    scene.world.message(&scene.pid, "master", &update);
    let [asked] = &scene.world.sent::<ReconcileOperationsMessage>(&scene.pid)[..] else {
        panic!("one question")
    };
    assert_eq!(
        asked.operations[0].operation_uuid.as_ref(),
        Some(&order.operation_uuid)
    );
    let dropped = UpdateOperationStatusMessage {
        slave_id: Some(scene.agent.clone()),
        status: OperationStatus {
            state: OperationState::OperationDropped.into(),
            ..Default::default()
        },
        operation_uuid: Some(order.operation_uuid),
        ..Default::default()
    };
    scene.world.message(&scene.pid, "master", &dropped);
    let [told] = &scene.statuses()[..] else {
        panic!("one status")
    };
    assert_eq!(told.operation_id, Some("op".into()));
    assert_eq!(told.state(), OperationState::OperationDropped);
    assert_eq!(scene.outstanding(), 0);
}

#[test]
fn operations_of_an_earlier_master_wait_for_their_framework() {
    let mut scene = Scene::new();
    scene.accept(vec![operation("RESERVE", "op", 10)]);
    let order = scene.applied().remove(0);
    let known = scene.world.master.snapshot().agents[&scene.agent].operations
        [&order.operation_uuid.value]
        .as_ref()
        .clone();

    let mut later = Scene::new();
    let owner = FrameworkId::from("earlier");
    let agent = later.agent.clone();
    let info = framework_info();
    let back = ReregisterSlaveMessage {
        slave: agent_info(Some(agent.clone())).into(),
        version: Some("1.11.0".into()),
        agent_capabilities: later.world.master.snapshot().agents[&agent]
            .capabilities
            .clone(),
        ..Default::default()
    };
    later.world.message(&later.pid, "master", &back);
    let update = UpdateSlaveMessage {
        slave_id: agent,
        operations: Some(update_slave_message::Operations {
            operations: vec![meseta_proto::v1::Operation {
                framework_id: Some(owner.clone()),
                ..known
            }],
        }),
        update_oversubscribed_resources: Some(false),
        ..Default::default()
    };
    later.world.message(&later.pid, "master", &update);
    let order = ApplyOperationMessage {
        framework_id: Some(owner.clone()),
        ..order
    };
    later.tell(&order, OperationState::OperationFinished);
    assert!(
        later
            .world
            .sent::<AcknowledgeOperationStatusMessage>(&later.pid)
            .is_empty(),
        "its framework may come yet"
    );
    later.scheduler = later.world.subscribe(meseta_proto::v1::FrameworkInfo {
        id: Some(owner),
        ..info
    });
    assert_eq!(later.outstanding(), 1);
    assert_eq!(
        later.reconcile(&["op"])[0].state(),
        OperationState::OperationFinished
    );
    later.tell(&order, OperationState::OperationFinished);
    assert_eq!(later.statuses().len(), 1);
    later.acknowledge("op");
    assert_eq!(later.outstanding(), 0);
}

#[test]
fn with_its_agent_an_operation_is_unreachable() {
    let mut scene = Scene::new();
    scene.accept(vec![operation("RESERVE", "op", 10)]);
    // No ping is answered.
    scene.world.pass(std::time::Duration::from_secs(100));
    let statuses = scene.statuses();
    let [told] = &statuses[..] else {
        panic!("one status in {statuses:?}")
    };
    assert_eq!(told.state(), OperationState::OperationUnreachable);
    assert_eq!(
        told.message.as_deref(),
        Some("Agent was marked unreachable")
    );
    assert_eq!(
        scene.reconcile(&["op"])[0].state(),
        OperationState::OperationUnreachable
    );
    let snapshot = scene.world.master.snapshot();
    assert!(
        snapshot.frameworks[&scene.scheduler.id]
            .operations
            .is_empty()
    );
    assert_eq!(snapshot.metrics.active(TaskState::TaskRunning), 0);
}
