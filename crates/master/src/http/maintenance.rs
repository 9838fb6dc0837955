//! `/maintenance/schedule`, `/maintenance/status`, `/machine/down` and `/machine/up`.

use meseta_endpoints::{Query, json, method_not_allowed};
use meseta_machine::Reply;
use meseta_proto::json::{AsJson, Error, from_slice, from_value, parse};
use meseta_proto::v1::MachineId;
use meseta_proto::v1::maintenance::cluster_status::DrainingMachine;
use meseta_proto::v1::maintenance::{ClusterStatus, Schedule};

use serde_json::Value;

use super::{Answer, Request};
use crate::maintenance::{machine_key, machine_of};
use crate::operator::Change;
use crate::snapshot::Snapshot;

/// Answers `/maintenance/schedule`.
pub(super) fn schedule(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    match request.method {
        "GET" | "HEAD" => {
            let query = Query(request.query);
            Answer::Reply(json(query, &AsJson(&*snapshot.schedule)))
        }
        "POST" => match from_slice::<Schedule>(request.body) {
            Ok(schedule) => Answer::Operator(Change::UpdateSchedule(schedule)),
            Err(Error::Syntax(reason) | Error::Convert { reason, .. }) => {
                Answer::Reply(Reply::bad_request(reason))
            }
        },
        other => Answer::Reply(method_not_allowed(&["GET", "POST"], other)),
    }
}

/// Answers `/maintenance/status`.
pub(super) fn show_status(snapshot: &Snapshot, request: &Request<'_>) -> Answer {
    Answer::Reply(match request.method {
        "GET" | "HEAD" => json(Query(request.query), &AsJson(&status(snapshot))),
        other => method_not_allowed(&["GET"], other),
    })
}

/// Answers `/machine/down` and `/machine/up`: machines are to be made so.
pub(super) fn machines(request: &Request<'_>, change: fn(Vec<MachineId>) -> Change) -> Answer {
    if request.method != "POST" {
        return Answer::Reply(method_not_allowed(&["POST"], request.method));
    }
    let refused = |error| {
        let (Error::Syntax(reason) | Error::Convert { reason, .. }) = error;
        Answer::Reply(Reply::bad_request(reason))
    };
    let machines = match parse(request.body) {
        Ok(Value::Array(items)) => items.iter().map(from_value).collect::<Result<_, _>>(),
        Ok(_) => Err(Error::Syntax("Expecting a JSON array".to_owned())),
        Err(error) => Err(error),
    };
    machines.map_or_else(refused, |machines| Answer::Operator(change(machines)))
}

/// What frameworks on the scheduled machines have answered.
pub(super) fn status(snapshot: &Snapshot) -> ClusterStatus {
    let windows = snapshot.schedule.windows.iter();
    let machines = windows.flat_map(|window| &window.machine_ids);
    let machines = machines.filter(|id| !snapshot.down_machines.contains_key(&machine_key(id)));
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
        down_machines: snapshot.down_machines.values().cloned().collect(),
    }
}
