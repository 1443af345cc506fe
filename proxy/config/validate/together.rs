//! What proxies do together needs a Redis that all of them use.
//!
//! Told as an error: a limit that nobody shares, or sessions that nobody else knows of, would look as if they were shared
//! until the day it matters.

use super::Origins;
use crate::config::checked::{Config, Scope, Sticky, Store};
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// Tells of sessions and limits that are to be shared where no Redis is named.
pub fn check(config: &Config, origins: &Origins, problems: &mut Problems) {
    // One that cannot be used has told so itself.
    if origins.root.key("cache").key("redis").given() {
        return;
    }
    for (upstream, (at, _)) in config.upstreams.iter().zip(&origins.upstreams) {
        if let Some(Sticky::Learn(learn)) = &upstream.sticky
            && learn.store == Store::Redis
        {
            let what = "sessions cannot be stored in Redis: the file names none";
            let store = at.key("sticky").key("learn").key("store");
            missing(&store, what, "store: memory", problems);
        }
    }
    for (route, at) in config.routes.iter().zip(&origins.routes) {
        let scope = route.rate_limit.as_ref().map(|limit| limit.scope);
        if scope == Some(Scope::Cluster) {
            let what = "proxies cannot count together: the file names no Redis";
            let scope = at.key("rate_limit").key("scope");
            missing(&scope, what, "scope: local", problems);
        }
    }
}

fn missing(at: &At, what: &str, instead: &str, problems: &mut Problems) {
    let help = format!(
        "add `cache: {{ redis: {{ url: \"redis://127.0.0.1:6379/0\" }} }}`, or write `{instead}`"
    );
    problems.push(Problem::error(at.place(), what).help(help));
}
