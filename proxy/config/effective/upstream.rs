//! An upstream as it is in force, written as a file that loads again.
//!
//! Every key is there, also those that the file leaves to their defaults.

use super::health::health;
use super::node_tls::node_tls;
use super::{Writer, limit, list, quoted, sticky, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::{Balance, Node, NodeTimeouts, Retry, Upstream, codes};
use crate::config::index::At;
use crate::config::validate::{hash, node, retry, upstream};

pub(super) fn one_upstream(out: &mut Writer, upstream: &Upstream, at: &At, nodes: &[At]) {
    out.section(&quoted(&upstream.name), false);
    out.value(at, "balance", upstream::BALANCES.word(upstream.balance));
    if upstream.balance == Balance::Hash {
        let at = at.key("hash");
        out.section("hash", false);
        out.value(&at, "key", &quoted(&hash::show_key(&upstream.hash.key)));
        if let Some(factor) = upstream.hash.balance_factor {
            out.value(&at, "balance_factor", &hash::show_factor(factor));
        }
        out.close();
    }
    health(out, upstream.health.as_ref(), at);
    node_tls(out, upstream, at);
    let (below, t): (At, &NodeTimeouts) = (at.key("timeouts"), &upstream.timeouts);
    out.section("timeouts", false);
    for (key, value) in [
        ("connect", t.connect),
        ("read", t.read),
        ("write", t.write),
        ("idle", Some(t.idle)),
        ("tunnel", t.tunnel),
    ] {
        out.value(&below, key, &limit(value));
    }
    out.close();
    let below = format!("{}%", upstream.fail_open_below);
    out.value(at, "fail_open_below", &below);
    out.value(
        at,
        "failure_statuses",
        &statuses(&upstream.failure_statuses),
    );
    outlier(out, upstream, at);
    breaker(out, upstream, at);
    repeats(out, &upstream.retry, &at.key("retry"));
    match &upstream.slow_start {
        None => out.value(at, "slow_start", "off"),
        Some(slow) => {
            let here = at.key("slow_start");
            out.section("slow_start", false);
            // In short form the section itself is the time.
            let time = Some(here.key("time")).filter(At::given);
            out.line(
                "time",
                &show_duration(slow.time),
                &time.unwrap_or_else(|| here.clone()),
            );
            out.value(&here, "floor", &format!("{}%", slow.floor));
            out.value(&here, "curve", &hash::show_factor(slow.curve));
            out.close();
        }
    }
    let here = at.key("queue");
    out.section("queue", false);
    out.value(&here, "size", &upstream.queue.size.to_string());
    out.value(&here, "timeout", &show_duration(upstream.queue.timeout));
    out.close();
    out.section("drain", false);
    out.value(
        &at.key("drain"),
        "timeout",
        &show_duration(upstream.drain_timeout),
    );
    out.value(
        &at.key("drain"),
        "session_grace",
        &show_duration(upstream.session_grace),
    );
    out.close();
    sticky::sticky(out, upstream.sticky.as_ref(), at);
    out.value(at, "forwarded", yes_no(upstream.forwarded));
    out.section("nodes", false);
    for (node, at) in upstream.nodes.iter().zip(nodes) {
        one_node(out, node, at);
    }
    out.close();
    out.close();
}

fn statuses(ranges: &[(u16, u16)]) -> String {
    list(codes(ranges).into_iter())
}

fn outlier(out: &mut Writer, upstream: &Upstream, at: &At) {
    let Some(rules) = &upstream.outlier else {
        return out.value(at, "outlier", "off");
    };
    let at = at.key("outlier");
    out.section("outlier", false);
    for (key, value) in [
        (
            "consecutive_failures",
            rules.consecutive.unwrap_or(0).to_string(),
        ),
        (
            "failure_rate",
            format!("{}%", rules.failure_rate.unwrap_or(0)),
        ),
        ("min_requests", rules.min_requests.to_string()),
        ("window", show_duration(rules.window)),
        ("eject", show_duration(rules.eject)),
        ("max_eject", show_duration(rules.max_eject)),
        ("max_ejected", format!("{}%", rules.max_ejected)),
    ] {
        out.value(&at, key, &value);
    }
    out.close();
}

fn breaker(out: &mut Writer, upstream: &Upstream, at: &At) {
    let Some(rules) = &upstream.breaker else {
        return out.value(at, "breaker", "off");
    };
    let at = at.key("breaker");
    out.section("breaker", false);
    for (key, value) in [
        ("failure_rate", format!("{}%", rules.failure_rate)),
        ("min_requests", rules.min_requests.to_string()),
        ("window", show_duration(rules.window)),
        ("open", show_duration(rules.open)),
        ("trials", rules.trials.to_string()),
    ] {
        out.value(&at, key, &value);
    }
    out.close();
}

fn repeats(out: &mut Writer, rules: &Retry, at: &At) {
    out.section("retry", false);
    for (key, value) in [
        ("tries", rules.tries.to_string()),
        ("on", retry::show_on(&rules.on)),
        ("budget", format!("{}%", rules.budget)),
        ("try_timeout", limit(rules.try_timeout)),
        ("backoff", show_duration(rules.backoff)),
        ("idempotency_key", yes_no(rules.idempotency_key).into()),
    ] {
        out.value(at, key, &value);
    }
    if let Some(hedge) = &rules.hedge {
        out.section("hedge", false);
        out.value(&at.key("hedge"), "after", &retry::show_hedge(hedge));
        out.close();
    }
    out.close();
}

fn one_node(out: &mut Writer, node: &Node, at: &At) {
    out.entry();
    // In short form the entry itself is the address, and there are no further keys.
    let addr = Some(at.key("addr"))
        .filter(At::given)
        .unwrap_or_else(|| at.clone());
    out.line("addr", &quoted(&node::show(&node.addr)), &addr);
    out.value(at, "id", &quoted(&node.id));
    out.value(at, "weight", &node.weight.to_string());
    out.value(at, "state", node.state.as_str());
    out.value(at, "backup", yes_no(node.backup));
    if !node.backup {
        out.value(at, "priority", &node.priority.to_string());
    }
    out.value(at, "max_conns", &node.max_conns.unwrap_or(0).to_string());
    out.close();
}
