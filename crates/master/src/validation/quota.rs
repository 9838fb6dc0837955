use std::collections::{BTreeMap, HashSet};

use meseta_proto::v1::Resource;
use meseta_proto::v1::quota::QuotaConfig;
use meseta_proto::v1::value::{self, Type};
use meseta_resources::{Scalar, validate};

use super::framework::input_scalar;
use super::{Checked, Invalid, role, within};

/// The most memory and disk that a quota can speak of, in megabytes: an exabyte.
const MAX_MEGABYTES: f64 = 1_099_511_627_776.0;

/// The most of anything else: a trillion.
const MAX_OTHERS: f64 = 1e12;

/// Checks a role's guarantees and limits.
///
/// # Errors
/// In Mesos's words.
pub fn quota_config(config: &QuotaConfig) -> Checked {
    role(&config.role).map_err(within("Invalid 'QuotaConfig.role'"))?;
    not_too_large(&config.guarantees).map_err(within("Invalid 'QuotaConfig.guarantees'"))?;
    not_too_large(&config.limits).map_err(within("Invalid 'QuotaConfig.limits'"))?;
    for (kind, amounts) in [("guarantee", &config.guarantees), ("limit", &config.limits)] {
        for (name, amount) in amounts {
            let shown = amount_text(amount.value);
            let what = format!("Invalid {kind} configuration {{'{name}': {shown}}}");
            input_scalar(amount.value).map_err(within(&what))?;
        }
    }
    let rounded = |amount: &value::Scalar| Scalar::from_f64(amount.value).unwrap_or_default();
    let is_within = |(name, guarantee): (&String, &value::Scalar)| {
        let limit = config.limits.get(name);
        limit.is_none_or(|limit| rounded(guarantee) <= rounded(limit))
    };
    if config.guarantees.iter().all(is_within) {
        return Ok(());
    }
    Err(Invalid(format!(
        "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
        amounts_text(&config.guarantees),
        amounts_text(&config.limits)
    )))
}

/// Checks what the older calls give as a guarantee.
///
/// # Errors
/// In Mesos's words.
pub fn quota_guarantee(of_role: &str, guarantee: &[Resource]) -> Checked {
    validate(guarantee).map_err(|e| Invalid(format!("QuotaInfo with invalid resource: {e}")))?;
    role(of_role).map_err(within("QuotaInfo with invalid role"))?;
    if guarantee.is_empty() {
        return Err(Invalid::new("QuotaInfo with empty 'guarantee'"));
    }
    let mut names = HashSet::new();
    for resource in guarantee {
        let refused = if is_reserved(resource) {
            "QuotaInfo must not contain any ReservationInfo"
        } else if resource.disk.is_some() {
            "QuotaInfo must not contain DiskInfo"
        } else if resource.revocable.is_some() {
            "QuotaInfo must not contain RevocableInfo"
        } else if resource.r#type() != Type::Scalar {
            "QuotaInfo must not include non-scalar resources"
        } else if !names.insert(&resource.name) {
            return Err(Invalid(format!(
                "QuotaInfo contains duplicate resource name '{}'",
                resource.name
            )));
        } else {
            continue;
        };
        return Err(Invalid::new(refused));
    }
    Ok(())
}

/// In either form on the wire.
#[allow(deprecated, reason = "reads the old form")]
fn is_reserved(resource: &Resource) -> bool {
    !resource.reservations.is_empty()
        || resource.reservation.is_some()
        || resource.role.as_ref().is_some_and(|role| role != "*")
}

fn not_too_large(amounts: &BTreeMap<String, value::Scalar>) -> Checked {
    for (name, amount) in amounts {
        let (most, said) = if matches!(name.as_str(), "mem" | "disk") {
            (MAX_MEGABYTES, "1 exabyte (1099511627776)")
        } else {
            (MAX_OTHERS, "1 trillion (1000000000000)")
        };
        if amount.value > most {
            return Err(Invalid(format!(
                "{{'{name}': {}}} is invalid: values greater than {said} are not supported",
                amount_text(amount.value)
            )));
        }
    }
    Ok(())
}

/// As Mesos prints a map of amounts: `{ cpus: 2, mem: 64 }`.
fn amounts_text(amounts: &BTreeMap<String, value::Scalar>) -> String {
    let amounts: Vec<String> = amounts
        .iter()
        .map(|(name, amount)| format!("{name}: {}", amount_text(amount.value)))
        .collect();
    format!("{{ {} }}", amounts.join(", "))
}

fn amount_text(amount: f64) -> String {
    Scalar::from_f64(amount).map_or_else(|| amount.to_string(), |scalar| scalar.to_string())
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    fn refusal(config: &str) -> String {
        let config: QuotaConfig = json::from_slice(config.as_bytes()).unwrap();
        quota_config(&config).unwrap_err().0
    }

    #[test]
    fn a_quota_that_makes_no_sense_is_refused_in_mesos_words() {
        assert_eq!(
            refusal(
                r#"{"role":"r","guarantees":{"cpus":{"value":2}},"limits":{"cpus":{"value":1},"mem":{"value":0.5}}}"#
            ),
            "'QuotaConfig.guarantees' { cpus: 2 } is not contained within the \
             'QuotaConfig.limits' { cpus: 1, mem: 0.5 }"
        );
        assert_eq!(
            refusal(r#"{"role":"r","limits":{"cpus":{"value":-1}}}"#),
            "Invalid limit configuration {'cpus': -1}: Negative values not supported"
        );
        assert_eq!(
            refusal(r#"{"role":"r","guarantees":{"disk":{"value":1099511627777}}}"#),
            "Invalid 'QuotaConfig.guarantees': {'disk': 1099511627777} is invalid: values greater \
             than 1 exabyte (1099511627776) are not supported"
        );
        assert_eq!(
            refusal(r#"{"role":"a b"}"#),
            "Invalid 'QuotaConfig.role': Role component 'a b' is invalid because it contains \
             backspace or whitespace"
        );
    }

    #[test]
    fn older_guarantees_are_plain_scalars() {
        let refusal = |guarantee: &str| {
            let guarantee: Vec<Resource> =
                serde_json::from_str::<Vec<serde_json::Value>>(guarantee)
                    .unwrap()
                    .iter()
                    .map(|resource| json::from_value(resource).unwrap())
                    .collect();
            quota_guarantee("r", &guarantee).unwrap_err().0
        };
        let cpu = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}}"#;
        assert_eq!(refusal("[]"), "QuotaInfo with empty 'guarantee'");
        assert_eq!(
            refusal(&format!("[{cpu},{cpu}]")),
            "QuotaInfo contains duplicate resource name 'cpus'"
        );
        assert_eq!(
            refusal(r#"[{"name":"p","type":"RANGES","ranges":{}}]"#),
            "QuotaInfo must not include non-scalar resources"
        );
        assert_eq!(
            refusal(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"web"}]"#),
            "QuotaInfo must not contain any ReservationInfo"
        );
    }
}
