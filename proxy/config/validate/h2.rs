//! `h2:` and `h2_streams:` of an upstream.
//!
//! HTTP/2 to the nodes. What cannot be had with it is said here, before anybody relies on it.

use super::words;
use crate::config::checked::{H2, Retry};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::upstream::Upstream;

/// The most requests on one connection: their windows together must be a number of HTTP/2, and few servers allow more.
const MOST_STREAMS: u32 = 1_000;

/// Reads both keys, and what of `retry` does not go with them.
pub fn check(keys: &Upstream, retry: &Retry, at: &At, problems: &mut Problems) -> Option<H2> {
    let here = at.key("h2");
    let on = match keys.h2.as_deref() {
        // The names that other proxies have for it.
        Some(word @ ("h2" | "h2c" | "http2" | "2" | "grpc")) => {
            let what = format!("\"{}\" is neither true nor false", shorten(word));
            let help = "write `h2: true`; with `tls` it is agreed on in the handshake, without it the nodes are to know";
            problems.push(Problem::error(here.place(), what).help(help));
            true
        }
        word => words::flag(word, &here, false, problems),
    };
    let streams = words::whole(
        keys.h2_streams.as_deref(),
        &at.key("h2_streams"),
        1..=MOST_STREAMS,
        defaults::H2_STREAMS,
        problems,
    );
    if !on {
        if keys.h2_streams.is_some() {
            let what = "`h2_streams` has no effect without `h2: true`";
            let problem = Problem::error(at.key("h2_streams").key_place(), what);
            problems.push(problem.help("add `h2: true`, or remove `h2_streams`"));
        }
        return None;
    }
    let says = keys.proxy_protocol.as_deref();
    if says.is_some_and(|word| !words::is_off(word)) {
        let what =
            "`proxy_protocol` and `h2` do not go together: one connection carries many clients";
        let problem = Problem::error(at.key("proxy_protocol").key_place(), what);
        problems.push(
            problem.help("remove one of them; over HTTP/2 nodes learn of the client by X-Real-IP"),
        );
    }
    let of_retry = [
        ("hedge", retry.hedge.is_some()),
        ("try_timeout", retry.try_timeout.is_some()),
    ];
    for (key, _) in of_retry.iter().filter(|(_, is_set)| *is_set) {
        let what = format!("`{key}` has no effect over HTTP/2");
        let problem = Problem::warning(at.key("retry").key(key).key_place(), what);
        problems.push(problem.help(
            "remove it, or `h2: true`: a second node beside a slow first one, and a limit for one try, are for \
             nodes that speak HTTP/1.1",
        ));
    }
    Some(H2 { streams })
}
