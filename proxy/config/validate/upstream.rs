//! `upstreams:` pools of nodes.
//!
//! One upstream at a time: what concerns several (routes, use) is checked elsewhere.

use super::words::{self, Choices};
use super::{failure, hash, health, node, node_tls, retry, sticky};
use crate::config::checked::{Balance, NodeTimeouts, Upstream};
use crate::config::defaults;
use crate::config::files::RawUpstream;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::upstream::NodeTimeouts as TimeoutKeys;

/// `balance` of an upstream.
pub const BALANCES: Choices<Balance> = Choices {
    what: "balance method",
    words: &[
        ("round_robin", Balance::RoundRobin),
        ("least_conn", Balance::LeastConn),
        ("weighted_random", Balance::WeightedRandom),
        ("random", Balance::Random),
        ("ip_hash", Balance::IpHash),
        ("hash", Balance::Hash),
        ("p2c", Balance::P2c),
        ("peak_ewma", Balance::PeakEwma),
    ],
    aka: &[
        ("rr", "round_robin"),
        ("roundrobin", "round_robin"),
        ("wrr", "round_robin"),
        ("swrr", "round_robin"),
        ("weighted_round_robin", "round_robin"),
        ("leastconn", "least_conn"),
        ("lc", "least_conn"),
        ("wlc", "least_conn"),
        ("least_connections", "least_conn"),
        ("least_request", "least_conn"),
        ("weightedrandom", "weighted_random"),
        ("wrandom", "weighted_random"),
        ("rand", "random"),
        ("iphash", "ip_hash"),
        ("source", "ip_hash"),
        ("source_hash", "ip_hash"),
        ("client_ip", "ip_hash"),
        ("consistent_hash", "hash"),
        ("consistent", "hash"),
        ("uri", "hash"),
        ("uri_hash", "hash"),
        ("random_two", "p2c"),
        ("power_of_two", "p2c"),
        ("power_of_two_choices", "p2c"),
        ("ewma", "peak_ewma"),
        ("peakewma", "peak_ewma"),
        ("least_time", "peak_ewma"),
        ("fastest", "peak_ewma"),
    ],
    later: &[],
};

/// Reads an upstream, with the places of its nodes.
pub fn check(raw: &RawUpstream, problems: &mut Problems) -> (Upstream, Vec<At>) {
    let (at, keys) = (&raw.at, &raw.keys);
    words::name(&raw.name, "an upstream", at.key_place(), problems);
    let (nodes, places) = node::check_all(raw, problems);
    // Nodes that could not be read have told why already.
    if raw.nodes.is_empty() && raw.complete {
        let what = format!("upstream `{}` has no nodes", raw.name);
        let help = "add `nodes: [10.0.0.11:3000]`, with the address and port of your app";
        problems.missing("nodes", Problem::error(at.key_place(), what).help(help));
    }
    let balance = BALANCES.read(
        keys.balance.as_deref(),
        &at.key("balance"),
        defaults::BALANCE,
        problems,
    );
    let limits = timeouts(keys.timeouts.as_ref(), &at.key("timeouts"), problems);
    let has_places = nodes.iter().any(|n| n.max_conns.is_some());
    let drain = keys.drain.as_ref().and_then(|d| d.timeout.as_deref());
    let grace = keys.drain.as_ref().and_then(|d| d.session_grace.as_deref());
    let session_grace = words::duration(
        grace,
        &at.key("drain").key("session_grace"),
        defaults::SESSION_GRACE,
        problems,
    );
    let tls = node_tls::check(raw, &at.key("tls"), problems);
    let proxy_protocol = node_tls::PROXY_PROTOCOLS.read(
        keys.proxy_protocol.as_deref(),
        &at.key("proxy_protocol"),
        None,
        problems,
    );
    let as_requests = (tls.as_ref(), proxy_protocol);
    let upstream = Upstream {
        name: raw.name.clone(),
        balance,
        hash: hash::check(keys.hash.as_ref(), balance, &at.key("hash"), problems),
        health: health::check(raw, as_requests, &at.key("health"), problems),
        tls: tls.clone(),
        proxy_protocol,
        timeouts: limits,
        fail_open_below: words::percent(
            keys.fail_open_below.as_deref(),
            &at.key("fail_open_below"),
            defaults::FAIL_OPEN_BELOW,
            problems,
        ),
        failure_statuses: failure::statuses(
            keys.failure_statuses.as_ref(),
            &at.key("failure_statuses"),
            problems,
        ),
        outlier: failure::outlier(keys.outlier.as_ref(), &at.key("outlier"), problems),
        breaker: failure::breaker(keys.breaker.as_ref(), &at.key("breaker"), problems),
        retry: retry::check(keys.retry.as_ref(), limits.read, &at.key("retry"), problems),
        slow_start: failure::slow_start(keys.slow_start.as_ref(), &at.key("slow_start"), problems),
        queue: failure::queue(keys.queue.as_ref(), has_places, &at.key("queue"), problems),
        drain_timeout: words::duration(
            drain,
            &at.key("drain").key("timeout"),
            defaults::DRAIN_TIMEOUT,
            problems,
        ),
        sticky: sticky::check(raw, session_grace, problems),
        session_grace,
        forwarded: words::flag(
            keys.forwarded.as_deref(),
            &at.key("forwarded"),
            false,
            problems,
        ),
        nodes,
    };
    (upstream, places)
}

/// `timeouts:` of an upstream.
fn timeouts(keys: Option<&TimeoutKeys>, at: &At, problems: &mut Problems) -> NodeTimeouts {
    let default = defaults::NODE_TIMEOUTS;
    let Some(keys) = keys else {
        return default;
    };
    let mut limit = |name: &str, word: &Option<String>, default| {
        words::limit(word.as_deref(), &at.key(name), default, problems)
    };
    NodeTimeouts {
        connect: limit("connect", &keys.connect, default.connect),
        read: limit("read", &keys.read, default.read),
        write: limit("write", &keys.write, default.write),
        tunnel: limit("tunnel", &keys.tunnel, default.tunnel),
        // Not a limit: 0s keeps no connection, which costs speed but holds nothing.
        idle: words::duration(
            keys.idle.as_deref(),
            &at.key("idle"),
            default.idle,
            problems,
        ),
    }
}
