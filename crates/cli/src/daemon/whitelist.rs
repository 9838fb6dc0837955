//! The file that names the agents whose resources may be offered.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use meseta_master::Input;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::driver::Inputs;
use super::limits::{MAX_WHITELIST, WHITELIST_INTERVAL};
use crate::flags::{FlagError, Flags};

type Hostnames = BTreeSet<String>;

/// Tells the master of the list, and of every change in it from now on. While the file can't be
/// read, what was last read holds; but a master whose list can't be read at its start does not
/// start, or it would offer what was to be kept.
pub(super) fn watch(
    flags: &Flags,
    runtime: &Handle,
    inputs: &Inputs<Input>,
) -> Result<(), FlagError> {
    let Some(path) = flags.get::<PathBuf>("whitelist")? else {
        return Ok(());
    };
    if path == Path::new("*") {
        tracing::warn!("--whitelist=* is the same as none, and deprecated");
        return Ok(());
    }
    let mut known = read(&path).map_err(|error| FlagError::Value {
        name: "whitelist",
        value: path.display().to_string(),
        reason: format!("failed to read the file: {error}"),
    })?;
    tell(inputs, &known);
    let inputs = inputs.clone();
    runtime.spawn(async move {
        let mut turns = interval(WHITELIST_INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let (path, inputs) = (path.clone(), inputs.clone());
            let look = spawn_blocking(move || {
                match read(&path) {
                    Ok(hostnames) if hostnames != known => {
                        tell(&inputs, &hostnames);
                        known = hostnames;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let path = path.display();
                        tracing::error!(%path, %error, "the whitelist can't be read; what it was holds");
                    }
                }
                known
            });
            match look.await {
                Ok(seen) => known = seen,
                Err(_) => return,
            }
        }
    });
    Ok(())
}

fn tell(inputs: &Inputs<Input>, hostnames: &Hostnames) {
    tracing::info!(
        agents = hostnames.len(),
        "only agents of the whitelist are offered"
    );
    inputs.send(Input::Whitelist {
        hostnames: Some(hostnames.clone()),
    });
}

fn read(path: &Path) -> io::Result<Hostnames> {
    // To open a pipe is to wait for whoever writes into it.
    if std::fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is a pipe"));
    }
    let mut text = String::new();
    let file = File::open(path)?;
    if file.take(MAX_WHITELIST + 1).read_to_string(&mut text)? as u64 > MAX_WHITELIST {
        let sentence = format!("it has more than {MAX_WHITELIST} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
    }
    let lines = text.lines().map(str::trim);
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_hostname_and_an_empty_file_names_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whitelist");
        std::fs::write(&path, "a\n b.example \r\n\na\n").unwrap();
        let two = ["a", "b.example"].map(str::to_owned);
        assert_eq!(read(&path).unwrap(), Hostnames::from(two));
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&path).unwrap(), Hostnames::new());
        assert!(read(dir.path()).is_err());
    }

    #[test]
    fn nobody_waits_for_what_a_pipe_will_bring() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whitelist");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert_eq!(read(&path).unwrap_err().to_string(), "it is a pipe");
    }
}
