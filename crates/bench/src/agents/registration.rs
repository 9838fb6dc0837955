//! What agents say of themselves: LIBPROCESS messages of registration.

use bytes::Bytes;
use meseta_proto::internal::archive;
use meseta_proto::internal::{
    RegisterSlaveMessage, ReregisterSlaveMessage, UpdateSlaveMessage, update_slave_message,
};
use meseta_proto::v1::agent_info::{Capability, capability};
use meseta_proto::v1::{
    self, AgentId, AgentInfo, Attribute, ExecutorInfo, FrameworkInfo, TaskId, TaskState,
    TaskStatus, Uuid, value,
};
use meseta_proto::{Wire, v0};
use meseta_resources::{Resources, downgrade};

use super::{Agent, Shape};

/// The version that agents give as theirs: that of the Mesos whose protocol they speak.
pub(crate) const AGENT_VERSION: &str = "1.11.0";

/// What one standing task takes, small enough for any number of them on an agent.
const STANDING_TASK: &str = "cpus:0.01;mem:1";

/// The message by which an agent asks to be registered: for the first time, or again.
pub(super) fn ask(shape: &Shape, index: usize, agent: &Agent) -> (&'static str, Bytes) {
    let slave = info(shape, index, agent);
    let version = Some(AGENT_VERSION.to_owned());
    let resource_version_uuid = Some(resource_version(agent));
    let Some(id) = &agent.id else {
        return encoded(&RegisterSlaveMessage {
            slave,
            checkpointed_resources: Vec::new(),
            version,
            agent_capabilities: capabilities(),
            resource_version_uuid,
        });
    };
    let mut frameworks = shape.standing.frameworks.clone();
    let mut executor_infos: Vec<ExecutorInfo> = Vec::new();
    let mut tasks = standing_tasks(shape, index, id);
    for (key, task) in &agent.tasks {
        tasks.push(task.to_v1(key, id));
        let is_new = |known: &FrameworkInfo| known.id != task.framework.id;
        if frameworks.iter().all(is_new) {
            frameworks.push((*task.framework).clone());
        }
        if let Some(executor) = &task.executor {
            let mut executor = (**executor).clone();
            executor.framework_id = Some(key.framework.clone());
            if !executor_infos.contains(&executor) {
                executor_infos.push(executor);
            }
        }
    }
    let checkpointed = agent.changed.as_deref().map(checkpointed);
    encoded(&ReregisterSlaveMessage {
        slave,
        checkpointed_resources: checkpointed.unwrap_or_default(),
        executor_infos,
        tasks,
        frameworks,
        completed_frameworks: completed(shape, index, id),
        version,
        agent_capabilities: capabilities(),
        resource_version_uuid,
    })
}

/// What an agent adds once it is registered.
pub(super) fn totals(agent: &Agent, id: &AgentId) -> UpdateSlaveMessage {
    UpdateSlaveMessage {
        slave_id: id.clone(),
        update_oversubscribed_resources: Some(false),
        oversubscribed_resources: Vec::new(),
        operations: Some(update_slave_message::Operations::default()),
        resource_version_uuid: Some(resource_version(agent)),
        resource_providers: Some(update_slave_message::ResourceProviders::default()),
    }
}

fn encoded<M: Wire>(message: &M) -> (&'static str, Bytes) {
    (M::SCHEMA.name, message.encode_to_vec().into())
}

fn info(shape: &Shape, index: usize, agent: &Agent) -> v0::SlaveInfo {
    let pid = shape.pid(index);
    let address = pid.map(|pid| pid.address);
    // Resources as the agent's flags give them: without what operations made of them.
    let mut resources = shape.resources.to_v1();
    downgraded(&mut resources);
    v0::SlaveInfo::from(AgentInfo {
        hostname: address.map_or_else(String::new, |address| address.ip().to_string()),
        port: address.map(|address| address.port().into()),
        resources,
        attributes: vec![mark(&shape.run)],
        id: agent.id.clone(),
        domain: None,
    })
}

/// By what an emulated agent is known in offers, so that nothing is launched on agents that are real.
pub(crate) fn mark(run: &str) -> Attribute {
    Attribute {
        name: "bench".to_owned(),
        r#type: value::Type::Text.into(),
        text: Some(value::Text {
            value: run.to_owned(),
        }),
        ..Attribute::default()
    }
}

fn resource_version(agent: &Agent) -> Uuid {
    Uuid {
        value: agent.version.to_vec(),
    }
}

fn capabilities() -> Vec<Capability> {
    use capability::Type::{
        AgentDraining, AgentOperationFeedback, HierarchicalRole, MultiRole, ReservationRefinement,
        ResizeVolume, ResourceProvider, TaskResourceLimits,
    };
    [
        MultiRole,
        HierarchicalRole,
        ReservationRefinement,
        ResourceProvider,
        ResizeVolume,
        AgentOperationFeedback,
        AgentDraining,
        TaskResourceLimits,
    ]
    .into_iter()
    .map(|capability| Capability {
        r#type: Some(capability.into()),
    })
    .collect()
}

/// What an agent keeps across its restarts: what operations made.
fn checkpointed(resources: &Resources) -> Vec<v1::Resource> {
    let mut kept = resources
        .filter(|resource| resource.is_dynamically_reserved() || resource.is_persistent_volume())
        .to_v1();
    downgraded(&mut kept);
    kept
}

/// The form in which agents register (`pre-reservation-refinement`). What it cannot say stays in the
/// newer one, as an agent of Mesos leaves it.
fn downgraded(resources: &mut [v1::Resource]) {
    for resource in resources {
        let _ = downgrade(resource);
    }
}

fn standing_tasks(shape: &Shape, index: usize, id: &AgentId) -> Vec<v1::Task> {
    let standing = &shape.standing;
    let owners = standing.frameworks.iter().cycle().skip(index);
    owners
        .take(standing.tasks)
        .enumerate()
        .map(|(number, framework)| {
            let name = format!("s{index}-{number}");
            standing_task(framework, name, id, TaskState::TaskRunning)
        })
        .collect()
}

fn completed(shape: &Shape, index: usize, id: &AgentId) -> Vec<archive::Framework> {
    let standing = &shape.standing;
    let Some(framework) = standing.frameworks.iter().cycle().nth(index) else {
        return Vec::new();
    };
    if standing.completed == 0 {
        return Vec::new();
    }
    let tasks = (0..standing.completed)
        .map(|number| {
            let name = format!("c{index}-{number}");
            standing_task(framework, name, id, TaskState::TaskFinished)
        })
        .collect();
    vec![archive::Framework {
        framework_info: framework.clone(),
        pid: None,
        tasks,
    }]
}

fn standing_task(
    framework: &FrameworkInfo,
    name: String,
    agent: &AgentId,
    state: TaskState,
) -> v1::Task {
    let task_id = TaskId::from(name.clone());
    let role = framework.roles.first().map_or("*", String::as_str);
    // Cannot fail: the text is this module's own.
    let resources = Resources::parse(STANDING_TASK, "*").unwrap_or_default();
    let status = TaskStatus {
        task_id: task_id.clone(),
        state: state.into(),
        agent_id: Some(agent.clone()),
        ..TaskStatus::default()
    };
    v1::Task {
        name,
        task_id,
        framework_id: framework.id.clone().unwrap_or_default(),
        agent_id: agent.clone(),
        state: state.into(),
        resources: resources.allocate(role).to_v1(),
        statuses: vec![status],
        ..v1::Task::default()
    }
}
