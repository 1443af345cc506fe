//! Every byte comes once, in its place, and none beyond what is wanted.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// A connection read through an inlet.
struct Client {
    inlet: Arc<Inlet>,
    stream: Take<Stream>,
}

impl Client {
    fn new() -> (Self, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let stream: Stream = Box::new(ours);
        let client = Client {
            inlet: Arc::default(),
            stream: stream.take(u64::MAX),
        };
        (client, theirs)
    }

    async fn try_read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut room = vec![0; most];
        let mut buf = ReadBuf::new(&mut room);
        std::future::poll_fn(|cx| self.inlet.poll_read(&mut self.stream, cx, &mut buf)).await?;
        Ok(buf.filled().to_vec())
    }

    async fn read(&mut self, most: usize) -> Vec<u8> {
        self.try_read(most).await.expect("the other end is there")
    }

    /// Nothing is to be read, though bytes are on the wire.
    async fn nothing(&mut self) {
        let wait = Duration::from_millis(20);
        let read = tokio::time::timeout(wait, self.try_read(1)).await;
        assert!(read.is_err(), "{read:?}");
    }
}

fn terms() -> Terms {
    Terms {
        body: Some(100_000),
        trailers: 1_000,
        half_close: Duration::from_secs(60),
        ..Terms::default()
    }
}

#[tokio::test]
async fn every_byte_comes_once_and_in_its_place() {
    let (mut client, mut theirs) = Client::new();
    let inlet = client.inlet.clone();
    // The head of a first request, and much behind it while it is worked on.
    inlet.begins(Body::Sized(0), false, BytesMut::new(), terms());
    let behind: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    theirs.write_all(&behind).await.expect("there is room");
    client.nothing().await;
    // The front reads a piece; its head has 100 bytes, its body 10,000, of which it read some already.
    inlet.let_through();
    let piece = client.read(4_096).await;
    assert_eq!(piece, behind[..4_096]);
    inlet.begins(
        Body::Sized(10_000),
        false,
        BytesMut::from(&piece[100..]),
        terms(),
    );
    let mut body = Vec::new();
    while body.len() < 10_000 {
        body.extend(client.read(1_000).await);
    }
    assert_eq!(body, behind[100..10_100]);
    client.nothing().await;
    // The next piece holds a whole request of 50 bytes and more: the rest goes back to where it was.
    inlet.let_through();
    let piece = client.read(4_096).await;
    inlet.begins(Body::Sized(0), false, BytesMut::from(&piece[50..]), terms());
    client.nothing().await;
    theirs.write_all(b"the end").await.expect("there is room");
    inlet.let_through();
    let mut rest = Vec::new();
    while rest.len() < 9_850 + 7 {
        rest.extend(client.read(5_000).await);
    }
    assert_eq!(rest[..9_850], behind[10_150..]);
    assert_eq!(rest[9_850..], *b"the end");
}

#[tokio::test]
async fn a_chunked_body_ends_where_its_chunks_say() {
    let (mut client, mut theirs) = Client::new();
    let inlet = client.inlet.clone();
    let body = b"5\r\nhello\r\n0\r\nx: y\r\n\r\n";
    inlet.begins(
        Body::Chunked,
        false,
        BytesMut::from(&b"5\r\nhe"[..]),
        terms(),
    );
    assert!(inlet.is_unread());
    let rest = [&body[5..], b"GET /next"].concat();
    theirs.write_all(&rest).await.expect("there is room");
    let mut got = Vec::new();
    while got.len() < body.len() {
        got.extend(client.read(1_000).await);
    }
    assert_eq!(got, body);
    client.nothing().await;
    inlet.let_through();
    assert_eq!(client.read(1_000).await, b"GET /next");
}

#[tokio::test]
async fn a_body_that_breaks_the_rules_ends_in_an_error_with_a_name() {
    for (bytes, end) in [
        (&b"\r\n5\r\nhello"[..], End::BadRequest),
        (b"5\r\nhello0\r\n\r\n", End::BadRequest),
        (b"30D41\r\nx", End::Refused(Refusal::BodyTooLarge)),
    ] {
        let (mut client, mut theirs) = Client::new();
        let inlet = client.inlet.clone();
        let terms = Terms {
            body: Some(0),
            ..terms()
        };
        let terms = if end == End::BadRequest {
            self::terms()
        } else {
            terms
        };
        inlet.begins(Body::Chunked, false, BytesMut::new(), terms);
        theirs.write_all(bytes).await.expect("there is room");
        assert!(client.try_read(1_000).await.is_err());
        assert_eq!(inlet.fault(), Some(end));
    }
}

#[tokio::test]
async fn a_body_that_pauses_or_dribbles_is_too_slow() {
    let (mut client, mut theirs) = Client::new();
    let inlet = client.inlet.clone();
    let slow = Terms {
        body_pause: Some(Duration::from_millis(30)),
        ..terms()
    };
    inlet.begins(Body::Sized(1_000), false, BytesMut::new(), slow);
    theirs.write_all(b"some").await.expect("there is room");
    assert_eq!(client.read(100).await, b"some");
    let read = client.try_read(100).await;
    assert_eq!(read.map_err(|e| e.kind()), Err(io::ErrorKind::TimedOut));
    assert_eq!(inlet.fault(), Some(End::ClientTimeout));
}

#[tokio::test]
async fn a_client_that_shuts_its_sending_side_is_not_gone() {
    let (mut client, mut theirs) = Client::new();
    client
        .inlet
        .begins(Body::Sized(0), false, BytesMut::new(), terms());
    theirs.shutdown().await.expect("the other end is there");
    client.nothing().await;
    assert!(!client.inlet.is_unread());
    let (mut client, mut theirs) = Client::new();
    theirs.shutdown().await.expect("the other end is there");
    let strict = Terms {
        half_close: Duration::ZERO,
        ..terms()
    };
    client
        .inlet
        .begins(Body::Sized(0), false, BytesMut::new(), strict);
    assert_eq!(client.read(1).await, b"");
}
