//! This terminal, in the hands of a program elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meseta_proto::v1::tty_info::WindowSize;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use crate::operator::error::Error;

/// The terminal at standard input. Copies are of the same.
#[derive(Debug, Clone)]
pub(super) struct Terminal(Arc<Kept>);

#[derive(Debug)]
struct Kept(Mutex<Option<Termios>>);

impl Terminal {
    /// The terminal; with `is_typed_on`, every key that is typed there is to go to the program from now on,
    /// those that mean something to terminals among them. Where there is none, `instead` helps.
    pub(super) fn open(is_typed_on: bool, instead: &'static str) -> Result<Self, Error> {
        let stdin = rustix::stdio::stdin();
        if !isatty(stdin) {
            return Err(Error::NoTerminal { instead });
        }
        let before = is_typed_on.then(|| tcgetattr(stdin)).transpose();
        let before = before.map_err(|errno| local(errno.into()))?;
        Ok(Self(Arc::new(Kept(Mutex::new(before)))))
    }

    /// Takes it over, if it is to be typed on.
    pub(super) fn take_over(&self) -> Result<(), Error> {
        let Some(mut raw) = self.0.before().clone() else {
            return Ok(());
        };
        raw.make_raw();
        let set = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        set.map_err(|errno| local(errno.into()))
    }

    /// Gives it back.
    pub(super) fn release(&self) {
        self.0.restore();
    }

    /// How large it is.
    #[allow(
        clippy::unused_self,
        reason = "there is none to ask for unless it was opened"
    )]
    pub(super) fn size(&self) -> Option<WindowSize> {
        let size = tcgetwinsize(rustix::stdio::stdin()).ok()?;
        Some(WindowSize {
            rows: size.ws_row.into(),
            columns: size.ws_col.into(),
        })
    }
}

/// Gives a terminal back when it goes, though others have copies.
#[derive(Debug)]
pub(super) struct Loan(pub(super) Option<Terminal>);

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(terminal) = &self.0 {
            terminal.release();
        }
    }
}

impl Kept {
    fn before(&self) -> MutexGuard<'_, Option<Termios>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restore(&self) {
        if let Some(before) = self.before().take() {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
        }
    }
}

fn local(source: std::io::Error) -> Error {
    Error::Local {
        attempt: "take the terminal over".to_owned(),
        source,
    }
}
