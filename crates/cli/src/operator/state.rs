//! `meseta state`: the whole cluster on one page.

use std::collections::BTreeMap;
use std::time::SystemTime;

use meseta_proto::v1::Resource;
use meseta_proto::v1::master::call::Type;
use meseta_proto::v1::master::response::{GetAgents, GetTasks};

use super::client::Client;
use super::error::Error;
use super::output::{Output, Table};
use super::text;

pub(super) fn run(client: &Client, output: &Output) -> Result<(), Error> {
    let attempt = "show the cluster's state";
    let state = client.ask(Type::GetState, attempt)?;
    let state = state.get_state.unwrap_or_default();
    if !output.is_for_people() {
        return output.message(&state);
    }
    let now = SystemTime::now();
    let master = client.ask(Type::GetMaster, attempt)?;
    let master = master.get_master.unwrap_or_default();
    let mut table = Table::of_facts();
    if let Some(info) = &master.master_info {
        let pid = info.pid();
        let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
        table.fact("Leader", format!("{} at {address}", info.hostname()));
        table.fact("Version", info.version());
    }
    let elected = master.elected_time.and_then(text::moment_of);
    table.fact("Elected", text::time_and_age(elected, now));

    show_agents(&state.get_agents.unwrap_or_default(), &mut table);
    let frameworks = state.get_frameworks.unwrap_or_default();
    let connected = frameworks.frameworks.iter().filter(|it| it.connected);
    table.fact(
        "Frameworks",
        format!(
            "{}, {} connected; {} completed",
            frameworks.frameworks.len(),
            connected.count(),
            frameworks.completed_frameworks.len()
        ),
    );
    let tasks = by_state(&state.get_tasks.unwrap_or_default());
    table.fact("Tasks", if tasks.is_empty() { "0" } else { &tasks });
    output.table(&table)
}

/// How many there are, and how much of what they have is taken.
fn show_agents(agents: &GetAgents, table: &mut Table) {
    let active = agents.agents.iter().filter(|agent| agent.active).count();
    let awaited = agents.recovered_agents.len();
    let awaited = match awaited {
        0 => String::new(),
        count => format!(", {count} awaited"),
    };
    let known = agents.agents.len();
    table.fact("Agents", format!("{known}, {active} active{awaited}"));
    let total: Vec<Resource> = of_all(&agents.agents, |it| &it.total_resources);
    let allocated: Vec<Resource> = of_all(&agents.agents, |it| &it.allocated_resources);
    for (name, shown) in [
        ("cpus", "CPUs"),
        ("gpus", "GPUs"),
        ("mem", "Memory"),
        ("disk", "Disk"),
    ] {
        if text::scalar(&total, name) > 0.0 {
            let share = text::share(&allocated, &total, name);
            table.fact(shown, format!("{share} allocated"));
        }
    }
}

/// How many tasks there are of each state.
fn by_state(tasks: &GetTasks) -> String {
    let all = tasks.tasks.iter();
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for task in all
        .chain(&tasks.unreachable_tasks)
        .chain(&tasks.completed_tasks)
    {
        *states.entry(text::state(task.state())).or_default() += 1;
    }
    let states: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    states.join(", ")
}

fn of_all<T>(items: &[T], resources: impl Fn(&T) -> &Vec<Resource>) -> Vec<Resource> {
    items
        .iter()
        .flat_map(|item| resources(item).clone())
        .collect()
}
