//! The connection loop: wait for a request head under our own deadlines, check it, hand it over.
//!
//! pingora by itself lets an idle connection live for ever and has no total limit on a head; both end here. A head
//! that is refused here reaches no hook and no node. What a client sends behind one request is never looked at.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::BytesMut;
use http::{Method, Version};
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Gateway;
use super::answer;
use super::conn::{Conn, Port};
use super::ctx::new_id;
use super::early::{Early, Held};
use crate::base::reason::{End, Refusal};
use crate::live::control::Control;
use crate::telemetry::finished::Finished;
use crate::wire::head::{self, Bad, Body, Good};

/// The largest request head that is read.
const MAX_HEAD: usize = 64 * 1024;
/// Room for the head of an ordinary request, so that one read takes it.
const HEAD_ROOM: usize = 4 * 1024;
/// How long an idle connection is still listened to once the process stops: a request that was on its way is
/// answered instead of reset.
const LAST_CALL: Duration = Duration::from_millis(200);
/// How often the keeper of a connection looks, at most and at least.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How long a refused client may take to read the refusal.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// How much later than the whole-request limit the connection is cut: time for the 504 to be written.
const CUT_AFTER_LIMIT: Duration = Duration::from_millis(500);

/// Serves the connections of one data port.
pub struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    control: Arc<Control>,
    port: Arc<Port>,
}

/// What waiting for a head came to.
enum Waited {
    /// A whole head is in the buffer; so much of what follows it belongs to the request.
    Head {
        /// Bytes of the head.
        end: usize,
        /// How the body is framed.
        body: Body,
    },
    /// Nothing to answer: the client left, idled too long, or the process stops.
    Gone,
    /// To be refused.
    Refused(Refusal),
}

impl Front {
    /// A front for `port`, handing over to `proxy`.
    pub fn new(proxy: Arc<HttpProxy<Gateway>>, control: Arc<Control>, port: Arc<Port>) -> Self {
        Front {
            proxy,
            control,
            port,
        }
    }

    async fn serve(&self, mut stream: Stream, conn: &Arc<Conn>, shutdown: &ShutdownWatch) {
        let mut buffer = BytesMut::new();
        loop {
            conn.waits();
            let header = self.control.hold.look(|now| now.config.timeouts.header);
            // After the last call nobody waits for another request.
            let last = self.control.lifecycle.is_stopping() && *shutdown.borrow();
            let patience = last.then_some(LAST_CALL);
            let waited = wait_for_head(&mut stream, &mut buffer, conn, header, patience).await;
            let (end, body) = match waited {
                Waited::Head { end, body } => (end, body),
                Waited::Gone => return,
                Waited::Refused(why) => return self.refuse(stream, conn, why).await,
            };
            hold_back(&mut buffer, end, body, &conn.early);
            let mut session = ServerSession::new_http1(stream);
            // Taken whole: a split would make the two halves share, and pay for sharing.
            session.set_pipelined_prefix(std::mem::take(&mut buffer));
            session.set_connection_user_context(Some(Box::new(conn.clone())));
            let done = self.proxy.process_new_http(session, shutdown);
            // The limit of the generation that the request sees, or, in the instant of a swap, of its neighbour.
            let limit = self.control.hold.look(|now| now.config.timeouts.request);
            let reused = match limit {
                // Dropping the request ends it; its own drop tells how.
                Some(limit) => timeout(limit + CUT_AFTER_LIMIT, done).await.unwrap_or(None),
                None => done.await,
            };
            conn.is_off();
            conn.early.let_through();
            match reused {
                Some(reused) => stream = reused.consume().0,
                None => return,
            }
        }
    }

    /// Answers a refused head, tells it, and closes once the client has had the time to read the answer.
    async fn refuse(&self, mut stream: Stream, conn: &Conn, why: Refusal) {
        let id = new_id();
        self.tell_refusal(conn, why, &id);
        let answer = answer::on_the_wire(why.status(), &id);
        let written = timeout(REFUSAL_PATIENCE, async {
            stream.write_all(&answer).await?;
            stream.flush().await?;
            stream.shutdown().await?;
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Ok::<_, std::io::Error>(())
        });
        let _ = written.await;
    }

