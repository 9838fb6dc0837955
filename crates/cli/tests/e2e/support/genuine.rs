//! A genuine Mesos 1.11.0, which `cargo xtask test` puts into `target/oracle`. Where it is not, tests skip.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::daemon::{Place, registered_agents};
use super::golden::repository;
use super::programs::Program;
use super::scheduler::Endpoint;
use super::{free_address, skip};

/// After how many seconds a genuine program ends by itself, should nobody end it. Its master allocates
/// once a second, so that some tests take their time.
const SECONDS: &str = "600";

/// Flags of a genuine program, as variables of its environment.
pub(crate) type Flags<'a> = [(&'a str, &'a str)];

/// Where the genuine Mesos is.
#[derive(Debug)]
pub(crate) struct Oracle {
    folder: PathBuf,
}

/// The genuine Mesos, if it was set up; says so if not.
pub(crate) fn oracle() -> Option<Oracle> {
    let folder = repository("target/oracle");
    if !folder.join("ready").exists() {
        skip("no genuine Mesos in target/oracle");
        return None;
    }
    Some(Oracle { folder })
}

/// A genuine master with its agent, or an agent alone.
#[derive(Debug)]
pub(crate) struct Genuine {
    pub(crate) address: SocketAddr,
    /// Ended with the test.
    _program: Program,
}

impl Oracle {
    /// A master and an agent of its own, which it has registered.
    pub(crate) fn cluster(&self, place: &Place, flags: &Flags<'_>) -> Genuine {
        let address = free_address();
        let port = address.port().to_string();
        let program = self.run(place, &["cluster", &port, SECONDS], flags);
        registered_agents(address, 1);
        Genuine {
            address,
            _program: program,
        }
    }

    /// An agent that joins a master.
    pub(crate) fn agent(&self, place: &Place, master: SocketAddr, flags: &Flags<'_>) -> Genuine {
        let address = free_address();
        let (master, port) = (master.to_string(), address.port().to_string());
        let program = self.run(place, &["agent", &master, &port, SECONDS], flags);
        Genuine {
            address,
            _program: program,
        }
    }

    /// A framework on the old driver, which prints a line for each of its callbacks. After the master, the
    /// principal, the secret and the framework's id may be given.
    pub(crate) fn driver(&self, place: &Place, master: SocketAddr, more: &[&str]) -> Program {
        let master = master.to_string();
        let arguments = [&["driver", &master, SECONDS], more].concat();
        self.run(place, &arguments, &[])
    }

    fn run(&self, place: &Place, arguments: &[&str], flags: &Flags<'_>) -> Program {
        let mut command = Command::new("bash");
        command
            .arg(repository("tests/oracle/oracle"))
            .arg(&self.folder)
            .args(arguments)
            .env("MESOS_WORK_DIR", place.join("genuine"))
            .env("MESOS_RUNTIME_DIR", place.join("runtime"))
            .env(
                "MESOS_RESOURCES",
                "cpus:2;mem:1024;disk:1000;ports:[31000-31100]",
            )
            .envs(flags.iter().copied());
        Program::start(place, "genuine", &mut command)
    }
}

impl Genuine {
    /// Where its master takes the calls of schedulers.
    pub(crate) fn scheduler_api(&self) -> Endpoint {
        Endpoint {
            address: self.address,
            target: "/master/api/v1/scheduler",
        }
    }
}
