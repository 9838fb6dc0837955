//! What the command line asks for: a framework, and the one task that it is there for.

use std::collections::BTreeMap;
use std::time::Duration;

use meseta_framework::resource::Remainder;
use meseta_framework::v1::environment::Variable;
use meseta_framework::v1::framework_info::{Capability, capability};
use meseta_framework::v1::{CommandInfo, Environment, FrameworkInfo, Offer, TaskInfo};
use meseta_framework::{Encoding, Settings};
use meseta_resources::Resources;

use crate::Failure;
use crate::address::master_address;
use crate::flags::{FlagError, Flags};

/// The task, and how to get it to run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) settings: Settings,
    pub(super) name: String,
    pub(super) kill_after: Option<Duration>,
    command: CommandInfo,
    resources: Resources,
}

impl Job {
    pub(super) fn from_flags(flags: &Flags) -> Result<Self, Failure> {
        let master: String = flags.require("master", "the task needs a cluster to run on")?;
        let master = master_address(&master)?;
        let name: String = flags.require("name", "the task needs a name")?;
        let role: String = flags.get("role")?.unwrap_or_default();
        let framework = FrameworkInfo {
            user: own_name()?,
            name: "mesos-execute instance".into(),
            roles: vec![role],
            checkpoint: flags.get("checkpoint")?,
            principal: flags.get("principal")?,
            capabilities: capabilities(flags)?,
            ..FrameworkInfo::default()
        };
        let mut settings = Settings::new(master.to_string(), framework);
        settings.encoding = encoding(flags)?;
        Ok(Self {
            settings,
            name,
            kill_after: flags.get("kill_after")?,
            command: command(flags)?,
            resources: resources(flags)?,
        })
    }

    /// The task on the resources of an offer, if they are enough.
    pub(super) fn task_for(&self, offer: &Offer) -> Option<TaskInfo> {
        Some(TaskInfo {
            name: self.name.clone(),
            task_id: self.name.as_str().into(),
            agent_id: offer.agent_id.clone(),
            command: Some(self.command.clone()),
            resources: Remainder::of(offer).take(&self.resources.to_v1())?,
            ..TaskInfo::default()
        })
    }

    /// Why an offer is not enough.
    pub(super) fn why_not(&self, offer: &Offer) -> String {
        let agent = &offer.agent_id;
        let offered = Resources::from_v1(&offer.resources).map_or_else(
            |e| format!("unreadable resources ({e})"),
            |r| r.unallocate().to_string(),
        );
        format!(
            "Agent '{agent}' offers {offered}; the task needs {}: waiting for a better offer",
            self.resources
        )
    }
}

fn own_name() -> Result<String, Failure> {
    let uid = nix::unistd::getuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => Ok(user.name),
        Ok(None) => Err(Failure::Start(format!("No username for uid {uid}"))),
        Err(error) => Err(Failure::Start(format!("Failed to get username: {error}"))),
    }
}

fn capabilities(flags: &Flags) -> Result<Vec<Capability>, FlagError> {
    let mut types = vec![
        capability::Type::MultiRole,
        capability::Type::ReservationRefinement,
        capability::Type::TaskKillingState,
        capability::Type::RevocableResources,
    ];
    if flags.get("partition_aware")? == Some(true) {
        types.push(capability::Type::PartitionAware);
    }
    Ok(types
        .into_iter()
        .map(|t| Capability {
            r#type: Some(t.into()),
        })
        .collect())
}

fn encoding(flags: &Flags) -> Result<Encoding, FlagError> {
    let value: String = flags.get("content_type")?.unwrap_or_default();
    match value.as_str() {
        "json" | "application/json" => Ok(Encoding::Json),
        "protobuf" | "application/x-protobuf" => Ok(Encoding::Protobuf),
        _ => Err(refuse("content_type", value, "expected json or protobuf")),
    }
}

fn command(flags: &Flags) -> Result<CommandInfo, FlagError> {
    let text: String = flags.require("command", "there is nothing to run without one")?;
    let environment = environment(flags)?;
    if flags.get("shell")? == Some(true) {
        return Ok(CommandInfo {
            shell: Some(true),
            value: Some(text),
            environment,
            ..CommandInfo::default()
        });
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let program = words.first().cloned();
    Ok(CommandInfo {
        shell: Some(false),
        value: Some(program.ok_or_else(|| refuse("command", text, "expected a program"))?),
        arguments: words,
        environment,
        ..CommandInfo::default()
    })
}

fn environment(flags: &Flags) -> Result<Option<Environment>, FlagError> {
    let Some(text) = flags.get::<String>("env")? else {
        return Ok(None);
    };
    let variables: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|e| {
        refuse(
            "env",
            text,
            &format!("expected a JSON object such as {{\"NAME\": \"value\"}}: {e}"),
        )
    })?;
    let variables = variables
        .into_iter()
        .map(|(name, value)| Variable {
            name,
            value: Some(value),
            ..Variable::default()
        })
        .collect();
    Ok(Some(Environment { variables }))
}

