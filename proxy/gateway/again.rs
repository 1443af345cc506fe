//! After something was sent: what a failure says of the node, and whether another one is asked.
//!
//! Another one is asked only where the file wants it after this failure, sending the request twice does no harm, no byte
//! of an answer went on to the client, what was sent of the body is at hand, tries and budget are left, and another
//! node exists. All of it, for every failure; the one exception is an old connection that its node had closed meanwhile,
//! which costs neither a try nor the budget, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use http::{HeaderName, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::ctx::{Attempt, Ctx};
use super::{beside, calls, forward, line, over_h2, split};
use crate::balance::pool::Pool;
use crate::base::backoff;
use crate::base::reason::End;
use crate::config::checked::{Retry, Upstream};
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::traces::Event;
use crate::upstream::classify::{self, Again, Sent};
use crate::upstream::patience::{Others, Patience};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// So many old connections may have no stream for a request.
const OLD_CONNECTIONS: u32 = 3;
/// What pingora keeps of a body to send it again.
const KEPT_OF_A_BODY: u64 = 64 * 1024;

/// What the file says of the request's upstream.
fn rules(ctx: &Ctx) -> Option<&Upstream> {
    ctx.upstream.map(|at| &ctx.snapshot.config.upstreams[at])
}

/// The node of the attempt that runs answered well or failed.
pub fn judge(ctx: &Ctx, failed: bool, now: Instant) {
    if let (Some(attempt), Some(upstream)) = (&ctx.attempt, ctx.upstream()) {
        judge_attempt(attempt, failed, &upstream.pool, &ctx.control, now);
    }
}

/// The node of an attempt answered well or failed; what that changes is told.
pub fn judge_attempt(
    attempt: &Attempt,
    failed: bool,
    pool: &Pool,
    control: &Control,
    now: Instant,
) {
    let in_flight = &attempt.in_flight;
    let changes = pool.note(attempt.member, failed, in_flight.is_trial(), now);
    in_flight.is_judged();
    for change in changes.iter().flatten() {
        control.changed(in_flight.node(), change, now);
    }
}

/// No connection to the node of an attempt could be made: it rests, unless it was our own fault. `true`: it was the node.
pub fn refused(
    attempt: &Attempt,
    error: &Error,
    pool: &Pool,
    control: &Control,
    now: Instant,
) -> bool {
    if !classify::is_nodes_fault(error) {
        return false;
    }
    let words = classify::connect_failure_in_words(error);
    if let Some(change) = pool.refused(attempt.member, &words, now) {
        control.changed(attempt.in_flight.node(), &change, now);
    }
    true
}

/// How long the node of the next attempt may take to begin its answer; only where another one could be asked then.
pub fn patience(ctx: &mut Ctx) -> Option<Patience> {
    let rules = &rules(ctx)?.retry;
    let most = rules.try_timeout?;
    let other = ctx.sent + 1 < rules.tries && line::is_there_another(ctx, ctx.begun);
    let way_out = !other && split::could_fall_back(ctx, ctx.begun);
    if !ctx.repeatable || !(other || way_out) {
        return None;
    }
    let paid = Arc::new(AtomicBool::new(false));
    ctx.paid_ahead = Some(paid.clone());
    let others = Affordable {
        snapshot: ctx.snapshot.clone(),
        upstream: ctx.upstream?,
        is_free: way_out,
        paid,
    };
    Some(Patience::new(most, Box::new(others)))
}

/// Other nodes, as far as the budget reaches.
#[derive(Debug)]
struct Affordable {
    snapshot: Arc<Snapshot>,
    upstream: usize,
    /// It is the primary for replicas that had their tries.
    is_free: bool,
    paid: Arc<AtomicBool>,
}

impl Others for Affordable {
    fn may_be_asked(&self) -> bool {
        if self.is_free {
            return true;
        }
        let share = self.snapshot.config.upstreams[self.upstream].retry.budget;
        let paid = self.snapshot.upstreams[self.upstream].pays(share, Instant::now());
        self.paid.store(paid, Relaxed);
        paid
    }
}

