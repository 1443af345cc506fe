//! A whole head is there: refused, answered in the express lane, or handed on.
//!
//! Here a head is judged, once, against one generation of the configuration; the limits of its connection are counted,
//! and what does not need more than the store is answered at once, with what came behind it. Never waits.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::client_io::ClientIo;
use super::conn::Conn;
use super::express::{Batch, Lane, Moment, Unsent, decide};
use super::inlet::Terms;
use super::tls;
use crate::base::reason::{End, Refusal};
use crate::guard::client::is_trusted;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::wire::canon;
use crate::wire::head::{self, Body, Good};
use crate::wire::parsed::Parsed;

/// What becomes of a head.
pub enum Turn {
    /// It is answered since then, and its bytes are gone. `closes`: the connection ends with that.
    Answered { at: Instant, closes: bool },
    /// It is being answered, and its bytes are gone.
    Unsent { unsent: Box<Unsent>, closes: bool },
    /// It is handed on: its length in the form in which it is, what it says, and its limits.
    HandedOn(usize, Good, Limit),
    /// It is refused.
    Refused(Refusal),
    /// The client is.
    Gone,
}

/// The limits of a request that is handed on.
pub struct Limit {
    /// How long it may take.
    pub request: Option<Duration>,
    /// What is asked of its client.
    pub terms: Terms,
}

/// The requests of a connection.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    requests: u64,
    /// Of a client that has sent too many at once: so many more are answered.
    answers_left: Option<usize>,
}

impl Counts {
    /// With one more request, behind which `more` was read; whether it is the last of its connection.
    fn one_more(mut self, conn: &Conn, more: &[u8], now: &Snapshot) -> (Counts, bool) {
        self.requests += 1;
        let limits = &now.config.limits;
        let too_many = limits
            .requests_per_connection
            .is_some_and(|most| self.requests >= most);
        let depth = limits.pipeline.filter(|_| !more.is_empty());
        let too_deep = depth.filter(|most| conn.inlet.has_more_than(*most, more));
        self.answers_left =
            too_deep.map(|most| self.answers_left.unwrap_or(most).saturating_sub(1));
        (self, too_many || self.answers_left == Some(0))
    }
}

/// What one look at a head came to.
enum Look {
    /// Its answer is in the batch; `closes`: it is the last of its connection.
    Answered {
        closes: bool,
    },
    HandedOn(usize, Good),
    Refused(Refusal),
    /// It is looked at again once those before it are answered.
    Later,
}

