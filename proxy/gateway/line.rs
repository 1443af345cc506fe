//! A place on a node: at once where there is one, else in line with the others.
//!
//! First come, first served: as long as anybody waits, nobody overtakes. Every wait has an end. Never sends anything.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::ctx::Ctx;
use super::{split, sticky};
use crate::balance::node::InFlight;
use crate::balance::pick::Ask;
use crate::balance::pool::{self, Pool};
use crate::base::reason::End;

/// Why a request gets no node.
#[derive(Debug, Clone, Copy)]
pub struct Nobody {
    /// How it ends.
    pub end: End,
    /// When it may come again, in seconds.
    pub retry_after: u64,
}

impl Nobody {
    /// Whether no node is fit; else some are, and have enough to do.
    pub fn is_for_want_of_a_fit_one(&self) -> bool {
        matches!(self.end, End::NoNode | End::BreakerOpen)
    }
}

/// A node for the request, begun on it; waits for one where all have enough to do.
///
/// # Errors
/// Why there is none.
pub async fn take(ctx: &mut Ctx, now: Instant) -> Result<(usize, InFlight), Nobody> {
    let Some(at) = ctx.upstream else {
        return Err(nobody(pool::Nobody::Fit));
    };
    let snapshot = ctx.snapshot.clone();
    let pool = &snapshot.upstreams[at].pool;
    if !pool.has_a_line() {
        match choose(ctx, pool, now) {
            Err(pool::Nobody::Free) => {}
            taken => return taken.map_err(nobody),
        }
    }
    let taken = wait(ctx, pool).await;
    let waited = now.elapsed();
    ctx.queued = Some(ctx.queued.unwrap_or_default() + waited);
    let metrics = &snapshot.upstreams[at].metrics;
    metrics.queue_duration.observe(waited.as_secs_f64());
    taken
}

/// Waits for a place on a node.
async fn wait(ctx: &Ctx, pool: &Pool) -> Result<(usize, InFlight), Nobody> {
    let rules = pool.how().queue;
    let Some(waiting) = pool.commons().queue.line_up(rules.size as usize) else {
        return Err(soon(End::QueueFull));
    };
    let mut until = Instant::now() + rules.timeout;
    if let Some(deadline) = ctx.deadline {
        until = until.min(deadline);
    }
    while timeout_at(until.into(), waiting.called()).await.is_ok() {
        match choose(ctx, pool, Instant::now()) {
            Err(pool::Nobody::Free) => {}
            taken => return taken.map_err(nobody),
        }
    }
    let overdue = ctx.deadline.is_some_and(|at| until >= at);
    Err(soon(match overdue {
        true => End::RequestTimeout,
        false => End::QueueTimeout,
    }))
}

/// Chooses the node that has the request's session, else among those that it has not tried.
fn choose(ctx: &Ctx, pool: &Pool, now: Instant) -> Result<(usize, InFlight), pool::Nobody> {
    let of_session = match ctx.tried.is_empty() {
        true => sticky::member(ctx, now),
        false => None,
    };
    if let Some(at) = of_session
        && let Some(begun) = pool.begin(at, now)
    {
        return Ok((at, begun));
    }
    pool.take(&ask(ctx, now), &barred(ctx, pool))
}

/// Whether another node would be chosen, were it asked for now.
pub fn is_there_another(ctx: &Ctx, now: Instant) -> bool {
    let pool = ctx.upstream().map(|u| &u.pool);
    pool.is_some_and(|pool| pool.pick(&ask(ctx, now), &barred(ctx, pool)).is_ok())
        || split::could_fall_back(ctx, now)
}

fn ask(ctx: &Ctx, now: Instant) -> Ask {
    Ask {
        key: ctx.key,
        random: fastrand::u64(..),
        now,
    }
}

/// Whom the request does not go to.
fn barred(ctx: &Ctx, pool: &Pool) -> smallvec::SmallVec<[usize; 4]> {
    let mut barred = ctx.tried.clone();
    // The request's generation may be seconds old by now: nodes drained since then get nothing new, unless all of
    // them were, because a reload replaced every node.
    if !barred.is_empty() && pool.candidates().iter().any(|c| c.node.is_up()) {
        let candidates = pool.candidates().iter().enumerate();
        let drained = candidates.filter(|(_, c)| !c.node.is_up());
        barred.extend(drained.map(|(at, _)| at));
    }
    barred
}

fn nobody(why: pool::Nobody) -> Nobody {
    match why {
        pool::Nobody::Fit => soon(End::NoNode),
        pool::Nobody::Free => soon(End::QueueFull),
        pool::Nobody::Open(left) => Nobody {
            end: End::BreakerOpen,
            retry_after: left
                .div_duration_f64(Duration::from_secs(1))
                .ceil()
                .max(1.0) as u64,
        },
    }
}

fn soon(end: End) -> Nobody {
    Nobody {
        end,
        retry_after: 1,
    }
}
