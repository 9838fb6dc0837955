//! Accepting connections, and telling messages from requests on them.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use http::{HeaderMap, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use meseta_machine::Reply;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection::{Connection, InRequest, Watched};
use crate::foreign;
use crate::limits;
use crate::listener::Listener;
use crate::message::{self, Envelope, Message};
use crate::request::{Bodies, Refusal, Request, RequestStream};
use crate::response::{Body, Outgoing, Response};

/// What answers on a listener.
pub trait Service: Clone + Send + Sync + 'static {
    /// Takes a message. Those of one connection come in the order in which they were sent. This
    /// may block to hold the senders back: it runs on a thread of its own, one message at a time.
    fn message(&self, message: Message);

    /// Takes a message if it need not have its turn among the others, and gives it back otherwise.
    /// This runs on a thread of the network and must not block.
    fn take_at_once(&self, message: Message) -> Option<Message> {
        Some(message)
    }

    /// Takes a message if nothing holds it back, and gives it back otherwise: then it waits for
    /// [`Service::message`]. Whatever came before it has been taken. This runs on a thread of the network
    /// and must not block.
    fn try_message(&self, message: Message) -> Option<Message> {
        Some(message)
    }

    /// Answers a request, whether or not the client still waits: that shows when it is answered.
    fn request(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// Whether the body of a request is to be read as it arrives, by [`Service::streamed`]. It is not
    /// there yet.
    fn is_streamed(&self, _: &Request) -> bool {
        false
    }

    /// Answers a request whose body is read meanwhile, or not to its end: then the connection ends with
    /// the answer. Dropped when the client has gone.
    fn streamed(
        &self,
        request: Request,
        body: RequestStream,
    ) -> impl Future<Output = Response> + Send {
        drop(body);
        self.request(request)
    }
}

/// Serves a listener for ever; returns only if it cannot start. Dropping the future closes the
/// listener and every connection.
pub async fn serve(listener: Listener, service: impl Service) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener.socket)?;
    run(listener, service, limits::CONNECTIONS).await
}

/// Serves a unix socket in the same way, but only those processes that `admits` finds right; others
/// are cut off without an answer. It is asked once a connection, of who opened it, and must not take
/// long.
pub async fn serve_unix(
    listener: std::os::unix::net::UnixListener,
    admits: impl Fn(Opener) -> bool + Send + Sync,
    service: impl Service,
) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    run(Guarded { listener, admits }, service, limits::CONNECTIONS).await
}

/// Who has opened a connection to a unix socket, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    /// The process, unless it is none of this PID namespace.
    pub pid: Option<i32>,
    /// Its effective user.
    pub uid: u32,
}

/// A unix socket that is not for everybody.
struct Guarded<A> {
    listener: UnixListener,
    admits: A,
}

/// Either kind of listener.
trait Accept: Send + Sync {
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self)
    -> impl Future<Output = io::Result<(Self::Socket, Option<SocketAddr>)>> + Send;

    /// Writes what fits into the socket's buffer.
    fn write_once(socket: &Self::Socket, bytes: &[u8]) -> io::Result<usize>;
}

impl Accept for TcpListener {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (socket, peer) = TcpListener::accept(self).await?;
        Ok((socket, Some(peer)))
    }

    fn write_once(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        socket.try_write(bytes)
    }
}

impl<A: Fn(Opener) -> bool + Send + Sync> Accept for Guarded<A> {
    type Socket = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        loop {
            let (socket, _) = self.listener.accept().await?;
            let credentials = socket.peer_cred()?;
            let opener = Opener {
                pid: credentials.pid().filter(|pid| *pid > 0),
                uid: credentials.uid(),
            };
            if (self.admits)(opener) {
                return Ok((socket, None));
            }
            tracing::warn!(?opener, "cut off a process that this socket is not for");
        }
    }

    fn write_once(socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
        socket.try_write(bytes)
    }
}

/// What the connections of one listener share.
struct Server<S> {
    service: S,
    messages: mpsc::Sender<Message>,
    /// How many messages wait, or are being taken by the thread that they wait for.
    waiting: Arc<AtomicUsize>,
    bodies: Bodies,
    answers: Arc<Semaphore>,
    /// Rings when connections run out.
    crowded: Notify,
}

const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

