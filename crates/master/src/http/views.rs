//! What the operator API shows of the master's records, in either encoding.

use std::time::Duration;

use meseta_endpoints::forms::seconds;
use meseta_endpoints::{Field, Writer};
use meseta_machine::ContentType;
use meseta_proto::Wire;
use meseta_proto::v1::master::event;
use meseta_proto::v1::master::response::get_agents::Agent;
use meseta_proto::v1::master::response::get_executors::Executor;
use meseta_proto::v1::master::response::get_frameworks::Framework;
use meseta_proto::v1::master::response::{self, GetMaster, GetRoles};
use meseta_proto::v1::value::{Scalar, Type};
use meseta_proto::v1::{AgentInfo, Operation, Resource, Role, Task, TimeInfo};
use meseta_resources::{Resources, to_endpoint};
use prost::Message as _;

use super::roles::Roles;
use crate::input::Opening;
use crate::records::{AgentRecord, FrameworkRecord};
use crate::snapshot::Snapshot;

const TYPE: Field = ("type", 1);

/// An answer of many records, if this kind is one.
pub(super) fn answer(
    snapshot: &Snapshot,
    kind: response::Type,
    answer_type: ContentType,
) -> Option<Vec<u8>> {
    let (field, write): (Field, fn(&mut Writer, &Snapshot)) = match kind {
        response::Type::GetState => (("get_state", 9), state),
        response::Type::GetAgents => (("get_agents", 10), agents),
        response::Type::GetFrameworks => (("get_frameworks", 11), frameworks),
        response::Type::GetExecutors => (("get_executors", 12), executors),
        response::Type::GetTasks => (("get_tasks", 13), tasks),
        _ => return None,
    };
    let mut writer = Writer::new(answer_type);
    writer.name(TYPE, kind.as_str_name(), kind.into());
    writer.part(field, |part| write(part, snapshot));
    Some(writer.into_bytes())
}

/// The first event of a subscriber.
pub fn subscribed(snapshot: &Snapshot, stream_type: ContentType, opening: Opening) -> Vec<u8> {
    let kind = event::Type::Subscribed;
    let interval = snapshot.config.policy.heartbeat_interval;
    let mut writer = Writer::new(stream_type);
    writer.name(TYPE, kind.as_str_name(), kind.into());
    writer.part(("subscribed", 2), |part| {
        if opening == Opening::State {
            part.part(("get_state", 1), |part| state(part, snapshot));
        }
        part.double(("heartbeat_interval_seconds", 2), interval.as_secs_f64());
    });
    writer.into_bytes()
}

fn state(writer: &mut Writer, snapshot: &Snapshot) {
    writer.part(("get_tasks", 1), |part| tasks(part, snapshot));
    writer.part(("get_executors", 2), |part| executors(part, snapshot));
    writer.part(("get_frameworks", 3), |part| frameworks(part, snapshot));
    writer.part(("get_agents", 4), |part| agents(part, snapshot));
}

fn tasks(writer: &mut Writer, snapshot: &Snapshot) {
    let all = || {
        let frameworks = snapshot.frameworks.values();
        frameworks.chain(&snapshot.completed_frameworks)
    };
    let active = all().flat_map(|framework| framework.tasks.values());
    writer.list::<Task>(("tasks", 2), active.map(|task| task.encode_to_vec()));
    let unreachable = all().flat_map(|framework| &framework.unreachable_tasks);
    let unreachable = unreachable.map(|task| task.encode_to_vec());
    writer.list::<Task>(("unreachable_tasks", 5), unreachable);
    let completed = all().flat_map(|framework| &framework.completed_tasks);
    writer.list::<Task>(("completed_tasks", 3), completed.map(|task| task.encoded()));
}

fn executors(writer: &mut Writer, snapshot: &Snapshot) {
    let executors = snapshot.agents.values().flat_map(|agent| {
        let of_agent = agent.executors.values();
        of_agent.map(|info| encoded(&executor(agent, info)))
    });
    writer.list::<Executor>(("executors", 1), executors);
}

fn executor(agent: &AgentRecord, info: &meseta_proto::v1::ExecutorInfo) -> Executor {
    Executor {
        executor_info: info.clone(),
        agent_id: agent.id.clone(),
    }
}

fn frameworks(writer: &mut Writer, snapshot: &Snapshot) {
    let view = |record| encoded(&framework(snapshot, record));
    let active = snapshot.frameworks.values().map(|record| view(record));
    writer.list::<Framework>(("frameworks", 1), active);
    let completed = snapshot.completed_frameworks.iter();
    let completed = completed.map(|record| view(record));
    writer.list::<Framework>(("completed_frameworks", 2), completed);
}

