//! What the machines are told at their start, from flags.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meseta_agent as agent;
use meseta_allocator::Sorter;
use meseta_master as master;
use meseta_proto::{Upid, v1};

use crate::Failure;
use crate::flags::modules::{Chosen, FIXED_ESTIMATOR, LOAD_CONTROLLER};
use crate::flags::{FlagError, Flags};

/// The master's configuration.
pub(crate) fn master(
    flags: &Flags,
    pid: Upid,
    hostname: String,
) -> Result<master::Config, FlagError> {
    let defaults = master::Policy::default();
    let started = since_epoch();
    let mut config = master::Config::new(uuid::Uuid::new_v4().to_string(), pid);
    config.hostname = hostname;
    config.cluster = flags.get("cluster")?;
    config.domain = flags.get::<Domain>("domain")?.map(|domain| domain.0);
    config.flags = flags.shown();
    config.start_time = started;
    config.elected_time = started;
    config.authenticator = super::credentials::authenticator(flags)?;
    config.policy = master::Policy {
        authentication: master::AuthenticationPolicy {
            frameworks: is_on(flags, "authenticate_frameworks")?,
            agents: is_on(flags, "authenticate_agents")?,
            timeout: duration(
                flags,
                "authentication_v0_timeout",
                defaults.authentication.timeout,
            )?,
        },
        agent_ping_timeout: duration(flags, "agent_ping_timeout", defaults.agent_ping_timeout)?,
        max_agent_ping_timeouts: count(
            flags,
            "max_agent_ping_timeouts",
            defaults.max_agent_ping_timeouts as usize,
        )?
        .try_into()
        .unwrap_or(u32::MAX),
        agent_reregister_timeout: duration(
            flags,
            "agent_reregister_timeout",
            defaults.agent_reregister_timeout,
        )?,
        registry_gc_interval: duration(
            flags,
            "registry_gc_interval",
            defaults.registry_gc_interval,
        )?,
        registry_max_agent_age: duration(
            flags,
            "registry_max_agent_age",
            defaults.registry_max_agent_age,
        )?,
        registry_max_agent_count: count(
            flags,
            "registry_max_agent_count",
            defaults.registry_max_agent_count,
        )?,
        allocation_interval: duration(flags, "allocation_interval", defaults.allocation_interval)?,
        offer_timeout: flags.get("offer_timeout")?,
        max_completed_frameworks: count(
            flags,
            "max_completed_frameworks",
            defaults.max_completed_frameworks,
        )?,
        max_completed_tasks_per_framework: count(
            flags,
            "max_completed_tasks_per_framework",
            defaults.max_completed_tasks_per_framework,
        )?,
        max_unreachable_tasks_per_framework: count(
            flags,
            "max_unreachable_tasks_per_framework",
            defaults.max_unreachable_tasks_per_framework,
        )?,
        publish_per_framework_metrics: flags
            .get("publish_per_framework_metrics")?
            .unwrap_or(defaults.publish_per_framework_metrics),
        max_operator_event_stream_subscribers: count(
            flags,
            "max_operator_event_stream_subscribers",
            defaults.max_operator_event_stream_subscribers,
        )?,
        min_allocatable_resources: flags
            .get::<Quantities>("min_allocatable_resources")?
            .map_or(defaults.min_allocatable_resources.clone(), |q| q.0),
        root_submissions: flags
            .get("root_submissions")?
            .unwrap_or(defaults.root_submissions),
        weights: flags
            .get::<Weights>("weights")?
            .map(|weights| weights.0)
            .unwrap_or_default(),
        role_sorter: flags
            .get::<Order>("role_sorter")?
            .map_or(defaults.role_sorter, |order| order.0),
        framework_sorter: flags
            .get::<Order>("framework_sorter")?
            .map_or(defaults.framework_sorter, |order| order.0),
        fair_sharing_excluded_resource_names: names(flags, "fair_sharing_excluded_resource_names")?
            .unwrap_or_default(),
        allocator_recovery_timeout: duration(
            flags,
            "allocator_recovery_timeout",
            defaults.allocator_recovery_timeout,
        )?,
        allocator_agent_recovery_factor: flags
            .get::<Share>("allocator_agent_recovery_factor")?
            .map_or(defaults.allocator_agent_recovery_factor, |share| share.0),
        filter_gpu_resources: flags
            .get("filter_gpu_resources")?
            .unwrap_or(defaults.filter_gpu_resources),
        roles: names(flags, "roles")?,
        require_agent_domain: is_on(flags, "require_agent_domain")?,
        ..defaults
    };
    let policy = &config.policy;
    if let Some(role) = policy.weights.keys().find(|role| !policy.allows(role)) {
        return Err(FlagError::Value {
            name: "weights",
            value: flags.get("weights")?.unwrap_or_default(),
            reason: format!("{role} is not among --roles"),
        });
    }
    Ok(config)
}

