//! A gateway in front of a daemon, as operators put them there: it speaks TLS, or asks for a
//! password, or both.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

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
    /// This line in the head.
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
        self.authorization = Some(format!("authorization: Basic {pair}\r\n"));
        self
    }
}

impl Gateway {
    pub(crate) fn start(behind: SocketAddr, demands: Demands) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let passed = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&passed);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (demands, list) = (demands.clone(), Arc::clone(&list));
                // What fails here fails at the client, which tells of it.
                thread::spawn(move || serve(stream, behind, &demands, &list));
            }
        });
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
    let mut head = String::new();
    while client.read_line(&mut head)? > 2 {}
    let mut length = 0;
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    if let Some(line) = &demands.authorization
        && !head.contains(line.as_str())
    {
        return client.get_mut().write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"gateway\"\r\n\
              Content-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let (first, rest) = head.split_once("\r\n").unwrap_or_default();
    passed
        .lock()
        .expect("no panic holds it")
        .push(first.to_owned());
    let mut server = TcpStream::connect(behind)?;
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
    server.write_all(&body)?;
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
