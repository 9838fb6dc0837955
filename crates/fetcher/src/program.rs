//! The process that fetches, and how it is told what to do.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Signal};

use crate::job::{Error, Item, Job};

/// The exit status that says that a file is larger than wanted.
pub const DOES_NOT_FIT: u8 = 3;

/// Names the variable with the job, without its items. The environment of a process is its
/// user's alone to see, and URIs may hold secrets.
const JOB: &str = "MESETA_FETCHER_JOB";

/// Names the variables with an item each, with its number behind: one string is limited to 128 KB
/// by Linux, all together are not.
const ITEM: &str = "MESETA_FETCHER_ITEM_";

/// What the process needs of the environment of the agent, to reach proxies and the Hadoop client.
const INHERITED: [&str; 17] = [
    "ALL_PROXY",
    "HADOOP_CLASSPATH",
    "HADOOP_CONF_DIR",
    "HADOOP_HOME",
    "HADOOP_OPTS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_HOME",
    "KRB5CCNAME",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What says where an object store is and who may read it. It goes to fetches that ask that store,
/// and to no other.
const STORES: [(&[&str], &[&str]); 3] = [
    (
        &["s3", "s3a", "s3n"],
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_DEFAULT_REGION",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_PROFILE",
            "AWS_REGION",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_STS_REGIONAL_ENDPOINTS",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "HOME",
        ],
    ),
    (
        &["gs"],
        &[
            "GCE_METADATA_HOST",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "HOME",
            "STORAGE_EMULATOR_HOST",
            "XDG_CONFIG_HOME",
        ],
    ),
    (
        &["abfs", "abfss", "az", "azure", "wasb", "wasbs"],
        &[
            "AZURE_AUTHORITY_HOST",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD",
            "AZURE_CLIENT_CERTIFICATE_PATH",
            "AZURE_CLIENT_ID",
            "AZURE_CLIENT_SECRET",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_STORAGE_ACCOUNT",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_ENDPOINT",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_TENANT_ID",
            "HOME",
        ],
    ),
];

impl Job {
    /// The environment for a process that does the job, given that of the agent.
    ///
    /// # Errors
    /// When a path can't be told, because it is no text.
    pub fn environment(
        &self,
        ours: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, serde_json::Error> {
        let stores = STORES.iter().filter(|(schemes, _)| {
            let mut asked = self.items.iter().filter_map(Item::scheme);
            asked.any(|asked| {
                schemes
                    .iter()
                    .any(|scheme| scheme.eq_ignore_ascii_case(asked))
            })
        });
        let names: BTreeSet<&str> = stores
            .flat_map(|(_, names)| names.iter())
            .chain(&INHERITED)
            .copied()
            .collect();
        let mut environment: Vec<(String, String)> = names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), ours(name)?)))
            .collect();
        let head = Self {
            items: Vec::new(),
            ..self.clone()
        };
        environment.push((JOB.into(), serde_json::to_string(&head)?));
        for (number, item) in self.items.iter().enumerate() {
            environment.push((format!("{ITEM}{number}"), serde_json::to_string(item)?));
        }
        Ok(environment)
    }

    fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, serde_json::Error> {
        let mut job: Self = serde_json::from_str(&variable(JOB).unwrap_or_default())?;
        while let Some(item) = variable(&format!("{ITEM}{}", job.items.len())) {
            job.items.push(serde_json::from_str::<Item>(&item)?);
        }
        Ok(job)
    }
}

/// Does the job that the environment describes, telling of it on standard error.
pub fn run() -> ExitCode {
    let mut stderr = std::io::stderr();
    let complain = |sentence: String| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{sentence}");
    };
    let job = match Job::from_environment(|name| std::env::var(name).ok()) {
        Ok(job) => job,
        Err(error) => {
            complain(format!("Failed to read what is to be fetched: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = stay_with(job.agent) {
        complain(format!("Failed to begin fetching: {error}"));
        return ExitCode::FAILURE;
    }
    match job.fetch(&mut stderr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.to_string());
            match error {
                Error::DoesNotFit { .. } => ExitCode::from(DOES_NOT_FIT),
                Error::Sandbox { .. } | Error::Item { .. } => ExitCode::FAILURE,
            }
        }
    }
}

/// Ends this process with the agent, so that nothing writes to a sandbox that nobody knows of; and
/// keeps what the environment may hold from other processes of the task's user.
fn stay_with(agent: Option<u32>) -> std::io::Result<()> {
    let Some(agent) = agent else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if u32::try_from(parent) != Ok(agent) {
        return Err(std::io::Error::other("the agent has ended"));
    }
    let owner = std::fs::metadata(format!("/proc/{agent}"))?.uid();
    if owner != rustix::process::getuid().as_raw() {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_job_reaches_its_process_whole_and_nothing_else_of_the_agent_does() {
        let item = |uri: &str| Item {
            uri: uri.into(),
            ..Item::default()
        };
        let job = Job {
            directory: "/sandbox".into(),
            items: vec![item("http://h/a"), item("/b")],
            max_bytes: Some(7),
            ..Job::default()
        };
        let ours = |name: &str| (name == "PATH" || name == "SECRET").then(|| "x".to_owned());
        let told: BTreeMap<_, _> = job.environment(ours).unwrap().into_iter().collect();
        let names: Vec<_> = told.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "MESETA_FETCHER_ITEM_0",
                "MESETA_FETCHER_ITEM_1",
                "MESETA_FETCHER_JOB",
                "PATH"
            ]
        );
        let read = Job::from_environment(|name| told.get(name).cloned()).unwrap();
        assert_eq!(read, job);
    }

    #[test]
    fn credentials_go_to_the_store_that_they_are_for_and_nowhere_else() {
        let told = |uri: &str| {
            let item = Item {
                uri: uri.into(),
                ..Item::default()
            };
            let job = Job {
                items: vec![item],
                ..Job::default()
            };
            let secrets = ["AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"];
            let ours = |name: &str| secrets.contains(&name).then(|| "secret".to_owned());
            let told = job.environment(ours).unwrap();
            let names = told.into_iter().map(|(name, _)| name);
            names
                .filter(|name| !name.starts_with("MESETA_"))
                .collect::<Vec<_>>()
        };
        assert_eq!(told("S3://bucket/a"), ["AWS_SECRET_ACCESS_KEY"]);
        assert_eq!(told("az://box/a"), ["AZURE_STORAGE_KEY"]);
        assert!(told("http://h/a").is_empty());
        assert!(told("/etc/hosts").is_empty());
    }
}