/// Whether the request may be sent twice, as far as its head says. A body must be short enough to be kept.
pub fn is_repeatable(session: &Session, ctx: &Ctx) -> bool {
    // Asked for the sake of `try_timeout` alone; what failed is looked at anew.
    let wanted = |rules: &&Retry| rules.tries > 1 && rules.try_timeout.is_some();
    let Some(rules) = rules(ctx).map(|u| &u.retry).filter(wanted) else {
        return false;
    };
    let fields = &session.req_header().headers;
    let length = fields.get(header::CONTENT_LENGTH).map(|length| {
        let length = length.to_str().ok().and_then(|text| text.parse().ok());
        length.unwrap_or(u64::MAX)
    });
    let short = !fields.contains_key(header::TRANSFER_ENCODING)
        && length.is_none_or(|length| length <= KEPT_OF_A_BODY);
    short && sent(session, ctx).is_repeatable(rules)
}

fn sent<'a>(session: &Session, ctx: &'a Ctx) -> Sent<'a> {
    Sent {
        method: &ctx.head.method,
        has_key: session.req_header().headers.contains_key(IDEMPOTENCY_KEY),
        body_is_kept: !session.as_ref().retry_buffer_truncated(),
    }
}

/// Takes one more try out of the budget. `false`: there is none left.
pub fn is_affordable(ctx: &Ctx, now: Instant) -> bool {
    let both = ctx.upstream().zip(rules(ctx));
    both.is_some_and(|(upstream, rules)| upstream.pays(rules.retry.budget, now))
}

/// Whether another node is to be asked, and if so, prepares for it.
fn goes_on(
    session: &Session,
    ctx: &mut Ctx,
    again: Again,
    wanted: impl Fn(&Retry) -> bool,
    now: Instant,
) -> bool {
    let Some(rules) = rules(ctx).map(|u| &u.retry) else {
        return false;
    };
    // A read whose replicas all fail has a way out, which costs neither a try nor the budget: the primary, once.
    let other = ctx.sent < rules.tries && line::is_there_another(ctx, now);
    let way_out = !other && split::could_fall_back(ctx, now);
    let may = (other || way_out)
        && wanted(rules)
        && sent(session, ctx).may_go_again(again, rules)
        && session.response_written().is_none()
        && !ctx.is_overdue();
    let first_pause = rules.backoff;
    let is_paid = ctx.paid_ahead.take().is_some_and(|paid| paid.load(Relaxed));
    if !may || !(is_paid || way_out || is_affordable(ctx, now)) {
        return false;
    }
    ctx.leaves_replicas = way_out;
    ctx.paid = true;
    ctx.pause = backoff::pause(first_pause, ctx.sent, fastrand::u64(..));
    true
}

/// The head of an answer has come: judges the node by it. `Some`: the answer is not passed on, another node is asked.
pub fn answered(
    session: &Session,
    answer: &ResponseHeader,
    ctx: &mut Ctx,
    now: Instant,
) -> Option<Box<Error>> {
    rules(ctx)?;
    let status = answer.status;
    let judged_by = calls::judged_by(answer, ctx);
    let upstream = rules(ctx)?;
    let fails = |status| classify::is_failure(status, &upstream.failure_statuses);
    let failed = judged_by.is_some_and(fails);
    if judged_by.is_some() {
        judge(ctx, failed, now);
    }
    let unavailable = calls::is_unavailable(answer, ctx);
    if status.as_u16() < 400 && !unavailable {
        return None;
    }
    let retry_after = answer.headers.get(header::RETRY_AFTER);
    let pause = classify::asked_pause(status, retry_after);
    if let (Some(pause), Some(attempt)) = (pause, &ctx.attempt) {
        attempt.in_flight.node().asks_for_a_pause(pause, now);
    }
    if failed && let Some(member) = ctx.member() {
        member.metrics.failed(End::UpstreamStatus);
    }
    let wanted = |rules: &Retry| match unavailable {
        true => rules.on.grpc_unavailable,
        false => rules.on.statuses.binary_search(&status.as_u16()).is_ok(),
    };
    let why = match unavailable {
        true => Again::AsItSaysItself,
        false => Again::IfItDoesNoHarm,
    };
    if !goes_on(session, ctx, why, wanted, now) {
        return None;
    }
    ctx.asks_another = true;
    let status = match unavailable {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => status,
    };
    ctx.kept_back = Some(status);
    ctx.notes(now, || Event::KeptBack {
        status: status.as_u16(),
    });
    let error = Error::explain(
        ErrorType::HTTPStatus(status.as_u16()),
        "another node is asked",
    );
    Some(error.into_up())
}

