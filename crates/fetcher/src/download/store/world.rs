//! What the signing library may ask of the world: files, the environment, programs that know
//! credentials, and services that hand them out.

use std::cell::Cell;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use reqsign_core::{
    CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, OsEnv, Result,
};
use ureq::Agent;

use crate::download::DownloadError;
use crate::download::proxies::Proxies;
use crate::download::web::{Settings, Web};
use crate::limits::{MAX_CREDENTIALS, METADATA_TIMEOUT};

/// Hosts of metadata services, which are on this machine's own link.
const NEAR: [&str; 4] = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "metadata.google.internal",
];

/// The world of one fetch.
#[derive(Debug)]
pub(super) struct World {
    context: Context,
    /// Whether a request left unsigned, because nothing to sign it with was found.
    pub(super) is_anonymous: Cell<bool>,
}

impl World {
    pub(super) fn new(web: &Web) -> Self {
        let services = Services {
            far: web.agent().clone(),
            near: Proxies::none().client(Settings::new(METADATA_TIMEOUT)),
        };
        let context = Context::new()
            .with_file_read(Files)
            .with_env(OsEnv)
            .with_command_execute(Programs)
            .with_http_send(Arc::new(services));
        Self {
            context,
            is_anonymous: Cell::new(false),
        }
    }

    /// Waits for what the library does. It waits for nothing itself: all that it asks blocks.
    pub(super) fn wait<T>(
        &self,
        job: impl AsyncFnOnce(&Context) -> T,
    ) -> std::result::Result<T, DownloadError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| DownloadError::Refused(format!("Failed to wait: {error}")))?;
        Ok(runtime.block_on(job(&self.context)))
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        std::fs::read(path)
            .map_err(|error| Error::unexpected(format!("failed to read {path}")).with_source(error))
    }
}

/// `credential_process` of AWS profiles.
#[derive(Debug)]
struct Programs;

impl CommandExecute for Programs {
    async fn command_execute(&self, program: &str, arguments: &[&str]) -> Result<CommandOutput> {
        let output = std::process::Command::new(program)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| {
                Error::unexpected(format!("failed to run {program}")).with_source(error)
            })?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

#[derive(Debug)]
struct Services {
    far: Agent,
    near: Agent,
}

impl HttpSend for Services {
    async fn http_send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let host = request.uri().host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_near = NEAR.contains(&host) || host.parse().is_ok_and(is_of_this_machine);
        let agent = if is_near { &self.near } else { &self.far };
        let failed = |error| Error::unexpected("failed to ask for credentials").with_source(error);
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body.to_vec());
        let (parts, mut body) = agent.run(request).map_err(failed)?.into_parts();
        let mut content = Vec::new();
        body.as_reader()
            .take(MAX_CREDENTIALS)
            .read_to_end(&mut content)
            .map_err(|error| failed(error.into()))?;
        Ok(Response::from_parts(parts, content.into()))
    }
}

fn is_of_this_machine(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_loopback(),
    }
}