/// The agent's configuration. Resources that `--resources` does not name are the machine's.
pub(crate) fn agent(
    flags: &Flags,
    pid: Upid,
    hostname: String,
    work_dir: PathBuf,
) -> Result<agent::Config, Failure> {
    let program = std::env::current_exe()
        .map_err(|e| Failure::Start(format!("failed to find this program's own file: {e}")))?;
    let mut config = agent::Config::new(pid, work_dir);
    config.hostname = hostname;
    config.resources = super::detected::resources(flags, &config.work_dir)?;
    config.attributes = flags
        .get::<Attributes>("attributes")?
        .map(|a| a.0)
        .unwrap_or_default();
    config.domain = flags.get::<Domain>("domain")?.map(|domain| domain.0);
    config.flags = flags.shown();
    config.credential = super::credentials::credential(flags)?;
    config.executor_key = super::credentials::executor_key(flags)?;
    config.authenticate_executors = is_on(flags, "authenticate_http_executors")?;
    if config.authenticate_executors && config.executor_key.is_none() {
        return Err(FlagError::Missing {
            name: "jwt_secret_key",
            reason: "--authenticate_http_executors needs a key for executors' tokens",
        }
        .into());
    }
    // What this process was told holds for those that it starts.
    config.libprocess_ip = flags
        .get("ip")?
        .or_else(|| std::env::var("LIBPROCESS_IP").ok());
    config.authentication_timeout_min = duration(
        flags,
        "authentication_timeout_min",
        config.authentication_timeout_min,
    )?;
    config.authentication_timeout_max = duration(
        flags,
        "authentication_timeout_max",
        config.authentication_timeout_max,
    )?;
    config.authentication_backoff_factor = duration(
        flags,
        "authentication_backoff_factor",
        config.authentication_backoff_factor,
    )?;
    config.registration_backoff_factor = duration(
        flags,
        "registration_backoff_factor",
        config.registration_backoff_factor,
    )?;
    config.executor_registration_timeout = duration(
        flags,
        "executor_registration_timeout",
        config.executor_registration_timeout,
    )?;
    config.executor_reregistration_timeout = duration(
        flags,
        "executor_reregistration_timeout",
        config.executor_reregistration_timeout,
    )?;
    config.executor_reregistration_retry_interval =
        flags.get("executor_reregistration_retry_interval")?;
    config.executor_shutdown_grace_period = duration(
        flags,
        "executor_shutdown_grace_period",
        config.executor_shutdown_grace_period,
    )?;
    config.recovery_timeout = duration(flags, "recovery_timeout", config.recovery_timeout)?;
    config.max_completed_executors_per_framework = count(
        flags,
        "max_completed_executors_per_framework",
        config.max_completed_executors_per_framework,
    )?;
    config.switch_user = flags.get("switch_user")?.unwrap_or(config.switch_user);
    config.executor_environment_variables = flags
        .get::<Variables>("executor_environment_variables")?
        .map(|v| v.0);
    config.gc_delay = duration(flags, "gc_delay", config.gc_delay)?;
    config.gc_disk_headroom = flags
        .get::<Share>("gc_disk_headroom")?
        .map_or(config.gc_disk_headroom, |share| share.0);
    config.disk_watch_interval =
        duration(flags, "disk_watch_interval", config.disk_watch_interval)?;
    config.resource_estimator = estimator(flags)?;
    config.qos_controller = controller(flags)?;
    config.oversubscribed_resources_interval = duration(
        flags,
        "oversubscribed_resources_interval",
        config.oversubscribed_resources_interval,
    )?;
    config.qos_correction_interval_min = duration(
        flags,
        "qos_correction_interval_min",
        config.qos_correction_interval_min,
    )?;
    config.recover = flags
        .get::<Recovery>("recover")?
        .map_or(config.recover, |it| it.0);
    config.reconfiguration_policy = flags
        .get::<Policy>("reconfiguration_policy")?
        .map_or(config.reconfiguration_policy, |it| it.0);
    config.strict = is_on(flags, "strict")?;
    // Without it, what former lives knew of processes is believed.
    config.boot_id = meseta_containerizer::machine::boot_id().unwrap_or_default();
    config.default_executor = (program.clone(), vec![super::DEFAULT_EXECUTOR.into()]);
    config.command_executor = (program, vec![super::COMMAND_EXECUTOR.into()]);
    config.sandbox_directory = flags
        .get("sandbox_directory")?
        .unwrap_or(config.sandbox_directory);
    Ok(config)
}

