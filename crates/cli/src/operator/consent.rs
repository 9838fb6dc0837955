//! A last question before what cannot be undone.

use std::io::{self, IsTerminal as _, Write as _};

use super::arguments::Consent;
use super::error::Error;

/// Goes on if `--yes` was given or a person says so.
pub(super) fn ask(consent: &Consent, what: &str) -> Result<(), Error> {
    if consent.yes {
        return Ok(());
    }
    let unconfirmed = || Error::Unconfirmed {
        what: what.to_owned(),
    };
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(unconfirmed());
    }
    let local = |source| Error::Local {
        attempt: "ask for consent".to_owned(),
        source,
    };
    let mut stderr = io::stderr();
    write!(stderr, "{what} cannot be undone. Go on? [y/N] ")
        .and_then(|()| stderr.flush())
        .map_err(local)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(local)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(unconfirmed()),
    }
}