    fn tell_refusal(&self, conn: &Conn, why: Refusal, id: &str) {
        self.control.metrics.refused(why);
        let snapshot = self.control.hold.load();
        if snapshot.log.wants(true, || 0.0) {
            snapshot.log.tell(&Finished {
                at: SystemTime::now(),
                id,
                client: conn.peer,
                listener: &self.port.label,
                route: "",
                method: &Method::default(),
                host: "",
                path: "",
                query: None,
                version: Version::HTTP_11,
                status: why.status().as_u16(),
                bytes_in: 0,
                bytes_out: 0,
                connect: None,
                ttfb: None,
                total: Duration::ZERO,
                upstream: "",
                nodes: &[],
                dry_run: None,
                end: End::Refused(why),
            });
        }
    }
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let peer = stream
            .get_socket_digest()
            .and_then(|d| d.peer_addr().and_then(|a| a.as_inet().map(|a| a.ip())));
        let conn = Arc::new(Conn::new(self.port.clone(), peer));
        let stream: Stream = Box::new(Held::new(stream, conn.early.clone()));
        // A task of its own: what it waits for is not looked at each time a byte arrives.
        let mut keeper = tokio::spawn(keep(conn.clone(), self.control.clone(), shutdown.clone()));
        tokio::select! {
            biased;
            () = self.serve(stream, &conn, shutdown) => {}
            _ = &mut keeper => {}
        }
        keeper.abort();
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// Watches over a connection; ends when it is to be closed: it idled too long, its node's drain is over, or the
/// process stops and no request was on its way.
async fn keep(conn: Arc<Conn>, control: Arc<Control>, mut shutdown: ShutdownWatch) {
    let mut cuts = control.cuts();
    loop {
        let limit = control.hold.look(|now| now.config.timeouts.idle);
        let left = limit.map(|limit| limit.saturating_sub(conn.idle_for().unwrap_or_default()));
        if left == Some(Duration::ZERO) && conn.close_if_idle(limit.unwrap_or_default()) {
            return;
        }
        tokio::select! {
            changed = cuts.changed() => {
                if changed.is_err() || conn.is_cut() {
                    return;
                }
            }
            () = stopping(&mut shutdown) => break,
            // Looked at now and then, because the limit may have changed.
            () = tokio::time::sleep(left.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)) => {}
        }
    }
    tokio::time::sleep(LAST_CALL).await;
    // With a request it goes on: the answer closes it, or the end of a drain does.
    while !conn.close_if_idle(Duration::ZERO) && !conn.is_cut() {
        if cuts.changed().await.is_err() {
            return;
        }
    }
}

/// Ends when the process stops accepting.
async fn stopping(shutdown: &mut ShutdownWatch) {
    // An error means that nobody can stop us any more, because the process is gone.
    let _ = shutdown.wait_for(|stopping| *stopping).await;
}

/// Reads until a whole, acceptable head is in `buffer`. The first byte has `patience`, where there is a limit that
/// the connection's keeper does not watch; from then on the head has `limit`.
async fn wait_for_head(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    conn: &Conn,
    limit: Option<Duration>,
    patience: Option<Duration>,
) -> Waited {
    buffer.reserve(HEAD_ROOM);
    if !matches!(within(patience, stream.read_buf(buffer)).await, Some(Ok(n)) if n > 0) {
        return Waited::Gone;
    }
    let mut deadline = None;
    let mut searched = 0;
    let mut begun = false;
    loop {
        let skip = head::empty_lines(buffer);
        if skip > 0 {
            let _ = buffer.split_to(skip);
            searched = 0;
        }
        if !begun && !buffer.is_empty() {
            begun = true;
            if !conn.works() {
                return Waited::Gone;
            }
        }
        if let Some(end) = head::end(buffer, searched).filter(|end| *end <= MAX_HEAD) {
            return match head::check(&buffer[..end]) {
                Err(bad) => Waited::Refused(refusal(bad)),
                Ok(Good { body, absolute }) => Waited::Head {
                    end: if absolute { reduce(buffer, end) } else { end },
                    body,
                },
            };
        }
        searched = buffer.len();
        if searched > MAX_HEAD {
            return Waited::Refused(Refusal::HeaderTooLarge);
        }
        buffer.reserve(HEAD_ROOM);
        if !begun {
            // Only empty lines so far: it still waits for a request.
            if !matches!(within(patience, stream.read_buf(buffer)).await, Some(Ok(n)) if n > 0) {
                return Waited::Gone;
            }
            continue;
        }
        // Most heads come in one piece and need no deadline.
        let deadline = deadline.get_or_insert_with(|| limit.map(|limit| Instant::now() + limit));
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match within(left, stream.read_buf(buffer)).await {
            None => return Waited::Refused(Refusal::HeaderTimeout),
            Some(Ok(n)) if n > 0 => {}
            Some(_) => return Waited::Gone,
        }
    }
}

/// Keeps the request in `buffer` and holds back what follows it.
fn hold_back(buffer: &mut BytesMut, end: usize, body: Body, early: &Early) {
    match body {
        Body::Sized(length) => {
            let whole = end + length;
            let rest = if buffer.len() > whole {
                buffer.split_off(whole)
            } else {
                BytesMut::new()
            };
            early.hold_after(whole - buffer.len(), rest);
        }
        // Only who reads the chunks knows where they end.
        Body::Chunked => early.let_through(),
    }
}

/// Puts the head of `end` bytes in `buffer` into origin-form; its new length.
fn reduce(buffer: &mut BytesMut, end: usize) -> usize {
    let Some(mut head) = head::to_origin_form(&buffer[..end]) else {
        return end;
    };
    let new_end = head.len();
    head.extend_from_slice(&buffer[end..]);
    *buffer = head;
    new_end
}

async fn within<F: Future>(limit: Option<Duration>, work: F) -> Option<F::Output> {
    match limit {
        Some(limit) => timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

fn refusal(bad: Bad) -> Refusal {
    match bad {
        Bad::Syntax => Refusal::BadRequest,
        Bad::TooManyFields => Refusal::HeaderTooLarge,
        Bad::Method => Refusal::Method,
        Bad::Version => Refusal::Version,
    }
}
