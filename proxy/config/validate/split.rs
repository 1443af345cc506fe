//! `split:` of a route.
//!
//! Reads go elsewhere than writes only between two upstreams that exist; nothing here may let a split pass that splits
//! nothing.

use http::Method;

use super::route::{Pools, unknown_upstream};
use super::{sticky, words};
use crate::config::checked::{Action, Match, Split};
use crate::config::defaults;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::split::Split as Keys;

/// Reads `split:` of a route with this match and action (`None`: it has none, which is told). `None`: there is none, or
/// it cannot be used, which is told too.
pub fn check(
    keys: Option<&Keys>,
    (matcher, action): (&Match, Option<&Action>),
    at: &At,
    upstreams: &Pools<'_>,
    problems: &mut Problems,
) -> Option<Split> {
    if !at.given() {
        return None;
    }
    let primary = match action? {
        Action::Proxy(primary) => *primary,
        Action::Redirect { .. } => {
            let what = "a route that redirects has no reads and writes to part";
            let help = "remove `split`, or `redirect`";
            problems.push(Problem::error(at.key_place(), what).help(help));
            return None;
        }
    };
    if keys.is_none() && !at.is_blank() {
        return None; // of the wrong kind, which is told
    }
    let here = at.key("reads");
    if !here.given() {
        let what = "this split does not say where reads go";
        let help = "write `split: { reads: NAME }` with the upstream of your replicas";
        problems.missing("reads", Problem::error(at.key_place(), what).help(help));
    }
    let keys = keys?;
    let pin_after_write = words::duration(
        keys.pin_after_write.as_deref(),
        &at.key("pin_after_write"),
        defaults::PIN_AFTER_WRITE,
        problems,
    );
    let fallback = words::flag(
        keys.fallback.as_deref(),
        &at.key("fallback"),
        true,
        problems,
    );
    let named = at.key("cookie");
    let mut cookie = defaults::PIN_COOKIE.to_owned();
    if let Some(word) = &keys.cookie {
        let read = sticky::cookie_name(word, &named, problems);
        if pin_after_write.is_zero() {
            let what = "`cookie` has no effect with `pin_after_write: 0s`: nothing is remembered";
            let help = "remove one of them";
            problems.push(Problem::warning(named.key_place(), what).help(help));
        } else {
            cookie = read;
        }
    }
    let reads = keys.reads.as_deref()?;
    let Some(found) = upstreams.find(reads) else {
        problems.push(unknown_upstream(reads, &here, upstreams, problems));
        return None;
    };
    if found == primary {
        let what = "reads go to the upstream of the route itself: nothing is split";
        let help = "name the upstream of your replicas, or remove `split`";
        problems.push(Problem::error(here.place(), what).help(help));
        return None;
    }
    if !matcher.methods.is_empty() && !matcher.methods.iter().any(is_read) {
        let what = "`split` has no effect: none of the methods of this route is a read";
        let help = "reads are GET, HEAD and OPTIONS: widen `match.methods`, or remove `split`";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    Some(Split {
        reads: found,
        pin_after_write,
        fallback,
        cookie,
    })
}

fn is_read(method: &Method) -> bool {
    Split::READS.contains(method)
}
