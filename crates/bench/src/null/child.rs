//! The null target as a process of its own, so that its processor time is not the generator's.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use crate::error::Error;

/// A null target that runs for as long as this is there.
#[derive(Debug)]
pub(crate) struct NullTarget {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl NullTarget {
    /// Starts this program once more.
    pub(crate) fn start() -> Result<Self, Error> {
        let failed = |source| Error::Start {
            program: "meseta bench null".to_owned(),
            source,
        };
        let own = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(own)
            .args(["bench", "null", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(failed)?;
        }
        Ok(Self {
            child,
            address: line.trim().to_owned(),
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }
}

impl Drop for NullTarget {
    fn drop(&mut self) {
        // That it has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends this process when its standard input ends: with whoever started it, however that ended.
pub(crate) fn end_with_input() -> Result<(), Error> {
    let wait = || {
        let mut bytes = [0; 64];
        while matches!(std::io::stdin().read(&mut bytes), Ok(read) if read > 0) {}
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("end of input".to_owned())
        .spawn(wait)
        .map(drop)
        .map_err(Error::Runtime)
}
