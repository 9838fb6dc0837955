use std::collections::BTreeSet;

use meseta_proto::v1::framework_info::capability;
use meseta_proto::v1::scheduler::OfferConstraints;
use meseta_proto::v1::{FrameworkInfo, OfferFilters};

use super::{Checked, Invalid, constraints, id, role, set_text};

/// What the operator lets frameworks do.
#[derive(Debug, Clone, Copy)]
pub struct FrameworkRules<'a> {
    /// The value of `--roles`: the only roles there are, if given.
    pub roles: Option<&'a BTreeSet<String>>,
    /// `--root_submissions`
    pub root_submissions: bool,
}

/// Checks a framework that subscribes or updates itself.
pub fn framework(info: &FrameworkInfo, rules: FrameworkRules<'_>) -> Checked {
    roles_of(info)?;
    if let Some(framework_id) = &info.id
        && !framework_id.as_str().is_empty()
    {
        id(framework_id.as_str())?;
    }
    for filters in info.offer_filters.values() {
        offer_filters(filters)?;
    }
    failover_timeout(info.failover_timeout())?;
    if let Some(allowed) = rules.roles {
        let refused: BTreeSet<&str> = roles(info)
            .filter(|role| *role != "*" && !allowed.contains(*role))
            .collect();
        if !refused.is_empty() {
            return Err(Invalid(format!(
                "Roles {} are not present in the master's --roles",
                set_text(refused)
            )));
        }
    }
    if info.user == "root" && !rules.root_submissions {
        return Err(Invalid::new(
            "User 'root' is not allowed to run frameworks without --root_submissions set",
        ));
    }
    Ok(())
}

/// Checks that an update leaves alone what cannot change in a framework's life.
pub fn framework_update(old: &FrameworkInfo, new: &FrameworkInfo) -> Checked {
    if old.principal != new.principal {
        // The old principal is nobody else's business.
        return Err(Invalid::new(
            "Changing framework's principal is not allowed.",
        ));
    }
    let unsupported = |field: &str, from: &str, to: &str| {
        Err(Invalid(format!(
            "Updating 'FrameworkInfo.{field}' is unsupported; attempted to update from '{from}' to \
             '{to}'"
        )))
    };
    if old.user != new.user {
        return unsupported("user", &old.user, &new.user);
    }
    if old.checkpoint() != new.checkpoint() {
        return unsupported(
            "checkpoint",
            flag_text(old.checkpoint()),
            flag_text(new.checkpoint()),
        );
    }
    Ok(())
}

/// Checks that a framework suppresses offers only for roles that it has.
pub fn suppressed_roles(info: &FrameworkInfo, suppressed: &[String]) -> Checked {
    let own: BTreeSet<&str> = roles(info).collect();
    match suppressed.iter().find(|role| !own.contains(role.as_str())) {
        Some(role) => Err(Invalid(format!(
            "Suppressed role '{role}' is not contained in the list of roles"
        ))),
        None => Ok(()),
    }
}

/// Checks the constraints that a framework puts on its offers.
pub fn offer_constraints(info: &FrameworkInfo, given: &OfferConstraints) -> Checked {
    let own: BTreeSet<&str> = roles(info).collect();
    for role in given.role_constraints.keys() {
        if !own.contains(role.as_str()) {
            // The blank that is missing here is missing in Mesos's sentence.
            return Err(Invalid(format!(
                "Offer constraints specify `role_constraints` for a role '{role}'not contained in \
                 the set of roles"
            )));
        }
    }
    constraints::constraints(given)
}

fn is_multi_role(info: &FrameworkInfo) -> bool {
    info.capabilities
        .iter()
        .any(|capability| capability.r#type() == capability::Type::MultiRole)
}

/// The roles that a framework is in; one that names none and has one role is in `*`.
fn roles(info: &FrameworkInfo) -> impl Iterator<Item = &str> {
    let (many, one) = if is_multi_role(info) {
        (info.roles.as_slice(), None)
    } else {
        (&[][..], Some(info.role()))
    };
    many.iter().map(String::as_str).chain(one)
}

#[allow(deprecated, reason = "frameworks of one role set it")]
fn roles_of(info: &FrameworkInfo) -> Checked {
    if !is_multi_role(info) {
        if !info.roles.is_empty() {
            return Err(Invalid::new(
                "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
            ));
        }
        return role(info.role())
            .map_err(|e| Invalid(format!("'FrameworkInfo.role' is not a valid role: {e}")));
    }
    if info.role.is_some() {
        return Err(Invalid::new(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ));
    }
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<&str> = info
        .roles
        .iter()
        .map(String::as_str)
        .filter(|role| !seen.insert(*role))
        .collect();
    if !duplicates.is_empty() {
        return Err(Invalid(format!(
            "'FrameworkInfo.roles' contains duplicate items: {}",
            set_text(duplicates)
        )));
    }
    info.roles.iter().try_for_each(|name| {
        role(name).map_err(|e| Invalid(format!("'FrameworkInfo.roles' contains invalid role: {e}")))
    })
}

fn offer_filters(filters: &OfferFilters) -> Checked {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for quantities in &minimum.quantities {
        if quantities.quantities.is_empty() {
            return Err(Invalid::new(
                "Resource quantities must contain at least one quantity",
            ));
        }
        for (name, quantity) in &quantities.quantities {
            input_scalar(quantity.value)
                .map_err(|e| Invalid(format!("Invalid resource quantity for '{name}': {e}")))?;
        }
    }
    Ok(())
}

/// Checks a number that a client gives as a quantity.
pub(super) fn input_scalar(value: f64) -> Checked {
    match value.classify() {
        std::num::FpCategory::Infinite => Err(Invalid::new("Infinite values not supported")),
        std::num::FpCategory::Nan => Err(Invalid::new("NaN not supported")),
        std::num::FpCategory::Subnormal => Err(Invalid::new("Subnormal values not supported")),
        _ if value < 0.0 => Err(Invalid::new("Negative values not supported")),
        _ => Ok(()),
    }
}

/// Mesos keeps durations in 64 bits of nanoseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "a limit of 292 years need not be exact"
)]
fn failover_timeout(seconds: f64) -> Checked {
    let limit = i64::MAX as f64 / 1e9;
    if (-limit..=limit).contains(&seconds) {
        return Ok(());
    }
    Err(Invalid(format!(
        "The framework failover_timeout ({}) is invalid",
        double_text(seconds)
    )))
}

