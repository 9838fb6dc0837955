//! Event streams of frameworks, read record by record.

use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use meseta_proto::recordio;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::Input;
use super::http::{Connection, STREAM_ID};
use crate::error::Error;
use crate::frameworks::Encoding;
use crate::limits;

/// Subscriptions that are asked for at a time: what a listener's backlog takes with ease.
const AT_ONCE: usize = 256;

/// Opens streams to one target.
#[derive(Debug)]
pub(crate) struct Streams {
    target: SocketAddrV4,
    encoding: Encoding,
    inputs: mpsc::Sender<Input>,
    places: Arc<Semaphore>,
}

impl Streams {
    pub(crate) fn new(
        target: SocketAddrV4,
        encoding: Encoding,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        Self {
            target,
            encoding,
            inputs,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Subscribes a framework. Its records, and its stream's end, come as inputs.
    pub(crate) fn open(&self, framework: usize, call: Bytes) -> AbortHandle {
        let (target, encoding) = (self.target, self.encoding);
        let (inputs, places) = (self.inputs.clone(), Arc::clone(&self.places));
        let stream = async move {
            let Err(error) = read(target, encoding, framework, call, &inputs, &places).await else {
                return;
            };
            let reason = error.to_string();
            // Nobody listens at the end of the run.
            let _ = inputs.send(Input::Ended { framework, reason }).await;
        };
        tokio::spawn(stream).abort_handle()
    }
}

async fn read(
    target: SocketAddrV4,
    encoding: Encoding,
    framework: usize,
    call: Bytes,
    inputs: &mpsc::Sender<Input>,
    places: &Semaphore,
) -> Result<(), Error> {
    let what = "a subscription";
    let place = places.acquire().await;
    let mut connection = Connection::open(target).await?;
    let response = connection
        .open_post(super::http::SCHEDULER_API, encoding, None, call)
        .await?;
    drop(place);
    if !response.status().is_success() {
        return Err(connection.refusal(what, response).await);
    }
    let stream_id = response.headers().get(STREAM_ID).cloned();
    if inputs
        .send(Input::Opened {
            framework,
            stream_id,
        })
        .await
        .is_err()
    {
        return Ok(());
    }
    let ended = |reason: String| Error::Unreachable {
        address: target,
        what,
        reason,
    };
    let mut decoder = recordio::Decoder::new(limits::RECORD_BYTES);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ended(error.to_string()))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        decoder.extend(&bytes);
        while let Some(record) = decoder.next_record().map_err(|e| ended(e.to_string()))? {
            if inputs
                .send(Input::Record { framework, record })
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    }
    Err(ended("the stream ended".to_owned()))
}
