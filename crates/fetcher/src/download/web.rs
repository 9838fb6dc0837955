//! `http` and `https`.

use std::fs::File;
use std::time::Duration;

use http::{Request, Response};
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::proxies::Proxies;
use super::{DownloadError, Transfer};

/// A client for one fetch.
#[derive(Debug)]
pub(super) struct Web {
    agent: Agent,
    stall_timeout: Duration,
}

/// How connections are made, through whatever proxy.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    tls: TlsConfig,
    stall_timeout: Duration,
}

impl Settings {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        let tls = TlsConfig::builder().root_certs(root_certificates()).build();
        Self { tls, stall_timeout }
    }

    pub(super) fn config(&self, proxy: Option<Proxy>) -> Config {
        let stall = Some(self.stall_timeout);
        Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("meseta/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(stall)
            .timeout_recv_response(stall)
            .timeout_per_read(stall)
            .tls_config(self.tls.clone())
            .proxy(proxy)
            .build()
    }
}

impl Web {
    /// A client that goes through the proxies of the environment.
    pub(super) fn new(stall_timeout: Duration) -> Self {
        let settings = Settings::new(stall_timeout);
        Self {
            agent: Proxies::from_environment().client(settings),
            stall_timeout,
        }
    }

    /// The agent behind it.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Gets a URI, wherever it leads.
    pub(super) fn get(
        &self,
        uri: &str,
        file: &mut File,
        transfer: &mut Transfer<'_>,
    ) -> Result<(), DownloadError> {
        let answer = self.agent.get(uri).call();
        let response = answer.map_err(|error| self.failed(error))?;
        if response.status() != 200 {
            return Err(DownloadError::Status(response.status().as_u16()));
        }
        self.save(response, file, transfer)
    }

    /// Asks once, and follows nothing: a signature holds for one address.
    pub(super) fn ask(&self, request: Request<()>) -> Result<Response<Body>, DownloadError> {
        let request = self.agent.configure_request(request).max_redirects(0);
        let answer = self.agent.run(request.build());
        answer.map_err(|error| self.failed(error))
    }

    /// Puts the content of an answer into a file.
    pub(super) fn save(
        &self,
        mut response: Response<Body>,
        file: &mut File,
        transfer: &mut Transfer<'_>,
    ) -> Result<(), DownloadError> {
        let expected = response.body().content_length();
        let body = response.body_mut().as_reader();
        transfer
            .copy(body, file, expected)
            .map_err(|error| match error {
                DownloadError::Read(error) => self.failed(ureq::Error::from(error)),
                error => error,
            })
    }

    fn failed(&self, error: ureq::Error) -> DownloadError {
        match error {
            ureq::Error::Timeout(_) => DownloadError::Stalled(self.stall_timeout),
            ureq::Error::InvalidProxyUrl => DownloadError::Refused(
                "The proxy that the environment names is not one that is asked by http".into(),
            ),
            error => DownloadError::Web(error),
        }
    }
}

/// Whom this machine trusts; where it trusts nobody, whom browsers trust.
fn root_certificates() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return RootCerts::WebPki;
    }
    let certificates: Vec<_> = found
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    RootCerts::new_with_certs(&certificates)
}
