//! Differences between the upstreams of two configurations.
//!
//! Upstreams are the same by name, nodes by id.

use std::collections::HashMap;

use super::health::health;
use super::node_tls::node_tls;
use super::{Changes, limit, sticky};
use crate::base::units::show_duration;
use crate::config::checked::{Breaker, Config, Node, Outlier, Upstream};
use crate::config::validate::{hash, node, retry, upstream::BALANCES};

pub(super) fn upstreams(out: &mut Changes, old: &Config, new: &Config) {
    let before: HashMap<&str, &Upstream> =
        old.upstreams.iter().map(|u| (u.name.as_str(), u)).collect();
    let after: HashMap<&str, &Upstream> =
        new.upstreams.iter().map(|u| (u.name.as_str(), u)).collect();
    for gone in old
        .upstreams
        .iter()
        .filter(|u| !after.contains_key(u.name.as_str()))
    {
        out.say(format!(
            "upstream {} removed: its requests in flight finish",
            gone.name
        ));
    }
    for is in &new.upstreams {
        match before.get(is.name.as_str()) {
            None => out.say(format!(
                "upstream {} added (nodes: {})",
                is.name,
                names(&is.nodes)
            )),
            Some(was) => upstream(out, was, is),
        }
    }
}

/// The ids of some nodes; of many, how many there are.
fn names(nodes: &[Node]) -> String {
    const SHOWN: usize = 5;
    let ids: Vec<&str> = nodes.iter().map(|n| n.id.as_str()).collect();
    match ids.len() > SHOWN {
        true => ids.len().to_string(),
        false => ids.join(", "),
    }
}

fn upstream(out: &mut Changes, was: &Upstream, is: &Upstream) {
    let what = |key: &str| format!("upstream {}: {key}", is.name);
    out.shown(
        &what("balance"),
        BALANCES.word(was.balance),
        BALANCES.word(is.balance),
    );
    if was.balance == is.balance {
        out.shown(
            &what("hash.key"),
            &hash::show_key(&was.hash.key),
            &hash::show_key(&is.hash.key),
        );
        let factor = |u: &Upstream| {
            u.hash
                .balance_factor
                .map_or("none".into(), hash::show_factor)
        };
        out.shown(&what("hash.balance_factor"), &factor(was), &factor(is));
    }
    health(
        out,
        &what("health"),
        was.health.as_ref(),
        is.health.as_ref(),
    );
    node_tls(out, what, was, is);
    let limits = |u: &Upstream| {
        let t = u.timeouts;
        [
            ("connect", limit(t.connect)),
            ("read", limit(t.read)),
            ("write", limit(t.write)),
            ("idle", show_duration(t.idle)),
            ("tunnel", limit(t.tunnel)),
        ]
    };
    for ((key, a), (_, b)) in limits(was).into_iter().zip(limits(is)) {
        out.shown(&what(&format!("timeouts.{key}")), &a, &b);
    }
    let below = |u: &Upstream| format!("{}%", u.fail_open_below);
    out.shown(&what("fail_open_below"), &below(was), &below(is));
    let codes = |u: &Upstream| format!("{:?}", u.failure_statuses);
    out.shown(&what("failure_statuses"), &codes(was), &codes(is));
    for ((key, a), (_, b)) in failing(was).into_iter().zip(failing(is)) {
        out.shown(&what(key), &a, &b);
    }
    out.shown(
        &what("drain.timeout"),
        &show_duration(was.drain_timeout),
        &show_duration(is.drain_timeout),
    );
    out.shown(
        &what("drain.session_grace"),
        &show_duration(was.session_grace),
        &show_duration(is.session_grace),
    );
    sticky::sticky(out, what, was.sticky.as_ref(), is.sticky.as_ref());
    out.plain(&what("forwarded"), &was.forwarded, &is.forwarded);
    nodes(out, was, is);
}

