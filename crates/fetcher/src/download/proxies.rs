//! Proxies, as the environment names them (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`).
//!
//! The client library sends whatever goes through a proxy by CONNECT, which most proxies grant to
//! port 443 alone. So plain `http` goes here as it should: the proxy is asked for the whole URI.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Error, Proxy, ProxyProtocol};

use super::web::Settings;

/// Which proxy serves which URI.
#[derive(Debug, Clone)]
pub(super) struct Proxies(Arc<Matcher>);

impl Proxies {
    /// Those of this process's environment.
    pub(super) fn from_environment() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self(Arc::new(Matcher::builder().build()))
    }

    /// A client that goes through them.
    pub(super) fn client(self, settings: Settings) -> ureq::Agent {
        let config = settings.config(None);
        let routes = Routes {
            proxies: self.clone(),
            settings,
            connector: Arc::new(DefaultConnector::default()),
        };
        ureq::Agent::with_parts(config, routes, Names(self))
    }
}

/// Looks up what is connected to: the proxy, where there is one. Names of the world outside may
/// be unknown on this side of it.
#[derive(Debug)]
struct Names(Proxies);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let proxy = self.0.0.intercept(uri);
        let connected = proxy.as_ref().map_or(uri, Intercept::uri);
        DefaultResolver::default().resolve(connected, config, timeout)
    }
}

/// Connects to where a URI is, or to the proxy that leads there.
#[derive(Debug)]
struct Routes {
    proxies: Proxies,
    settings: Settings,
    connector: Arc<DefaultConnector>,
}

impl Connector<()> for Routes {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(proxy) = self.proxies.0.intercept(details.uri) else {
            return self.connector.connect(details, None);
        };
        if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
            return Err(Error::InvalidProxyUrl);
        }
        if details.needs_tls() {
            self.tunnel(details, &proxy)
        } else {
            self.forward(details, &proxy)
        }
    }
}

impl Routes {
    /// Has the proxy connect, and speaks with the server itself.
    fn tunnel(
        &self,
        details: &ConnectionDetails<'_>,
        proxy: &Intercept,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        let config = self.settings.config(Some(described(proxy)?));
        let resolver = DefaultResolver::default();
        let connector = Arc::clone(&self.connector);
        let details = ConnectionDetails {
            config: &config,
            resolver: &resolver,
            // To the proxy itself no proxy leads.
            run_connector: Arc::new(move |to| {
                let connected = connector.connect(to, None)?;
                connected.ok_or(Error::ConnectionFailed)
            }),
            ..same(details)
        };
        self.connector.connect(&details, None)
    }

    /// Asks the proxy for the whole URI.
    fn forward(
        &self,
        details: &ConnectionDetails<'_>,
        proxy: &Intercept,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            ..same(details)
        };
        let Some(connection) = self.connector.connect(&to_proxy, None)? else {
            return Ok(None);
        };
        let authority = details.uri.authority().map_or("", |it| it.as_str());
        let credentials = proxy.basic_auth().and_then(|value| value.to_str().ok());
        let missing = Missing {
            origin: format!("http://{authority}"),
            credentials: credentials.map(str::to_owned),
        };
        Ok(Some(Box::new(Forwarded {
            connection,
            missing: Some(missing),
        })))
    }
}

/// The client library's words for a proxy.
fn described(proxy: &Intercept) -> Result<Proxy, Error> {
    let uri = proxy.uri();
    let protocol = match uri.scheme_str() {
        Some("https") => ProxyProtocol::Https,
        _ => ProxyProtocol::Http,
    };
    let mut described = Proxy::builder(protocol).host(uri.host().unwrap_or_default());
    if let Some(port) = uri.port_u16() {
        described = described.port(port);
    }
    if let Some((user, password)) = proxy.basic_auth().and_then(credentials) {
        described = described.username(&user).password(&password);
    }
    described.build()
}

fn credentials(header: &http::HeaderValue) -> Option<(String, String)> {
    let encoded = header.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn same<'a>(details: &ConnectionDetails<'a>) -> ConnectionDetails<'a> {
    ConnectionDetails {
        uri: details.uri,
        addrs: details.addrs.clone(),
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: Arc::clone(&details.current_time),
        run_connector: Arc::clone(&details.run_connector),
        register_shutdown: Arc::clone(&details.register_shutdown),
    }
}

/// A connection to a proxy that is asked for a URI of another server.
#[derive(Debug)]
struct Forwarded {
    connection: Box<dyn Transport>,
    /// What the head of the request lacks, until it has left.
    missing: Option<Missing>,
}

struct Missing {
    /// The scheme and the server, which go before the path.
    origin: String,
    credentials: Option<String>,
}

impl std::fmt::Debug for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Missing {
    /// The head of a request, as a proxy is to get it. Its first line is whole: a head has room in
    /// the buffer.
    fn complete(&self, head: &[u8]) -> Vec<u8> {
        let line = head
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let (line, rest) = head.split_at(line);
        let path = line
            .iter()
            .position(|byte| *byte == b' ')
            .map_or(0, |end| end + 1);
        let (method, line) = line.split_at(path);
        let credentials = self
            .credentials
            .as_ref()
            .map(|value| format!("Proxy-Authorization: {value}\r\n"))
            .unwrap_or_default();
        [
            method,
            self.origin.as_bytes(),
            line,
            credentials.as_bytes(),
            rest,
        ]
        .concat()
    }
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let Some(missing) = self.missing.take() else {
            return self.connection.transmit_output(amount, timeout);
        };
        let output = self.connection.buffers().output();
        let head = missing.complete(output.get(..amount).unwrap_or_default());
        let room = output.len().max(1);
        for part in head.chunks(room) {
            let output = self.connection.buffers().output();
            if let Some(output) = output.get_mut(..part.len()) {
                output.copy_from_slice(part);
            }
            self.connection.transmit_output(part.len(), timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.connection.await_input(timeout)
    }

    /// Serves one request.
    fn is_open(&mut self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_asked_for_the_whole_uri() {
        let missing = Missing {
            origin: "http://h:81".into(),
            credentials: Some("Basic eDp5".into()),
        };
        let head = missing.complete(b"GET /a?b HTTP/1.1\r\nHost: h:81\r\n\r\n");
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "GET http://h:81/a?b HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\nHost: h:81\r\n\r\n"
        );
    }

    #[test]
    fn what_the_environment_says_of_proxies_is_read_as_curl_does() {
        let proxies = Matcher::builder()
            .http("http://user:p%40ss@proxy:3128")
            .https("proxy:8443")
            .no("inside.org,10.0.0.0/8")
            .build();
        let through = |uri: &'static str| proxies.intercept(&Uri::from_static(uri));
        let http = through("http://h/a").unwrap();
        assert_eq!(http.uri().authority().unwrap(), "proxy:3128");
        let described = described(&http).unwrap();
        assert_eq!(described.username(), Some("user"));
        assert_eq!(described.password(), Some("p@ss"));
        let https = through("https://h/a").unwrap();
        assert_eq!(https.uri().port_u16(), Some(8443));
        for near in [
            "http://inside.org/",
            "http://a.inside.org/",
            "https://10.1.2.3/",
        ] {
            assert!(through(near).is_none(), "{near}");
        }
    }
}
