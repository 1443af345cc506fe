//! A port that speaks TLS in front of an origin, with a certificate made for the story.
//!
//! It passes on what is inside, so that the origin is scripted as ever; and it remembers how it was greeted.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// One who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whom nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Two of one name would be taken for each other.
        let name = format!("authority {}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes its certificate where the proxy can read it.
    pub fn write(&self, to: &Path) {
        std::fs::write(to, self.0.pem()).expect("a writable folder");
    }
}

/// How a connection began: the name that was asked for, and the protocol that was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The name (SNI).
    pub name: Option<String>,
    /// The protocol (ALPN).
    pub protocol: Option<String>,
}

/// A port that speaks TLS.
pub struct TlsDoor {
    addr: SocketAddr,
    greetings: Arc<Mutex<Vec<Greeting>>>,
}

impl TlsDoor {
    /// A door to `behind`, with a certificate for `name` (or an address) that `authority` signed.
    pub async fn open(behind: SocketAddr, authority: &Authority, name: &str) -> Self {
        TlsDoor::open_for(behind, authority, name, &["h2", "http/1.1"]).await
    }

    /// The same, which agrees to these protocols.
    pub async fn open_for(
        behind: SocketAddr,
        authority: &Authority,
        name: &str,
        protocols: &[&str],
    ) -> Self {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &authority.0).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a key that fits");
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let door = TlsDoor {
            addr: listener.local_addr().expect("a bound socket"),
            greetings: Arc::default(),
        };
        tokio::spawn(accept(listener, acceptor, behind, door.greetings.clone()));
        door
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How the last connection began that stood.
    pub fn last_greeting(&self) -> Option<Greeting> {
        self.greetings.lock().unwrap().last().cloned()
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    behind: SocketAddr,
    greetings: Arc<Mutex<Vec<Greeting>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, greetings) = (acceptor.clone(), greetings.clone());
        tokio::spawn(async move {
            // Who does not trust us hangs up.
            let Ok(mut outside) = acceptor.accept(stream).await else {
                return;
            };
            let session = outside.get_ref().1;
            let protocol = session.alpn_protocol().map(String::from_utf8_lossy);
            let greeting = Greeting {
                name: session.server_name().map(str::to_owned),
                protocol: protocol.map(|p| p.into_owned()),
            };
            greetings.lock().unwrap().push(greeting);
            if let Ok(mut inside) = TcpStream::connect(behind).await {
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}
