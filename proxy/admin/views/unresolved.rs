//! Entries without a node: names that have no address yet, and nodes that are gone.

use super::NodeView;
use crate::base::node::Health;
use crate::config::validate::node::show;
use crate::live::control::Control;
use crate::live::overlay::What;

/// The entry `id`, whose name has no address yet, as it will be.
pub fn unresolved(control: &Control, upstream: &str, id: &str) -> Option<NodeView> {
    let snapshot = control.hold.load();
    let upstream = snapshot
        .config
        .upstreams
        .iter()
        .find(|u| u.name == upstream)?;
    let entry = upstream.nodes.iter().find(|node| node.id == id)?;
    let (_, drift) = control.drifted();
    let mut own = drift
        .iter()
        .filter(|d| d.upstream == upstream.name && d.node == id);
    let changed = own.clone().next().is_some();
    Some(NodeView {
        id: entry.id.clone(),
        addr: show(&entry.addr),
        state: entry.state.as_str(),
        health: Health::Checking.as_str(),
        reason: "the name has no address yet".into(),
        since_seconds: 0.0,
        weight: entry.weight,
        breaker: None,
        rests_for_seconds: None,
        effective_weight: 0.0,
        agent_share: 100,
        backup: entry.backup,
        priority: entry.priority,
        max_conns: entry.max_conns,
        in_flight: 0,
        tunnels: 0,
        requests_total: 0,
        errors_total: 0,
        last_check: None,
        drift: changed,
        added: own.any(|d| d.what == What::Added),
        removed: false,
        drain: None,
        second: None,
    })
}

impl NodeView {
    /// The same, once it is gone.
    pub fn gone(self) -> NodeView {
        NodeView {
            removed: true,
            added: false,
            drift: false,
            reason: "removed at run time".into(),
            ..self
        }
    }
}
