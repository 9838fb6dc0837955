//! Parts of the agent that Mesos loads as modules and that are built in here.
//!
//! A flag chooses one by its own name, or by that of Mesos's module, with parameters behind it:
//! `--container_logger=logrotate:max_stdout_size=20MB,max_stderr_size=5MB`. The parameters may also
//! be in `--modules`, as Mesos's users have them, under the module's name.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{FlagError, FlagValue, Flags};

/// Something that a flag can choose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Module {
    /// Its own name.
    pub(crate) name: &'static str,
    /// What Mesos calls its module.
    pub(crate) in_mesos: &'static str,
    /// The flag that chooses it.
    pub(crate) flag: &'static str,
}

pub(crate) const LOGROTATE: Module = Module {
    name: "logrotate",
    in_mesos: "org_apache_mesos_LogrotateContainerLogger",
    flag: "container_logger",
};

/// Output as it is, in files without bounds: what Mesos does when it is told nothing.
pub(crate) const SANDBOX: Module = Module {
    name: "sandbox",
    in_mesos: "org_apache_mesos_SandboxContainerLogger",
    flag: "container_logger",
};

pub(crate) const FIXED_ESTIMATOR: Module = Module {
    name: "fixed",
    in_mesos: "org_apache_mesos_FixedResourceEstimator",
    flag: "resource_estimator",
};

pub(crate) const LOAD_CONTROLLER: Module = Module {
    name: "load",
    in_mesos: "org_apache_mesos_LoadQoSController",
    flag: "qos_controller",
};

const ALL: [Module; 4] = [LOGROTATE, SANDBOX, FIXED_ESTIMATOR, LOAD_CONTROLLER];

/// A module that a flag has chosen, with parameters that are still to be understood.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) module: Module,
    value: String,
    parameters: BTreeMap<String, String>,
}

impl Chosen {
    /// What a flag has chosen, if it was given.
    pub(crate) fn from_flags(flags: &Flags, flag: &'static str) -> Result<Option<Self>, FlagError> {
        // Whatever is in it, so that nobody believes to have loaded what is not there.
        let Loaded(mut loaded) = flags.get("modules")?.unwrap_or_default();
        let Some(value) = flags.get::<String>(flag)? else {
            return Ok(None);
        };
        let (name, given) = value.split_once(':').unwrap_or((&value, ""));
        let module = of_flag(flag)
            .find(|module| [module.name, module.in_mesos].contains(&name))
            .ok_or_else(|| FlagError::Value {
                name: flag,
                value: value.clone(),
                reason: format!("expected {}", names(of_flag(flag))),
            })?;
        let mut parameters = loaded.remove(module.in_mesos).unwrap_or_default();
        for parameter in parameters_in(given) {
            let (key, given) = parameter.split_once('=').unwrap_or((&parameter, ""));
            parameters.insert(key.trim().to_owned(), given.trim().to_owned());
        }
        Ok(Some(Self {
            module,
            value,
            parameters,
        }))
    }

    /// Takes a parameter.
    pub(crate) fn take<T: FlagValue>(&mut self, key: &str) -> Result<Option<T>, FlagError> {
        let Some(text) = self.parameters.remove(key) else {
            return Ok(None);
        };
        let parsed = T::parse(&text).map_err(|reason| self.refuse(&format!("{key}: {reason}")))?;
        Ok(Some(parsed))
    }

    /// Refuses parameters that nobody has taken.
    pub(crate) fn end(&self) -> Result<(), FlagError> {
        match self.parameters.keys().next() {
            Some(key) => Err(self.refuse(&format!("there is no parameter {key}"))),
            None => Ok(()),
        }
    }

    /// An error that names the flag.
    pub(crate) fn refuse(&self, reason: &str) -> FlagError {
        FlagError::Value {
            name: self.module.flag,
            value: self.value.clone(),
            reason: format!("{}: {reason}", self.module.name),
        }
    }
}

fn of_flag(flag: &str) -> impl Iterator<Item = Module> {
    ALL.into_iter().filter(move |module| module.flag == flag)
}

fn names(modules: impl Iterator<Item = Module>) -> String {
    let names: Vec<String> = modules
        .map(|module| format!("{} ({})", module.name, module.in_mesos))
        .collect();
    names.join(" or ")
}

