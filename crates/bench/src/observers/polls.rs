//! Asking the same again and again.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meseta_proto::v1::master::{Call, call};
use tokio::sync::watch;

use super::{Observation, stop};
use crate::error::Error;
use crate::frameworks::{Encoding, encode};
use crate::stage::{Answer, Connection, OPERATOR_API};

/// How long a poller rests after a failure, so that it does not add to what is wrong.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What is asked.
#[derive(Debug)]
enum Question {
    Get(&'static str),
    Post { encoding: Encoding, call: Bytes },
}

impl Question {
    async fn ask(&self, connection: &mut Connection) -> Result<Answer, Error> {
        match self {
            Self::Get(path) => connection.get(path).await,
            Self::Post { encoding, call } => {
                connection
                    .post(OPERATOR_API, *encoding, None, call.clone())
                    .await
            }
        }
    }
}

pub(super) async fn get(
    target: SocketAddrV4,
    path: &'static str,
    rest: Duration,
    stopped: watch::Receiver<bool>,
) -> Observation {
    let seen = Observation::named(path);
    poll(target, seen, rest, stopped, Question::Get(path)).await
}

pub(super) async fn call(
    target: SocketAddrV4,
    r#type: call::Type,
    encoding: Encoding,
    rest: Duration,
    stopped: watch::Receiver<bool>,
) -> Observation {
    let call = Call {
        r#type: Some(r#type.into()),
        ..Call::default()
    };
    let call = encode(&call, encoding).into();
    let seen = Observation::named(r#type.as_str_name());
    poll(
        target,
        seen,
        rest,
        stopped,
        Question::Post { encoding, call },
    )
    .await
}

async fn poll(
    target: SocketAddrV4,
    mut seen: Observation,
    rest: Duration,
    mut stopped: watch::Receiver<bool>,
    question: Question,
) -> Observation {
    let mut connection: Option<Connection> = None;
    loop {
        let began = Instant::now();
        let asked = async {
            let open = match connection.take().filter(Connection::is_usable) {
                Some(open) => open,
                None => Connection::open(target).await?,
            };
            let answer = question.ask(connection.insert(open)).await?;
            if answer.is_success() {
                Ok(answer)
            } else {
                Err(answer.refusal(target, "a poll"))
            }
        };
        let answer = tokio::select! {
            answer = asked => answer,
            () = stop(&mut stopped) => return seen,
        };
        let rest = match answer {
            Ok(answer) => {
                seen.seen += 1;
                seen.times.add(began.elapsed());
                seen.largest = seen.largest.max(answer.body.len() as u64);
                rest
            }
            Err(error) => {
                seen.fail(&error);
                REST_AFTER_FAILURE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop(&mut stopped) => return seen,
        }
    }
}
