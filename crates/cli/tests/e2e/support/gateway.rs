//! A gateway in front of a daemon, as operators put them there: it speaks TLS, or asks for a
//! password, or both.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::web::{self, Reply, Request};

/// Listens until the process ends.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// The first lines of all requests that were let through.
    passed: Arc<Mutex<Vec<String>>>,
}

/// What a gateway wants before it lets a request through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demands {
    /// With a certificate and its key in this file.
    tls: Option<Arc<ServerConfig>>,
    /// This header of the name.
    authorization: Option<String>,
}

impl Demands {
    pub(crate) fn tls(mut self, certificate: &Path) -> Self {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
            .expect("a certificate")
            .collect();
        let key = PrivateKeyDer::from_pem_file(certificate).expect("its key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("a configuration");
        self.tls = Some(Arc::new(config));
        self
    }

    pub(crate) fn password(mut self, principal: &str, secret: &str) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{principal}:{secret}"));
        self.authorization = Some(format!("Basic {pair}"));
        self
    }
}

impl Gateway {
    pub(crate) fn start(behind: SocketAddr, demands: Demands) -> Self {
        let passed = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&passed);
        let address = web::accept(move |stream| serve(stream, behind, &demands, &list));
        Self { address, passed }
    }

    pub(crate) fn passed(&self) -> Vec<String> {
        self.passed.lock().expect("no panic holds it").clone()
    }
}

fn serve(
    stream: TcpStream,
    behind: SocketAddr,
    demands: &Demands,
    passed: &Mutex<Vec<String>>,
) -> io::Result<()> {
    match &demands.tls {
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, stream);
            pass(&mut stream, behind, demands, passed)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        None => pass(stream, behind, demands, passed),
    }
}

/// One request and its answer, which may be a stream.
fn pass(
    client: impl Read + Write,
    behind: SocketAddr,
    demands: &Demands,
    passed: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let Some(request) = Request::read(&mut client)? else {
        return Ok(());
    };
    if demands.authorization.as_deref() != request.header("authorization")
        && demands.authorization.is_some()
    {
        return Reply::empty("401 Unauthorized")
            .header("WWW-Authenticate", "Basic realm=\"gateway\"")
            .header("Connection", "close")
            .write(client.get_mut());
    }
    let first = format!("{} {} HTTP/1.1", request.method, request.target);
    let mut head = format!("{first}\r\nConnection: close\r\n");
    for (name, value) in &request.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    passed.lock().expect("no panic holds it").push(first);
    let mut server = TcpStream::connect(behind)?;
    server.write_all(format!("{head}\r\n").as_bytes())?;
    server.write_all(&request.body)?;
    let mut piece = [0; 16 * 1024];
    loop {
        let read = server.read(&mut piece)?;
        if read == 0 {
            return server.shutdown(Shutdown::Both);
        }
        client.get_mut().write_all(&piece[..read])?;
        client.get_mut().flush()?;
    }
}
