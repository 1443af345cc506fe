//! The order of routes: the most specific first, whatever the order of the file.
//!
//! Exact host before wildcard (the longer the more specific) before every host; then exact path before expression
//! before prefix (the longer first) before every path; then more header fields, then methods before none, then a scheme
//! before none; then the order of the files. A route with hosts of several kinds is ranked by its most specific one; whoever looks routes
//! up keeps this order within each kind of host.

use std::cmp::Reverse;

use crate::config::checked::{HostPattern, Match, PathPattern, Route};
use crate::config::index::At;

/// Sorts routes. The sort is stable: what is alike keeps the order of the files.
pub fn sorted(mut routes: Vec<(Route, At)>) -> Vec<(Route, At)> {
    routes.sort_by_key(|(route, _)| rank(&route.matcher));
    routes
}

/// Sorts the more specific before the less specific.
fn rank(matcher: &Match) -> impl Ord + use<> {
    let host = matcher.hosts.iter().map(|host| match host {
        HostPattern::Exact(_) => (0, Reverse(0)),
        HostPattern::Suffix(suffix) => (1, Reverse(suffix.len())),
    });
    let path = match &matcher.path {
        PathPattern::Exact(_) => (0, Reverse(0)),
        PathPattern::Regex(_) => (1, Reverse(0)),
        PathPattern::Prefix(path) => (2, Reverse(path.len())),
        PathPattern::Any => (3, Reverse(0)),
    };
    (
        host.min().unwrap_or((2, Reverse(0))),
        path,
        Reverse(matcher.headers.len()),
        matcher.methods.is_empty(),
        matcher.scheme.is_none(),
    )
}
