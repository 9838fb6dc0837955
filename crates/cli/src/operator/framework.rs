//! `meseta framework`: frameworks, and their removal.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use meseta_proto::v1::FrameworkId;
use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::master::response::GetFrameworks;
use meseta_proto::v1::master::response::get_frameworks::Framework;

use super::arguments::Framework as Command;
use super::client::{Client, to_master};
use super::error::Error;
use super::find::{self, Names};
use super::output::{Output, Table};
use super::{consent, task, text};

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List { all } => list(all, client, output),
        Command::Show { framework } => {
            let frameworks = all(
                client,
                &format!("look for framework {}", framework.framework),
            )?;
            show(&named(frameworks, &framework.framework)?, client, output)
        }
        Command::Teardown { framework, consent } => {
            let wanted = framework.framework;
            let mut frameworks = all(client, &format!("look for framework {wanted}"))?;
            frameworks.completed_frameworks.clear();
            let framework = named(frameworks, &wanted)?;
            let (id, name) = (id(&framework), &framework.framework_info.name);
            consent::ask(
                &consent,
                &format!("tearing framework {name} ({id}) down and killing its tasks"),
            )?;
            let call = Call {
                teardown: Some(call::Teardown {
                    framework_id: id.clone(),
                }),
                ..to_master(Type::Teardown)
            };
            client.change(&call, &format!("tear framework {id} down"))?;
            output.done(&format!("Framework {name} ({id}) is removed."))
        }
    }
}

/// All frameworks, the completed ones included.
pub(super) fn all(client: &Client, attempt: &str) -> Result<GetFrameworks, Error> {
    let answer = client.ask(Type::GetFrameworks, attempt)?;
    Ok(answer.get_frameworks.unwrap_or_default())
}

/// The framework that a word means: one that lives before one that is completed.
pub(super) fn named(frameworks: GetFrameworks, wanted: &str) -> Result<Framework, Error> {
    match find::one(find::FRAMEWORK, wanted, frameworks.frameworks, names) {
        Err(Error::Unknown { .. }) => find::one(
            find::FRAMEWORK,
            wanted,
            frameworks.completed_frameworks,
            names,
        ),
        found => found,
    }
}

pub(super) fn names(framework: &Framework) -> Names<'_> {
    Names {
        id: id_text(framework),
        name: &framework.framework_info.name,
        beside: String::new(),
    }
}

pub(super) fn id_text(framework: &Framework) -> &str {
    let id = framework.framework_info.id.as_ref();
    id.map_or("", FrameworkId::as_str)
}

pub(super) fn id(framework: &Framework) -> FrameworkId {
    FrameworkId::from(id_text(framework))
}

pub(super) fn state(framework: &Framework) -> &'static str {
    if framework.recovered {
        "awaited"
    } else if !framework.connected {
        "disconnected"
    } else if framework.active {
        "active"
    } else {
        "inactive"
    }
}

#[allow(deprecated, reason = "older schedulers have one role")]
fn roles(framework: &Framework) -> String {
    let info = &framework.framework_info;
    if info.roles.is_empty() {
        info.role().to_owned()
    } else {
        info.roles.join(",")
    }
}

fn list(with_completed: bool, client: &Client, output: &Output) -> Result<(), Error> {
    let mut answer = all(client, "list the frameworks")?;
    if !with_completed {
        answer.completed_frameworks.clear();
    }
    if !output.is_for_people() {
        return output.message(&answer);
    }
    let mut running: HashMap<String, usize> = HashMap::new();
    for task in task::all(client, "list the frameworks")?.tasks {
        *running.entry(task.framework_id.to_string()).or_default() += 1;
    }
    let now = SystemTime::now();
    let mut table = Table::new([
        "FRAMEWORK",
        "NAME",
        "STATE",
        "ROLES",
        "TASKS",
        "CPUS",
        "MEM",
        "AGE",
    ]);
    if output.is_wide() {
        for heading in ["USER", "PRINCIPAL", "HOST", "OFFERS"] {
            table.heading(heading);
        }
    }
    let completed = answer
        .completed_frameworks
        .iter()
        .map(|it| (it, "completed"));
    let living = answer.frameworks.iter().map(|it| (it, state(it)));
    for (framework, state) in living.chain(completed) {
        let info = &framework.framework_info;
        let id = id_text(framework);
        let amount = |name| text::amount(&framework.allocated_resources, name);
        let mut row = vec![
            output.id(id),
            info.name.clone(),
            state.to_owned(),
            roles(framework),
            running.get(id).copied().unwrap_or_default().to_string(),
            amount("cpus"),
            amount("mem"),
            text::age(registered(framework), now),
        ];
        if output.is_wide() {
            row.push(info.user.clone());
            row.push(info.principal.clone().unwrap_or_else(|| "-".to_owned()));
            row.push(info.hostname.clone().unwrap_or_else(|| "-".to_owned()));
            row.push(framework.offers.len().to_string());
        }
        table.row(row);
    }
    output.table(&table)
}

fn registered(framework: &Framework) -> Option<SystemTime> {
    framework.registered_time.and_then(text::moment)
}

fn show(framework: &Framework, client: &Client, output: &Output) -> Result<(), Error> {
    if !output.is_for_people() {
        return output.message(framework);
    }
    let now = SystemTime::now();
    let info = &framework.framework_info;
    let unregistered = framework.unregistered_time.and_then(text::moment);
    let mut table = Table::of_facts();
    table.fact("Framework", id_text(framework));
    table.fact("Name", &*info.name);
    let state = match unregistered {
        Some(_) => "completed",
        None => state(framework),
    };
    table.fact("State", state);
    table.fact("Roles", roles(framework));
    table.fact("User", &*info.user);
    table.fact("Principal", info.principal());
    table.fact("Host", info.hostname());
    table.fact("Page", info.webui_url());
    table.fact("Registered", text::time_and_age(registered(framework), now));
    let again = framework.reregistered_time.and_then(text::moment);
    let again = again.filter(|again| Some(*again) != registered(framework));
    table.fact("Registered again", text::time_and_age(again, now));
    table.fact("Ended", text::time_and_age(unregistered, now));
    let failover = Duration::try_from_secs_f64(info.failover_timeout()).unwrap_or_default();
    table.fact("Failover timeout", text::duration(failover));
    let capabilities = info.capabilities.iter();
    let capabilities: Vec<&str> = capabilities.map(|it| it.r#type().as_str_name()).collect();
    table.fact("Capabilities", capabilities.join(", "));
    table.fact("Allocated", text::resources(&framework.allocated_resources));
    table.fact("Offered", text::resources(&framework.offered_resources));
    let id = id_text(framework);
    let tasks = task::all(client, &format!("count the tasks of framework {id}"))?.tasks;
    let count = tasks
        .iter()
        .filter(|it| it.framework_id.as_str() == id)
        .count();
    table.fact("Tasks", count.to_string());
    output.table(&table)?;
    if framework.offers.is_empty() && unregistered.is_none() {
        output.blank()?;
        return output.text(&format!(
            "Why it has no offers: meseta why {}",
            find::short(id)
        ));
    }
    Ok(())
}
