//! What is quiet and what is not, on real sockets with a real TLS server.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::config::checked::NodeTls;
use crate::upstream::connect::{Greeting, open};
use crate::upstream::tls::{Protocol, Speaker};

type Theirs = tokio_rustls::server::TlsStream<TcpStream>;

/// Both ends of a connection that stands.
async fn pair() -> (NodeStream, Theirs) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["app.internal".to_owned()]).unwrap();
    let cert = cert.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = NodeTls {
        verify: false,
        ..NodeTls::default()
    };
    let greeting = Greeting {
        tls: Some(Arc::new(
            Speaker::new(&tls, Protocol::Http1).to(None, addr.ip()),
        )),
        prelude: None,
    };
    let theirs = async {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(server))
            .accept(stream)
            .await
            .unwrap()
    };
    let (ours, theirs) = tokio::join!(open(addr, &greeting), theirs);
    (ours.unwrap(), theirs)
}

/// Bytes have come that TLS has not seen yet.
async fn something_came(stream: &NodeStream) {
    let seen = tokio::time::timeout(Duration::from_secs(5), async {
        stream.socket().peek(&mut [0]).await
    });
    seen.await.unwrap().unwrap();
}

/// It is no longer quiet, once all that was sent to it has come.
async fn is_noticed(stream: &mut NodeStream) -> bool {
    let noticed = tokio::time::timeout(Duration::from_secs(5), async {
        while stream.is_quiet() {
            tokio::task::yield_now().await;
        }
    });
    noticed.await.is_ok()
}

#[tokio::test]
async fn tickets_are_nothing_and_taken_in() {
    let (mut ours, mut theirs) = pair().await;
    theirs.flush().await.unwrap();
    something_came(&ours).await;
    assert!(ours.is_quiet(), "session tickets are no word of the node");
    assert!(ours.is_quiet());
    // And what comes then is read as if nobody had looked.
    theirs.write_all(b"answer").await.unwrap();
    let mut got = [0; 6];
    ours.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"answer");
}

#[tokio::test]
async fn a_word_and_an_end_are_noticed() {
    let (mut ours, mut theirs) = pair().await;
    theirs.write_all(b"x").await.unwrap();
    assert!(is_noticed(&mut ours).await, "unasked for");
    let (mut ours, mut theirs) = pair().await;
    assert!(ours.is_quiet());
    theirs.shutdown().await.unwrap();
    assert!(is_noticed(&mut ours).await, "close_notify");
    let (mut ours, theirs) = pair().await;
    drop(theirs);
    assert!(
        is_noticed(&mut ours).await,
        "the connection alone was closed"
    );
}

#[tokio::test]
async fn what_tls_holds_back_behind_an_answer_is_noticed() {
    let (mut ours, mut theirs) = pair().await;
    theirs.write_all(b"answer and more").await.unwrap();
    let mut got = [0; 6];
    ours.read_exact(&mut got).await.unwrap();
    assert!(!ours.is_quiet(), "the rest is in the hands of TLS alone");
}

#[tokio::test]
async fn peeking_takes_nothing_out() {
    let (mut ours, mut theirs) = pair().await;
    theirs.write_all(b"HTTP/1.1 200 OK").await.unwrap();
    let mut begin = [0; 12];
    let peeked = std::future::poll_fn(|cx| ours.poll_peek(cx, &mut begin)).await;
    assert_eq!((peeked.unwrap(), &begin), (12, b"HTTP/1.1 200"));
    let mut got = [0; 15];
    ours.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_closing_word_is_said() {
    let (ours, mut theirs) = pair().await;
    ours.close();
    // Without it this would be an error (RFC 8446 §6.1).
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn half_a_record_is_noticed() {
    let (mut ours, mut theirs) = pair().await;
    theirs.flush().await.unwrap();
    assert!(ours.is_quiet());
    let half = [23, 3, 3, 0, 100, 1, 2, 3];
    theirs.get_mut().0.write_all(&half).await.unwrap();
    assert!(is_noticed(&mut ours).await);
    let (mut ours, mut theirs) = pair().await;
    theirs.get_mut().0.write_all(&half[..4]).await.unwrap();
    assert!(is_noticed(&mut ours).await, "not even its length");
}