/// A double as C++ streams print it, with six digits: `1e+300`.
fn double_text(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan".to_owned()
        } else if value > 0.0 {
            "inf".to_owned()
        } else {
            "-inf".to_owned()
        };
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    match exponent.strip_prefix('-') {
        Some(digits) => format!("{mantissa}e-{digits:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

fn flag_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    const ANY: FrameworkRules<'static> = FrameworkRules {
        roles: None,
        root_submissions: true,
    };

    fn info(text: &str) -> FrameworkInfo {
        json::from_slice(format!(r#"{{"user":"root","name":"f"{text}}}"#).as_bytes()).unwrap()
    }

    fn refusal(text: &str) -> String {
        framework(&info(text), ANY).unwrap_err().to_string()
    }

    const MULTI: &str = r#","capabilities":[{"type":"MULTI_ROLE"}]"#;

    #[test]
    fn roles_must_fit_the_capability() {
        assert_eq!(framework(&info(""), ANY), Ok(()));
        assert_eq!(framework(&info(MULTI), ANY), Ok(()));
        assert_eq!(
            refusal(&format!(r#","role":"a"{MULTI}"#)),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
        );
        assert_eq!(
            refusal(r#","roles":["a"]"#),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        );
        assert_eq!(
            refusal(&format!(r#","roles":["a","b","a"]{MULTI}"#)),
            "'FrameworkInfo.roles' contains duplicate items: { a }"
        );
        assert_eq!(
            refusal(r#","role":"""#),
            "'FrameworkInfo.role' is not a valid role: Role names cannot be the empty string"
        );
    }

    #[test]
    fn the_operator_limits_roles_and_root() {
        let allowed = BTreeSet::from(["a".to_owned()]);
        let rules = FrameworkRules {
            roles: Some(&allowed),
            root_submissions: false,
        };
        let refusal = |text: &str| framework(&info(text), rules).unwrap_err().to_string();
        assert_eq!(
            refusal(&format!(r#","roles":["c","a","b","*"]{MULTI}"#)),
            "Roles { b, c } are not present in the master's --roles"
        );
        assert_eq!(
            refusal(r#","role":"a""#),
            "User 'root' is not allowed to run frameworks without --root_submissions set"
        );
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        assert_eq!(
            refusal(r#","failover_timeout":1e300"#),
            "The framework failover_timeout (1e+300) is invalid"
        );
        assert_eq!(framework(&info(r#","failover_timeout":-1"#), ANY), Ok(()));
        assert_eq!(
            refusal(
                r#","offer_filters":{"a":{"min_allocatable_resources":{"quantities":[
                {"quantities":{"cpus":{"value":-1}}}]}}}"#
            ),
            "Invalid resource quantity for 'cpus': Negative values not supported"
        );
    }

    #[test]
    fn user_principal_and_checkpointing_stay() {
        let refusal = |old: &str, new: &str| {
            framework_update(&info(old), &info(new))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal("", r#","principal":"p""#),
            "Changing framework's principal is not allowed."
        );
        assert_eq!(
            refusal("", r#","checkpoint":true"#),
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from 'false' \
             to 'true'"
        );
        assert_eq!(framework_update(&info(""), &info(r#","role":"b""#)), Ok(()));
    }

    #[test]
    fn suppressed_roles_and_constraints_are_of_the_frameworks_own_roles() {
        let info = info(&format!(r#","roles":["a"]{MULTI}"#));
        assert_eq!(suppressed_roles(&info, &["a".into()]), Ok(()));
        assert_eq!(
            suppressed_roles(&info, &["b".into()])
                .unwrap_err()
                .to_string(),
            "Suppressed role 'b' is not contained in the list of roles"
        );
        let given: OfferConstraints =
            json::from_slice(br#"{"role_constraints":{"b":{}}}"#).unwrap();
        assert_eq!(
            offer_constraints(&info, &given).unwrap_err().to_string(),
            "Offer constraints specify `role_constraints` for a role 'b'not contained in the set \
             of roles"
        );
    }
}
