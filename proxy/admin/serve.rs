//! The stats port's connections: never more than a bound, none that a silent or vanished client keeps.
//!
//! A head comes within a time, bodies are the door's business, and an answer that is not taken ends with its
//! connection. What is taken, if only now and then, may go on for ever: streams live for hours. The last places are
//! for this machine, so that nobody who fills the port from outside locks the operator out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::door::Door;

/// Connections at a time: pages and their streams, scrapes, scripts.
const MOST: usize = 256;
/// Of them, those for this machine alone.
const RESERVED: usize = 32;
/// How long a request head may take, and a connection may wait for one.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long a client may leave what it was sent.
const UNTAKEN: Duration = Duration::from_secs(30);
/// How often the log is told what was counted, and of connections that found no place.
const TELL: Duration = Duration::from_secs(30);
/// Before the next connection is taken when the process has no room for one.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes connections until the process ends.
pub async fn run(listener: TcpListener, router: Router, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut turned_away = 0_u64;
    let mut tell = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            _ = tell.tick() => {
                door.tell(Instant::now());
                if turned_away > 0 {
                    tracing::warn!("the stats port was full: {turned_away} connections were closed at once");
                    turned_away = 0;
                }
            }
            came = listener.accept() => match came {
                Ok((stream, peer)) => match place(&places, peer) {
                    Some(place) => drop(tokio::spawn(serve(stream, peer, router.clone(), place))),
                    None => turned_away += 1,
                },
                Err(e) => {
                    tracing::debug!("the stats port cannot take a connection: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

/// A place for a connection from there; `None`: there is none.
fn place(places: &Arc<Semaphore>, peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
    let local = peer.ip().to_canonical().is_loopback();
    let kept = if local { 0 } else { RESERVED };
    let free = places.available_permits() > kept;
    free.then(|| places.clone().try_acquire_owned().ok())?
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, place: OwnedSemaphorePermit) {
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
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(e) = served {
        tracing::debug!("stats port, {peer}: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_are_for_this_machine() {
        let places = Arc::new(Semaphore::new(MOST));
        let far: SocketAddr = "10.0.0.1:9".parse().expect("an address");
        let near: SocketAddr = "[::ffff:127.0.0.1]:9".parse().expect("an address");
        let taken: Vec<_> = (0..MOST).map_while(|_| place(&places, far)).collect();
        assert_eq!(taken.len(), MOST - RESERVED);
        let here: Vec<_> = (0..MOST).map_while(|_| place(&places, near)).collect();
        assert_eq!(here.len(), RESERVED);
        drop(taken);
        assert!(
            place(&places, far).is_some(),
            "a place that is left is free"
        );
    }
}
