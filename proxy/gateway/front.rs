//! The front door: who comes in, which request is next, and who is sent away.
//!
//! pingora by itself lets an idle connection live for ever, has no total limit on a head, no caps, and repairs what it
//! should refuse; all of that ends here. A head that is refused here reaches no hook and no node. Nothing is held
//! while a connection waits but the connection itself.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{Shutdown, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::net::TcpStream;

use super::Gateway;
use super::client_io::ClientIo;
use super::conn::{Conn, Port};
use super::crowd::{Crowd, LAST_CALL, Place};
use super::entrance::known;
use super::h2;
use super::linger::Seat;
use super::refuse::{self, Refused};
use super::tls;
use super::turn::{Counts, Turn, turn};
use super::waiting::{self, Preface, Waited};
use crate::base::reason::Refusal;
use crate::config::checked::{Config, Listen};
use crate::guard::client::is_trusted;
use crate::live::control::Control;
use crate::live::tls::PortTls;
use crate::wire::head::{Body, Good};

/// How much later than the whole-request limit the connection is cut: time for the 504 to be written.
pub const CUT_AFTER_LIMIT: Duration = Duration::from_millis(500);

/// Serves the connections of one data port.
#[derive(Clone)]
pub struct Front {
    pub(super) proxy: Arc<HttpProxy<Gateway>>,
    pub(super) control: Arc<Control>,
    pub(super) port: Arc<Port>,
    pub(super) crowd: Arc<Crowd>,
}

impl Front {
    /// A front for `port`, handing over to `proxy`.
    pub fn new(
        proxy: Arc<HttpProxy<Gateway>>,
        control: Arc<Control>,
        port: Arc<Port>,
        crowd: Arc<Crowd>,
    ) -> Self {
        Front {
            proxy,
            control,
            port,
            crowd,
        }
    }

    /// Its entry in the file.
    fn listen<'a>(&'a self, config: &'a Config) -> &'a Listen {
        self.port.open.entry(config)
    }

    /// A connection has come in: who is it. Then it is served by a task of its own.
    pub(super) async fn welcome(
        &self,
        mut stream: TcpStream,
        peer: IpAddr,
        mut place: Place,
        shutdown: ShutdownWatch,
    ) {
        let mut peer = Some(peer);
        let mut buffer = BytesMut::new();
        if let Some(patience) = self.announced(peer) {
            match waiting::for_prelude(&mut stream, &mut buffer, patience).await {
                Some(Ok(Some(client))) => peer = Some(client.ip()),
                Some(Ok(None)) => {}
                None => return,
                // Whoever it is, it does not speak our language: no answer would be understood.
                Some(Err(_)) => return self.tell(peer, &Refused::without_head(Refusal::Prelude)),
            }
        }
        let conn = Arc::new(Conn::new(self.port.clone(), peer));
        if let Err(why) = place.is_taken_by(&conn, self.counted(&conn)) {
            drop(place);
            return self.turn_away(stream, peer, why).await;
        }
        let front = self.clone();
        let served = front.serve(stream, buffer, conn.clone(), place, shutdown);
        conn.served_by(tokio::spawn(served).abort_handle());
    }

    /// How long a peer that announces its client has for it; `None`: it does not.
    fn announced(&self, peer: Option<IpAddr>) -> Option<Duration> {
        self.control.hold.look(|now| {
            let config = &now.config;
            let from = &self.listen(config).proxy_protocol;
            let announced = peer.is_some_and(|peer| is_trusted(peer, from));
            let patience = config.timeouts.header.or(config.timeouts.idle);
            announced.then(|| patience.unwrap_or(waiting::PRELUDE_PATIENCE))
        })
    }

    /// Whether a connection counts among those of its client, and how many there may be. A proxy in front brings many
    /// clients by one address.
    fn counted(&self, conn: &Conn) -> Option<Option<usize>> {
        self.control.hold.look(|now| {
            let one_of_ours = is_trusted(conn.peer, &now.config.trusted_proxies);
            (!one_of_ours).then_some(now.config.limits.connections_per_ip)
        })
    }

