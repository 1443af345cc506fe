//! TLS of the stories: who signs certificates, a port that speaks TLS in front of an origin, and one in the clear in front
//! of a port that speaks TLS.
//!
//! Both pass on what is inside, so that origins and clients are scripted as ever; and they remember how they were greeted.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

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

    /// A certificate that it signed, and its key.
    pub fn signs(&self, params: CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        (cert, key)
    }

    /// Its certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Writes its certificate where the proxy can read it.
    pub fn write(&self, to: &Path) {
        std::fs::write(to, self.0.pem()).expect("a writable folder");
    }

    /// A certificate for these names with a new ECDSA key.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_as(names, |_| {})
    }

    /// The same, changed.
    pub fn issue_as(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.sign(names, KeyPair::generate().expect("a key"), change)
    }

    /// A certificate for these names with a new RSA key.
    pub fn issue_rsa(&self, names: &[&str]) -> Pair {
        let made = Command::new("openssl")
            .args([
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
            ])
            .output()
            .expect("openssl: scripts/setup.sh installs what the stories need");
        let pem = String::from_utf8(made.stdout).expect("PEM");
        self.sign(names, KeyPair::from_pem(&pem).expect("a key"), |_| {})
    }

    /// A certificate that ended a while ago.
    pub fn issue_expired(&self, names: &[&str]) -> Pair {
        self.issue_as(names, |params| {
            let day = Duration::from_secs(86_400);
            params.not_before = (SystemTime::now() - 60 * day).into();
            params.not_after = (SystemTime::now() - day).into();
        })
    }

    fn sign(
        &self,
        names: &[&str],
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that believes it alone, and speaks these protocols.
    pub fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        roots
    }
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Pair {
    /// The certificate as it is shown.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("PEM")
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder, each by rename.
    pub fn write(&self, dir: &Path, name: &str) {
        for (end, text) in [("pem", &self.cert), ("key", &self.key)] {
            let (new, to) = (
                dir.join(format!(".{name}.{end}")),
                dir.join(format!("{name}.{end}")),
            );
            std::fs::write(&new, text).expect("a writable folder");
            std::fs::rename(&new, &to).expect("a writable folder");
        }
    }
}

/// A port in the clear in front of one that speaks TLS: what a story's client says there, goes on over TLS. An end that is
/// not told (`close_notify`) becomes a reset.
pub struct Bridge {
    addr: SocketAddr,
    failed: Arc<Mutex<Vec<String>>>,
    stood: Arc<Mutex<Vec<Handshake>>>,
}

/// A handshake of a bridge that succeeded.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Before the connection was asked for.
    pub began: Instant,
    /// When it stood.
    pub ended: Instant,
    /// The certificate that the port showed.
    pub cert: CertificateDer<'static>,
    /// The protocol (ALPN).
    pub protocol: Option<String>,
}

impl Handshake {
    fn of(began: Instant, stream: &TlsStream<TcpStream>) -> Self {
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().expect("a port shows one");
        let protocol = session.alpn_protocol().map(String::from_utf8_lossy);
        Handshake {
            began,
            ended: Instant::now(),
            cert: chain[0].clone().into_owned(),
            protocol: protocol.map(|p| p.into_owned()),
        }
    }
}

impl Bridge {
    /// A bridge to `to`, as a client that asks for `name`.
    pub async fn open(to: SocketAddr, name: &str, client: ClientConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bridge = Bridge {
            addr: listener.local_addr().expect("a bound socket"),
            failed: Arc::default(),
            stood: Arc::default(),
        };
        let (failed, stood) = (bridge.failed.clone(), bridge.stood.clone());
        let name = name.to_owned();
        let connector = TlsConnector::from(Arc::new(client));
        tokio::spawn(async move {
            while let Ok((inside, _)) = listener.accept().await {
                let (connector, name) = (connector.clone(), name.clone());
                let (failed, stood) = (failed.clone(), stood.clone());
                tokio::spawn(async move {
                    let began = Instant::now();
                    match dial(&connector, to, &name).await {
                        Ok(outside) => {
                            let shook = Handshake::of(began, &outside);
                            stood.lock().unwrap().push(shook);
                            carry(inside, outside).await;
                        }
                        Err(e) => {
                            failed.lock().unwrap().push(e.to_string());
                            let _ = SockRef::from(&inside).set_linger(Some(Duration::ZERO));
                        }
                    }
                });
            }
        });
        bridge
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Handshakes that failed, and why.
    pub fn failed(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }

    /// Those that succeeded.
    pub fn stood(&self) -> Vec<Handshake> {
        self.stood.lock().unwrap().clone()
    }
}

/// A connection over TLS.
pub async fn dial(
    connector: &TlsConnector,
    to: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await
}

async fn carry(inside: TcpStream, outside: TlsStream<TcpStream>) {
    let _ = inside.set_nodelay(true);
    let socket = SockRef::from(&inside).try_clone().expect("a descriptor");
    let (mut from, mut to) = tokio::io::split(outside);
    let (mut read, mut write) = inside.into_split();
    let back = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) => return write.shutdown().await,
                Ok(n) => write.write_all(&buffer[..n]).await?,
                Err(e) => return Err(e),
            }
        }
    };
    let there = async {
        let _ = tokio::io::copy(&mut read, &mut to).await;
        let _ = to.shutdown().await;
        // Who has said all may still be listening.
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = back => ended,
        () = there => Ok(()),
    };
    if ended.is_err() {
        let _ = socket.set_linger(Some(Duration::ZERO));
        // Its drop would tell an end in good order.
        write.forget();
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
