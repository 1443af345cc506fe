//! TLS to nodes: whom to trust, with which certificate to come, and what is said when it fails.
//!
//! What is slow to work out (authorities, keys) is worked out once for all connections of a kind. A node that is not who
//! it should be is sent nothing. Never decides what a failure means for the request: that is `classify`.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config::checked::{Ca, NodeTls, NodeTlsVersion};

/// Whom to trust with `verify: false`.
mod anybody;
/// What went wrong, for operators.
mod words;

use anybody::Anybody;

pub use words::{Failure, again, failure, of_handshake};

/// Sessions that are remembered of one node, so that the next handshake is short (RFC 8446 §2.2).
const SESSIONS_OF_A_NODE: usize = 8;

/// What is spoken inside of TLS (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; a node that does not know ALPN is taken for one that speaks it.
    Http1,
    /// HTTP/2; a node must agree to it.
    Http2,
    /// Nothing is said of it.
    Unnamed,
}

impl Protocol {
    /// Its name in a handshake.
    pub fn wire(self) -> Option<&'static [u8]> {
        match self {
            Protocol::Http1 => Some(b"http/1.1"),
            Protocol::Http2 => Some(b"h2"),
            Protocol::Unnamed => None,
        }
    }
}

/// How TLS is spoken to the nodes of an upstream, ready made: one for all of them.
#[derive(Clone)]
pub struct Speaker {
    is: NodeTls,
    protocol: Protocol,
    /// Or why it cannot be spoken, in words for the operator.
    config: Result<Arc<ClientConfig>, String>,
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Speaker");
        out.field("is", &self.is).field("protocol", &self.protocol);
        out.finish_non_exhaustive()
    }
}

impl Speaker {
    /// Prepares it. Reads the authorities of the system the first time that they are needed.
    pub fn new(tls: &NodeTls, protocol: Protocol) -> Self {
        Speaker {
            is: tls.clone(),
            protocol,
            config: client(tls, protocol).map(Arc::new),
        }
    }

    /// Whether it speaks so already.
    pub fn is(&self, tls: &NodeTls, protocol: Protocol) -> bool {
        self.is == *tls && self.protocol == protocol
    }

    /// How one node is spoken to. The certificate must be for the name of the file (`sni`), else for the node's `host`
    /// name, else for its address. Sessions are remembered for this node alone.
    pub fn to(&self, host: Option<&str>, ip: IpAddr) -> Dial {
        self.dial(
            || Resumption::in_memory_sessions(SESSIONS_OF_A_NODE),
            host,
            ip,
        )
    }

    /// The same without a memory: each connection proves the whole way.
    pub fn each_anew(&self, host: Option<&str>, ip: IpAddr) -> Dial {
        self.dial(Resumption::disabled, host, ip)
    }

    /// Whom the certificate of such a node must name.
    pub fn name(&self, host: Option<&str>, ip: IpAddr) -> ServerName<'static> {
        let named = self.is.sni.as_deref().or(host);
        let named = named.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        named.unwrap_or_else(|| ServerName::IpAddress(ip.into()))
    }

    fn dial(&self, memory: impl Fn() -> Resumption, host: Option<&str>, ip: IpAddr) -> Dial {
        let connector = |config: &Arc<ClientConfig>| {
            let mut config = ClientConfig::clone(config);
            config.resumption = memory();
            TlsConnector::from(Arc::new(config))
        };
        Dial {
            connector: (self.config.as_ref()).map(connector).map_err(Clone::clone),
            name: self.name(host, ip),
            must_agree: self.protocol == Protocol::Http2,
        }
    }
}

/// How one node is spoken to.
#[derive(Clone)]
pub struct Dial {
    /// Or why TLS cannot be spoken.
    connector: Result<TlsConnector, String>,
    /// Whom its certificate must name.
    name: ServerName<'static>,
    /// It must say that it speaks HTTP/2.
    must_agree: bool,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Dial");
        out.field("name", &self.name).finish_non_exhaustive()
    }
}

impl Dial {
    /// Whether the node must have a certificate for this name.
    pub fn is_to(&self, name: &ServerName<'_>) -> bool {
        self.name == *name
    }

    /// The handshake, over a connection that stands. Takes as long as the node does: whoever asks has the limit.
    ///
    /// # Errors
    /// Why the node is not spoken to; [`failure`] has the words.
    pub async fn shake(
        &self,
        socket: tokio::net::TcpStream,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let connector = (self.connector.as_ref())
            .map_err(|why| words::as_io(Failure::Unprepared(why.clone())))?;
        let stream = connector.connect(self.name.clone(), socket).await?;
        if self.must_agree && stream.get_ref().1.alpn_protocol() != Protocol::Http2.wire() {
            return Err(words::as_io(Failure::NoHttp2));
        }
        Ok(stream)
    }
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

fn client(tls: &NodeTls, protocol: Protocol) -> Result<ClientConfig, String> {
    let told = |e: rustls::Error| format!("TLS cannot be spoken: {e}");
    let versions: &[_] = match tls.min_version {
        NodeTlsVersion::V1_2 => rustls::ALL_VERSIONS,
        NodeTlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
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
    let mut config = match &tls.identity {
        Some(ours) => config
            .with_client_auth_cert(ours.chain.to_vec(), ours.key.clone_key())
            .map_err(|e| {
                format!(
                    "our certificate {} cannot be used: {e}",
                    ours.cert.display()
                )
            })?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocol.wire().map(<[u8]>::to_vec).into_iter().collect();
    Ok(config)
}

fn store(ca: &Ca) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for cert in ca.certs.iter() {
        let added = roots.add(cert.clone());
        added.map_err(|e| format!("{} cannot be used: {e}", ca.path.display()))?;
    }
    Ok(roots)
}
