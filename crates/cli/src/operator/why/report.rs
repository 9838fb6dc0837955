//! The master's reasons, in lines for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::operator::text::counted;

/// What `/why` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    framework_id: String,
    name: String,
    connected: bool,
    roles: Vec<Verdicts>,
}

#[derive(Debug, Deserialize)]
struct Verdicts {
    role: String,
    offers: usize,
    agents: usize,
    offerable: usize,
    reasons: Vec<Count>,
    nearest: Vec<Miss>,
    quotas: Vec<Quota>,
}

#[derive(Debug, Deserialize)]
struct Count {
    reason: String,
    agents: usize,
    meaning: String,
    remedy: String,
}

#[derive(Debug, Deserialize)]
struct Miss {
    agent_id: String,
    hostname: Option<String>,
    reason: String,
    until: Option<f64>,
    free: Option<BTreeMap<String, f64>>,
    used: Option<BTreeMap<String, f64>>,
    offered: Option<BTreeMap<String, f64>>,
    missing: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Deserialize)]
struct Quota {
    role: String,
    guarantees: BTreeMap<String, f64>,
    limits: BTreeMap<String, f64>,
    consumed: Option<BTreeMap<String, f64>>,
}

/// Prints as several lines.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) answer: &'a Answer,
    /// This moment, in seconds since the Unix epoch.
    pub(super) now: f64,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer {
            framework_id,
            name,
            connected,
            roles,
        } = self.answer;
        let away = if *connected { "" } else { ", not connected" };
        writeln!(f, "Framework {name} ({framework_id}){away}")?;
        if roles.is_empty() {
            writeln!(
                f,
                "  It has no roles, so that there is nothing to offer it."
            )?;
        }
        roles.iter().try_for_each(|role| self.role(f, role))
    }
}

impl Report<'_> {
    fn role(&self, f: &mut fmt::Formatter<'_>, role: &Verdicts) -> fmt::Result {
        writeln!(f, "\nRole {}", role.role)?;
        if role.offers > 0 {
            let offers = counted(role.offers, "offer");
            writeln!(f, "  The framework has {offers} that it has not answered.")?;
        }
        let all = counted(role.agents, "agent");
        if role.agents == 0 {
            writeln!(f, "  There are no agents.")?;
        }
        if role.offerable > 0 {
            writeln!(
                f,
                "  {} of {all}: nothing speaks against an offer. It comes at once, unless others \
                 are served first.",
                role.offerable
            )?;
        }
        for reason in &role.reasons {
            writeln!(f, "  {} of {all}: {}", reason.agents, reason.reason)?;
            writeln!(f, "      why: {}", reason.meaning)?;
            writeln!(f, "      what helps: {}", reason.remedy)?;
        }
        for quota in &role.quotas {
            writeln!(f, "  Quota of {}: {}", quota.role, quota_text(quota))?;
        }
        if !role.nearest.is_empty() {
            writeln!(f, "  Nearest to an offer:")?;
        }
        role.nearest.iter().try_for_each(|miss| self.miss(f, miss))
    }

    fn miss(&self, f: &mut fmt::Formatter<'_>, miss: &Miss) -> fmt::Result {
        let host = miss.hostname.as_deref().unwrap_or("?");
        write!(f, "      {host} ({}): {}", miss.agent_id, miss.reason)?;
        if let Some(until) = miss.until {
            write!(f, " for {:.1} more seconds", (until - self.now).max(0.0))?;
        }
        for (amounts, how) in [
            (&miss.used, "in use"),
            (&miss.offered, "offered"),
            (&miss.free, "free"),
            (&miss.missing, "missing"),
        ] {
            if let Some(amounts) = amounts {
                write!(f, ", {} {how}", amounts_text(amounts))?;
            }
        }
        writeln!(f)
    }
}

fn quota_text(quota: &Quota) -> String {
    let mut parts = Vec::new();
    for (what, amounts) in [("guaranteed", &quota.guarantees), ("limit", &quota.limits)] {
        if !amounts.is_empty() {
            parts.push(format!("{what} {}", amounts_text(amounts)));
        }
    }
    if let Some(consumed) = &quota.consumed {
        parts.push(format!("in use or offered {}", amounts_text(consumed)));
    }
    parts.join(", ")
}

fn amounts_text(amounts: &BTreeMap<String, f64>) -> String {
    if amounts.is_empty() {
        return "nothing".to_owned();
    }
    let amounts = amounts
        .iter()
        .map(|(name, amount)| format!("{name}:{amount}"));
    amounts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_read_well() {
        let answer: Answer = serde_json::from_value(json!({
            "framework_id": "m-0001", "name": "shop", "connected": true, "active": true,
            "roles": [{
                "role": "web", "weight": 1.0, "suppressed": false,
                "offers": 1, "agents": 3, "offerable": 1,
                "reasons": [
                    {"reason": "FILTERED", "agents": 1, "meaning": "declined", "remedy": "wait"},
                    {"reason": "BELOW_MINIMUM", "agents": 1, "meaning": "too little", "remedy": "add"},
                ],
                "nearest": [
                    {"agent_id": "m-S0", "hostname": "one", "reason": "FILTERED", "until": 104.25},
                    {"agent_id": "m-S1", "hostname": null, "reason": "BELOW_MINIMUM",
                     "free": {"mem": 8.0}, "missing": {"mem": 24.0}},
                ],
                "quotas": [{"role": "web", "guarantees": {}, "limits": {"cpus": 1.5}, "consumed": {}}],
            }],
        }))
        .unwrap();
        let report = Report {
            answer: &answer,
            now: 100.0,
        };
        assert_eq!(
            report.to_string(),
            "Framework shop (m-0001)\n\
             \n\
             Role web\n  \
             The framework has 1 offer that it has not answered.\n  \
             1 of 3 agents: nothing speaks against an offer. It comes at once, unless others are \
             served first.\n  \
             1 of 3 agents: FILTERED\n      why: declined\n      what helps: wait\n  \
             1 of 3 agents: BELOW_MINIMUM\n      why: too little\n      what helps: add\n  \
             Quota of web: limit cpus:1.5, in use or offered nothing\n  \
             Nearest to an offer:\n      \
             one (m-S0): FILTERED for 4.2 more seconds\n      \
             ? (m-S1): BELOW_MINIMUM, mem:8 free, mem:24 missing\n"
        );
    }
}
