//! Frameworks with everything, as `/state` and `/frameworks` show them.

use std::sync::Arc;

use meseta_endpoints::forms::{
    self, Each, Entries, Executor, Labels, Object, Summary, Task, seconds,
};
use meseta_endpoints::{Query, TextObject};
use meseta_proto::json::AsJson;
use meseta_proto::v1;
use meseta_proto::v1::framework_info::capability::Type::MultiRole;
use meseta_proto::v1::resource::AllocationInfo;
use meseta_proto::v1::scheduler::OfferConstraints;
use serde::ser::SerializeMap;
use serde_json::Error;

use super::earlier::{Elements, Parts, Shown, ShownFramework, by_age, by_key};
use super::forms::FrameworkHead;
use crate::CompletedTask;
use crate::records::FrameworkRecord;
use crate::snapshot::Snapshot;

/// Adds the frameworks that are selected, and says where they are.
pub(super) fn write(
    object: &mut TextObject<'_>,
    snapshot: &Snapshot,
    query: Query<'_>,
    earlier: Option<&Shown>,
    shown: &mut Shown,
) -> Result<(), Error> {
    let selected = |record: &&Arc<FrameworkRecord>| {
        let id = record.id.as_str();
        query.selects("framework_id", id)
    };
    let mut add = |out: &mut Vec<u8>, record: &Arc<FrameworkRecord>| {
        let framework = framework(out, snapshot, record, earlier)?;
        shown.frameworks.insert(record.id.clone(), framework);
        Ok(())
    };
    let active = snapshot.frameworks.values().filter(selected);
    object.array("frameworks", |out| join(out, active, &mut add))?;
    let completed = snapshot.completed_frameworks.iter().filter(selected);
    object.array("completed_frameworks", |out| join(out, completed, &mut add))
}

/// Appends elements with commas between them.
fn join<T>(
    out: &mut Vec<u8>,
    elements: impl Iterator<Item = T>,
    mut append: impl FnMut(&mut Vec<u8>, T) -> Result<(), Error>,
) -> Result<(), Error> {
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append(out, element)?;
    }
    Ok(())
}

/// Appends a framework. What was said of it earlier is copied as far as it is the same.
fn framework(
    out: &mut Vec<u8>,
    snapshot: &Snapshot,
    record: &Arc<FrameworkRecord>,
    earlier: Option<&Shown>,
) -> Result<ShownFramework, Error> {
    let start = out.len();
    let earlier = earlier.and_then(|earlier| earlier.framework(&record.id));
    let parts = match earlier {
        Some((text, parts)) if Arc::ptr_eq(&parts.record, record) => {
            out.extend_from_slice(text);
            Arc::clone(parts)
        }
        _ => {
            let mut parts = Parts::of(record);
            TextObject::write(out, |object| {
                write_parts(object, start, snapshot, &mut parts, earlier)
            })?;
            Arc::new(parts)
        }
    };
    Ok(ShownFramework {
        start,
        length: out.len() - start,
        parts,
    })
}

fn write_parts(
    object: &mut TextObject<'_>,
    start: usize,
    snapshot: &Snapshot,
    parts: &mut Parts,
    earlier: Option<(&[u8], &Arc<Parts>)>,
) -> Result<(), Error> {
    let record = &*parts.record;
    object.entries(&BeforeTasks(record))?;
    parts.tasks = object.array("tasks", |out| {
        let mut known = earlier
            .map(|(text, earlier)| by_key(&earlier.record.tasks, earlier.tasks.within(text)));
        let tasks = record.tasks.iter().map(|(id, task)| {
            let text = known.as_mut().and_then(|known| known(id, task));
            (task, text)
        });
        Elements::write(out, start, tasks, |task, out| append(out, &Task(task)))
    })?;
    parts.unreachable_tasks = object.array("unreachable_tasks", |out| {
        let mut known = earlier.map(|(text, earlier)| {
            let texts = earlier.unreachable_tasks.within(text);
            by_age(&earlier.record.unreachable_tasks, texts)
        });
        let tasks = record.unreachable_tasks.iter().map(|task| {
            let text = known.as_mut().and_then(|known| known(task));
            (task, text)
        });
        Elements::write(out, start, tasks, |task, out| append(out, &Task(task)))
    })?;
    parts.completed_tasks = object.array("completed_tasks", |out| {
        let mut known = earlier.map(|(text, earlier)| {
            let texts = earlier.completed_tasks.within(text);
            by_age(&earlier.record.completed_tasks, texts)
        });
        let tasks = record.completed_tasks.iter().map(|task| {
            let text = known.as_mut().and_then(|known| known(task));
            (task, text)
        });
        Elements::write(out, start, tasks, |task, out| append(out, &Packed(task)))
    })?;
    object.entries(&AfterTasks { record, snapshot })
}

fn append(out: &mut Vec<u8>, entries: &impl Entries) -> Result<(), Error> {
    serde_json::to_writer(out, &Object(entries))
}

struct BeforeTasks<'a>(&'a FrameworkRecord);

impl Entries for BeforeTasks<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let record = self.0;
        let info = &record.info;
        let head = FrameworkHead::of(record);
        head.write(map)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("registered_time", &seconds(record.registered_time))?;
        let ended = record.unregistered_time.unwrap_or_default();
        map.serialize_entry("unregistered_time", &seconds(ended))?;
        if let Some(principal) = &info.principal {
            map.serialize_entry("principal", principal)?;
        }
        let taken = &head.used + &head.offered;
        map.serialize_entry("resources", &Summary(&taken))?;
        if let Some(time) = record.reregistered_time {
            map.serialize_entry("reregistered_time", &seconds(time))?;
        }
        if record.is_capable_of(MultiRole) {
            map.serialize_entry("roles", &info.roles)
        } else {
            map.serialize_entry("role", info.role())
        }
    }
}

struct AfterTasks<'a> {
    record: &'a FrameworkRecord,
    snapshot: &'a Snapshot,
}

impl Entries for AfterTasks<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self { record, snapshot } = self;
        let offers = || {
            let held = record.offers.iter();
            held.filter_map(|id| Some(Object(Offer(snapshot.offers.get(id)?))))
        };
        map.serialize_entry("offers", &Each(offers))?;
        let executors = || {
            record.executors.iter().flat_map(|(agent_id, executors)| {
                executors
                    .values()
                    .map(move |info| Object(Executor { info, agent_id }))
            })
        };
        map.serialize_entry("executors", &Each(executors))?;
        if let Some(labels) = &record.info.labels {
            map.serialize_entry("labels", &Labels(labels))?;
        }
        let none = OfferConstraints::default();
        let constraints = record.offer_constraints.as_deref().unwrap_or(&none);
        map.serialize_entry("offer_constraints", &AsJson(constraints))
    }
}

struct Offer<'a>(&'a v1::Offer);

impl Entries for Offer<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let offer = self.0;
        map.serialize_entry("id", offer.id.as_str())?;
        map.serialize_entry("framework_id", offer.framework_id.as_str())?;
        let none = AllocationInfo::default();
        let allocation = offer.allocation_info.as_ref().unwrap_or(&none);
        map.serialize_entry("allocation_info", &AsJson(allocation))?;
        map.serialize_entry("slave_id", offer.agent_id.as_str())?;
        map.serialize_entry("resources", &forms::Amounts(&offer.resources))
    }
}

/// A task that is over.
struct Packed<'a>(&'a CompletedTask);

impl Entries for Packed<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        Task(&self.0.unpack()).write(map)
    }
}
