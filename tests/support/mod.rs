//! What the stories are told with: scripted origins, a raw client, a load generator and a handle on the real binary.
//!
//! Nothing here knows how the proxy works inside. A story awaits events ([`eventually`], [`Gate`]); it never sleeps
//! to give something time.

pub mod attacks;
pub mod browser;
pub mod busy;
pub mod cases;
pub mod client;
pub mod cookies;
pub mod decoders;
pub mod dns;
pub mod exchange;
pub mod grpc;
pub mod h2;
pub mod h2_origin;
pub mod load;
pub mod notation;
pub mod origin;
pub mod pebble;
pub mod policy;
pub mod process;
pub mod proxy;
pub mod recorder;
pub mod redis;
pub mod reply;
pub mod rough;
pub mod secure;
pub mod shop;
pub mod strangers;
pub mod strict;
pub mod tls;
pub mod websocket;
pub mod wire;

use std::fmt::Display;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Milliseconds, written short: stories are full of them.
pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Asks again and again, ever less often, until the answer is `Ok`; panics with the last `Err` when time is over.
pub async fn eventually<T, E: Display>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    let mut pause = ms(2);
    loop {
        match ask().await {
            Ok(found) => return found,
            Err(why) if began.elapsed() > limit => {
                panic!("{what}: not within {limit:?}; last seen: {why}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 3 / 2).min(ms(50));
    }
}

/// `Ok` when the condition holds, the words otherwise: the answer [`eventually`] wants.
pub fn check(holds: bool, otherwise: impl Display) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_string())
    }
}

/// A gate that a story opens: what waits at it goes on at that moment and not before.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Gate(watch::Sender::new(false))
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        let opened = self.0.subscribe().wait_for(|open| *open).await.is_ok();
        assert!(opened, "a gate lives as long as who waits at it");
    }
}

/// Opens a number of files that a load test needs; the usual soft limit of 1,024 is below it.
pub fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    let wanted = hard.min(8_192);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).expect("a soft limit can be raised");
    }
}

/// A body that shows a byte lost, doubled or moved.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i % 251) as u8 ^ (i / 251) as u8)
        .collect()
}

/// A limit acted: not before its time, and not much later (the machine may be busy).
#[track_caller]
pub fn took_about(began: Instant, limit: Duration) {
    let took = began.elapsed();
    assert!(took > limit * 3 / 4, "only {took:?} of {limit:?}");
    assert!(took < limit + ms(2_500), "{took:?} instead of {limit:?}");
}