    async fn serve(
        self,
        stream: TcpStream,
        mut buffer: BytesMut,
        conn: Arc<Conn>,
        place: Place,
        shutdown: ShutdownWatch,
    ) {
        let seat = Seat::new(conn.clone(), place);
        let stream = match self.speaks_tls() {
            None => known(stream),
            Some(tls) => {
                let begun = std::mem::take(&mut buffer);
                // Large, and soon over: an idle connection does not hold the room for it.
                match Box::pin(self.secure(stream, begun, &conn, &tls)).await {
                    Some(stream) => stream,
                    None => return,
                }
            }
        };
        let by_tls = conn.secured().map(|secured| secured.is_h2);
        let mut counts = Counts::default();
        let mut deadline = None;
        let h2c = by_tls.is_none() && self.control.hold.look(|now| self.listen(&now.config).h2c);
        if !h2c && by_tls != Some(true) {
            self.port.metrics.total.inc();
        }
        let mut io = ClientIo::new(stream, seat);
        if by_tls == Some(true) {
            self.port.metrics.total_h2.inc();
            let served = h2::serve(&self.proxy, io, conn, &self.control, &self.crowd, &shutdown);
            return Box::pin(served).await; // large
        }
        if h2c {
            match waiting::for_preface(&mut io, &mut buffer, &conn, &self.control).await {
                Preface::H2 => {
                    self.port.metrics.total_h2.inc();
                    conn.inlet.gives_back(buffer);
                    let served =
                        h2::serve(&self.proxy, io, conn, &self.control, &self.crowd, &shutdown);
                    return Box::pin(served).await; // rare, and large
                }
                Preface::H1(end) => {
                    self.port.metrics.total.inc();
                    deadline = end;
                }
                Preface::Gone => return,
            }
        }
        let mut io = Box::new(io);
        let mut since = Instant::now();
        loop {
            // With the beginning of a head at hand it has work, and nobody may take it for idle.
            if !buffer.first().is_some_and(u8::is_ascii_alphabetic) {
                conn.waits(since);
            }
            // After the last call nobody waits for another request.
            let life = &self.control.lifecycle;
            let last = life.is_stopping() && !life.is_patient() && *shutdown.borrow();
            let patience = last.then_some(LAST_CALL);
            let head = waiting::for_head(
                &mut io,
                &mut buffer,
                &conn,
                &self.control,
                patience,
                deadline.take(),
            );
            let end = match head.await {
                Waited::Head(end) => end,
                Waited::Gone => return,
                Waited::Refused(why) => return self.refuse(io, &conn, why, &buffer).await,
            };
            let turn = poll_fn(|cx| {
                let (to, from) = ((&mut *io, cx), (&mut buffer, end));
                Poll::Ready(turn(&self.control, to, &conn, from, &mut counts))
            });
            let (end, good, limit) = match turn.await {
                Turn::Answered { at, closes: false } => {
                    since = at;
                    if !buffer.is_empty() {
                        // Who always has the next requests there keeps nobody else waiting.
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                Turn::Answered { closes: true, .. } => return close(io, &conn, buffer).await,
                Turn::Unsent { unsent, closes } => match unsent.send(&mut io).await {
                    true if closes => return close(io, &conn, buffer).await,
                    true => {
                        since = Instant::now();
                        continue;
                    }
                    false => return conn.is_answering(true), // it never will be finished
                },
                Turn::HandedOn(end, good, limit) => (end, good, limit),
                Turn::Refused(why) => return self.refuse(io, &conn, why, &buffer).await,
                Turn::Gone => return,
            };
            let Good {
                body, asks_first, ..
            } = good;
            let rest = match body {
                Body::Sized(0) if buffer.len() == end => BytesMut::new(),
                _ => buffer.split_off(end),
            };
            conn.inlet.begins(body, asks_first, rest, limit.terms);
            let mut done = self.hand_over(io, std::mem::take(&mut buffer), &conn, &shutdown);
            let reused = match limit.request {
                // Dropping the request ends it; its own drop tells how.
                Some(limit) => match timeout(limit + CUT_AFTER_LIMIT, &mut done).await {
                    Ok(reused) => reused,
                    // What it is now has other limits.
                    Err(_) if conn.tunnel.load(Relaxed) => done.await,
                    Err(_) => None,
                },
                None => done.await,
            };
            conn.is_off();
            let stream = match reused {
                Some(reused) => reused.consume().0,
                None => return,
            };
            // It is what was handed over.
            let Ok(same) = stream.into_any().downcast() else {
                return;
            };
            io = same;
            conn.inlet.let_through();
            since = Instant::now();
        }
    }

    /// How this port speaks TLS; `None`: it does not.
    pub(super) fn speaks_tls(&self) -> Option<Arc<PortTls>> {
        self.control
            .hold
            .look(|now| now.tls.of(&self.port.open).cloned())
    }

    /// Makes the TLS handshake; `None`: it is over with this connection.
    async fn secure(
        &self,
        stream: TcpStream,
        begun: BytesMut,
        conn: &Arc<Conn>,
        tls: &Arc<PortTls>,
    ) -> Option<Stream> {
        let metrics = || self.control.metrics.tls(&self.port.label);
        self.port.tls.get_or_init(metrics);
        let failure = match tls::handshake(stream, begun, conn, tls, &self.control).await {
            Ok(io) => return io.map(|io| -> Stream { Box::new(io) }),
            Err(failure) => failure,
        };
        tls::tell_failure(&self.control, conn, &failure);
        if let Some(stream) = failure.stream {
            let refused = Refused::without_head(Refusal::PlainHttp);
            self.tell(Some(conn.peer), &refused);
            refuse::turn_away(known(stream), &refused).await;
        }
        None
    }

    /// Refuses a head and ends its connection.
    async fn refuse(&self, io: Box<ClientIo>, conn: &Conn, why: Refusal, head: &[u8]) {
        let refused = Refused::of_head(why, head);
        self.tell(Some(conn.peer), &refused);
        conn.inlet.is_refused();
        Box::pin(refuse::answer(io, &refused)).await;
    }

    /// Hands a request over to pingora. Not inside `serve`, where an idle connection would hold the room for it.
    fn hand_over<'a>(
        &'a self,
        stream: Stream,
        head: BytesMut,
        conn: &Arc<Conn>,
        shutdown: &'a ShutdownWatch,
    ) -> impl Future<Output = Option<ReusedHttpStream>> + Unpin + 'a {
        let mut session = ServerSession::new_http1(stream);
        // Taken whole: a split would make the two halves share, and pay for sharing.
        session.set_pipelined_prefix(head);
        session.set_connection_user_context(Some(Box::new(conn.clone())));
        self.proxy.process_new_http(session, shutdown)
    }

    /// Answers a connection that cannot be served, if that is possible without much waiting.
    async fn turn_away(&self, stream: TcpStream, peer: Option<IpAddr>, why: Refusal) {
        let refused = Refused::without_head(why);
        self.tell(peer, &refused);
        // Who speaks TLS would not understand a word, and a handshake costs more than a refusal is worth.
        if self.speaks_tls().is_none()
            && let Some(_time) = self.crowd.has_time()
        {
            refuse::turn_away(known(stream), &refused).await;
        }
    }

    /// Counts and tells a refusal.
    pub(super) fn tell(&self, peer: Option<IpAddr>, refused: &Refused) {
        refuse::tell(&self.control, &self.port, peer, refused);
    }
}

/// Closes a connection in good order. `rest` was read behind its last request.
async fn close(mut io: Box<ClientIo>, conn: &Conn, rest: BytesMut) {
    if !rest.is_empty() {
        conn.inlet.gives_back(rest);
    }
    Shutdown::shutdown(&mut *io).await;
}
