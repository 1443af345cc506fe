//! A second node beside a slow first one: which, when, and who of them it was in the end.
//!
//! Within the budget of retries, because it is one more request to a node. Only GET and HEAD without a body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, header};
use parking_lot::Mutex;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use smallvec::SmallVec;

use super::ctx::{Attempt, Ctx};
use super::{again, announce, line, sticky};
use crate::balance::node::{Fitness, InFlight};
use crate::balance::pick::Ask;
use crate::config::checked;
use crate::live::control::Control;
use crate::live::snapshot::{Snapshot, Upstream};
use crate::telemetry::traces::Event;
use crate::upstream::connect::Greeting;
use crate::upstream::hedge::{Hedge, Opening, Plan};
use crate::upstream::kept::Kept;
use crate::upstream::{classify, connect};

/// What became of a second node, shared with the connection that asks it.
#[derive(Debug, Default)]
pub struct Beside(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    second: Option<Attempt>,
    answers: bool,
}

/// Asks the second node.
#[derive(Debug)]
struct Asks {
    snapshot: Arc<Snapshot>,
    control: Arc<Control>,
    upstream: usize,
    first: usize,
    /// Whom it does not go to: those that were tried, and those that were drained meanwhile.
    barred: SmallVec<[usize; 4]>,
    key: u64,
    beside: Arc<Beside>,
    /// What the second node is told of the client.
    prelude: Option<Arc<[u8]>>,
}

/// Whether a second node may be asked, as far as the request's head says.
pub fn may(session: &mut Session, ctx: &Ctx) -> bool {
    let hedges = |at: usize| {
        let rules = &ctx.snapshot.config.upstreams[at].retry;
        rules.hedge.is_some() && rules.tries > 1
    };
    let could = |route: usize| ctx.snapshot.config.routes[route].upstreams().any(hedges);
    if !ctx.route.is_some_and(could) || !matches!(ctx.head.method, Method::GET | Method::HEAD) {
        return false;
    }
    let fields = &session.req_header().headers;
    let more = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    // Over HTTP/2 a body needs no field to announce it.
    !more.iter().any(|name| fields.contains_key(name)) && session.as_mut().is_body_empty()
}

/// The second node of the attempt on node `first`, where there is to be one.
pub fn plan(ctx: &mut Ctx, first: usize, now: Instant) -> Option<Hedge> {
    // A session is on one node: whoever else answered first would take it away.
    if !ctx.may_hedge || ctx.sent > 0 || sticky::has_place(ctx) {
        return None;
    }
    let at = ctx.upstream?;
    let commons = ctx.snapshot.upstreams[at].pool.commons();
    let after = match ctx.snapshot.config.upstreams[at].retry.hedge? {
        checked::Hedge::After(after) => after,
        checked::Hedge::Percentile(share) => commons.answers.lately(share, commons.millis(now))?,
    };
    let beside = Arc::new(Beside::default());
    ctx.beside = Some(beside.clone());
    let asks = Asks {
        snapshot: ctx.snapshot.clone(),
        control: ctx.control.clone(),
        upstream: at,
        first,
        barred: line::barred(ctx, &ctx.snapshot.upstreams[at].pool, true, now),
        key: ctx.key,
        beside,
        prelude: announce::prelude(ctx),
    };
    Some(Hedge::new(Box::new(asks), after))
}

impl Asks {
    fn upstream(&self) -> &Upstream {
        &self.snapshot.upstreams[self.upstream]
    }

    fn take(&self, now: Instant) -> Option<(usize, InFlight)> {
        let (upstream, rules) = (
            self.upstream(),
            &self.snapshot.config.upstreams[self.upstream],
        );
        let ask = Ask {
            key: self.key,
            random: fastrand::u64(..),
            now,
        };
        let pool = &upstream.pool;
        if pool.has_a_line() {
            return None; // nobody overtakes
        }
        let member = pool.pick(&ask, &self.barred).ok()?;
        let (first, second) = (&pool.candidates()[self.first], &pool.candidates()[member]);
        if second.tier != first.tier || second.node.fitness(now) != Fitness::Good {
            return None; // a backup, or one that rests, is no better bet than waiting
        }
        let commons = pool.commons();
        if !commons
            .budget
            .take_spare(rules.retry.budget, commons.millis(now))
        {
            upstream.metrics.budget_exhausted.inc();
            return None;
        }
        let taken = (member, pool.begin(member, now)?);
        Some(taken)
    }
}