/// Gives a head its turn: the one of `end` bytes that `buffer` begins with. Where it is answered here, so are those behind
/// it, as far as they are there and can be.
pub fn turn(
    control: &Arc<Control>,
    (io, cx): (&mut ClientIo, &mut Context<'_>),
    conn: &Arc<Conn>,
    (buffer, end): (&mut BytesMut, usize),
    counts: &mut Counts,
) -> Turn {
    let now = control.hold.borrow();
    if tls::is_outdated(conn, &now) {
        // Its client makes another connection, as whoever is closed while it is idle.
        return Turn::Gone;
    }
    let lane = Lane {
        control,
        now: &now,
        conn,
        moment: Moment::now(&control.clock),
    };
    let mut batch = Batch::begin();
    let first = look(lane, &mut batch, (buffer, end), counts);
    let Look::Answered { mut closes } = first else {
        batch.is_over();
        return match first {
            Look::HandedOn(end, good) => Turn::HandedOn(end, good, limit(&now)),
            Look::Refused(why) => Turn::Refused(why),
            Look::Answered { .. } | Look::Later => Turn::Gone, // the first is never for later
        };
    };
    while !closes && !batch.is_full() {
        let behind = &buffer[batch.read()..];
        // An empty line in between is for who waits for heads.
        let begins = behind.first().is_some_and(u8::is_ascii_alphabetic);
        let Some(length) = head::end(behind, 0).filter(|_| begins) else {
            break;
        };
        let end = batch.read() + length;
        match look(lane, &mut batch, (buffer, end), counts) {
            Look::Answered { closes: last } => closes = last,
            _ => break,
        }
    }
    send(batch, lane, &now, (io, cx), (control, conn), buffer, closes)
}

/// Looks at the head behind those that the batch answers, up to `end`.
fn look(
    lane: Lane<'_>,
    batch: &mut Batch,
    (buffer, end): (&mut BytesMut, usize),
    counts: &mut Counts,
) -> Look {
    let rules = &lane.now.rules;
    let trusted = is_trusted(lane.conn.peer, &lane.now.config.trusted_proxies);
    let is_first = batch.is_empty();
    let (good, answered) = match judge((lane, trusted), batch, (buffer, end), counts) {
        Ok(judged) => judged,
        Err(why) => return Look::Refused(why),
    };
    if let Some(closes) = answered {
        return Look::Answered { closes };
    }
    if !is_first {
        return Look::Later;
    }
    let mut end = end;
    if good.rewrite {
        let mut written = match canon::write(&buffer[..end], rules, trusted) {
            Ok(written) => written,
            Err(why) => return Look::Refused(why),
        };
        let new_end = written.len();
        written.extend_from_slice(&buffer[end..]);
        (*buffer, end) = (written, new_end);
        // In its one form it is as good as it was.
        if let Ok((_, Some(closes))) = judge((lane, trusted), batch, (buffer, end), counts) {
            return Look::Answered { closes };
        }
    }
    let more = behind(buffer, end, good.body);
    let (one_more, is_last) = counts.one_more(lane.conn, more, lane.now);
    *counts = one_more;
    if is_last {
        lane.conn.last.store(true, Relaxed);
    }
    Look::HandedOn(end, good)
}

/// What was read behind a request. Behind a body nobody knows yet what is a request.
fn behind(buffer: &[u8], end: usize, body: Body) -> &[u8] {
    match body {
        Body::Sized(0) => &buffer[end..],
        _ => &[],
    }
}

/// Judges the head behind those that the batch answers, up to `end`: what it says, and, where it is answered in the
/// express lane, whether it is the last of its connection.
fn judge(
    (lane, trusted): (Lane<'_>, bool),
    batch: &mut Batch,
    (buffer, end): (&[u8], usize),
    counts: &mut Counts,
) -> Result<(Good, Option<bool>), Refusal> {
    let bytes = &buffer[batch.read()..end];
    head::check_and(
        bytes,
        &lane.now.rules,
        trusted,
        |good, parsed: &Parsed<'_, '_>| {
            let answered = answers(
                (lane, trusted),
                batch,
                (buffer, end),
                (good, parsed),
                counts,
            );
            (good, answered)
        },
    )
}

/// Answers a head in the express lane, where that can be: whether it is the last of its connection.
fn answers(
    (lane, trusted): (Lane<'_>, bool),
    batch: &mut Batch,
    (buffer, end): (&[u8], usize),
    (good, parsed): (Good, &Parsed<'_, '_>),
    counts: &mut Counts,
) -> Option<bool> {
    let may = good.body == Body::Sized(0) && !good.asks_first && !good.rewrite;
    if !may || !lane.now.caches || lane.control.lifecycle.is_stopping() {
        return None;
    }
    let (one_more, is_last) = counts.one_more(lane.conn, &buffer[end..], lane.now);
    let closes = is_last || good.closes;
    let hit = decide((lane, trusted), parsed, buffer, closes, batch.heads())?;
    *counts = one_more;
    batch.add(hit, end);
    Some(closes)
}

/// Sends what is answered; what the client does not take at once is left to send.
fn send(
    mut batch: Box<Batch>,
    lane: Lane<'_>,
    now: &Arc<Snapshot>,
    (io, cx): (&mut ClientIo, &mut Context<'_>),
    (control, conn): (&Arc<Control>, &Arc<Conn>),
    buffer: &mut BytesMut,
    closes: bool,
) -> Turn {
    let length = batch.length();
    let sent = match batch.poll_send(io, cx, 0) {
        Poll::Ready(Ok(sent)) => sent as u64,
        Poll::Pending => 0,
        Poll::Ready(Err(_)) => {
            let end = conn.fault().unwrap_or(End::ClientAbort);
            batch.tell(lane, buffer, 0, Some(end));
            batch.is_over();
            return Turn::Gone;
        }
    };
    if sent == length && matches!(io.poll_gathered(cx), Poll::Ready(Ok(()))) {
        let at = batch.tell(lane, buffer, sent, None);
        drop(taken(buffer, batch.read()));
        batch.is_over();
        return Turn::Answered { at, closes };
    }
    // Who has their answer does not wait for who has not.
    batch.tell(lane, buffer, sent, None);
    let requests = taken(buffer, batch.read()).freeze();
    let unsent = Unsent::new(
        (batch, sent),
        requests,
        control,
        now.clone(),
        conn,
        lane.moment,
    );
    Turn::Unsent { unsent, closes }
}

/// Takes what was read of requests that are answered. With the last of it goes the memory: a connection that waits holds
/// none.
fn taken(buffer: &mut BytesMut, read: usize) -> BytesMut {
    match buffer.len() == read {
        true => std::mem::take(buffer),
        false => buffer.split_to(read),
    }
}

/// The limits of a request that is handed on: those of the generation that it sees, or, in the instant of a swap, of its
/// neighbour.
fn limit(now: &Snapshot) -> Limit {
    let (limits, times) = (&now.config.limits, &now.config.timeouts);
    Limit {
        request: times.request,
        terms: Terms {
            body: limits.body,
            trailers: u32::try_from(limits.header_bytes).unwrap_or(u32::MAX),
            body_pause: times.body,
            body_rate: limits.body_rate,
            send_pause: times.write,
            send_rate: limits.send_rate,
            half_close: now.config.requests.half_close,
        },
    }
}
