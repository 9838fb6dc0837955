//! `meseta version`: of this program and of the master.

use meseta_proto::v1::master::call::Type;
use serde::Serialize;

use super::client::Client;
use super::error::Error;
use super::output::{Output, Table};

#[derive(Debug, Serialize)]
struct Versions {
    client: &'static str,
    /// The version of Mesos whose interfaces it has.
    mesos: &'static str,
    master: Option<String>,
}

pub(super) fn run(client: &Client, output: &Output) -> Result<(), Error> {
    let answer = client.ask(Type::GetVersion, "ask for the master's version");
    let (master, failure) = match answer {
        Ok(answer) => (answer.get_version.map(|it| it.version_info.version), None),
        // This program's own version is told without any master.
        Err(error) => (None, Some(error)),
    };
    let versions = Versions {
        client: env!("CARGO_PKG_VERSION"),
        mesos: meseta_master::VERSION,
        master,
    };
    if !output.is_for_people() {
        return output.value(&versions);
    }
    let mut table = Table::of_facts();
    table.fact(
        "This program",
        format!("{} (Mesos {})", versions.client, versions.mesos),
    );
    match (versions.master, failure) {
        (Some(version), _) => table.fact("Master", format!("Mesos {version}")),
        (None, Some(error)) => table.fact("Master", error.to_string()),
        (None, None) => {}
    }
    output.table(&table)
}
