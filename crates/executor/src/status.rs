//! How a process ended, in the words of `strsignal(3)` that Mesos puts into messages.

use std::fmt;

/// How a task's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core file.
        dumped_core: bool,
    },
}

impl Ending {
    /// Reads the form in which `wait(2)` gives it, and agents pass it on. What was only stopped has
    /// not ended.
    pub(crate) fn from_wait_status(status: i32) -> Option<Self> {
        const STOPPED: i32 = 0x7f;
        match status & 0x7f {
            0 => Some(Self::Exited((status >> 8) & 0xff)),
            STOPPED => None,
            signal => Some(Self::Signaled {
                signal,
                dumped_core: status & 0x80 != 0,
            }),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signaled {
                signal,
                dumped_core,
            } => {
                write!(f, "terminated with signal {}", SignalText(*signal))?;
                if *dumped_core {
                    f.write_str(" (core dumped)")?;
                }
                Ok(())
            }
        }
    }
}

struct SignalText(i32);

/// The first that programs may use; the C library keeps those below for itself.
const FIRST_REAL_TIME_SIGNAL: i32 = 34;
const LAST_REAL_TIME_SIGNAL: i32 = 64;

impl fmt::Display for SignalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1 => "Hangup",
            2 => "Interrupt",
            3 => "Quit",
            4 => "Illegal instruction",
            5 => "Trace/breakpoint trap",
            6 => "Aborted",
            7 => "Bus error",
            8 => "Floating point exception",
            9 => "Killed",
            10 => "User defined signal 1",
            11 => "Segmentation fault",
            12 => "User defined signal 2",
            13 => "Broken pipe",
            14 => "Alarm clock",
            15 => "Terminated",
            16 => "Stack fault",
            17 => "Child exited",
            18 => "Continued",
            19 => "Stopped (signal)",
            20 => "Stopped",
            21 => "Stopped (tty input)",
            22 => "Stopped (tty output)",
            23 => "Urgent I/O condition",
            24 => "CPU time limit exceeded",
            25 => "File size limit exceeded",
            26 => "Virtual timer expired",
            27 => "Profiling timer expired",
            28 => "Window changed",
            29 => "I/O possible",
            30 => "Power failure",
            31 => "Bad system call",
            n @ FIRST_REAL_TIME_SIGNAL..=LAST_REAL_TIME_SIGNAL => {
                return write!(f, "Real-time signal {}", n - FIRST_REAL_TIME_SIGNAL);
            }
            n => return write!(f, "Unknown signal {n}"),
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_told_apart() {
        let signaled = |signal, dumped_core| Ending::Signaled {
            signal,
            dumped_core,
        };
        for (status, ending) in [
            (0, Some(Ending::Exited(0))),
            (256, Some(Ending::Exited(1))),
            (0xff00, Some(Ending::Exited(255))),
            (9, Some(signaled(9, false))),
            (0x8b, Some(signaled(11, true))),
            (0x137f, None),
        ] {
            assert_eq!(Ending::from_wait_status(status), ending, "{status:#x}");
        }
    }

    #[test]
    fn endings_read_as_in_mesos() {
        let signaled = |signal, dumped_core| Ending::Signaled {
            signal,
            dumped_core,
        };
        for (ending, text) in [
            (Ending::Exited(0), "exited with status 0"),
            (Ending::Exited(127), "exited with status 127"),
            (
                signaled(11, false),
                "terminated with signal Segmentation fault",
            ),
            (
                signaled(6, true),
                "terminated with signal Aborted (core dumped)",
            ),
            (
                signaled(36, false),
                "terminated with signal Real-time signal 2",
            ),
            (
                signaled(99, false),
                "terminated with signal Unknown signal 99",
            ),
        ] {
            assert_eq!(ending.to_string(), text);
        }
    }
}
