//! A node that speaks TLS as a story wants it: a port before an origin that greets, demands, remembers and breaks off.
//!
//! What comes inside is passed on, so that the origin is scripted as ever.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{HandshakeKind, RootCertStore, ServerConfig};

use super::tls::Authority;

/// A certificate with its key.
pub struct Papers {
    cert: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
    cert_pem: String,
    key_pem: String,
}

impl Papers {
    /// For these names, or addresses.
    pub fn new(authority: &Authority, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        Papers::of(authority, CertificateParams::new(names).expect("names"))
    }

    /// For this name, and no longer good.
    pub fn expired(authority: &Authority, name: &str) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        Papers::of(authority, params)
    }

    fn of(authority: &Authority, params: CertificateParams) -> Self {
        let (cert, key) = authority.signs(params);
        Papers {
            cert: cert.der().clone(),
            cert_pem: cert.pem(),
            key: key.serialize_der().into(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Writes both into a folder, as `NAME.pem` and `NAME.key`.
    pub fn write(&self, dir: &Path, name: &str) {
        std::fs::write(dir.join(format!("{name}.pem")), &self.cert_pem).expect("a writable folder");
        std::fs::write(dir.join(format!("{name}.key")), &self.key_pem).expect("a writable folder");
    }

    /// A server that shows it to everybody, or, with `clients`, to those whom that authority signed.
    pub fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("usual versions");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).expect("a certificate");
                let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(known.build().expect("an authority"))
            }
        };
        let key = PrivateKeyDer::Pkcs8(self.key.clone_key());
        let config = config.with_single_cert(vec![self.cert.clone()], key);
        let mut config = config.expect("a key that fits");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// The port.
pub struct SecureDoor {
    addr: SocketAddr,
    told: Arc<Told>,
}

struct Told {
    /// Bytes before TLS begins.
    prelude: usize,
    whole: AtomicUsize,
    resumed: AtomicUsize,
    refused: AtomicUsize,
    preludes: Mutex<Vec<Vec<u8>>>,
    /// Connections end when it changes: in good order or not.
    ends: watch::Sender<(usize, bool)>,
}

impl SecureDoor {
    /// Before an origin.
    pub async fn open(behind: SocketAddr, config: ServerConfig) -> Self {
        SecureDoor::open_behind(0, behind, config).await
    }

    /// Before an origin; so many bytes come before TLS.
    pub async fn open_behind(prelude: usize, behind: SocketAddr, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let door = SecureDoor {
            addr: listener.local_addr().expect("a bound socket"),
            told: Arc::new(Told {
                prelude,
                whole: AtomicUsize::new(0),
                resumed: AtomicUsize::new(0),
                refused: AtomicUsize::new(0),
                preludes: Mutex::default(),
                ends: watch::Sender::new((0, true)),
            }),
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let told = door.told.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, acceptor.clone(), behind, told.clone()));
            }
        });
        door
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Handshakes that succeeded: in full, and by a session of before.
    pub fn handshakes(&self) -> (usize, usize) {
        (self.told.whole.load(SeqCst), self.told.resumed.load(SeqCst))
    }

    /// Handshakes that failed.
    pub fn refused(&self) -> usize {
        self.told.refused.load(SeqCst)
    }

    /// What came before TLS, connection by connection.
    pub fn preludes(&self) -> Vec<Vec<u8>> {
        self.told.preludes.lock().unwrap().clone()
    }

    /// Closes every connection without a word of TLS, as whoever stands between may.
    pub fn cut(&self) {
        self.told.ends.send_modify(|end| *end = (end.0 + 1, false));
    }

    /// Closes every connection as TLS wants it: with a last word (`close_notify`).
    pub fn close(&self) {
        self.told.ends.send_modify(|end| *end = (end.0 + 1, true));
    }
}

async fn pass(mut stream: TcpStream, acceptor: TlsAcceptor, behind: SocketAddr, told: Arc<Told>) {
    let mut ends = told.ends.subscribe();
    let mut prelude = vec![0; told.prelude];
    if stream.read_exact(&mut prelude).await.is_err() {
        return;
    }
    told.preludes.lock().unwrap().push(prelude);
    let Ok(mut outside) = acceptor.accept(stream).await else {
        told.refused.fetch_add(1, SeqCst);
        return;
    };
    match outside.get_ref().1.handshake_kind() {
        Some(HandshakeKind::Resumed) => told.resumed.fetch_add(1, SeqCst),
        _ => told.whole.fetch_add(1, SeqCst),
    };
    let Ok(mut inside) = TcpStream::connect(behind).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut outside, &mut inside) => {}
        _ = ends.changed() => {
            let in_order = ends.borrow().1;
            if in_order {
                let _ = outside.shutdown().await;
            }
        }
    }
}