async fn run<A: Accept, S: Service>(
    listener: A,
    service: S,
    connections: usize,
) -> io::Result<Infallible> {
    let waiting = Arc::new(AtomicUsize::new(0));
    let server = Arc::new(Server {
        messages: deliver_to(service.clone(), Arc::clone(&waiting))?,
        waiting,
        service,
        bodies: Bodies::default(),
        answers: Arc::new(Semaphore::new(
            limits::ANSWERS_BYTES / limits::ANSWER_STEP_BYTES,
        )),
        crowded: Notify::new(),
    });
    let places = Arc::new(Semaphore::new(connections));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
                continue;
            }
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => {
                tracing::debug!(%error, "a connection broke before it was accepted");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(limits::ACCEPT_REST).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            tasks.spawn(converse(Arc::clone(&server), socket, peer, place));
        } else {
            server.crowded.notify_waiters();
            tracing::warn!(
                ?peer,
                connections,
                "refused a connection: too many are open"
            );
            // The refusal fits into an empty buffer; if it does not arrive, the end does.
            drop(A::write_once(&socket, NO_PLACE));
        }
    }
}

/// Whether an error of accepting only concerns the connection that was to be accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | InvalidInput | NotConnected
    )
}

/// Starts the thread that hands messages to the service, which may block it. It ends when the last
/// connection has.
fn deliver_to(
    service: impl Service,
    waiting: Arc<AtomicUsize>,
) -> io::Result<mpsc::Sender<Message>> {
    let (sender, mut receiver) = mpsc::channel(limits::MESSAGES_WAITING);
    let deliver = move || {
        while let Some(message) = receiver.blocking_recv() {
            service.message(message);
            waiting.fetch_sub(1, Ordering::AcqRel);
        }
    };
    thread::Builder::new()
        .name("messages".into())
        .spawn(deliver)?;
    Ok(sender)
}

/// Carries one connection to its end.
async fn converse<S: Service>(
    server: Arc<Server<S>>,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<SocketAddr>,
    place: OwnedSemaphorePermit,
) {
    let connection = Connection::new(place);
    let answer = service_fn(|request| {
        let (server, connection) = (Arc::clone(&server), Arc::clone(&connection));
        async move {
            let in_request = connection.begin_request();
            let response = server.answer(request, &connection, peer).await;
            Ok::<_, Infallible>(server.outgoing(response, &connection, in_request))
        }
    });
    let socket = TokioIo::new(Watched::new(socket, Arc::clone(&connection)));
    let exchange = http1::Builder::new()
        .title_case_headers(true)
        .max_header_size(limits::HEAD_BYTES)
        .max_buf_size(limits::CONNECTION_BUFFER_BYTES)
        // Hyper's own timeout would also end connections that are silent between requests.
        .header_read_timeout(None)
        // Clients that end their side of the connection after a request still wait for the answer.
        .half_close(true)
        .serve_connection(socket, answer);
    tokio::select! {
        ended = exchange => if let Err(error) = ended {
            tracing::debug!(?peer, %error, "a connection broke");
        },
        () = connection.cut.notified() => tracing::info!(?peer, "cut off a client that reads too slowly"),
        () = makes_way(&server.crowded, &connection) => tracing::debug!(?peer, "closed an idle connection"),
    }
}

/// Waits until connections run out while this one is of no use.
async fn makes_way(crowded: &Notify, connection: &Connection) {
    loop {
        crowded.notified().await;
        if connection.is_dispensable() {
            return;
        }
    }
}

/// What goes with an answer to its end: the mark that its request is in progress, and the room that
/// its body takes.
type Escort = (InRequest, Option<OwnedSemaphorePermit>);

impl<S: Service> Server<S> {
    fn outgoing(
        &self,
        mut response: Response,
        connection: &Arc<Connection>,
        in_request: InRequest,
    ) -> http::Response<Outgoing<Escort>> {
        let room = self.house(&response.body).unwrap_or_else(|crowded| {
            response = crowded.into();
            None
        });
        if response.body.is_endless() {
            connection.begin_stream();
        }
        let body = Outgoing::new(response.body, &connection.cut, (in_request, room));
        let mut outgoing = http::Response::new(body);
        *outgoing.status_mut() = response.status;
        *outgoing.headers_mut() = response.headers;
        outgoing
    }

