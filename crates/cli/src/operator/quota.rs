//! `meseta quota`: what roles get before others, and never get more than.

use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};
use meseta_proto::v1::quota::QuotaConfig;
use meseta_proto::v1::value::Scalar;
use meseta_resources::Resources;

use super::arguments::Quota as Command;
use super::client::{Client, to_master};
use super::error::Error;
use super::output::{Output, Table};
use super::text;

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List => list(client, output),
        Command::Set {
            role,
            guarantee,
            limit,
            force,
        } => {
            if guarantee.is_none() && limit.is_none() {
                return Err(Error::Word {
                    what: "quota of role",
                    value: role,
                    reason:
                        "name a --guarantee, a --limit or both; `meseta quota remove` removes it"
                            .to_owned(),
                });
            }
            let config = QuotaConfig {
                role: role.clone(),
                guarantees: amounts("guarantee", guarantee.as_deref())?
                    .into_iter()
                    .collect(),
                limits: amounts("limit", limit.as_deref())?.into_iter().collect(),
            };
            update(
                client,
                config,
                force,
                &format!("set the quota of role {role}"),
            )?;
            output.done(&format!("The quota of role {role} is set."))
        }
        Command::Remove { role } => {
            let config = QuotaConfig {
                role: role.clone(),
                ..QuotaConfig::default()
            };
            update(
                client,
                config,
                false,
                &format!("remove the quota of role {role}"),
            )?;
            output.done(&format!("Role {role} has no quota any more."))
        }
    }
}

fn update(client: &Client, config: QuotaConfig, force: bool, attempt: &str) -> Result<(), Error> {
    let call = Call {
        update_quota: Some(call::UpdateQuota {
            force: force.then_some(true),
            quota_configs: vec![config],
        }),
        ..to_master(Type::UpdateQuota)
    };
    client.change(&call, attempt)
}

/// What quotas look like.
const EXAMPLE: &str = "'cpus:4;mem:1024'";

/// Amounts in the form of resources, which for quotas have no role and no other kind.
fn amounts(what: &'static str, text: Option<&str>) -> Result<Vec<(String, Scalar)>, Error> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let refused = |reason: String| Error::Word {
        what,
        value: text.to_owned(),
        reason,
    };
    let resources = Resources::parse(text, "*");
    let resources = resources.map_err(|e| refused(format!("{e}; expected such as {EXAMPLE}")))?;
    resources
        .to_v1()
        .into_iter()
        .map(|resource| match resource.scalar {
            Some(scalar) => Ok((resource.name, scalar)),
            None => Err(refused(format!(
                "{} is no amount: quotas are such as {EXAMPLE}",
                resource.name
            ))),
        })
        .collect()
}

fn list(client: &Client, output: &Output) -> Result<(), Error> {
    let answer = client.ask(Type::GetQuota, "list the quotas")?;
    let status = answer.get_quota.unwrap_or_default().status;
    if !output.is_for_people() {
        return output.message(&status);
    }
    let mut configs = status.configs;
    configs.sort_by(|a, b| a.role.cmp(&b.role));
    let mut table = Table::new(["ROLE", "GUARANTEE", "LIMIT"]);
    for config in &configs {
        table.row([
            config.role.clone(),
            text::amounts(&config.guarantees),
            text::amounts(&config.limits),
        ]);
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_amounts() {
        let mut parsed = amounts("limit", Some("cpus:4;mem:1024")).unwrap();
        parsed.sort_by(|a, b| a.0.cmp(&b.0));
        let parsed: Vec<(&str, f64)> = parsed.iter().map(|it| (&*it.0, it.1.value)).collect();
        assert_eq!(parsed, [("cpus", 4.0), ("mem", 1024.0)]);
        assert!(amounts("limit", Some("ports:[1-2]")).is_err());
        assert!(amounts("limit", Some("cpus")).is_err());
    }
}
