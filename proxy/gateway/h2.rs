//! HTTP/2 connections: pingora's own server, with our limits and our connection behind every request.
//!
//! The frames are the `h2` crate's business; what a request says is checked in `accept`, as for HTTP/1. Never
//! weakens a default that stands between us and a flood: options start from pingora's bounded ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use h2::Reason;
use http::{HeaderName, HeaderValue, Uri, header};
use parking_lot::Mutex;
use pingora::Result;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use smallvec::SmallVec;
use tokio::sync::watch;

use super::Gateway;
use super::calls;
use super::client_io::ClientIo;
use super::conn::Conn;
use super::crowd::{Crowd, StreamPlace};
use super::express::Streamed;
use super::front::CUT_AFTER_LIMIT;
use super::tls;
use super::waiting::within;
use crate::base::flood::Flood;
use crate::base::reason::{End, Refusal};
use crate::live::control::Control;
use crate::wire::floods::Allowance;
use crate::wire::head::Rules;
use crate::wire::pseudo;

tokio::task_local! {
    /// The connection of the request that runs. pingora hands nothing from a connection to its HTTP/2 requests.
    static CONN: Arc<Conn>;
}

/// The connection of the HTTP/2 request that runs.
pub fn conn() -> Option<Arc<Conn>> {
    CONN.try_with(Arc::clone).ok()
}

/// Checks a request as `wire::head` does those of HTTP/1, and puts it into the same form: path and query alone, one
/// `Host`, no field that nobody may send. The inner error is the refusal.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn settle(
    request: &mut RequestHeader,
    rules: &Rules,
    trusted: bool,
) -> Result<std::result::Result<(), Refusal>> {
    let checked = {
        let hosts: SmallVec<[&[u8]; 2]> = request
            .headers
            .get_all(header::HOST)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let target = request.uri.path_and_query().map_or("", |t| t.as_str());
        let asked = pseudo::Pseudo {
            method: request.method.as_str(),
            scheme: request.uri.scheme_str(),
            target,
            authority: request.uri.authority().map(|a| a.as_str()),
            hosts: &hosts,
        };
        pseudo::check(&asked, rules)
            .map(|pseudo::Settled { target, host }| (target.into_owned(), host.to_owned()))
    };
    let (target, host) = match checked {
        Ok(settled) => settled,
        Err(why) => return Ok(Err(why)),
    };
    let fields: Vec<_> = request
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_bytes()))
        .collect();
    let dropped = match pseudo::fields(&fields, rules, trusted) {
        Ok(dropped) => dropped,
        Err(why) => return Ok(Err(why)),
    };
    let dropped: Vec<HeaderName> = dropped.iter().filter_map(|n| n.parse().ok()).collect();
    for name in dropped {
        request.remove_header(&name);
    }
    let uri = match target.parse::<Uri>() {
        Ok(uri) => uri,
        Err(_) => return Ok(Err(Refusal::BadRequest)),
    };
    request.set_uri(uri);
    request.insert_header(header::HOST, host)?;
    join_cookies(request)?;
    Ok(Ok(()))
}

/// HTTP/2 may cut `Cookie` into several fields; apps of HTTP/1.1 expect one (RFC 9113 §8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let joined = {
        let cookies = request.headers.get_all(header::COOKIE).iter();
        let cookies: SmallVec<[&[u8]; 4]> = cookies.map(HeaderValue::as_bytes).collect();
        (cookies.len() > 1).then(|| cookies.join(&b"; "[..]))
    };
    match joined {
        Some(joined) => request.insert_header(header::COOKIE, joined),
        None => Ok(()),
    }
}

/// What a body may have on its way before its node has taken it, in bytes: the protocol's own (RFC 9113 §6.9.2).
const WINDOW: u32 = 65_535;
/// What small pieces that wait for their nodes may cost on one connection, in bytes of bookkeeping as the `h2` crate counts
/// them: 250 or so for a gRPC message of a few bytes. Its own 25,600 ends the connection at a hundred that come at once.
const SMALL_PIECES: usize = 16 << 20;