/// What finds out how much can be lent.
fn estimator(flags: &Flags) -> Result<Option<agent::ResourceEstimator>, FlagError> {
    let Some(mut chosen) = Chosen::from_flags(flags, FIXED_ESTIMATOR.flag)? else {
        return Ok(None);
    };
    let Some(resources) = chosen.take::<String>("resources")? else {
        return Err(chosen.refuse("the parameter resources is missing"));
    };
    chosen.end()?;
    let parsed = meseta_resources::Resources::parse(&resources, "*");
    let estimator = parsed.and_then(|resources| agent::ResourceEstimator::fixed(&resources));
    estimator
        .map(Some)
        .map_err(|e| chosen.refuse(&format!("resources: {e}")))
}

/// What finds out when those who borrow are in the way.
fn controller(flags: &Flags) -> Result<Option<agent::QosController>, FlagError> {
    let Some(mut chosen) = Chosen::from_flags(flags, LOAD_CONTROLLER.flag)? else {
        return Ok(None);
    };
    let [short, long] = ["load_threshold_5min", "load_threshold_15min"];
    let (short, long) = (chosen.take(short)?, chosen.take(long)?);
    if short.is_none() && long.is_none() {
        let sentence = "one of load_threshold_5min and load_threshold_15min is needed";
        return Err(chosen.refuse(sentence));
    }
    chosen.end()?;
    Ok(Some(agent::QosController::Load {
        threshold_5min: short,
        threshold_15min: long,
    }))
}

/// The master at an address, as an agent that was told only that address knows it.
pub(crate) fn standalone_master(address: SocketAddrV4) -> v1::MasterInfo {
    let pid = Upid::new("master", address);
    let mut info = master::Config::new("", pid.clone()).master_info();
    info.id = format!("{pid}-{}", uuid::Uuid::new_v4());
    info
}

fn duration(flags: &Flags, name: &'static str, default: Duration) -> Result<Duration, FlagError> {
    Ok(flags.get(name)?.unwrap_or(default))
}

fn is_on(flags: &Flags, name: &'static str) -> Result<bool, FlagError> {
    Ok(flags.get(name)?.unwrap_or_default())
}

fn count(flags: &Flags, name: &'static str, default: usize) -> Result<usize, FlagError> {
    Ok(flags.get(name)?.unwrap_or(default))
}

/// Names with commas between them.
fn names(flags: &Flags, name: &'static str) -> Result<Option<BTreeSet<String>>, FlagError> {
    let list: Option<String> = flags.get(name)?;
    let names = |list: String| list.split(',').map(|name| name.trim().to_owned()).collect();
    Ok(list.map(names))
}

pub(super) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Sets of quantities, as `cpus:0.01|mem:32`.
struct Quantities(Vec<BTreeMap<String, f64>>);

impl crate::flags::FlagValue for Quantities {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected sets of quantities such as cpus:0.01|mem:32".to_owned();
        let sets = text.split('|').map(|set| {
            set.split(';')
                .map(|part| {
                    let (name, quantity) = part.split_once(':').ok_or_else(expected)?;
                    let quantity: f64 = quantity.trim().parse().map_err(|_| expected())?;
                    if !quantity.is_finite() || quantity < 0.0 {
                        return Err(expected());
                    }
                    Ok((name.trim().to_owned(), quantity))
                })
                .collect()
        });
        sets.collect::<Result<_, String>>().map(Self)
    }
}

/// Weights of roles, as `web=2,batch=0.5`.
struct Weights(BTreeMap<String, f64>);

impl crate::flags::FlagValue for Weights {
    fn parse(text: &str) -> Result<Self, String> {
        let weights = text.split(',').filter(|token| !token.is_empty());
        let weights = weights.map(|token| {
            let (role, weight) = token
                .split_once('=')
                .filter(|(_, weight)| !weight.contains('='))
                .ok_or_else(|| "expected weights such as role=weight,role=weight".to_owned())?;
            meseta_master::validation::role(role).map_err(|e| e.to_string())?;
            match weight.trim().parse::<f64>() {
                Ok(weight) if weight > 0.0 && weight.is_finite() => Ok((role.to_owned(), weight)),
                Ok(_) | Err(_) => Err(format!(
                    "weights must be positive, but {role}'s is {weight}"
                )),
            }
        });
        weights.collect::<Result<_, String>>().map(Self)
    }
}

/// What decides who is served first.
struct Order(Sorter);

impl crate::flags::FlagValue for Order {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "drf" => Ok(Self(Sorter::Drf)),
            "random" => Ok(Self(Sorter::Random)),
            _ => Err("expected drf or random".into()),
        }
    }
}

/// A region and a zone, as JSON or in a file of it.
struct Domain(v1::DomainInfo);

impl crate::flags::FlagValue for Domain {
    fn parse(text: &str) -> Result<Self, String> {
        // `file://` is understood for all flags; Mesos takes the bare path, too.
        let text = if text.starts_with('/') {
            std::fs::read_to_string(text).map_err(|e| format!("failed to read the file: {e}"))?
        } else {
            text.to_owned()
        };
        let domain: v1::DomainInfo = meseta_proto::json::from_slice(text.as_bytes())
            .map_err(|e| format!("expected a DomainInfo in JSON: {e}"))?;
        if domain.fault_domain.is_none() {
            return Err("`domain` must define `fault_domain`".into());
        }
        Ok(Self(domain))
    }
}