/// Parameters have commas between them; what has no name belongs to the one before it.
fn parameters_in(text: &str) -> Vec<String> {
    let mut parameters: Vec<String> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match parameters.last_mut() {
            Some(last) if !part.contains('=') => {
                last.push(',');
                last.push_str(part);
            }
            _ => parameters.push(part.to_owned()),
        }
    }
    parameters
}

/// The parameters of each module that `--modules` names.
#[derive(Debug, Default)]
struct Loaded(BTreeMap<String, BTreeMap<String, String>>);

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    libraries: Vec<Library>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default)]
    modules: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    key: String,
    value: String,
}

impl FlagValue for Loaded {
    fn parse(text: &str) -> Result<Self, String> {
        // Mesos takes the path of a file as well.
        let read = text.starts_with('/').then(|| std::fs::read_to_string(text));
        let text = match read.transpose() {
            Ok(read) => read.unwrap_or_else(|| text.to_owned()),
            Err(error) => return Err(format!("failed to read '{text}': {error}")),
        };
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|e| format!("expected a list of modules: {e}"))?;
        let mut loaded = BTreeMap::new();
        for named in manifest.libraries.into_iter().flat_map(|it| it.modules) {
            if !ALL.iter().any(|module| module.in_mesos == named.name) {
                return Err(format!(
                    "the module {} is not built in; there are {}",
                    named.name,
                    names(ALL.into_iter())
                ));
            }
            let parameters = named.parameters.into_iter().map(|it| (it.key, it.value));
            loaded.insert(named.name, parameters.collect());
        }
        Ok(Self(loaded))
    }
}

impl FlagValue for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => Err("expected a number".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{agent::FLAGS, tests::parsed};
    use super::*;

    fn chosen(args: &[&str], flag: &'static str) -> Result<Option<Chosen>, FlagError> {
        Chosen::from_flags(&parsed(FLAGS, args), flag)
    }

    #[test]
    fn modules_have_names_of_their_own_and_those_of_mesos() {
        let flag = "container_logger";
        assert!(chosen(&[], flag).unwrap().is_none());
        for name in ["logrotate", "org_apache_mesos_LogrotateContainerLogger"] {
            let arg = format!("--container_logger={name}:max_stdout_size=5MB");
            let mut logger = chosen(&[&arg], flag).unwrap().unwrap();
            assert_eq!(logger.module.name, "logrotate");
            assert_eq!(
                logger.take::<String>("max_stdout_size").unwrap().as_deref(),
                Some("5MB")
            );
            logger.end().unwrap();
        }
        let error = chosen(&["--container_logger=fixed"], flag).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value 'fixed' for --container_logger: expected logrotate \
             (org_apache_mesos_LogrotateContainerLogger) or sandbox \
             (org_apache_mesos_SandboxContainerLogger)"
        );
    }

    #[test]
    fn parameters_are_found_where_users_of_mesos_have_them() {
        let modules = r#"--modules={"libraries":[{"file":"/usr/lib/libfixed.so","modules":[
            {"name":"org_apache_mesos_FixedResourceEstimator",
             "parameters":[{"key":"resources","value":"cpus:14"}]}]}]}"#;
        let estimator = "--resource_estimator=org_apache_mesos_FixedResourceEstimator";
        let mut estimator = chosen(&[modules, estimator], "resource_estimator")
            .unwrap()
            .unwrap();
        let resources = estimator.take::<String>("resources").unwrap();
        assert_eq!(resources.as_deref(), Some("cpus:14"));
        estimator.end().unwrap();

        let other = r#"--modules={"libraries":[{"modules":[{"name":"com_example_X"}]}]}"#;
        let error = chosen(&[other], "resource_estimator").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the module com_example_X is not built in")
        );
    }

    #[test]
    fn parameters_that_nobody_knows_are_refused() {
        let arg = "--resource_estimator=fixed:resources=cpus:2;ports:[1-2,5-6],x=1";
        let mut estimator = chosen(&[arg], "resource_estimator").unwrap().unwrap();
        let resources = estimator.take::<String>("resources").unwrap();
        assert_eq!(resources.as_deref(), Some("cpus:2;ports:[1-2,5-6]"));
        let error = estimator.end().unwrap_err().to_string();
        assert!(error.ends_with("fixed: there is no parameter x"), "{error}");
    }
}