/// Lets every stream of a connection have its whole window at a time: a body that its node does not take holds up no
/// other one of the same client, and whoever has no window has it withheld by the own node alone, which is seen.
fn bears_many(h2: &mut H2Options, streams: u32) {
    h2.initial_window_size(WINDOW);
    let all = WINDOW.saturating_mul(streams.max(1));
    h2.initial_connection_window_size(all.min(i32::MAX as u32));
    h2.data_frame_budget(SMALL_PIECES);
}

/// Serves an HTTP/2 connection to its end.
pub async fn serve(
    proxy: &Arc<HttpProxy<Gateway>>,
    mut io: ClientIo,
    conn: Arc<Conn>,
    control: &Arc<Control>,
    crowd: &Arc<Crowd>,
    shutdown: &ShutdownWatch,
) {
    let (times, limits) = control
        .hold
        .look(|now| (now.config.timeouts, now.config.limits));
    conn.inlet.sends_within(times.write, limits.send_rate);
    io.speaks_h2(Allowance {
        frames: limits.h2.frames,
        resets: limits.h2.resets,
    });
    let mut options = HttpServerOptions::default();
    // The crowd closes who is idle. This one counts a request as over before its answer is sent: it is for the worst.
    options.h2_idle_timeout = times.idle.map(|idle| idle + WORST);
    let mut h2 = default_h2_options();
    h2.max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    h2.max_concurrent_streams(limits.h2.streams);
    bears_many(&mut h2, limits.h2.streams);
    conn.waits(Instant::now());
    let served = Arc::new(Served {
        proxy: proxy.clone(),
        conn: conn.clone(),
        control: control.clone(),
        crowd: crowd.clone(),
        under_way: Mutex::new(0),
        options,
        h2,
        requests: AtomicU64::new(0),
        last: watch::Sender::new(false),
        shutdown: shutdown.clone(),
    });
    served.runs(io).await;
    if let Some((flood, by_file)) = conn.flood() {
        tell(&conn, flood, by_file, control);
    }
}

/// Tells of a client that was sent away for a flood. Many of them are a few lines.
fn tell(conn: &Conn, flood: Flood, by_file: bool, control: &Control) {
    conn.port.metrics.flooded(flood);
    if !control.flood.may_tell(SystemTime::now()) {
        return;
    }
    let remedy = match flood {
        _ if !by_file => "",
        Flood::Reset | Flood::Headers => "; should it be a good client, raise limits.h2.resets",
        _ => "; should it be a good client, raise limits.h2.frames",
    };
    let (listener, client, kind) = (&conn.port.label, conn.peer, flood.as_str());
    tracing::warn!(
        "{listener}: the HTTP/2 connection of {client} was closed: a flood of {kind} frames{remedy}"
    );
}

/// Counts the requests of a connection that are under way, so that it idles when there is none.
struct UnderWay {
    served: Arc<Served>,
    /// The first has the connection's own place; the others need one each, for their connections to nodes.
    place: Option<StreamPlace>,
    is_first: bool,
}

impl UnderWay {
    /// `None`: it came too late, the connection is being closed.
    fn begin(served: &Arc<Served>) -> Option<Self> {
        // Held while the connection is told: a first and a last request must not tell it in the wrong order.
        let mut under_way = served.under_way.lock();
        let is_first = *under_way == 0;
        if is_first && !served.conn.works() {
            return None;
        }
        *under_way += 1;
        Some(UnderWay {
            served: served.clone(),
            is_first,
            place: None,
        })
    }

    /// It may need a connection of its own to a node. Whether there is room for one.
    fn takes_place(&mut self) -> bool {
        if !self.is_first {
            self.place = self.served.crowd.takes_stream();
        }
        self.is_first || self.place.is_some()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.place = None;
        let mut under_way = self.served.under_way.lock();
        *under_way -= 1;
        if *under_way == 0 {
            self.served.conn.waits(Instant::now());
        }
    }
}

/// How much later than the idle limit pingora closes a connection that we did not.
const WORST: Duration = Duration::from_secs(600);
/// How often it is looked whether a body still comes.
const LOOK: Duration = Duration::from_millis(250);

