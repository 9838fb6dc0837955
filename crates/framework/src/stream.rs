//! The answer to a subscription: a stream of events.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming as Body;
use meseta_proto::Wire;
use meseta_proto::recordio::Decoder;
use tokio::time::{Instant, timeout_at};

use crate::connection::{Connection, STREAM_ID, Target};
use crate::limits::{ANSWER_TIMEOUT, MAX_EVENT, MISSED_HEARTBEATS};

/// An open stream of events.
pub(crate) struct Stream {
    /// Carries the body, and ends when it is dropped.
    _connection: Connection,
    pub(crate) target: Target,
    pub(crate) id: Option<String>,
    body: Body,
    decoder: Decoder,
    /// How long the other side may be silent, if that says anything.
    patience: Option<Duration>,
    deadline: Option<Instant>,
}

impl Stream {
    pub(crate) fn new(connection: Connection, target: Target, answer: Response<Body>) -> Self {
        let id = answer
            .headers()
            .get(STREAM_ID)
            .and_then(|v| v.to_str().ok());
        Self {
            _connection: connection,
            target,
            id: id.map(str::to_owned),
            body: answer.into_body(),
            decoder: Decoder::new(MAX_EVENT),
            patience: Some(ANSWER_TIMEOUT),
            deadline: Some(Instant::now() + ANSWER_TIMEOUT),
        }
    }

    /// From now on something must come several times in each interval; without an interval, only a
    /// broken connection shows that the other side is gone.
    pub(crate) fn expect_heartbeats(&mut self, interval: Option<f64>) {
        self.patience = interval
            .map(|seconds| seconds * MISSED_HEARTBEATS)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.deadline = self.patience.and_then(|p| Instant::now().checked_add(p));
    }

    /// Waits for the next event. It may be dropped while it waits without losing one.
    pub(crate) async fn next<E: Wire>(&mut self) -> Result<E, String> {
        let peer = &self.target.endpoint;
        loop {
            if let Some(record) = self.decoder.next_record().map_err(|e| e.to_string())? {
                let event = self.target.encoding.decode(&record);
                return event.map_err(|e| format!("failed to decode an event: {e}"));
            }
            let frame = match self.deadline {
                Some(deadline) => timeout_at(deadline, self.body.frame()).await,
                None => Ok(self.body.frame().await),
            };
            match frame {
                Err(_) => return Err(format!("{peer} has fallen silent")),
                Ok(None) => return Err(format!("{peer} closed the event stream")),
                Ok(Some(Err(error))) => return Err(format!("{peer}: {error}")),
                Ok(Some(Ok(frame))) => {
                    self.deadline = self.patience.and_then(|p| Instant::now().checked_add(p));
                    if let Some(bytes) = frame.data_ref() {
                        self.decoder.extend(bytes);
                    }
                }
            }
        }
    }
}
