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

/// What is left when a connection is dropped.
#[derive(Debug)]
pub struct Rest {
    /// Gathered, but not sent yet.
    pub to_send: BytesMut,
    /// The client may still be sending.
    pub unread: bool,
    /// In HTTP/2, where a client sends a few bytes for many that it has read.
    pub h2: bool,
}

/// Closes `stream` once its client had the time to take the `rest` and to read the answer.
pub async fn linger(mut stream: Stream, rest: Rest, seat: Seat) {
    // As long as it is read, the process waits for it.
    seat.conn.has_unsent(rest.h2);
    let (patience, portion) = match rest.h2 {
        true => (IN_ALL, 0),
        false => (A_WHILE, PORTION),
    };
    let sent = timeout(patience, async {
        stream.write_all(&rest.to_send).await?;
        stream.flush().await
    })
    .await;
    if rest.unread && matches!(sent, Ok(Ok(()))) {
        read_out_by(portion, stream, IN_ALL).await;
    }
    seat.conn.has_unsent(false);
}

/// Shuts the sending side of `stream` and reads the other until it ends, trickles, or `in_all` is over.
pub async fn read_out(stream: Stream, in_all: Duration) {
    read_out_by(PORTION, stream, in_all).await;
}

/// The same with this portion; 0: whoever trickles is waited for too.
async fn read_out_by(portion: usize, mut stream: Stream, in_all: Duration) {
    let end = Instant::now() + in_all;
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = vec![0; 16 * 1024];
    loop {
        let mark = match portion {
            0 => end,
            _ => (Instant::now() + A_WHILE).min(end),
        };
        let mut got = 0;
        while got < portion.max(1) {
            match timeout_at(mark, stream.read(&mut rest)).await {
                Ok(Ok(n @ 1..)) => got += n,
                _ => return,
            }
        }
    }
}
