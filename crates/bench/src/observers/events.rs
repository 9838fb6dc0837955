//! Following the events of the operator API.

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt as _;
use meseta_proto::recordio;
use meseta_proto::v1::master::{Call, Event, call, event};
use tokio::sync::watch;

use super::{Counts, Observation, stop};
use crate::error::Error;
use crate::frameworks::{Encoding, decode_event, encode};
use crate::limits;
use crate::stage::{Connection, OPERATOR_API};

pub(super) async fn follow(
    target: SocketAddrV4,
    encoding: Encoding,
    mut stopped: watch::Receiver<bool>,
    counts: &Counts,
) -> Observation {
    let mut seen = Observation::named("events");
    let ended = tokio::select! {
        ended = read(target, encoding, counts, &mut seen) => Some(ended),
        () = stop(&mut stopped) => None,
    };
    if let Some(Err(error)) = ended {
        seen.fail(&error);
    }
    seen
}

async fn read(
    target: SocketAddrV4,
    encoding: Encoding,
    counts: &Counts,
    seen: &mut Observation,
) -> Result<(), Error> {
    let what = "a subscription to events";
    let ended = |reason: String| Error::Unreachable {
        address: target,
        what,
        reason,
    };
    let call = Call {
        r#type: Some(call::Type::Subscribe.into()),
        ..Call::default()
    };
    let began = Instant::now();
    let mut connection = Connection::open(target).await?;
    let body = encode(&call, encoding).into();
    let response = connection
        .open_post(OPERATOR_API, encoding, None, body)
        .await?;
    if !response.status().is_success() {
        return Err(connection.refusal(what, response).await);
    }
    let mut decoder = recordio::Decoder::new(limits::RECORD_BYTES);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(|e| ended(e.to_string()))?.into_data() else {
            continue;
        };
        decoder.extend(&bytes);
        while let Some(record) = decoder.next_record().map_err(|e| ended(e.to_string()))? {
            seen.largest = seen.largest.max(record.len() as u64);
            let event: Event = decode_event(&record, encoding).map_err(ended)?;
            note(&event, began, counts, seen);
        }
    }
    Err(ended("the stream ended".to_owned()))
}

fn note(event: &Event, began: Instant, counts: &Counts, seen: &mut Observation) {
    seen.seen += 1;
    match event.r#type() {
        event::Type::Subscribed => {
            seen.first.add(began.elapsed());
            counts.subscribed.fetch_add(1, Ordering::Relaxed);
        }
        event::Type::TaskUpdated => {
            let made = event.task_updated.as_ref().and_then(|u| u.status.timestamp);
            if let Some(age) = made.and_then(age) {
                seen.times.add(age);
            }
            counts.updates.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    }
}

/// How long ago that was, which is told as seconds since 1970. Agents are on this machine.
fn age(made: f64) -> Option<Duration> {
    let made = Duration::try_from_secs_f64(made).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(made))
}
