//! May what is stored be used (RFC 9111 §4, RFC 5861).

use super::directives::Wish;
use super::life::{Life, Millis};
use crate::base::cached::Why;

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
pub fn reuse(life: &Life, wish: &Wish, expired_at: Option<Millis>, now: Millis) -> Use {
    let _ = wish;
    if now < life.fresh_until(expired_at) {
        Use::Fresh
    } else {
        Use::Validate(Why::Expired)
    }
}

/// What went wrong when the origin was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A node answered 500, 502, 503 or 504.
    Status,
    /// No node could be asked: no connection, dropped, timed out.
    Unreachable,
}

/// Whether a stored answer is used in place of the trouble (RFC 9111 §4.2.4, RFC 5861 §4).
pub fn on_trouble(
    life: &Life,
    wish: &Wish,
    expired_at: Option<Millis>,
    trouble: Trouble,
    now: Millis,
) -> bool {
    let _ = (life, wish, expired_at, trouble, now);
    false
}
