//! `meseta why`: says why a framework gets no offers.

mod report;

use std::ffi::OsString;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Command;
use clap::error::ErrorKind;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::flags::{FlagError, Flags, why::FLAGS};
use crate::{Failure, client, say};

/// The whole program.
pub(crate) fn run(mut args: Vec<OsString>) -> Result<(), Failure> {
    let framework = take_word(&mut args);
    let mut command = Command::new("meseta why FRAMEWORK")
        .about("Say why a framework, named by its id or its name, gets no offers")
        .disable_version_flag(true);
    let wants_help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    let Some(framework) = framework.or_else(|| wants_help.then(String::new)) else {
        let sentence = "meseta why wants the id or the name of a framework";
        let error = command.error(ErrorKind::MissingRequiredArgument, sentence);
        return Err(FlagError::Usage(error).into());
    };
    let flags = Flags::parse(command, FLAGS, args, |_| None)?;
    let master: String = flags.get("master")?.unwrap_or_default();
    let role: Option<String> = flags.get("role")?;
    let nearest: usize = flags.get("nearest")?.unwrap_or_default();

    let role = role.map(|role| format!("&role={}", encoded(&role)));
    let rest = format!("&nearest={nearest}{}", role.unwrap_or_default());
    let ask = |id: &str| {
        let id = encoded(id);
        client::get(&master, &format!("/why?framework_id={id}{rest}"))
    };
    let (mut status, mut body) = ask(&framework)?;
    if status == 404
        && let Some(id) = id_of(&master, &framework)?
    {
        (status, body) = ask(&id)?;
    }
    if status != 200 {
        let sentence = String::from_utf8_lossy(&body);
        return Err(Failure::Start(sentence.trim().to_owned()));
    }
    let answer: report::Answer = understood(&body)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let report = report::Report {
        answer: &answer,
        now: now.unwrap_or_default().as_secs_f64(),
    };
    say(report.to_string().trim_end());
    Ok(())
}

/// Takes the one argument that is neither a flag nor the value of one.
fn take_word(args: &mut Vec<OsString>) -> Option<String> {
    let mut is_value = false;
    let place = args.iter().position(|arg| {
        let text = arg.to_string_lossy();
        let is_flag = text.starts_with('-');
        let is_word = !is_flag && !is_value;
        is_value = is_flag && !text.contains('=');
        is_word
    })?;
    args.remove(place).into_string().ok()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[derive(Deserialize)]
struct Frameworks {
    frameworks: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// The id of the framework of a name; `None` when there is none.
fn id_of(master: &str, name: &str) -> Result<Option<String>, Failure> {
    let (status, body) = client::get(master, "/frameworks")?;
    if status != 200 {
        return Ok(None);
    }
    let all: Frameworks = understood(&body)?;
    let mut ids: Vec<String> = all
        .frameworks
        .into_iter()
        .filter(|framework| framework.name == name)
        .map(|framework| framework.id)
        .collect();
    if ids.len() > 1 {
        return Err(Failure::Start(format!(
            "{} frameworks are named '{name}'; choose one of their ids: {}",
            ids.len(),
            ids.join(", ")
        )));
    }
    Ok(ids.pop())
}

fn understood<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|e| Failure::Start(format!("the master's answer is not understood: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framework_may_stand_before_or_after_the_flags() {
        for words in [
            &["f", "--role=web"][..],
            &["--role", "web", "f"],
            &["--role=web", "f"],
        ] {
            let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(take_word(&mut args).as_deref(), Some("f"), "{words:?}");
            assert_eq!(args.len(), words.len() - 1);
        }
        let mut args = vec![OsString::from("--role"), OsString::from("web")];
        assert_eq!(take_word(&mut args), None);
    }
}
