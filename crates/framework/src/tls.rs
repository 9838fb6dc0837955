use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs, io};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Error;

/// Whom to trust where masters are called over TLS, and how to say who calls.
#[derive(Clone)]
pub struct Tls {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.roots.len())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Tls {}

impl Tls {
    /// Trusts the authorities that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` change
    /// them). This is what `https://` masters get without [`Settings::tls`](crate::Settings::tls).
    ///
    /// # Errors
    /// [`Error::Tls`] when the machine trusts none.
    pub fn native() -> Result<Self, Error> {
        let failed = |reason: String| Error::Tls {
            what: "the authorities that this machine trusts".to_owned(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(failed(format!("there are none {}", reasons.join(", "))));
        }
        Self::build(roots, None).map_err(|error| failed(error.to_string()))
    }

    /// Trusts the authorities in a file of certificates (PEM), and no others.
    ///
    /// # Errors
    /// [`Error::Tls`] when the file cannot be read or holds no certificate.
    pub fn trusting(authorities: impl AsRef<Path>) -> Result<Self, Error> {
        let path = authorities.as_ref();
        let failed = |reason: String| Error::Tls {
            what: format!("the authorities in '{}'", path.display()),
            reason,
        };
        let certificates = certificates(path).map_err(|error| failed(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| failed(error.to_string()))?;
        }
        Self::build(roots, None).map_err(|error| failed(error.to_string()))
    }

    /// Shows a certificate (PEM, with those that lead to its authority) where a master asks for one.
    ///
    /// # Errors
    /// [`Error::Tls`] when the files cannot be read, or do not belong together.
    pub fn with_identity(
        self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let failed = |path: &Path, reason: String| Error::Tls {
            what: format!("the identity in '{}'", path.display()),
            reason,
        };
        let chain = certificates(certificate).map_err(|e| failed(certificate, e.to_string()))?;
        let private = fs::read(key).map_err(|e| failed(key, e.to_string()))?;
        let private =
            PrivateKeyDer::from_pem_slice(&private).map_err(|e| failed(key, e.to_string()))?;
        let roots = RootCertStore::clone(&self.roots);
        Self::build(roots, Some((chain, private))).map_err(|e| failed(certificate, e.to_string()))
    }

    fn build(
        roots: RootCertStore,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, rustls::Error> {
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots));
        let config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        let config = Arc::new(config);
        Ok(Self { roots, config })
    }

    /// Makes sure that the other side is `host:port`, and encrypts from now on.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        address: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = fs::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(io::Error::other)?;
    if found.is_empty() {
        return Err(io::Error::other("it holds no certificate"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_certificates_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        fs::write(&empty, "nothing\n").unwrap();
        for path in [empty, folder.path().join("missing.pem")] {
            let error = Tls::trusting(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
