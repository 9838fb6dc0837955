//! The process that fetches, and how it is told what to do.

use std::process::ExitCode;

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
const INHERITED: [&str; 14] = [
    "ALL_PROXY",
    "HADOOP_CONF_DIR",
    "HADOOP_HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_HOME",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
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
        let mut environment: Vec<(String, String)> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), ours(name)?)))
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
}
