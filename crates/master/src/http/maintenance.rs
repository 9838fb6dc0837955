//! `/maintenance/schedule` and `/maintenance/status`.

use meseta_endpoints::{Query, endpoint, json, method_not_allowed, not_found};
use meseta_machine::Reply;
use meseta_proto::json::{AsJson, Error, from_slice};
use meseta_proto::v1::maintenance::cluster_status::DrainingMachine;
use meseta_proto::v1::maintenance::{ClusterStatus, Schedule};

use super::{Answer, Request};
use crate::maintenance::{machine_key, machine_of};
use crate::operator::Change;
use crate::snapshot::Snapshot;

pub(super) fn answer(snapshot: &Snapshot, request: &Request<'_>, rest: &[&str]) -> Answer {
    let query = Query(request.query);
    match (rest.first().map(|name| endpoint(name)), request.method) {
        (Some("schedule"), "GET" | "HEAD") => {
            Answer::Reply(json(query, &AsJson(&*snapshot.schedule)))
        }
        (Some("schedule"), "POST") => match from_slice::<Schedule>(request.body) {
            Ok(schedule) => Answer::Operator(Change::UpdateSchedule(schedule)),
            Err(Error::Syntax(reason) | Error::Convert { reason, .. }) => {
                Answer::Reply(Reply::bad_request(reason))
            }
        },
        (Some("schedule"), other) => Answer::Reply(method_not_allowed(&["GET", "POST"], other)),
        (Some("status"), "GET" | "HEAD") => Answer::Reply(json(query, &AsJson(&status(snapshot)))),
        (Some("status"), other) => Answer::Reply(method_not_allowed(&["GET"], other)),
        _ => Answer::Reply(not_found()),
    }
}

/// What frameworks on the scheduled machines have answered.
pub(super) fn status(snapshot: &Snapshot) -> ClusterStatus {
    let windows = snapshot.schedule.windows.iter();
    let machines = windows.flat_map(|window| &window.machine_ids);
    let draining = machines.map(|id| {
        let key = machine_key(id);
        let answers = snapshot.inverse_answers.iter();
        let of_machine = answers.filter(|(agent, _)| {
            let agent = snapshot.agents.get(*agent);
            agent.is_some_and(|agent| machine_of(agent) == key)
        });
        DrainingMachine {
            id: id.clone(),
            statuses: of_machine
                .flat_map(|(_, answers)| answers.values().cloned())
                .collect(),
        }
    });
    ClusterStatus {
        draining_machines: draining.collect(),
        down_machines: Vec::new(),
    }
}
