//! `meseta why`: says why a framework gets no offers.

mod report;

use std::time::SystemTime;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::arguments::Why;
use super::client::Client;
use super::error::Error;
use super::framework;
use super::output::Output;
use super::text;

pub(super) fn run(command: &Why, client: &Client, output: &Output) -> Result<(), Error> {
    let wanted = &command.framework.framework;
    let attempt = format!("ask why framework {wanted} gets no offers");
    let mut frameworks = framework::all(client, &attempt)?;
    frameworks.completed_frameworks.clear();
    let framework = framework::named(frameworks, wanted)?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let id = encoded(framework::id_text(&framework));
    let role = command.role.as_deref();
    let role = role.map_or(String::new(), |role| format!("&role={}", encoded(role)));
    let nearest = command.nearest;
    let target = format!("/why?framework_id={id}{role}&nearest={nearest}");
    let body = client.get(&target, &attempt)?;
    let unreadable = |e: serde_json::Error| Error::Unreadable {
        attempt: attempt.clone(),
        address: "the master".to_owned(),
        reason: e.to_string(),
    };
    if !output.is_for_people() {
        let value: serde_json::Value = serde_json::from_slice(&body).map_err(unreadable)?;
        return output.value(&value);
    }
    let answer: report::Answer = serde_json::from_slice(&body).map_err(unreadable)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let report = report::Report {
        answer: &answer,
        now: now.unwrap_or_default().as_secs_f64(),
    };
    for line in report.to_string().trim_end().lines() {
        match line {
            "" => output.blank()?,
            line => output.text(&text::printable(line))?,
        }
    }
    Ok(())
}
