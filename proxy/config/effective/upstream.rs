//! An upstream as it is in force, written as a file that loads again.
//!
//! Every key is there, also those that the file leaves to their defaults.

use super::{Writer, limit, list, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::{Balance, Node, NodeTimeouts, Probe, Upstream};
use crate::config::index::At;
use crate::config::validate::{hash, health, node, upstream};

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
    health(out, upstream, at);
    let (below, t): (At, &NodeTimeouts) = (at.key("timeouts"), &upstream.timeouts);
    out.section("timeouts", false);
    for (key, value) in [
        ("connect", t.connect),
        ("read", t.read),
        ("write", t.write),
        ("idle", Some(t.idle)),
    ] {
        out.value(&below, key, &limit(value));
    }
    out.close();
    let below = format!("{}%", upstream.fail_open_below);
    out.value(at, "fail_open_below", &below);
    out.section("drain", false);
    out.value(
        &at.key("drain"),
        "timeout",
        &show_duration(upstream.drain_timeout),
    );
    out.close();
    out.value(at, "forwarded", yes_no(upstream.forwarded));
    out.section("nodes", false);
    for (node, at) in upstream.nodes.iter().zip(nodes) {
        one_node(out, node, at);
    }
    out.close();
    out.close();
}

fn health(out: &mut Writer, upstream: &Upstream, at: &At) {
    let Some(check) = &upstream.health else {
        return out.value(at, "health", "off");
    };
    let at = at.key("health");
    out.section("health", false);
    match &check.probe {
        Probe::Tcp => out.value(&at, "type", health::TYPES.word(health::ProbeType::Tcp)),
        Probe::Http { path, expect, host } => {
            out.value(&at, "type", health::TYPES.word(health::ProbeType::Http));
            out.value(&at, "path", &quoted(path));
            let codes = expect.iter().map(|(low, high)| match low == high {
                true => low.to_string(),
                false => format!("{low}-{high}"),
            });
            out.value(&at, "expect", &list(codes));
            if let Some(host) = host.as_ref().and_then(|h| h.to_str().ok()) {
                out.value(&at, "host", &quoted(host));
            }
        }
    }
    out.value(&at, "interval", &show_duration(check.interval));
    out.value(&at, "timeout", &show_duration(check.timeout));
    out.value(&at, "rise", &check.rise.to_string());
    out.value(&at, "fall", &check.fall.to_string());
    out.value(&at, "initial", health::INITIALS.word(check.initial));
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
    out.close();
}
