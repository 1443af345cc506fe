//! Closing so that the last answer arrives.
//!
//! A socket that is closed with unread bytes is reset, and a reset makes the other side throw away what it has not
//! read yet: the client would lose the very answer that says why. So the sending side is shut, and what still comes
//! is read and thrown away, for a while. Never waits for ever, nor for more than some at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::conn::Conn;
use super::crowd::Place;

/// A client that is still sending sends this much, in this time; who trickles is not waited for.
const PORTION: usize = 4 * 1024;
const A_WHILE: Duration = Duration::from_secs(1);
/// How long it may take in all: an upload of some size over a phone.
const IN_ALL: Duration = Duration::from_secs(15);

/// A connection and its place in the crowd.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The connection.
    pub conn: Arc<Conn>,
    /// Kept as long as the socket is.
    _place: Arc<Place>,
}

impl Seat {
    /// `conn` in its `place`.
    pub fn new(conn: Arc<Conn>, place: Place) -> Self {
        Seat {
            conn,
            _place: Arc::new(place),
        }
    }
}

/// Closes `stream` once its client had the time to take what is left `to_send` and, where it may still be sending
/// (`unread`), to read the answer.
pub async fn linger(mut stream: Stream, to_send: BytesMut, unread: bool, seat: Seat) {
    let sent = timeout(A_WHILE, stream.write_all(&to_send)).await;
    if unread && matches!(sent, Ok(Ok(()))) {
        read_out(stream, IN_ALL).await;
    }
    drop(seat);
}

/// Shuts the sending side of `stream` and reads the other until it ends, trickles, or `in_all` is over.
pub async fn read_out(mut stream: Stream, in_all: Duration) {
    let end = Instant::now() + in_all;
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 16 * 1024];
    loop {
        let mark = (Instant::now() + A_WHILE).min(end);
        let mut portion = 0;
        while portion < PORTION {
            match timeout_at(mark, stream.read(&mut rest)).await {
                Ok(Ok(n @ 1..)) => portion += n,
                _ => return,
            }
        }
    }
}
