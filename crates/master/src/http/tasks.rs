use std::borrow::Cow;
use std::cmp::Ordering;

use meseta_endpoints::forms::{Each, Entries, Object};
use meseta_endpoints::{Query, forms, json};
use meseta_machine::Reply;
use meseta_proto::json::AsJson;
use meseta_proto::v1::{AgentId, Task, TaskId, TaskState};
use serde::ser::SerializeMap;

use crate::completed::{CompletedTask, first_heard};
use crate::limits::DEFAULT_TASKS_LIMIT;
use crate::snapshot::Snapshot;

/// Answers `/tasks`: all tasks of all frameworks, a page at a time.
pub(super) fn answer(snapshot: &Snapshot, query: Query<'_>) -> Reply {
    match Page::read(query) {
        Ok(page) => {
            let found = select(snapshot, query);
            let total = (query.get("total") == Some("true")).then_some(found.len());
            let tasks = page.cut(found).into_iter().map(Found::whole).collect();
            let with_history = query.get("history") == Some("true");
            json(
                query,
                &Object(Listing {
                    tasks,
                    total,
                    with_history,
                }),
            )
        }
        Err(refusal) => refusal,
    }
}

struct Listing<'a> {
    tasks: Vec<Cow<'a, Task>>,
    /// Told to who asks: Mesos does not.
    total: Option<usize>,
    with_history: bool,
}

impl Entries for Listing<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let tasks = || {
            self.tasks.iter().map(|task| {
                Object(Shown {
                    task,
                    with_history: self.with_history,
                })
            })
        };
        map.serialize_entry("tasks", &Each(tasks))?;
        match self.total {
            Some(total) => map.serialize_entry("total", &total),
            None => Ok(()),
        }
    }
}

struct Shown<'a> {
    task: &'a Task,
    with_history: bool,
}

impl Entries for Shown<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        forms::Task(self.task).write(map)?;
        if self.with_history {
            let statuses = || self.task.statuses.iter().map(AsJson);
            // What Mesos shows of a status does not say why it came.
            map.serialize_entry("history", &Each(statuses))?;
        }
        Ok(())
    }
}

/// A task that is wanted. Those that are over stay packed until it is known which of them are shown.
enum Found<'a> {
    Present(&'a Task),
    Completed(&'a CompletedTask),
}

impl<'a> Found<'a> {
    fn first_heard(&self) -> Option<f64> {
        match self {
            Self::Present(task) => first_heard(task),
            Self::Completed(task) => task.first_heard(),
        }
    }

    fn whole(self) -> Cow<'a, Task> {
        match self {
            Self::Present(task) => Cow::Borrowed(task),
            Self::Completed(task) => Cow::Owned(task.unpack()),
        }
    }
}

fn select<'a>(snapshot: &'a Snapshot, query: Query<'_>) -> Vec<Found<'a>> {
    let wanted = Wanted::read(query);
    let frameworks = snapshot.frameworks.values();
    frameworks
        .chain(&snapshot.completed_frameworks)
        .filter(|framework| query.selects("framework_id", framework.id.as_str()))
        .flat_map(|framework| {
            let present = framework.tasks.values().chain(&framework.unreachable_tasks);
            let present = present
                .filter(|task| {
                    wanted.places(&task.task_id, &task.agent_id, task.state())
                        && wanted.names(task.task_id.as_str(), || Cow::Borrowed(&task.name))
                })
                .map(|task| Found::Present(task.as_ref()));
            let completed = framework.completed_tasks.iter();
            let completed = completed
                .filter(|task| {
                    wanted.places(task.task_id(), task.agent_id(), task.state())
                        && wanted.names(task.task_id().as_str(), || Cow::Owned(task.unpack().name))
                })
                .map(|task| Found::Completed(task.as_ref()));
            present.chain(completed)
        })
        .collect()
}

/// What is asked of each task.
struct Wanted<'a> {
    query: Query<'a>,
    states: Option<Vec<&'a str>>,
    search: Option<String>,
}

impl<'a> Wanted<'a> {
    fn read(query: Query<'a>) -> Self {
        let states = query.get("state").filter(|states| !states.is_empty());
        let search = query.get("search").filter(|search| !search.is_empty());
        Self {
            query,
            states: states.map(|states| states.split(',').collect()),
            search: search.map(str::to_lowercase),
        }
    }

    fn places(&self, task: &TaskId, agent: &AgentId, state: TaskState) -> bool {
        let states = self.states.as_ref();
        self.query.selects("task_id", task.as_str())
            && self.query.selects("slave_id", agent.as_str())
            && states.is_none_or(|states| states.contains(&state.as_str_name()))
    }

    /// Whether the search finds a task, whose name may take work to know.
    fn names<'t>(&self, id: &str, name: impl FnOnce() -> Cow<'t, String>) -> bool {
        let Some(search) = &self.search else {
            return true;
        };
        id.to_lowercase().contains(search) || name().to_lowercase().contains(search)
    }
}

/// A task with the time of its first status, and its place among those found.
type Aged<'a> = (Option<f64>, usize, Found<'a>);

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

    /// The tasks of this page, in order. Of hundreds of thousands only those are put in order.
    fn cut<'a>(&self, tasks: Vec<Found<'a>>) -> Vec<Found<'a>> {
        let mut aged: Vec<Aged<'a>> = tasks
            .into_iter()
            .enumerate()
            .map(|(place, task)| (task.first_heard(), place, task))
            .collect();
        let order = |left: &Aged<'_>, right: &Aged<'_>| {
            let by_age = if self.oldest_first {
                by_age(left.0, right.0)
            } else {
                by_age(right.0, left.0)
            };
            by_age.then(left.1.cmp(&right.1))
        };
        let end = self.offset.saturating_add(self.limit);
        if end < aged.len() {
            aged.select_nth_unstable_by(end, order);
            aged.truncate(end);
        }
        aged.sort_unstable_by(order);
        let page = aged.into_iter().skip(self.offset);
        page.map(|(_, _, task)| task).collect()
    }
}

/// By the time of the first status; a task without one counts as older than all others.
fn by_age(left: Option<f64>, right: Option<f64>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}