fn agents(writer: &mut Writer, snapshot: &Snapshot) {
    let registered = snapshot.agents.values();
    let registered = registered.map(|record| encoded(&agent(snapshot, record)));
    // In JSON, and nowhere else, Mesos shows a field of the v0 form: that agents keep their state on
    // disk, which they always do.
    let checkpoint = r#""checkpoint":true,"#;
    let field = ("agents", 1);
    writer.extended_list::<Agent>(field, registered, r#"{"agent_info":{"#, checkpoint);
    let recovered = snapshot.recovered_agents.values();
    let recovered = recovered.map(|agent| agent.info.encode_to_vec());
    let field = ("recovered_agents", 2);
    writer.extended_list::<AgentInfo>(field, recovered, "{", checkpoint);
}

fn encoded<M: Wire>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}

/// An agent with all that is to be said of it.
pub(crate) fn agent(snapshot: &Snapshot, record: &AgentRecord) -> Agent {
    let deactivation = snapshot.deactivations.get(&record.id);
    Agent {
        agent_info: AgentInfo::clone(&record.info),
        active: record.active,
        deactivated: Some(deactivation.is_some()),
        version: record.version.clone(),
        pid: Some(record.pid.to_string()),
        registered_time: Some(time(record.registered_time)),
        reregistered_time: record.reregistered_time.map(time),
        total_resources: endpoint_form(&record.total),
        allocated_resources: endpoint_form(&record.used_total()),
        offered_resources: endpoint_form(&record.offered),
        capabilities: record.capabilities.clone(),
        resource_providers: Vec::new(),
        drain_info: deactivation.and_then(|it| it.drain.as_deref().copied()),
        estimated_drain_start_time: deactivation.and_then(|it| it.drain_start).map(time),
    }
}

/// A framework with all that is to be said of it, but for its tasks.
pub(crate) fn framework(snapshot: &Snapshot, record: &FrameworkRecord) -> Framework {
    let offers = record.offers.iter();
    let offers = offers.filter_map(|id| snapshot.offers.get(id));
    let inverse = snapshot.inverse_offers.values();
    let inverse = inverse.filter(|offer| offer.framework_id == record.id);
    let constraints = record.offer_constraints.as_deref();
    // One that never came back is shown as if it had come back when it came, as in Mesos.
    let returned = record.reregistered_time.unwrap_or(record.registered_time);
    Framework {
        framework_info: meseta_proto::v1::FrameworkInfo::clone(&record.info),
        active: record.active,
        connected: record.connected(),
        recovered: record.recovered,
        registered_time: Some(time(record.registered_time)),
        reregistered_time: (!record.recovered).then(|| time(returned)),
        unregistered_time: record.unregistered_time.map(time),
        offers: offers.map(|offer| (**offer).clone()).collect(),
        inverse_offers: inverse.map(|offer| (**offer).clone()).collect(),
        allocated_resources: endpoint_form(&record.used_total()),
        offered_resources: endpoint_form(&record.offered_total()),
        offer_constraints: Some(constraints.cloned().unwrap_or_default()),
    }
}

/// Operations that agents have not told the end of, or whose end is not acknowledged.
pub(super) fn operations(snapshot: &Snapshot) -> Vec<Operation> {
    let agents = snapshot.agents.values();
    agents
        .flat_map(|agent| agent.operations.values())
        .map(|operation| Operation::clone(operation))
        .collect()
}

pub(super) fn roles(snapshot: &Snapshot) -> GetRoles {
    let roles = Roles::new(snapshot);
    let roles = roles.iter().map(|(name, frameworks, taken)| Role {
        name: name.to_owned(),
        weight: snapshot.weights.get(name).copied().unwrap_or(1.0),
        frameworks: frameworks.cloned().collect(),
        resources: taken
            .iter()
            .filter(|(name, _)| KNOWN.contains(name))
            .map(|(name, amount)| Resource {
                name: name.to_owned(),
                r#type: Type::Scalar.into(),
                scalar: Some(Scalar {
                    value: amount.to_f64(),
                }),
                ..Resource::default()
            })
            .collect(),
    });
    GetRoles {
        roles: roles.collect(),
    }
}

/// What is shown of a role's resources, as in Mesos.
const KNOWN: [&str; 4] = ["cpus", "disk", "gpus", "mem"];

pub(super) fn master(snapshot: &Snapshot) -> GetMaster {
    GetMaster {
        master_info: Some(meseta_proto::v1::MasterInfo::clone(&snapshot.master_info)),
        start_time: Some(seconds(snapshot.config.start_time)),
        elected_time: Some(seconds(snapshot.config.elected_time)),
    }
}

/// Resources in the form in which old and new readers both find what they look for.
fn endpoint_form(resources: &Resources) -> Vec<Resource> {
    let mut messages = resources.to_v1();
    messages.iter_mut().for_each(to_endpoint);
    messages
}

fn time(moment: Duration) -> TimeInfo {
    TimeInfo {
        nanoseconds: i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX),
    }
}