/// What to do with executors of a former life.
struct Recovery(agent::Recover);

impl crate::flags::FlagValue for Recovery {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "reconnect" => Ok(Self(agent::Recover::Reconnect)),
            "cleanup" => Ok(Self(agent::Recover::Cleanup)),
            _ => Err("expected reconnect or cleanup".into()),
        }
    }
}

/// What may have changed since a former life.
struct Policy(agent::ReconfigurationPolicy);

impl crate::flags::FlagValue for Policy {
    fn parse(text: &str) -> Result<Self, String> {
        use agent::ReconfigurationPolicy::{Additive, Any, Equal};
        match text {
            "equal" => Ok(Self(Equal)),
            "additive" => Ok(Self(Additive)),
            "any" => Ok(Self(Any)),
            _ => Err("expected equal, additive or any".into()),
        }
    }
}

/// A part of a whole.
struct Share(f64);

impl crate::flags::FlagValue for Share {
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err("expected a number from 0.0 to 1.0".into()),
        }
    }
}

struct Attributes(Vec<v1::Attribute>);

impl crate::flags::FlagValue for Attributes {
    fn parse(text: &str) -> Result<Self, String> {
        meseta_resources::parse_attributes(text)
            .map(Self)
            .map_err(|e| e.to_string())
    }
}

/// Environment variables, as a JSON object of strings.
struct Variables(BTreeMap<String, String>);

impl crate::flags::FlagValue for Variables {
    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|e| format!("expected a JSON object of strings: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::FlagValue;

    #[test]
    fn what_is_lent_and_when_it_is_taken_back_is_refused_unless_it_is_complete() {
        let flags = |args: &[&str]| crate::flags::tests::parsed(crate::flags::agent::FLAGS, args);
        let fixed = flags(&["--resource_estimator=fixed:resources=cpus:2;mem:1024"]);
        let Some(agent::ResourceEstimator::Fixed { resources }) = estimator(&fixed).unwrap() else {
            panic!("there is one");
        };
        assert_eq!(resources, resources.revocable());
        assert_eq!(
            (resources.cpus(), resources.mem()),
            (Some(2.0), Some(1024.0))
        );
        let load = flags(&["--qos_controller=load:load_threshold_15min=6"]);
        assert_eq!(
            controller(&load).unwrap(),
            Some(agent::QosController::Load {
                threshold_5min: None,
                threshold_15min: Some(6.0)
            })
        );
        let refused = |arg: &str| {
            let flags = flags(&[arg]);
            let estimator = estimator(&flags).err();
            let error = estimator.or_else(|| controller(&flags).err()).unwrap();
            error.to_string()
        };
        for (arg, end) in [
            (
                "--resource_estimator=fixed",
                "the parameter resources is missing",
            ),
            ("--qos_controller=load", "load_threshold_15min is needed"),
            (
                "--qos_controller=load:load_threshold_5min=high",
                "load_threshold_5min: expected a number",
            ),
        ] {
            let sentence = refused(arg);
            assert!(sentence.ends_with(end), "{sentence}");
        }
    }

    #[test]
    fn a_domain_is_a_region_and_a_zone() {
        let here = r#"{"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}"#;
        let domain = Domain::parse(here).map(|domain| domain.0).unwrap();
        let place = domain.fault_domain.unwrap();
        assert_eq!((&*place.region.name, &*place.zone.name), ("r", "z"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("domain");
        std::fs::write(&file, here).unwrap();
        assert!(Domain::parse(file.to_str().unwrap()).is_ok());
        let refusal = |text| Domain::parse(text).err().unwrap();
        assert_eq!(refusal("{}"), "`domain` must define `fault_domain`");
        for text in [
            "r/z",
            "/no/such/file",
            r#"{"fault_domain":{"region":{"name":"r"}}}"#,
        ] {
            assert!(!refusal(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn weights_are_positive_numbers_of_roles() {
        let weights = |text| Weights::parse(text).map(|weights| weights.0);
        let two = [("web".to_owned(), 2.0), ("a/b".to_owned(), 0.5)];
        assert_eq!(weights("web=2,a/b=0.5"), Ok(two.into()));
        for (text, sentence) in [
            ("web", "expected weights such as role=weight,role=weight"),
            ("web=0", "weights must be positive, but web's is 0"),
            ("web=inf", "weights must be positive, but web's is inf"),
            ("/web=1", "Role '/web' cannot start with a slash"),
        ] {
            assert_eq!(weights(text), Err(sentence.to_owned()));
        }
    }
}
