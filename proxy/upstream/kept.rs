//! Connections to one node that wait for the next request.
//!
//! The latest is given out first, so that those not needed grow old. None is given out that the node has closed or
//! written to, as far as is known here; none outlives the limit of the file or the node's place in the configuration.
//! No clock is read: whoever asks brings the time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::stream::NodeStream;

/// Kept to one node.
const PER_NODE: usize = 2_048;
/// Kept to all nodes, unless the process can hold less.
pub const IN_ALL: usize = 4_096;

static KEPT: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(IN_ALL);

/// From now on at most so many are kept to all nodes together: descriptors are the process's.
pub fn keep_at_most(connections: usize) {
    MOST.store(connections, Relaxed);
}

/// The connections to one address of a node.
#[derive(Debug)]
pub struct Kept {
    /// How long one may wait; zero keeps none.
    limit: Duration,
    shelf: Mutex<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    open: bool,
    /// The latest time anybody brought.
    now: Instant,
    /// Oldest first.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    stream: NodeStream,
    _counted: Counted,
}

/// One of [`KEPT`].
#[derive(Debug)]
struct Counted;

impl Counted {
    fn one() -> Option<Self> {
        let more = |n| (n < MOST.load(Relaxed)).then_some(n + 1);
        KEPT.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Relaxed);
    }
}

impl Kept {
    /// None so far, each to be kept for `limit`.
    pub fn new(limit: Duration, now: Instant) -> Self {
        Kept {
            limit,
            shelf: Mutex::new(Shelf {
                open: !limit.is_zero(),
                now,
                waiting: Vec::new(),
            }),
        }
    }

    /// How long each is kept.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// One that can be used, if there is one.
    pub fn take(&self, now: Instant) -> Option<NodeStream> {
        let mut dead = Vec::new(); // closed when nobody waits for the lock
        let mut shelf = self.shelf.lock();
        shelf.now = shelf.now.max(now);
        let found = loop {
            let Some(mut latest) = shelf.waiting.pop() else {
                break None;
            };
            if now.saturating_duration_since(latest.since) < self.limit && latest.stream.is_quiet()
            {
                break Some(latest.stream);
            }
            dead.push(latest);
        };
        drop(shelf);
        close(dead);
        found
    }

    /// Keeps one on which nothing is under way, unless it cannot be kept.
    pub fn put(&self, stream: NodeStream) {
        let mut shelf = self.shelf.lock();
        if !shelf.open || shelf.waiting.len() >= PER_NODE {
            drop(shelf);
            return stream.close();
        }
        if let Some(counted) = Counted::one() {
            let since = shelf.now;
            shelf.waiting.push(Waiting {
                since,
                stream,
                _counted: counted,
            });
            return;
        }
        drop(shelf);
        stream.close();
    }

    /// Closes those that have waited too long and those the node has closed. To be called several times a second.
    pub fn sweep(&self, now: Instant) {
        let mut shelf = self.shelf.lock();
        shelf.now = shelf.now.max(now);
        if shelf.waiting.is_empty() {
            return;
        }
        let gone = |w: &mut Waiting| {
            now.saturating_duration_since(w.since) >= self.limit || !w.stream.is_quiet()
        };
        let dead: Vec<_> = shelf.waiting.extract_if(.., gone).collect();
        drop(shelf);
        close(dead);
    }

    /// Closes all, and keeps none from now on: the node is gone, or is to get nothing new.
    pub fn close(&self) {
        let mut shelf = self.shelf.lock();
        shelf.open = false;
        let all = std::mem::take(&mut shelf.waiting);
        drop(shelf);
        close(all);
    }
}

/// Closes them. Not under the lock: it takes a word to each.
fn close(waiting: Vec<Waiting>) {
    for waiting in waiting {
        waiting.stream.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    const LIMIT: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    async fn pair(listener: &TcpListener) -> (NodeStream, TcpStream) {
        let ours = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(ours, listener.accept());
        (NodeStream::Plain(ours.unwrap()), theirs.unwrap().0)
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn the_latest_is_given_out_first_and_only_once() {
        let (listener, now) = (listener().await, Instant::now());
        let kept = Kept::new(LIMIT, now);
        let (first, _a) = pair(&listener).await;
        let (second, _b) = pair(&listener).await;
        let port = |s: &NodeStream| s.socket().local_addr().unwrap().port();
        let ports = [port(&second), port(&first)];
        kept.put(first);
        kept.put(second);
        let taken = [kept.take(now), kept.take(now)].map(|s| port(&s.unwrap()));
        assert_eq!(taken, ports);
        assert!(kept.take(now).is_none());
    }

    #[tokio::test]
    async fn one_that_closed_or_speaks_is_not_given_out() {
        let (listener, now) = (listener().await, Instant::now());
        let kept = Kept::new(LIMIT, now);
        let (alive, _theirs) = pair(&listener).await;
        kept.put(alive);
        let (speaks, mut theirs) = pair(&listener).await;
        theirs.write_all(b"x").await.unwrap();
        speaks.socket().readable().await.unwrap();
        kept.put(speaks);
        let (closed, theirs) = pair(&listener).await;
        drop(theirs);
        closed.socket().readable().await.unwrap();
        kept.put(closed);
        kept.sweep(now);
        assert_eq!(kept.shelf.lock().waiting.len(), 1);
        assert!(kept.take(now).is_some());
    }

    #[tokio::test]
    async fn none_is_kept_too_long() {
        let (listener, now) = (listener().await, Instant::now());
        let none = Kept::new(Duration::ZERO, now);
        let (stream, _a) = pair(&listener).await;
        none.put(stream);
        assert!(none.take(now).is_none());
        let kept = Kept::new(LIMIT, now);
        let (old, _b) = pair(&listener).await;
        let (younger, _c) = pair(&listener).await;
        kept.put(old);
        kept.sweep(now + SECOND);
        kept.put(younger);
        kept.sweep(now + LIMIT);
        assert_eq!(kept.shelf.lock().waiting.len(), 1);
        assert!(kept.take(now + LIMIT + SECOND).is_none());
    }

    #[tokio::test]
    async fn a_closed_shelf_keeps_none() {
        let (listener, now) = (listener().await, Instant::now());
        let kept = Kept::new(LIMIT, now);
        let (stream, mut theirs) = pair(&listener).await;
        let (later, _a) = pair(&listener).await;
        kept.put(stream);
        kept.close();
        let end = tokio::io::AsyncReadExt::read(&mut theirs, &mut [0]).await;
        assert_eq!(end.unwrap(), 0);
        kept.put(later);
        assert!(kept.take(now).is_none());
    }
}
