//! The connection of one probe, with or without TLS.
//!
//! Whom to trust is worked out once for all probes of a kind: reading the system's certificates is slow. A node whose
//! certificate is not good is never asked anything.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use super::trusting::Anybody;
use crate::config::checked::{Ca, Tls};

/// What a probe speaks over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How the connection of a probe is opened.
#[derive(Clone)]
pub struct Opening {
    /// TLS, or why it cannot be spoken.
    tls: Option<Result<TlsConnector, String>>,
    /// The name that the certificate must be for, where the file has one.
    name: Option<ServerName<'static>>,
}

impl Opening {
    /// Prepares it. `protocol` is what is spoken over TLS (ALPN); `host` may have a port.
    pub fn new(tls: Option<&Tls>, host: Option<&HeaderValue>, protocol: Option<&[u8]>) -> Self {
        Opening {
            tls: tls.map(|tls| connector(tls, protocol)),
            name: host.and_then(name_of),
        }
    }

    /// Connects. `Err` says what went wrong, in words for the operator.
    pub async fn open(&self, addr: SocketAddr) -> Result<Box<dyn Wire>, String> {
        let stream = TcpStream::connect(addr).await.map_err(|e| match e.kind() {
            ErrorKind::ConnectionRefused => "connection refused".to_string(),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                "no route to host".to_string()
            }
            _ => format!("cannot connect: {e}"),
        })?;
        // A probe is one small packet: without this it could wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let tls = tls.as_ref().map_err(Clone::clone)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::IpAddress(addr.ip().into()),
        };
        let stream = tls.connect(name, stream).await;
        Ok(Box::new(stream.map_err(|e| handshake_failure(&e))?))
    }
}

/// The name in a host, without its port.
fn name_of(host: &HeaderValue) -> Option<ServerName<'static>> {
    let authority: http::uri::Authority = host.to_str().ok()?.parse().ok()?;
    let name = authority.host().trim_matches(['[', ']']);
    ServerName::try_from(name.to_owned()).ok()
}

/// Whom the system trusts, read once.
static SYSTEM: LazyLock<Result<Arc<RootCertStore>, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs()
        .map_err(|e| format!("the system's certificates cannot be read: {e}"))?;
    // A system may have odd ones among them; what counts is that some can be used.
    let (some, _) = roots.add_parsable_certificates(found);
    match some {
        0 => {
            Err("the system trusts nobody: install ca-certificates, or name a file in `ca`".into())
        }
        _ => Ok(Arc::new(roots)),
    }
});

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    PROVIDER.clone()
}

fn connector(tls: &Tls, protocol: Option<&[u8]>) -> Result<TlsConnector, String> {
    let told = |e: rustls::Error| format!("TLS cannot be spoken: {e}");
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(told)?;
    let config = if tls.verify {
        let roots = match &tls.ca {
            Some(ca) => Arc::new(store(ca)?),
            None => SYSTEM.clone()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| format!("nobody can be trusted: {e}"))?;
        config.with_webpki_verifier(verifier)
    } else {
        let anybody = Arc::new(Anybody(provider()));
        config.dangerous().with_custom_certificate_verifier(anybody)
    };
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    // Each probe is to prove the whole way.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn store(ca: &Ca) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for cert in ca.certs.iter() {
        let added = roots.add(cert.clone());
        added.map_err(|e| format!("{} cannot be used: {e}", ca.path.display()))?;
    }
    Ok(roots)
}

/// Why there is no TLS connection, in words for the operator.
fn handshake_failure(e: &std::io::Error) -> String {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is signed by nobody we trust (`ca` names whom to trust)".into()
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("its certificate is not good: {why}")
        }
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".into(),
        Some(other) => format!("TLS handshake failed: {other}"),
        None if e.kind() == ErrorKind::UnexpectedEof => {
            "connection closed in the TLS handshake".into()
        }
        None => format!("TLS handshake failed: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_has_no_port_and_no_brackets() {
        let name = |host: &'static str| name_of(&HeaderValue::from_static(host));
        let app = ServerName::try_from("app.internal").unwrap();
        assert_eq!(name("app.internal"), Some(app.clone()));
        assert_eq!(name("app.internal:8443"), Some(app));
        let six = ServerName::try_from("::1").unwrap();
        assert_eq!(name("[::1]:8443"), Some(six));
    }
}
