//! What agents say to a new leading master: their tasks are of several frameworks.

use meseta_proto::internal::ReregisterSlaveMessage;
use meseta_proto::v1::{
    ContainerStatus, FrameworkInfo, NetworkInfo, Task, TaskState, TaskStatus,
    network_info::IpAddress, task_status,
};

use crate::cluster::{framework, resources, return_of_agent, task_name};

/// How many frameworks have tasks on an agent that comes back to a new master.
const FRAMEWORKS: usize = 10;

/// What masters put before the numbers of agents and frameworks.
const RUN: &str = "6dbb1c3a-6c0e-4c4c-9e0b-3b9f0f3a5ad1";

/// What an agent says that comes back with running tasks of which there is as little to say as there can be.
pub fn return_to_new_master(number: usize, tasks: usize) -> ReregisterSlaveMessage {
    let agent = format!("{RUN}-S{number}");
    let frameworks: Vec<FrameworkInfo> = (0..FRAMEWORKS).map(framework_of_run).collect();
    let owners = frameworks.iter().cycle().skip(number).take(tasks);
    let task = |(task, owner): (usize, &FrameworkInfo)| {
        let role = owner.roles.first().map_or("*", String::as_str);
        let status = TaskStatus {
            task_id: task_name(number, task).into(),
            state: TaskState::TaskRunning.into(),
            agent_id: Some(agent.as_str().into()),
            ..TaskStatus::default()
        };
        Task {
            name: task_name(number, task),
            task_id: task_name(number, task).into(),
            framework_id: owner.id.clone().unwrap_or_default(),
            agent_id: agent.as_str().into(),
            state: TaskState::TaskRunning.into(),
            resources: resources("cpus:0.01;mem:1").allocate(role).to_v1(),
            statuses: vec![status],
            ..Task::default()
        }
    };
    let mut said = return_of_agent(number, 0);
    said.slave.id = Some(agent.as_str().into());
    said.tasks = owners.enumerate().map(task).collect();
    said.frameworks.clone_from(&frameworks);
    said
}

/// The same with all that genuine agents say of tasks that run by the command executor.
pub fn return_as_of_mesos(number: usize, tasks: usize) -> ReregisterSlaveMessage {
    let mut said = return_to_new_master(number, tasks);
    for (task, port) in said.tasks.iter_mut().zip(31_000..) {
        let role = task
            .resources
            .first()
            .and_then(|it| it.allocation_info.clone());
        let role = role.and_then(|info| info.role).unwrap_or_default();
        let ports = resources(&format!("ports:[{port}-{port}]"));
        task.resources.extend(ports.allocate(&role).to_v1());
        let address = IpAddress {
            protocol: None,
            ip_address: Some("192.0.2.17".to_owned()),
        };
        let container = ContainerStatus {
            container_id: Some("c1d7a3c4-4f43-4d3c-9e25-0c0d6d5a1c11".into()),
            network_infos: vec![NetworkInfo {
                ip_addresses: vec![address],
                ..NetworkInfo::default()
            }],
            executor_pid: Some(4711),
            ..ContainerStatus::default()
        };
        let status = |state: TaskState| TaskStatus {
            state: state.into(),
            source: Some(task_status::Source::Executor.into()),
            executor_id: Some(task.task_id.as_str().into()),
            timestamp: Some(1_700_000_000.5),
            uuid: Some(vec![7; 16]),
            container_status: Some(Box::new(container.clone())),
            ..task.statuses.first().cloned().unwrap_or_default()
        };
        let (starting, running) = (
            status(TaskState::TaskStarting),
            status(TaskState::TaskRunning),
        );
        task.status_update_state = Some(running.state);
        task.status_update_uuid.clone_from(&running.uuid);
        task.user = Some("nobody".to_owned());
        task.statuses = vec![starting, running];
    }
    said
}

fn framework_of_run(number: usize) -> FrameworkInfo {
    FrameworkInfo {
        id: Some(format!("{RUN}-{number:04}").into()),
        roles: vec![format!("role-{number}")],
        ..framework()
    }
}
