//! Programs of a genuine Mesos 1.11.0, which `cargo xtask test` puts into `target/oracle`. Where it is
//! not, tests skip.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use super::daemon::Place;
use super::eventually;
use super::golden::repository;

/// How long a genuine program runs before it ends by itself, should nobody end it.
pub(crate) const SECONDS: &str = "120";

/// The folder with the genuine Mesos, if it was set up.
pub(crate) fn oracle() -> Option<PathBuf> {
    let folder = repository("target/oracle");
    folder.join("ready").exists().then_some(folder)
}

/// A genuine program, ended with the test.
#[derive(Debug)]
pub(crate) struct Genuine {
    child: Child,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Genuine {
    /// Starts a program of the genuine Mesos, with flags in the environment.
    pub(crate) fn run(
        place: &Place,
        oracle: &Path,
        arguments: &[&str],
        flags: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new("bash");
        command
            .arg(repository("tests/oracle/oracle"))
            .arg(oracle)
            .args(arguments)
            .env("MESOS_WORK_DIR", place.join("genuine"))
            .env("MESOS_RUNTIME_DIR", place.join("runtime"))
            .env(
                "MESOS_RESOURCES",
                "cpus:2;mem:1024;disk:1000;ports:[31000-31100]",
            )
            .envs(flags.iter().copied());
        let mut child = place.run("genuine", &mut command);
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let printed = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                // What it prints may hold bytes of messages.
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.lock().expect("no panic holds it").push(line);
            }
        });
        Self { child, printed }
    }

    /// What follows `start` in the first line that begins with it. A driver prints a line for each of its
    /// callbacks.
    pub(crate) fn line(&self, start: &str) -> String {
        eventually(start, || {
            let printed = self.printed.lock().expect("no panic holds it");
            let rest = printed.iter().find_map(|line| line.strip_prefix(start));
            rest.map(str::to_owned)
        })
    }
}

impl Drop for Genuine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the genuine one printed: {:?}", self.printed.lock());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on at the moment. The genuine one cannot choose for itself.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
