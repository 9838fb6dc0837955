//! `ftp` and `ftps`, passively.

use std::fs::File;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpResult, Mode, RustlsConnector, RustlsFtpStream, Status, TlsConnector};

use super::{DownloadError, Transfer};

/// What a URI of these schemes says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    encrypted: bool,
    host: String,
    port: u16,
    user: String,
    password: String,
    path: String,
}

impl Place {
    fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        let encrypted = scheme.eq_ignore_ascii_case("ftps");
        let (authority, path) = rest.split_once('/')?;
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (server, if encrypted { 990 } else { 21 }),
        };
        let (user, password) = match login {
            None => ("anonymous", "anonymous@"),
            Some(login) => login.split_once(':').unwrap_or((login, "")),
        };
        let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
        let place = Self {
            encrypted,
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port,
            user: decoded(user)?,
            password: decoded(password)?,
            path: decoded(path)?,
        };
        // They become lines of a conversation: none may say more than it seems to.
        let is_safe = |text: &String| !text.contains(['\r', '\n', '\0']);
        let said = [&place.user, &place.password, &place.path];
        (!place.host.is_empty() && said.into_iter().all(is_safe)).then_some(place)
    }
}

/// Gets a URI's content, binary.
pub(super) fn get(
    uri: &str,
    file: &mut File,
    stall_timeout: Duration,
    transfer: &mut Transfer<'_>,
) -> Result<(), DownloadError> {
    let place =
        Place::parse(uri).ok_or_else(|| DownloadError::Refused(format!("Malformed URI: {uri}")))?;
    let failed = |error: FtpError| match error {
        FtpError::ConnectionError(error) => waited(error, stall_timeout),
        FtpError::UnexpectedResponse(answer) => {
            let said = String::from_utf8_lossy(&answer.body).trim().to_owned();
            DownloadError::FtpRefused(said.replace(char::is_control, " "))
        }
        error => DownloadError::Ftp(error),
    };
    let mut server = connect(&place, stall_timeout).map_err(failed)?;
    server.login(&place.user, &place.password).map_err(failed)?;
    if place.encrypted {
        for command in ["PBSZ 0", "PROT P"] {
            let answer = server.custom_command(command, &[Status::CommandOk]);
            answer.map_err(failed)?;
        }
    }
    server.transfer_type(FileType::Binary).map_err(failed)?;
    // Not every server tells.
    let expected = server.size(&place.path).ok().map(|size| size as u64);
    let mut content = server.retr_as_stream(&place.path).map_err(failed)?;
    transfer
        .copy(&mut content, file, expected)
        .map_err(|error| match error {
            DownloadError::Read(error) => waited(error, stall_timeout),
            error => error,
        })?;
    // The server says here whether that was all.
    content.finish().map_err(failed)?;
    // All is there. A farewell is mere courtesy.
    let _ = server.quit();
    Ok(())
}

fn waited(error: std::io::Error, stall_timeout: Duration) -> DownloadError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            DownloadError::Stalled(stall_timeout)
        }
        _ => DownloadError::Read(error),
    }
}

fn connect(place: &Place, stall_timeout: Duration) -> FtpResult<RustlsFtpStream> {
    let server = (place.host.as_str(), place.port);
    if place.encrypted {
        // From the first byte, as curl reads the scheme.
        let connector = Encryption::new(stall_timeout)?;
        let mut stream = RustlsFtpStream::connect_secure_implicit(server, connector, &place.host)?;
        stream.set_passive_nat_workaround(true);
        return Ok(stream.passive_stream_builder(move |to| dial(to, stall_timeout)));
    }
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in server
        .to_socket_addrs()
        .map_err(FtpError::ConnectionError)?
    {
        match dial(address, stall_timeout) {
            Ok(connection) => {
                let stream = RustlsFtpStream::connect_with_stream(connection)?;
                let mut stream = stream.passive_stream_builder(move |to| dial(to, stall_timeout));
                // A server may name an address that only its own side can reach, and must not name
                // one that is none of its own.
                stream.set_passive_nat_workaround(true);
                if address.is_ipv6() {
                    stream.set_mode(Mode::ExtendedPassive);
                }
                return Ok(stream);
            }
            Err(FtpError::ConnectionError(error)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(FtpError::ConnectionError(last))
}

/// Connects, to wait for nothing longer than what is allowed.
fn dial(address: SocketAddr, stall_timeout: Duration) -> FtpResult<TcpStream> {
    TcpStream::connect_timeout(&address, stall_timeout)
        .and_then(|connection| bounded(connection, stall_timeout))
        .map_err(FtpError::ConnectionError)
}

fn bounded(connection: TcpStream, stall_timeout: Duration) -> std::io::Result<TcpStream> {
    connection.set_read_timeout(Some(stall_timeout))?;
    connection.set_write_timeout(Some(stall_timeout))?;
    Ok(connection)
}

/// Encrypts connections that wait for nothing longer than what is allowed.
#[derive(Debug)]
struct Encryption {
    connector: RustlsConnector,
    stall_timeout: Duration,
}

impl Encryption {
    fn new(stall_timeout: Duration) -> FtpResult<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| FtpError::SecureError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: RustlsConnector::from(Arc::new(config)),
            stall_timeout,
        })
    }
}

impl TlsConnector for Encryption {
    type Stream = <RustlsConnector as TlsConnector>::Stream;

    fn connect(&self, domain: &str, connection: TcpStream) -> FtpResult<Self::Stream> {
        let connection = bounded(connection, self.stall_timeout);
        let connection = connection.map_err(FtpError::ConnectionError)?;
        self.connector.connect(domain, connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_curl_reads_them() {
        let place = Place::parse("ftp://user:p%40ss@h:2121/a%20b/c").unwrap();
        let expected = Place {
            encrypted: false,
            host: "h".into(),
            port: 2121,
            user: "user".into(),
            password: "p@ss".into(),
            path: "a b/c".into(),
        };
        assert_eq!(place, expected);
        let place = Place::parse("ftps://[::1]//etc/motd").unwrap();
        assert_eq!((place.host.as_str(), place.port), ("::1", 990));
        assert_eq!(
            (place.user.as_str(), place.path.as_str()),
            ("anonymous", "/etc/motd")
        );
    }

    #[test]
    fn no_uri_says_more_than_one_line() {
        for uri in [
            "ftp://h/a%0d%0aDELE b",
            "ftp://u%0aX:p@h/a",
            "ftp://u:p%0aX@h/a",
            "ftp:///a",
            "ftp://h:port/a",
        ] {
            assert_eq!(Place::parse(uri), None, "{uri}");
        }
    }
}