/// Ends when the body of the request of `conn` has paused for longer than it may.
async fn is_too_slow(conn: &Conn, control: &Control) {
    loop {
        tokio::time::sleep(LOOK).await;
        let limit = control.hold.look(|now| now.config.timeouts.body);
        let paused = conn.body_awaited().unwrap_or_default();
        if limit.is_some_and(|limit| paused >= limit) {
            conn.inlet.is_at_fault(End::ClientTimeout);
            return;
        }
    }
}

/// Ends when the request of `conn` is to be cut because its node's drain is over.
async fn cut(conn: &Conn, control: &Control) {
    let mut cuts = control.cuts();
    while cuts.changed().await.is_ok() {
        if conn.is_to_be_cut() {
            return;
        }
    }
    std::future::pending().await
}

/// One HTTP/2 connection.
struct Served {
    proxy: Arc<HttpProxy<Gateway>>,
    conn: Arc<Conn>,
    control: Arc<Control>,
    crowd: Arc<Crowd>,
    under_way: Mutex<usize>,
    options: HttpServerOptions,
    h2: H2Options,
    /// Requests that came so far.
    requests: AtomicU64,
    /// The client is told to open no more (GOAWAY): it had its number, or the process stops.
    last: watch::Sender<bool>,
    /// The process stops.
    shutdown: ShutdownWatch,
}

impl Served {
    /// Serves it to its end. Once it has its last request, those under way are finished, and the client makes another
    /// connection for further ones.
    async fn runs(self: &Arc<Self>, io: ClientIo) {
        let (mut stops, last) = (self.shutdown.clone(), self.last.subscribe());
        let work = self.process_new(Box::new(io), &last);
        let stop = async {
            if stops.wait_for(|stops| *stops).await.is_ok() {
                self.last.send_replace(true);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = work => {}
            () = stop => {}
            () = self.outdates() => {}
        }
    }

    /// Tells the client to make another connection once other clients may come in by its port. Never ends.
    async fn outdates(&self) {
        let mut generations = self.control.generations();
        loop {
            generations.borrow_and_update();
            if self.is_outdated() {
                self.last.send_replace(true);
                break;
            }
            if generations.changed().await.is_err() {
                break;
            }
        }
        std::future::pending().await
    }

    fn is_outdated(&self) -> bool {
        let now = self.control.hold.borrow();
        tls::is_outdated(&self.conn, &now)
    }

    /// One more request has come.
    fn counts(&self, most: Option<u64>) {
        let so_far = self.requests.fetch_add(1, Relaxed) + 1;
        if most.is_some_and(|most| so_far == most) {
            self.last.send_replace(true);
        }
    }
}

#[async_trait]
impl HttpServerApp for Served {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _: &ShutdownWatch, // of the connection; the process's is wanted
    ) -> Option<ReusedHttpStream> {
        let (limit, most) = self.control.hold.look(|now| {
            let config = &now.config;
            let most = config.limits.requests_per_connection;
            (config.timeouts.request, most)
        });
        self.counts(most);
        if self.is_outdated() {
            // It crossed our word on its way. Nothing was done with it: the client asks again on its next connection.
            if let ServerSession::H2(stream) = &mut session {
                stream.shutdown_with_reason(Reason::REFUSED_STREAM);
            }
            return None;
        }
        // Of its own: one connection has many requests, each perhaps on another node.
        let mut under_way = UnderWay::begin(self)?;
        if let ServerSession::H2(stream) = &mut session
            && let Some(streamed) = Streamed::of(stream, &self.control, &self.conn)
        {
            let limit = limit.map(|limit| limit + CUT_AFTER_LIMIT);
            let _ = within(limit, streamed.send(stream)).await;
            return None;
        }
        let turned_away = !under_way.takes_place();
        let conn = Arc::new(self.conn.stream(turned_away));
        let has_body = !session.is_body_done();
        let of_call = calls::limit(session.req_header());
        let work = CONN.scope(
            conn.clone(),
            self.proxy.process_new_http(session, &self.shutdown),
        );
        let limit = limit.into_iter().chain(of_call).min();
        tokio::select! {
            biased;
            // Dropping the request ends it; its own drop tells how.
            done = within(limit.map(|limit| limit + CUT_AFTER_LIMIT), work) => done.flatten(),
            () = cut(&conn, &self.control) => None,
            () = is_too_slow(&conn, &self.control), if has_body => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
