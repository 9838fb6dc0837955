//! From requests to a session's input: ATTACH_CONTAINER_INPUT.

use std::io;

use bytes::Bytes;
use meseta_agent::{WindowSize, http};
use meseta_containerizer as containerizer;
use meseta_machine::Reply;
use meseta_proto::recordio::Decoder;
use meseta_transport::{Request, RequestStream, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Sender;
use tokio::time::timeout;

use crate::daemon::agent;
use crate::daemon::driver::Latest;
use crate::daemon::limits::{FIRST_RECORD_TIME, MAX_INPUT_RECORD};
use crate::daemon::watched::Seen;

/// The end of a session's input that is written to.
#[derive(Debug)]
pub(super) struct Sink {
    /// `None` when whoever sends has ended it.
    stream: Option<Sender>,
    is_terminal: bool,
}

impl Sink {
    pub(super) fn new(stream: Sender, is_terminal: bool) -> Self {
        Self {
            stream: Some(stream),
            is_terminal,
        }
    }

    async fn take(&mut self, input: http::AttachedInput) -> Result<(), Box<Reply>> {
        match input {
            // A terminal's users type the end of their input.
            http::AttachedInput::Data(bytes) if bytes.is_empty() => {
                if !self.is_terminal {
                    self.stream = None;
                }
                Ok(())
            }
            http::AttachedInput::Data(bytes) => self.write(&bytes).await.map_err(|error| {
                let sentence = format!("Failed writing to stdin: {error}");
                Box::new(Reply::refused(500, sentence))
            }),
            http::AttachedInput::Resize(size) => self.resize(size).map_err(|error| {
                let sentence = format!("Unable to set the window size: {error}");
                Box::new(Reply::bad_request(sentence))
            }),
            http::AttachedInput::Heartbeat => Ok(()),
        }
    }

    /// Returns when the kernel has taken all of it.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => stream.write_all(bytes).await,
            None => Err(ended()),
        }
    }

    fn resize(&self, size: WindowSize) -> io::Result<()> {
        let size = kernels(size);
        let stream = self.stream.as_ref().ok_or_else(ended)?;
        containerizer::resize(stream, size)
    }
}

/// A size as terminals are told it.
pub(super) fn kernels(size: WindowSize) -> containerizer::WindowSize {
    containerizer::WindowSize {
        rows: size.rows,
        columns: size.columns,
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "it has been ended")
}

/// Answers an ATTACH_CONTAINER_INPUT when its body has ended, or the container has. A body that ends without
/// having ended the input leaves it open for the next.
pub(crate) async fn feed(latest: Latest<Seen>, request: Request, body: RequestStream) -> Response {
    match try_feed(latest, request, body).await {
        Ok(()) => Reply::ok().into(),
        Err(refusal) => (*refusal).into(),
    }
}

async fn try_feed(
    latest: Latest<Seen>,
    request: Request,
    body: RequestStream,
) -> Result<(), Box<Reply>> {
    let seen = latest.get();
    let attaching = agent::attaching(&seen, &request)?;
    let sessions = seen.sessions.clone();
    drop(seen);
    let places = sessions.0.places.clone();
    let _place = places.try_acquire_owned().map_err(|_| {
        let sentence = "Too many others send input; try again later";
        Box::new(Reply::refused(503, sentence))
    })?;
    let mut records = Records {
        body,
        decoder: Decoder::new(MAX_INPUT_RECORD),
    };
    let first = timeout(FIRST_RECORD_TIME, records.next()).await;
    let first = first.map_err(|_| {
        let sentence = "The request's body did not arrive in time";
        Box::new(Reply::refused(408, sentence))
    })??;
    let first = first.ok_or_else(|| {
        let sentence = "Received EOF while reading request body";
        Box::new(Reply::bad_request(sentence))
    })?;
    let seen = latest.get();
    let id = attaching.begin(&seen.snapshot, &first)?;
    let Some(session) = sessions.get(&id) else {
        let terminal = sessions.type_on(&id)?;
        let terminal = terminal.ok_or_else(|| http::not_attachable(&seen.snapshot, &id))?;
        drop(seen);
        return terminal.feed(&attaching, records).await;
    };
    drop(seen);
    let Ok(mut sink) = session.sink.try_lock() else {
        return Err(Box::new(somebody_else()));
    };
    loop {
        let taken = async {
            match records.next().await? {
                Some(record) => sink.take(attaching.input(&record)?).await.map(Some),
                None => Ok(None),
            }
        };
        tokio::select! {
            taken = taken => if taken?.is_none() {
                return Ok(());
            },
            () = session.ended() => return Ok(()),
        }
    }
}

/// One at a time sends input.
pub(super) fn somebody_else() -> Reply {
    Reply::refused(409, "Multiple input connections are not allowed")
}

/// The records of a body, as they arrive.
pub(super) struct Records {
    body: RequestStream,
    decoder: Decoder,
}

impl Records {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Box<Reply>> {
        let broken = |error: &dyn std::fmt::Display| {
            let sentence = format!("Failed to read the request's body: {error}");
            Box::new(Reply::bad_request(sentence))
        };
        loop {
            if let Some(record) = self.decoder.next_record().map_err(|e| broken(&e))? {
                return Ok(Some(record));
            }
            match self.body.next().await.map_err(|e| broken(&e))? {
                Some(bytes) => self.decoder.extend(&bytes),
                None => return Ok(None),
            }
        }
    }
}