/// Something went wrong after the connection stood.
pub fn attempt_failed(session: &Session, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
    if *error.esource() != ErrorSource::Upstream {
        error.set_retry(false);
        return error;
    }
    let mut error = over_h2::explained(ctx, error);
    beside::settle(ctx, Instant::now());
    let Some((reused, answered, member)) = ctx
        .attempt
        .as_ref()
        .map(|a| (a.reused, a.answered, a.member))
    else {
        error.set_retry(false);
        return error;
    };
    if std::mem::take(&mut ctx.asks_another) {
        ctx.failure = Some(End::UpstreamStatus); // counted when it came
        error.set_retry(true);
        return error;
    }
    let now = Instant::now();
    let why = classify::ending(&error);
    forward::note_failure(ctx, why);
    let untouched = classify::is_untouched(&error);
    let broke = matches!(why, End::UpstreamReset | End::UpstreamTls) || untouched;
    // Over HTTP/2 nearly every connection is old: what ends a stream alone says nothing of that.
    let by_word = classify::is_refusal_of_stream(&error);
    let was_old = reused && !answered && broke && !by_word;
    let harmless = was_old || untouched || classify::is_cut_short(&error);
    let is_ours = ctx.is_overdue() || classify::is_our_flood(&error);
    // Nor is the limit of the whole request the node's fault, nor one of ours on small pieces.
    if classify::speaks_against_the_node(why, harmless) && !is_ours {
        judge(ctx, true, now);
    }
    let how = match untouched {
        true => Again::Untouched,
        false => Again::IfItDoesNoHarm,
    };
    let again = !answered && may_go_on(session, ctx, why, (&error, how), was_old, now);
    if again {
        ctx.stale = was_old.then_some(member);
    }
    error.set_retry(again);
    error
}

/// An old connection had no stream for the request of the attempt, which therefore was never sent: its node may well be
/// fine. `false`: that has happened too often.
pub fn is_left(ctx: &mut Ctx) -> bool {
    let again = ctx.old_connections < OLD_CONNECTIONS;
    ctx.old_connections += 1;
    if again {
        ctx.stale = ctx.attempt.as_ref().map(|attempt| attempt.member);
    }
    again
}

fn may_go_on(
    session: &Session,
    ctx: &mut Ctx,
    why: End,
    (error, how): (&Error, Again),
    was_old: bool,
    now: Instant,
) -> bool {
    if was_old && ctx.old_connections == 0 {
        ctx.old_connections += 1;
        ctx.sent -= 1;
        return session.response_written().is_none()
            && !ctx.is_overdue()
            && rules(ctx).is_some_and(|u| {
                let wanted = u.retry.on.reset || how == Again::Untouched;
                wanted && sent(session, ctx).may_go_again(how, &u.retry)
            });
    }
    let timed_out = classify::try_timed_out(error);
    let wanted = |rules: &Retry| match how {
        // As if no connection could be made.
        Again::Untouched => rules.on.connect,
        _ => classify::asks_for_another(why, timed_out, rules),
    };
    goes_on(session, ctx, how, wanted, now)
}