    /// Finds room for an answer while its client takes it, which may take it long.
    fn house(&self, body: &Body) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let Body::Full(bytes) = body else {
            return Ok(None);
        };
        let steps = bytes.len().min(limits::ANSWERS_BYTES) / limits::ANSWER_STEP_BYTES;
        let Ok(steps @ 1..) = u32::try_from(steps) else {
            return Ok(None);
        };
        let room = Arc::clone(&self.answers).try_acquire_many_owned(steps);
        room.map(Some).map_err(|_| {
            let sentence = "Too many large answers are on their way; try again later";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
        })
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        connection: &Arc<Connection>,
        peer: Option<SocketAddr>,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let answered = match message::open(&parts) {
            Some(Ok(envelope)) => {
                connection.carry_messages();
                self.take_message(envelope, body, &parts.headers, connection)
                    .await
            }
            Some(Err(refusal)) => Err(refusal),
            None => match Request::from_parts(parts, peer) {
                Ok(request) => match foreign::check(&request) {
                    Ok(()) => self.take_request(request, body).await,
                    Err(refusal) => Err(refusal),
                },
                Err(refusal) => Err(refusal),
            },
        };
        answered.unwrap_or_else(|refusal| {
            tracing::debug!(?peer, status = %refusal.status, refusal.sentence, "refused a request");
            let response = Response::from(refusal);
            // What remains of the body cannot be told from the next request.
            if has_body {
                response.closing()
            } else {
                response
            }
        })
    }

    async fn take_message(
        &self,
        envelope: Envelope,
        body: Incoming,
        headers: &HeaderMap,
        connection: &Arc<Connection>,
    ) -> Result<Response, Refusal> {
        let body = self.bodies.read(body, headers).await?;
        let message = Message {
            from: message::locate(&envelope.sender).await?,
            to: envelope.to,
            name: envelope.name,
            body,
        };
        self.deliver(message, connection).await?;
        // Whoever the message is for: senders in Go take any other answer for a failure.
        Ok(Reply::accepted().into())
    }

    /// Hands a message over, at once where none waits: to wake a thread for it would take longer than the
    /// message does. Otherwise it is queued. Waiting for a place must outlive the connection, because a sender
    /// may leave as soon as it has sent. It keeps the connection's place, so that no more of them
    /// wait than there may be connections.
    async fn deliver(&self, message: Message, connection: &Arc<Connection>) -> Result<(), Refusal> {
        let Some(message) = self.service.take_at_once(message) else {
            return Ok(());
        };
        let message = match self.waiting.load(Ordering::Acquire) {
            // Those of this connection came in order, so none of them is under way either.
            0 => match self.service.try_message(message) {
                None => return Ok(()),
                Some(message) => message,
            },
            _ => message,
        };
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let message = match self.messages.try_send(message) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(message)) => message,
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(not_serving()),
        };
        let messages = self.messages.clone();
        let connection = Arc::clone(connection);
        let waiting = tokio::spawn(async move {
            let sent = messages.send(message).await;
            drop(connection);
            sent.is_ok()
        });
        match waiting.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(not_serving()),
        }
    }

    async fn take_request(
        &self,
        mut request: Request,
        body: Incoming,
    ) -> Result<Response, Refusal> {
        if self.service.is_streamed(&request) {
            let body = RequestStream::new(body);
            let end = body.end();
            let response = self.service.streamed(request, body).await;
            let is_read = end.load(Ordering::Relaxed);
            return Ok(if is_read {
                response
            } else {
                response.closing()
            });
        }
        request.body = self.bodies.read(body, &request.headers).await?;
        Ok(self.service.request(request).await)
    }
}

fn not_serving() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Messages are not taken any more",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[derive(Clone)]
    struct Ok200;

    impl Service for Ok200 {
        fn message(&self, _: Message) {}

        async fn request(&self, _: Request) -> Response {
            Reply::ok().into()
        }
    }

    async fn ask(socket: &mut TcpStream, head: &str) -> String {
        // The refusal of a connection may come, and end it, before anything is asked.
        drop(socket.write_all(head.as_bytes()).await);
        let mut bytes = [0; 1024];
        let length = socket.read(&mut bytes).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const POST: &str = "POST /master/m HTTP/1.1\r\nLibprocess-From: a@127.0.0.1:1\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn when_places_run_out_idle_clients_make_way_but_links_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(run(listener, Ok200, 2));
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let (mut link, mut client) = (connect().await, connect().await);
        assert!(ask(&mut link, POST).await.starts_with("HTTP/1.1 202 "));
        assert!(ask(&mut client, GET).await.starts_with("HTTP/1.1 200 "));

        // Both are in use as yet.
        assert!(
            ask(&mut connect().await, "")
                .await
                .starts_with("HTTP/1.1 503 ")
        );
        assert!(ask(&mut client, GET).await.starts_with("HTTP/1.1 200 "));

        tokio::time::advance(limits::IDLE_TIME + Duration::from_secs(1)).await;
        assert!(
            ask(&mut connect().await, "")
                .await
                .starts_with("HTTP/1.1 503 ")
        );
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(
            ask(&mut connect().await, GET)
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        assert!(ask(&mut link, POST).await.starts_with("HTTP/1.1 202 "));
        server.abort();
    }
}
