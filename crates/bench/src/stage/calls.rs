//! Calls of frameworks, over a few connections that they share.

use std::net::SocketAddrV4;
use std::time::Instant;

use bytes::Bytes;
use http::header::HeaderValue;
use tokio::sync::mpsc;

use super::Input;
use super::http::{Connection, SCHEDULER_API};
use crate::error::Error;
use crate::frameworks::Encoding;
use crate::limits;

/// Carries calls to the target. Those of one lane stay in order.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<mpsc::Sender<Job>>,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) framework: usize,
    pub(crate) stream_id: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl Lanes {
    /// Opens lanes whose answers go to `answers`. It must not be bounded: whoever takes answers
    /// also waits for room on the lanes.
    pub(crate) fn open(
        target: SocketAddrV4,
        encoding: Encoding,
        answers: &mpsc::UnboundedSender<Input>,
    ) -> Self {
        let lane = |_| {
            let (jobs, queue) = mpsc::channel(limits::CALLS_WAITING);
            tokio::spawn(carry(target, encoding, queue, answers.clone()));
            jobs
        };
        Self {
            lanes: (0..limits::CALL_CONNECTIONS).map(lane).collect(),
        }
    }

    /// Hands a call over; waits while its lane is full.
    pub(crate) async fn call(&self, lane: usize, job: Job) {
        if let Some(lane) = self.lanes.get(lane % self.lanes.len().max(1)) {
            // A lane ends with the runtime alone.
            let _ = lane.send(job).await;
        }
    }
}

async fn carry(
    target: SocketAddrV4,
    encoding: Encoding,
    mut queue: mpsc::Receiver<Job>,
    answers: mpsc::UnboundedSender<Input>,
) {
    // From the beginning on, so that nobody takes it for a leak later. What fails now fails with the call.
    let mut connection = Connection::open(target).await.ok();
    while let Some(job) = queue.recv().await {
        let began = Instant::now();
        let framework = job.framework;
        let refusal = post(target, encoding, &mut connection, job).await.err();
        let took = began.elapsed();
        let answer = Input::Answered {
            framework,
            took,
            refusal: refusal.map(|error| error.to_string()),
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}

async fn post(
    target: SocketAddrV4,
    encoding: Encoding,
    connection: &mut Option<Connection>,
    job: Job,
) -> Result<(), Error> {
    let open = match connection.take().filter(Connection::is_usable) {
        Some(open) => open,
        None => Connection::open(target).await?,
    };
    let open = connection.insert(open);
    let answer = open
        .post(SCHEDULER_API, encoding, job.stream_id.as_ref(), job.body)
        .await?;
    if answer.is_success() {
        Ok(())
    } else {
        Err(answer.refusal(target, "a call"))
    }
}
