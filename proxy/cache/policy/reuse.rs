//! May what is stored be used (RFC 9111 §4, RFC 5861).
//!
//! The answer's own word binds: never stale against `no-cache`, `must-revalidate`, `proxy-revalidate` or `s-maxage`,
//! whatever the client, the route or the trouble (RFC 9111 §4.2.4).

use super::directives::Wish;
use super::fresh::millis;
use super::life::{Life, Millis, Source};
use crate::base::cached::Why;

/// How long after its freshness an answer may be used when no node can be asked and nobody said anything about it, in
/// milliseconds: a day. A site that is down over a night shows its pages; after that an error says more.
pub const UNREACHABLE_AT_MOST: u64 = 86_400_000;

/// What is done with a stored answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is the answer.
    Fresh,
    /// It is the answer although it is stale, and nobody refreshes it: the client said so.
    Stale(Why),
    /// It is the answer although it is stale, and is refreshed behind it.
    Refresh,
    /// The origin is asked whether it is still right.
    Validate(Why),
    /// It cannot be validated: the origin is asked for another.
    Fetch(Why),
}

/// What is done with a stored answer; `expired_at` is when it was purged softly.
///
/// A wish for `only_if_cached` changes nothing: whoever may not ask the origin answers 504 where this says to.
pub fn reuse(life: &Life, wish: &Wish, expired_at: Option<Millis>, now: Millis) -> Use {
    match refusal(life, wish, now) {
        Some(why) => ask(life, why),
        None => by_age(life, wish, expired_at, now),
    }
}

/// Asks the origin, with a condition where there is one.
fn ask(life: &Life, why: Why) -> Use {
    if life.has_validator {
        Use::Validate(why)
    } else {
        Use::Fetch(why)
    }
}

/// Why it is not used, fresh or not.
fn refusal(life: &Life, wish: &Wish, now: Millis) -> Option<Why> {
    if life.no_cache {
        return Some(Why::NoCache);
    }
    if wish.no_cache {
        return Some(Why::RequestNoCache);
    }
    // `max-age=0` is how a reload asks for validation: also of what is no millisecond old.
    let is_too_old = |seconds: u64| seconds == 0 || life.age(now) > millis(seconds);
    wish.max_age
        .is_some_and(is_too_old)
        .then_some(Why::RequestMaxAge)
}

fn by_age(life: &Life, wish: &Wish, expired_at: Option<Millis>, now: Millis) -> Use {
    let fresh_until = life.fresh_until(expired_at);
    if now < fresh_until {
        let for_long = |seconds: u64| fresh_until - now >= millis(seconds);
        return match wish.min_fresh {
            Some(seconds) if !for_long(seconds) => ask(life, Why::RequestMinFresh),
            _ => Use::Fresh,
        };
    }
    let stale = ask(life, why_stale(life, expired_at));
    // Who names an age or a freshness wants nothing stale but as far as `max-stale` goes (RFC 9111 §5.2.1).
    let wants_fresh = wish.max_age.is_some() || wish.min_fresh.is_some();
    let staleness = now - fresh_until;
    let is_taken = match wish.max_stale {
        Some(seconds) => wish.min_fresh.is_none() && staleness <= millis(seconds),
        None => !wants_fresh,
    };
    if life.must_revalidate || !is_taken {
        stale
    } else if staleness < life.stale_while_revalidate {
        Use::Refresh
    } else if wish.max_stale.is_some() {
        Use::Stale(Why::MaxStale)
    } else {
        stale
    }
}

/// What ended its freshness.
fn why_stale(life: &Life, expired_at: Option<Millis>) -> Why {
    match expired_at {
        Some(at) if at < life.fresh_until(None) => Why::Purged,
        _ => Why::Expired,
    }
}

/// What went wrong when the origin was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A node answered 500, 502, 503 or 504.
    Status,
    /// No node could be asked, or none answered: no connection, dropped, timed out, draining, breaker open.
    Unreachable,
}

/// Whether a stored answer is used in place of the trouble (RFC 9111 §4.2.4, RFC 5861 §4).
///
/// `stale-if-error` of the answer, the route or the request allows it; where none of them says anything, it takes
/// that no node could be asked, for [`UNREACHABLE_AT_MOST`].
pub fn on_trouble(
    life: &Life,
    wish: &Wish,
    expired_at: Option<Millis>,
    trouble: Trouble,
    now: Millis,
) -> bool {
    if life.no_cache {
        return false;
    }
    let fresh_until = life.fresh_until(expired_at);
    let is_fresh = now < fresh_until;
    if life.must_revalidate && !is_fresh {
        return false;
    }
    let asked = wish.stale_if_error.map(millis);
    let window = match trouble {
        Trouble::Status => life.stale_if_error.max(asked).unwrap_or(0),
        // It is fresh, and was not used because of the request alone: better than no answer at all.
        Trouble::Unreachable if is_fresh => return true,
        Trouble::Unreachable => life
            .stale_if_error
            .max(asked)
            // Nobody ever said that it may be used again without being asked about.
            .unwrap_or(match life.source {
                Source::Nothing => 0,
                _ => UNREACHABLE_AT_MOST,
            }),
    };
    now.saturating_sub(fresh_until) < window
}

#[cfg(test)]
mod tests;