/// What is done about nodes that fail, are new, or are full.
fn failing(u: &Upstream) -> [(&'static str, String); 9] {
    let off = || "off".to_owned();
    let slow = u.slow_start.map(|s| {
        let curve = hash::show_factor(s.curve);
        format!("{} from {}%, curve {curve}", show_duration(s.time), s.floor)
    });
    let (retry, queue) = (&u.retry, &u.queue);
    let hedge = retry.hedge.as_ref().map(retry::show_hedge);
    [
        ("outlier", u.outlier.as_ref().map_or_else(off, outlier)),
        ("breaker", u.breaker.as_ref().map_or_else(off, breaker)),
        ("retry.tries", retry.tries.to_string()),
        ("retry.on", retry::show_on(&retry.on)),
        ("retry.budget", format!("{}%", retry.budget)),
        ("retry.try_timeout", limit(retry.try_timeout)),
        (
            "retry",
            format!(
                "backoff {}, idempotency_key {}, hedge after {}",
                show_duration(retry.backoff),
                retry.idempotency_key,
                hedge.unwrap_or_else(|| "never".into())
            ),
        ),
        ("slow_start", slow.unwrap_or_else(off)),
        (
            "queue",
            format!("{} for {}", queue.size, show_duration(queue.timeout)),
        ),
    ]
}

fn outlier(rules: &Outlier) -> String {
    format!(
        "{} in a row or {}% of at least {} in {}; rests {} to {}, at most {}% of the nodes",
        rules.consecutive.unwrap_or(0),
        rules.failure_rate.unwrap_or(0),
        rules.min_requests,
        show_duration(rules.window),
        show_duration(rules.eject),
        show_duration(rules.max_eject),
        rules.max_ejected
    )
}

fn breaker(rules: &Breaker) -> String {
    format!(
        "{}% of at least {} in {}; open {}, {} trials",
        rules.failure_rate,
        rules.min_requests,
        show_duration(rules.window),
        show_duration(rules.open),
        rules.trials
    )
}

fn nodes(out: &mut Changes, was: &Upstream, is: &Upstream) {
    let before: HashMap<&str, &Node> = was.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
    let after: HashMap<&str, &Node> = is.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
    for gone in was
        .nodes
        .iter()
        .filter(|n| !after.contains_key(n.id.as_str()))
    {
        out.say(format!(
            "upstream {}: node {} removed: it drains",
            is.name, gone.id
        ));
    }
    for node in &is.nodes {
        match before.get(node.id.as_str()) {
            None => out.say(format!(
                "upstream {}: node {} added ({})",
                is.name,
                node.id,
                about(node)
            )),
            Some(was) => {
                let what = |key: &str| format!("upstream {}: node {} {key}", is.name, node.id);
                out.shown(
                    &what("address"),
                    &node::show(&was.addr),
                    &node::show(&node.addr),
                );
                out.plain(&what("weight"), &was.weight, &node.weight);
                out.shown(&what("state"), was.state.as_str(), node.state.as_str());
                out.plain(&what("backup"), &was.backup, &node.backup);
                out.plain(&what("priority"), &was.priority, &node.priority);
                let places = |n: &Node| n.max_conns.map_or("any".into(), |n| n.to_string());
                out.shown(&what("max_conns"), &places(was), &places(node));
            }
        }
    }
    let order = |u: &Upstream, other: &HashMap<&str, &Node>| -> Vec<String> {
        let kept = u.nodes.iter().filter(|n| other.contains_key(n.id.as_str()));
        kept.map(|n| n.id.clone()).collect()
    };
    if order(was, &after) != order(is, &before) {
        out.say(format!("upstream {}: nodes in another order", is.name));
    }
}

fn about(node: &Node) -> String {
    let mut about = format!("{}, weight {}", node::show(&node.addr), node.weight);
    if node.state != Default::default() {
        about.push_str(&format!(", state {}", node.state.as_str()));
    }
    if node.backup {
        about.push_str(", backup");
    }
    about
}
