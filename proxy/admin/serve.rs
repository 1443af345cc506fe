//! The stats port's connections: never more than a bound, none that a silent or vanished client keeps.
//!
//! A head comes within a time, bodies are the door's business, and an answer that is not taken ends with its
//! connection. What is taken, if only now and then, may go on for ever: streams live for hours. The last places are
//! for this machine, so that nobody who fills the port from outside locks the operator out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::door::Door;

/// Connections at a time: pages and their streams, scrapes, scripts.
const MOST: usize = 256;
/// Of them, those for this machine alone.
const RESERVED: usize = 32;
/// Of one address, or one network of IPv6 that a host has for itself (64 bits).
const OF_ONE: usize = 128;
/// How long a request head may take, and a connection may wait for one.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long a client may leave what it was sent.
const UNTAKEN: Duration = Duration::from_secs(30);
/// How often the log is told what was counted, and of connections that found no place.
const TELL: Duration = Duration::from_secs(30);
/// How long answers under way may take once another process serves the port, and how often it is looked whether they are
/// done.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);
/// Before the next connection is taken when the process has no room for one.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes connections until the process ends, or another one takes them: then answers under way are finished, and streams,
/// which have no end, are cut.
pub async fn run(
    listener: TcpListener,
    router: Router,
    door: Arc<Door>,
    mut leaves: watch::Receiver<bool>,
) {
    let places = Arc::new(Places::default());
    let mut turned_away = 0_u64;
    let mut tell = tokio::time::interval(TELL);
    loop {
        let leaving = leaves.clone();
        tokio::select! {
            biased;
            () = is_time(&mut leaves) => break,
            _ = tell.tick() => {
                door.tell(Instant::now());
                if turned_away > 0 {
                    tracing::warn!("the stats port was full: {turned_away} connections were closed at once");
                    turned_away = 0;
                }
            }
            came = listener.accept() => match came {
                Ok((stream, peer)) => match places.take(peer) {
                    Some(place) => drop(tokio::spawn(serve(stream, peer, router.clone(), place, leaving))),
                    None => turned_away += 1,
                },
                Err(e) => {
                    tracing::debug!("the stats port cannot take a connection: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let begun = Instant::now();
    while !places.0.lock().is_empty() && begun.elapsed() < LAST_WORDS * 2 {
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends when another process serves the port.
async fn is_time(leaves: &mut watch::Receiver<bool>) {
    if leaves.wait_for(|leaves| *leaves).await.is_err() {
        std::future::pending().await // nobody will say so any more
    }
}

/// Who has a place: never more than [`MOST`] in all.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// A place, until it is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    whose: IpAddr,
}

impl Places {
    /// A place for a connection from there; `None`: there is none.
    fn take(self: &Arc<Self>, peer: SocketAddr) -> Option<Place> {
        let whose = host(peer.ip().to_canonical());
        let kept = if whose.is_loopback() { 0 } else { RESERVED };
        let mut taken = self.0.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(&whose).copied().unwrap_or(0);
        if all + kept >= MOST || own >= OF_ONE {
            return None;
        }
        taken.insert(whose, own + 1);
        Some(Place {
            places: self.clone(),
            whose,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        if let Entry::Occupied(mut own) = taken.entry(self.whose) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// What counts as one caller: an address of IPv4, a network of 64 bits of IPv6.
fn host(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V6(addr) if !addr.is_loopback() => {
            let network = addr.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        addr => addr,
    }
}

/// Serves one connection to its end.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    mut leaves: watch::Receiver<bool>,
) {
    let _place = place;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(UNTAKEN);
    // A system that knows these not has its own, longer times.
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNTAKEN));
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = is_time(&mut leaves) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(e) = served {
        tracing::debug!("stats port, {peer}: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(addr: &str) -> SocketAddr {
        SocketAddr::new(addr.parse().expect("an address"), 9)
    }

    #[test]
    fn the_last_places_are_for_this_machine() {
        let places = Arc::new(Places::default());
        let near = from("::ffff:127.0.0.1");
        let far = |n: usize| from(&format!("10.0.0.{}", 1 + n % 4));
        let taken: Vec<_> = (0..MOST).map_while(|n| places.take(far(n))).collect();
        assert_eq!(taken.len(), MOST - RESERVED);
        let here: Vec<_> = (0..MOST).map_while(|_| places.take(near)).collect();
        assert_eq!(here.len(), RESERVED);
        drop(taken);
        assert!(
            places.take(far(0)).is_some(),
            "a place that is left is free"
        );
        drop(here);
        assert!(
            places.0.lock().is_empty(),
            "and nothing is kept of who left"
        );
    }

    #[test]
    fn nobody_takes_all_of_them() {
        let places = Arc::new(Places::default());
        let taken: Vec<_> = (0..MOST)
            .map_while(|n| places.take(from(&format!("2001:db8::{n:x}"))))
            .collect();
        assert_eq!(taken.len(), OF_ONE, "a host has a whole network");
        assert!(places.take(from("2001:db8:0:1::1")).is_some());
        assert!(places.take(from("127.0.0.1")).is_some());
    }
}
