//! Who waits for which connection, and what is heard of one that ends.

use super::*;

fn home() -> Arc<Connections> {
    Arc::new(Connections::new(H2 { streams: 10 }, Duration::ZERO))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// Another request; whether it goes on without waiting.
async fn goes_on(home: &Arc<Connections>) -> (Opens, bool) {
    let opens = Opens::new(home.clone());
    let at_once = timeout(SHORT, opens.settled(LONG)).await.is_ok();
    (opens, at_once)
}

#[tokio::test]
async fn who_comes_while_one_is_opened_waits_for_it() {
    let home = home();
    let first = Opens::new(home.clone());
    first.settled(LONG).await;
    assert!(!first.is_new());
    first.begins();
    assert!(first.is_new());
    assert!(!goes_on(&home).await.1);
    Opens::new(home.clone()).settled(SHORT).await; // no longer than it may
    let waits = tokio::spawn({
        let home = home.clone();
        async move { Opens::new(home).settled(LONG).await }
    });
    tokio::task::yield_now().await;
    first.is_done(true);
    timeout(LONG, waits).await.unwrap().unwrap();
    assert!(goes_on(&home).await.1);
}

#[tokio::test]
async fn nobody_waits_for_a_connection_while_another_has_a_stream() {
    let home = home();
    let (first, other) = (Opens::new(home.clone()), Opens::new(home.clone()));
    first.begins();
    first.is_done(true);
    let mut all = Vec::new();
    for _ in 0..9 {
        let (one, at_once) = goes_on(&home).await;
        assert!(at_once);
        one.is_done(true);
        all.push(one);
    }
    // Nothing is free, so that another one is opened, which takes its time.
    other.settled(LONG).await;
    other.begins();
    assert!(!goes_on(&home).await.1);
    all.pop();
    let (last, at_once) = goes_on(&home).await;
    assert!(at_once, "a stream is free again");
    assert!(!goes_on(&home).await.1, "and was the only one");
    // It was not there after all: pingora asks for a connection.
    last.begins();
    assert!(!goes_on(&home).await.1);
    drop(first);
    assert!(goes_on(&home).await.1);
}

#[tokio::test]
async fn a_node_that_takes_nothing_holds_no_connection_for_ever() {
    let (near, ours) = UnixStream::pair().unwrap();
    let (far, _nobody_reads) = tokio::io::duplex(64);
    let mut near = near;
    near.write_all(&[0; 1_000]).await.unwrap();
    drop(near);
    let passes_on = passes_on(ours, far, home(), SHORT);
    assert!(timeout(LONG, passes_on).await.is_ok());
}

/// A connection that TLS ends.
struct Refuses;

impl AsyncRead for Refuses {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        use tokio_rustls::rustls::{AlertDescription, Error};
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        std::task::Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, alert)))
    }
}

#[tokio::test]
async fn what_tls_says_behind_the_handshake_is_not_lost() {
    let home = home();
    let (during, other) = (Opens::new(home.clone()), Opens::new(self::home()));
    let (mut near, ours) = UnixStream::pair().unwrap();
    let far = tokio::io::join(Refuses, tokio::io::sink());
    tokio::spawn(passes_on(ours, far, home.clone(), LONG));
    let mut byte = [0];
    let end = tokio::io::AsyncReadExt::read(&mut near, &mut byte);
    assert_eq!(timeout(LONG, end).await.unwrap().unwrap(), 0);
    let why = during.broken_by_tls().unwrap();
    let words = tls::failure(&why).unwrap();
    assert!(words.contains("demands a certificate"), "{words}");
    assert!(other.broken_by_tls().is_none());
    assert!(Opens::new(home).broken_by_tls().is_none(), "came later");
}

#[tokio::test]
async fn a_node_is_watched_by_the_system_and_not_by_pings() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let home = home();
    let mut peer = HttpPeer::new(addr, false, String::new());
    home.speaks(&mut peer, false);
    // gRPC servers close for pings that come more often than every five minutes.
    assert_eq!(peer.options.h2_ping_interval, None);
    let stream = connect::open(addr, &Greeting::default()).await.unwrap();
    watches(stream.socket());
    let socket = SockRef::from(stream.socket());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), SILENT);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(GONE));
}

#[tokio::test]
async fn after_a_failure_nobody_waits_for_the_next() {
    let home = home();
    let (first, second) = (Opens::new(home.clone()), Opens::new(home.clone()));
    first.begins();
    second.begins();
    let waits = tokio::spawn({
        let home = home.clone();
        async move { Opens::new(home).settled(LONG).await }
    });
    tokio::task::yield_now().await;
    drop(first);
    timeout(LONG, waits).await.unwrap().unwrap();
}

#[test]
fn full_windows_of_small_pieces_are_no_flood() {
    let home = Arc::new(Connections::new(H2 { streams: 100 }, Duration::ZERO));
    let mut peer = HttpPeer::new("127.0.0.1:80", false, String::new());
    home.speaks(&mut peer, false);
    let options = &peer.options;
    let (all, one) = (
        u64::from(options.h2_connection_window_size.unwrap()),
        u64::from(options.h2_stream_window_size.unwrap()),
    );
    // As the `h2` crate counts them: half of the window of all may be overhead, up to 256 bytes each.
    let messages = 100 * one / 5;
    assert!(messages * (256 - 5) <= all / 2);
    assert!(100 * one <= all, "each has its share");
}

#[test]
fn no_two_states_of_a_node_share_a_connection() {
    let (one, other) = (home(), home());
    let peer = HttpPeer::new("127.0.0.1:80", false, String::new());
    let (mut of_one, mut of_other) = (peer.clone(), peer);
    one.speaks(&mut of_one, false);
    other.speaks(&mut of_other, false);
    assert_ne!(of_one.group_key, of_other.group_key);
    assert!(one.are(H2 { streams: 10 }, Duration::ZERO));
    assert!(!one.are(H2 { streams: 11 }, Duration::ZERO));
}
