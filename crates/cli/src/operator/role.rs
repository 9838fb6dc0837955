//! `meseta role`: roles, and what they have.

use meseta_proto::v1::master::call::Type;

use super::arguments::Role as Command;
use super::client::Client;
use super::error::Error;
use super::output::{Output, Table};
use super::text;

pub(super) fn run(command: &Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List => list(client, output),
    }
}

fn list(client: &Client, output: &Output) -> Result<(), Error> {
    let answer = client.ask(Type::GetRoles, "list the roles")?;
    let roles = answer.get_roles.unwrap_or_default();
    if !output.is_for_people() {
        return output.message(&roles);
    }
    let mut table = Table::new(["ROLE", "WEIGHT", "FRAMEWORKS", "CPUS", "MEM", "DISK"]);
    for role in &roles.roles {
        let amount = |name| text::amount(&role.resources, name);
        table.row([
            role.name.clone(),
            text::number(role.weight),
            role.frameworks.len().to_string(),
            amount("cpus"),
            amount("mem"),
            amount("disk"),
        ]);
    }
    output.table(&table)
}