fn resources(flags: &Flags) -> Result<Resources, FlagError> {
    let text: String = flags.get("resources")?.unwrap_or_default();
    Resources::parse(&text, "*").map_err(|e| refuse("resources", text, &e.to_string()))
}

fn refuse(name: &'static str, value: String, reason: &str) -> FlagError {
    FlagError::Value {
        name,
        value,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Command;
    use meseta_framework::v1::resource::{ReservationInfo, reservation_info};

    use super::*;
    use crate::flags::execute::FLAGS;

    fn job(args: &[&str]) -> Result<Job, String> {
        let master = ["--master=127.0.0.1:5050"];
        let master = if args.iter().any(|a| a.starts_with("--master")) {
            &[][..]
        } else {
            &master
        };
        let least = ["--name=t", "--command=sleep  10"];
        let args = least.iter().chain(master).chain(args).map(OsString::from);
        Flags::parse(Command::new("meseta execute"), FLAGS, args, |_| None)
            .map_err(Failure::from)
            .and_then(|flags| Job::from_flags(&flags))
            .map_err(|e| e.to_string())
    }

    fn offer(resources: &[(&str, &str)]) -> Offer {
        let resources = resources.iter().flat_map(|(text, role)| {
            let mut resources = Resources::parse(text, "*").unwrap();
            if *role != "*" {
                let reservation = ReservationInfo {
                    r#type: Some(reservation_info::Type::Static.into()),
                    role: Some((*role).to_owned()),
                    ..ReservationInfo::default()
                };
                resources = resources.push_reservation(&reservation).unwrap();
            }
            resources.allocate("eng").to_v1()
        });
        Offer {
            resources: resources.collect(),
            ..Offer::default()
        }
    }

    #[test]
    fn a_command_line_makes_a_framework_and_a_task() {
        let job = job(&["--role=eng", "--env={\"A\": \"b\"}", "--kill_after=2mins"]).unwrap();
        assert_eq!(job.settings.masters, ["127.0.0.1:5050"]);
        assert_eq!(job.settings.framework.roles, ["eng"]);
        assert_eq!(job.kill_after, Some(Duration::from_mins(2)));
        assert_eq!(job.command.value(), "sleep  10");
        let environment = job.command.environment.unwrap();
        assert_eq!(environment.variables[0].name, "A");
        assert_eq!(environment.variables[0].value(), "b");
    }

    #[test]
    fn without_a_shell_the_words_are_program_and_arguments() {
        let job = job(&["--no-shell"]).unwrap();
        assert!(!job.command.shell());
        assert_eq!(job.command.value(), "sleep");
        assert_eq!(job.command.arguments, ["sleep", "10"]);
    }

    #[test]
    fn what_is_wrong_with_a_command_line_is_said() {
        for (arg, sentence) in [
            (
                "--env=A=b",
                "invalid value 'A=b' for --env: expected a JSON object",
            ),
            ("--resources=cpus", "invalid value 'cpus' for --resources"),
            (
                "--content_type=xml",
                "invalid value 'xml' for --content_type: expected json",
            ),
            ("--docker_image=x", "--docker_image=x is not served yet"),
            (
                "--master=zk://z/mesos",
                "invalid value 'zk://z/mesos' for --master",
            ),
        ] {
            let error = job(&[arg]).unwrap_err();
            assert!(error.starts_with(sentence), "{error}");
        }
    }

    #[test]
    fn a_task_takes_no_more_than_it_needs_and_reserved_resources_first() {
        let job = job(&[
            "--role=eng",
            "--resources=cpus:1;mem:128;ports:[31000-31001]",
        ])
        .unwrap();
        let offer = offer(&[
            ("cpus:4;mem:64;ports:[31000-32000]", "*"),
            ("cpus:2;mem:256", "eng"),
        ]);
        let task = job.task_for(&offer).unwrap();
        assert_eq!(
            Resources::from_v1(&task.resources).unwrap().to_string(),
            "cpus(allocated: eng)(reservations: [(STATIC,eng)]):1; \
             mem(allocated: eng)(reservations: [(STATIC,eng)]):128; \
             ports(allocated: eng):[31000-31001]"
        );
    }

    #[test]
    fn an_offer_of_too_little_is_not_used() {
        let job = job(&["--resources=cpus:8"]).unwrap();
        let offer = offer(&[("cpus:4;mem:64", "*")]);
        assert!(job.task_for(&offer).is_none());
        assert_eq!(
            job.why_not(&offer),
            "Agent '' offers cpus:4; mem:64; the task needs cpus:8: waiting for a better offer"
        );
    }
}
