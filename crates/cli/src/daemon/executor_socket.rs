//! The unix socket of the executor API: executors reach their agent there without a network.

use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use http::StatusCode;
use meseta_transport::{Body, Message, Opener, Request, RequestStream, Response, Service};

use super::containers::Containers;
use super::process::{End, Ends};
use crate::Failure;
use crate::flags::{FlagError, Flags};

/// The socket's name in the folder for what lives as long as the machine runs. As in Mesos.
const NAME: &str = "agent.sock";

/// The kernel's bound for paths of sockets, and Mesos's.
const MAX_PATH: usize = 108;

/// Tasks run as whatever user their framework names, so that any may knock; who is let in is
/// decided by the process.
const PERMISSIONS: u32 = 0o666;

/// The socket, if executors are to use one: bound, and not served yet.
#[derive(Debug)]
pub(crate) struct ExecutorSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ExecutorSocket {
    /// Binds the socket that the flags ask for.
    pub(crate) fn from_flags(flags: &Flags) -> Result<Option<Self>, Failure> {
        if !flags
            .get::<bool>("http_executor_domain_sockets")?
            .unwrap_or_default()
        {
            return Ok(None);
        }
        let location: Option<PathBuf> = flags.get("domain_socket_location")?;
        if let Some(location) = &location
            && location.as_os_str().as_bytes().starts_with(b"systemd:")
        {
            return Err(refused(
                location,
                "sockets that systemd passes are not served; name a path".into(),
            ));
        }
        let path = match location {
            Some(path) => path,
            None => flags
                .require::<PathBuf>("runtime_dir", "the executors' socket is there")?
                .join(NAME),
        };
        // Executors work in their sandboxes.
        let path = std::path::absolute(&path).map_err(|e| refused(&path, e.to_string()))?;
        if path.as_os_str().len() >= MAX_PATH {
            return Err(refused(
                &path,
                format!("a socket's path must have less than {MAX_PATH} characters"),
            ));
        }
        let listener = bind(&path).map_err(|error| {
            Failure::Start(format!(
                "failed to listen on the executors' socket {}: {error}",
                path.display()
            ))
        })?;
        Ok(Some(Self { listener, path }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Serves the executors' part of an agent's API, under the agent's process id.
    pub(crate) fn serve(self, id: &str, service: impl Service, containers: Containers, ends: Ends) {
        let service = Doorkeeper {
            service,
            paths: PATHS.map(|path| format!("/{id}{path}")),
        };
        let own_uid = rustix::process::geteuid().as_raw();
        let admits = move |opener: Opener| {
            // These could do as they like with the agent anyway.
            let is_mighty = opener.uid == 0 || opener.uid == own_uid;
            is_mighty || opener.pid.is_some_and(|pid| containers.holds(pid))
        };
        tokio::spawn(async move {
            let Err(error) = meseta_transport::serve_unix(self.listener, admits, service).await;
            ends.tell(End::Failed(format!(
                "can't serve the executors' socket: {error}"
            )));
        });
    }
}

fn refused(path: &Path, reason: String) -> Failure {
    Failure::Flags(FlagError::Value {
        name: "domain_socket_location",
        value: path.display().to_string(),
        reason,
    })
}

/// Listens at a path, in place of a former life of the agent but of nothing else.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another program listens there",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(PERMISSIONS))?;
    Ok(listener)
}

/// What executors call: their own API, and that of nested containers.
const PATHS: [&str; 2] = ["/api/v1/executor", "/api/v1"];

/// Lets nothing pass but executors' calls.
#[derive(Debug, Clone)]
struct Doorkeeper<S> {
    service: S,
    /// The same under the agent's process id.
    paths: [String; 2],
}

impl<S> Doorkeeper<S> {
    fn lets_pass(&self, request: &Request) -> bool {
        let path = request.path.as_str();
        PATHS.contains(&path) || self.paths.iter().any(|own| own == path)
    }
}

impl<S: Service> Service for Doorkeeper<S> {
    fn message(&self, message: Message) {
        tracing::info!(
            name = message.name,
            "dropped a message to the executors' socket"
        );
    }

    fn is_streamed(&self, request: &Request) -> bool {
        self.lets_pass(request) && self.service.is_streamed(request)
    }

    fn streamed(
        &self,
        request: Request,
        body: RequestStream,
    ) -> impl Future<Output = Response> + Send {
        self.service.streamed(request, body)
    }

    async fn request(&self, request: Request) -> Response {
        if self.lets_pass(&request) {
            return self.service.request(request).await;
        }
        let path = request.path.as_str();
        tracing::info!(path, "refused a request to the executors' socket");
        Response::new(StatusCode::FORBIDDEN, Body::Full(bytes::Bytes::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_takes_the_place_of_one_that_nobody_listens_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/agent.sock");
        let first = bind(&path).unwrap();
        let refusal = bind(&path).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PERMISSIONS);
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        bind(&path).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