impl Plan for Asks {
    fn ask(&self) -> Option<(Opening, Arc<Kept>)> {
        let now = Instant::now();
        let (member, in_flight) = self.take(now)?;
        let upstream = self.upstream();
        upstream.metrics.hedges.0.inc();
        let to = &upstream.members[member];
        let old = to.kept.take(now);
        self.beside.0.lock().second = Some(Attempt {
            member,
            in_flight,
            begun: now,
            reused: old.is_some(),
            answered: false,
        });
        let (addr, greeting, limit) = (
            to.addr,
            Greeting {
                prelude: self.prelude.clone(),
                ..to.greeting.clone()
            },
            self.snapshot.config.upstreams[self.upstream]
                .timeouts
                .connect,
        );
        let opening = async move {
            let Some(old) = old else {
                let most = limit.unwrap_or(Duration::MAX);
                let opened = tokio::time::timeout(most, connect::open(addr, &greeting)).await;
                return opened.unwrap_or_else(|_| Err(Error::new_up(ErrorType::ConnectTimedout)));
            };
            Ok(old)
        };
        Some((Box::pin(opening), to.kept.clone()))
    }

    fn second_answers(&self) {
        self.beside.0.lock().answers = true;
    }

    fn accepts(&self, status: u16) -> bool {
        let config = &self.snapshot.config.upstreams[self.upstream];
        !config.retry.on.statuses.contains(&status)
            && !classify::is_failure(status, &config.failure_statuses)
    }

    fn second_fails(&self) {
        let state = self.beside.0.lock();
        if let Some(second) = &state.second {
            let pool = &self.upstream().pool;
            again::judge_attempt(second, true, pool, &self.control, Instant::now());
        }
    }

    fn second_refuses(&self, error: &Error) {
        let state = self.beside.0.lock();
        if let Some(second) = &state.second {
            let pool = &self.upstream().pool;
            again::refused(second, error, pool, &self.control, Instant::now());
        }
    }
}

/// An answer has begun: how long that took counts for when a second node is asked.
pub fn learn(ctx: &Ctx, now: Instant) {
    let (Some(at), Some(first)) = (ctx.upstream, &ctx.attempt) else {
        return;
    };
    let rules = &ctx.snapshot.config.upstreams[at].retry;
    if matches!(rules.hedge, Some(checked::Hedge::Percentile(_))) {
        let commons = ctx.snapshot.upstreams[at].pool.commons();
        let took = now.saturating_duration_since(first.begun);
        commons.answers.note(took, commons.millis(now));
    }
}

/// The attempt is decided: from now on it is the one on the node that answers, and the other is over.
pub fn settle(ctx: &mut Ctx, now: Instant) {
    let Some(beside) = ctx.beside.take() else {
        return;
    };
    let (second, answers) = {
        let mut state = beside.0.lock();
        (state.second.take(), state.answers)
    };
    let Some(second) = second else {
        return;
    };
    ctx.notes(now, || Event::Hedge {
        node: ctx.node(second.member),
        won: answers,
    });
    ctx.tried.push(second.member);
    ctx.sent += 1;
    if !answers {
        return;
    }
    // One lost race says little. A node that loses race after race and answers nobody hangs.
    again::judge(ctx, true, now);
    if let Some(first) = &ctx.attempt {
        // It took at least so long; who balances by answer times should know.
        let took = now.saturating_duration_since(first.begun);
        first.in_flight.node().answered_in(took, now);
    }
    ctx.end_attempt(now);
    if let Some(upstream) = ctx.upstream() {
        upstream.metrics.hedges.1.inc();
    }
    if let Some(conn) = &ctx.conn {
        conn.is_on(second.in_flight.node().clone());
    }
    ctx.attempt = Some(second);
}
