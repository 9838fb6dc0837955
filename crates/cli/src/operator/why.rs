//! `meseta why`: says why a framework gets no offers.

mod report;

use std::time::SystemTime;

use serde_json::Value;

use super::arguments::Why;
use super::client::{Client, encoded};
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
    let id = encoded(framework::id_text(&framework));
    let role = command.role.as_deref();
    let role = role.map_or(String::new(), |role| format!("&role={}", encoded(role)));
    let nearest = command.nearest;
    let target = format!("/why?framework_id={id}{role}&nearest={nearest}");
    if !output.is_for_people() {
        return output.value(&client.get::<Value>(&target, &attempt)?);
    }
    let answer: report::Answer = client.get(&target, &attempt)?;
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
