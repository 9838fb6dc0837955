//! `/quota`, which clients older than the operator API's UPDATE_QUOTA use.

use meseta_endpoints::{Query, json, method_not_allowed};
use meseta_machine::Reply;
use meseta_proto::json::{AsJson, Error, from_slice};
use meseta_proto::v1::quota::{QuotaConfig, QuotaInfo, QuotaRequest, QuotaStatus};
use meseta_proto::v1::value::{Scalar, Type};
use meseta_proto::v1::{Resource, value};

use super::{Answer, Request};
use crate::operator::Change;
use crate::snapshot::Snapshot;

pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>, rest: &[&str]) -> Answer {
    match request.method {
        "GET" | "HEAD" => {
            let status = status(snapshot);
            Answer::Reply(json(Query(request.query), &AsJson(&status)))
        }
        "POST" => match from_slice::<QuotaRequest>(request.body) {
            Ok(quota) => Answer::Operator(Change::SetQuota(quota)),
            Err(error) => {
                let (failed, reason) = match error {
                    Error::Syntax(reason) => ("parse", reason),
                    Error::Convert { reason, .. } => ("validate", reason),
                };
                let body = String::from_utf8_lossy(request.body);
                Answer::Reply(Reply::bad_request(format!(
                    "Failed to {failed} set quota request JSON '{body}': {reason}"
                )))
            }
        },
        "DELETE" if rest.is_empty() => Answer::Reply(Reply::bad_request(
            "Failed to parse remove quota request for path '/master/quota': expected 3 tokens, \
             found 2 tokens",
        )),
        // Names of roles may have slashes.
        "DELETE" => {
            let role = rest.join("/");
            let asked = format!(" for path '/master/quota/{role}'");
            Answer::Operator(Change::RemoveQuota { role, asked })
        }
        other => Answer::Reply(method_not_allowed(&["GET", "POST", "DELETE"], other)),
    }
}

/// All quotas, in the present form and in the older one.
#[allow(deprecated, reason = "older clients read the older form")]
pub(super) fn status(snapshot: &Snapshot) -> QuotaStatus {
    let mut status = QuotaStatus::default();
    for (role, quota) in &snapshot.quotas {
        let amount = |(name, amount): (&str, meseta_resources::Scalar)| {
            let value = amount.to_f64();
            (name.to_owned(), Scalar { value })
        };
        let config = QuotaConfig {
            role: role.clone(),
            guarantees: quota.guarantees.iter().map(amount).collect(),
            limits: quota.limits.iter().map(amount).collect(),
        };
        let guarantee = config.guarantees.iter().map(|(name, scalar)| Resource {
            name: name.clone(),
            r#type: Type::Scalar.into(),
            scalar: Some(value::Scalar::clone(scalar)),
            ..Resource::default()
        });
        status.infos.push(QuotaInfo {
            role: Some(role.clone()),
            guarantee: guarantee.collect(),
            ..QuotaInfo::default()
        });
        status.configs.push(config);
    }
    status
}
