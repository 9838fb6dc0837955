//! Faults for tests: the process kills itself at a commit that is named by a variable of its
//! environment. Not in release builds.

use rustix::process::{Signal, getpid, kill_process};

use crate::file::Facts;

/// Says at which commit of this process it dies, and how: `before:3`, `torn:3` or `after:3`.
const VARIABLE: &str = "MESETA_STORE_FAULT";

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Nothing of the commit is written.
    Before,
    /// A part of it is.
    Torn,
    /// It is durable, and nobody has been told.
    After,
}

#[derive(Debug)]
pub(crate) struct Fault {
    moment: Moment,
    /// Commits until then.
    left: u64,
}

impl Fault {
    pub(crate) fn from_environment() -> Option<Self> {
        let wanted = std::env::var(VARIABLE).ok()?;
        let fault = Self::parse(&wanted);
        if fault.is_none() {
            tracing::error!(wanted, "{VARIABLE} is not understood");
        }
        fault
    }

    fn parse(wanted: &str) -> Option<Self> {
        let (moment, number) = wanted.split_once(':')?;
        let moment = match moment {
            "before" => Moment::Before,
            "torn" => Moment::Torn,
            "after" => Moment::After,
            _ => return None,
        };
        let left = number.parse().ok()?;
        Some(Self { moment, left })
    }

    pub(crate) fn before_commit(&mut self, file: &Facts, frame: &[u8]) {
        self.left = self.left.wrapping_sub(1);
        match self.moment {
            _ if self.left > 0 => {}
            Moment::Before => die(),
            Moment::Torn => {
                let (part, _) = frame.split_at(frame.len() / 2);
                file.write_part(part);
                die();
            }
            Moment::After => {}
        }
    }

    pub(crate) fn after_commit(&self) {
        if self.left == 0 && self.moment == Moment::After {
            die();
        }
    }
}

/// As by `kill -9`: nothing is tidied up.
fn die() {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}
