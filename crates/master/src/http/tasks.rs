use std::borrow::Cow;
use std::cmp::Ordering;

use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_endpoints::{Query, forms, json};
use meseta_machine::Reply;
use meseta_proto::v1::Task;
use serde::ser::SerializeMap;

use crate::limits::DEFAULT_TASKS_LIMIT;
use crate::snapshot::Snapshot;

/// Answers `/tasks`: all tasks of all frameworks, a page at a time.
pub(super) fn answer(snapshot: &Snapshot, query: Query<'_>) -> Reply {
    match Page::read(query) {
        Ok(page) => json(query, &Object(Tasks(page.cut(select(snapshot, query))))),
        Err(refusal) => refusal,
    }
}

struct Tasks<'a>(Vec<Cow<'a, Task>>);

impl Entries for Tasks<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let tasks = || self.0.iter().map(|task| Object(forms::Task(task)));
        map.serialize_entry("tasks", &Each(tasks))
    }
}

fn select<'a>(snapshot: &'a Snapshot, query: Query<'_>) -> Vec<Cow<'a, Task>> {
    let frameworks = snapshot.frameworks.values();
    frameworks
        .chain(&snapshot.completed_frameworks)
        .filter(|framework| query.selects("framework_id", framework.id.as_str()))
        .flat_map(|framework| {
            let present = framework.tasks.values().chain(&framework.unreachable_tasks);
            let completed = framework.completed_tasks.iter();
            present
                .filter(|task| query.selects("task_id", task.task_id.as_str()))
                .map(|task| Cow::Borrowed(task.as_ref()))
                .chain(
                    completed
                        .filter(|task| query.selects("task_id", task.task_id().as_str()))
                        .map(|task| Cow::Owned(task.unpack())),
                )
        })
        .collect()
}

/// Which of the tasks are wanted, in which order.
struct Page {
    offset: usize,
    limit: usize,
    oldest_first: bool,
}

impl Page {
    fn read(query: Query<'_>) -> Result<Self, Reply> {
        let number = |name: &str| {
            let given = query.get(name);
            let read = given.map(str::parse::<i64>).transpose();
            read.map_err(|_| {
                Reply::bad_request(format!(
                    "Expecting '{name}' to be a number, but received '{}'",
                    given.unwrap_or_default()
                ))
            })
        };
        let limit = match number("limit")? {
            None => DEFAULT_TASKS_LIMIT,
            // Clients of Mesos ask for everything with -1.
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let offset = number("offset")?.unwrap_or_default();
        let offset = usize::try_from(offset).map_err(|_| {
            Reply::bad_request(format!(
                "Expecting 'offset' not to be negative, but received '{offset}'"
            ))
        })?;
        let oldest_first = match query.get("order") {
            None | Some("des" | "desc") => false,
            Some("asc") => true,
            Some(other) => {
                return Err(Reply::bad_request(format!(
                    "Expecting 'order' to be 'asc' or 'des', but received '{other}'"
                )));
            }
        };
        Ok(Self {
            offset,
            limit,
            oldest_first,
        })
    }

    fn cut<'a>(&self, mut tasks: Vec<Cow<'a, Task>>) -> Vec<Cow<'a, Task>> {
        if self.oldest_first {
            tasks.sort_by(|left, right| by_age(left, right));
        } else {
            tasks.sort_by(|left, right| by_age(right, left));
        }
        tasks
            .into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }
}

/// By the time of the first status; a task without one counts as older than all others.
fn by_age(left: &Task, right: &Task) -> Ordering {
    let time = |task: &Task| {
        task.statuses
            .first()
            .map(|s| s.timestamp.unwrap_or_default())
    };
    match (time(left), time(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}
