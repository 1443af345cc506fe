//! Which edits bring the files to say what is wanted of the nodes.

use std::collections::{BTreeMap, HashMap};

use super::apply::{Edit, Spot};
use crate::base::node::Intent;
use crate::config::checked::{Config, Node};
use crate::config::effective::quoted;
use crate::config::index::At;
use crate::config::validate::Origins;
use crate::config::{defaults, validate};

/// The edits of each file, by its name.
pub type Plan = BTreeMap<String, Vec<Edit>>;

/// What is different between what an upstream's nodes are in the files and what they should be.
#[derive(Debug)]
pub struct Difference<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// Where it stands; of a node that is new, where it would stand behind.
    pub at: Option<&'a At>,
    /// As the files say; none: it is new.
    pub was: Option<&'a Node>,
    /// As it should be; none: it goes.
    pub is: Option<&'a Node>,
}

/// Every difference between the nodes of two configurations with the same upstreams; `origins` belong to the first.
pub fn differences<'a>(
    files: &'a Config,
    origins: Option<&'a Origins>,
    wanted: &'a Config,
) -> Vec<Difference<'a>> {
    let mut all = Vec::new();
    for (number, (was, is)) in files.upstreams.iter().zip(&wanted.upstreams).enumerate() {
        let places = origins.and_then(|o| o.upstreams.get(number));
        let place = |node: usize| places.and_then(|(_, nodes)| nodes.get(node));
        let after: HashMap<&str, &Node> = is.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let mut stays = HashMap::new();
        for (number, node) in was.nodes.iter().enumerate() {
            let same = after.get(node.id.as_str()).filter(|is| is_set(node, is));
            stays.insert(node.id.as_str(), same.is_some());
            if same.is_none_or(|is| *is != node) {
                all.push(Difference {
                    upstream: &was.name,
                    at: place(number),
                    was: Some(node),
                    is: same.copied(),
                });
            }
        }
        let last = was.nodes.len().checked_sub(1).and_then(place);
        let new = is
            .nodes
            .iter()
            .filter(|n| stays.get(n.id.as_str()) != Some(&true));
        all.extend(new.map(|node| Difference {
            upstream: &was.name,
            at: last,
            was: None,
            is: Some(node),
        }));
    }
    all
}

/// Whether one comes from the other by setting its state and weight.
fn is_set(was: &Node, is: &Node) -> bool {
    let alike = Node {
        weight: is.weight,
        state: is.state,
        ..was.clone()
    };
    alike == *is
}

/// The edits that remove these differences.
pub fn plan(differences: &[Difference<'_>]) -> Plan {
    let mut plan = Plan::new();
    for one in differences {
        let Some(at) = one.at else { continue };
        let edits = plan.entry(at.file().to_string()).or_default();
        let at: Spot = at.begins();
        match (one.was, one.is) {
            (Some(was), Some(is)) => {
                if was.state != is.state {
                    let value = is.state.as_str().to_string();
                    edits.push(Edit::Set {
                        at,
                        key: "state",
                        value,
                    });
                }
                if was.weight != is.weight {
                    let value = is.weight.to_string();
                    edits.push(Edit::Set {
                        at,
                        key: "weight",
                        value,
                    });
                }
            }
            (Some(_), None) => edits.push(Edit::Remove { at }),
            (None, Some(is)) => edits.push(Edit::Add {
                beside: at,
                entry: entry(is),
            }),
            (None, None) => {}
        }
    }
    plan
}

/// A node as an entry of one line.
pub fn entry(node: &Node) -> String {
    let addr = validate::node::show(&node.addr);
    let mut keys = vec![format!("addr: {}", quoted(&addr))];
    if node.id != addr {
        keys.push(format!("id: {}", quoted(&node.id)));
    }
    if node.weight != defaults::WEIGHT {
        keys.push(format!("weight: {}", node.weight));
    }
    if node.state != Intent::Up {
        keys.push(format!("state: {}", node.state.as_str()));
    }
    if node.backup {
        keys.push("backup: true".into());
    }
    if node.priority > 0 {
        keys.push(format!("priority: {}", node.priority));
    }
    if let Some(most) = node.max_conns {
        keys.push(format!("max_conns: {most}"));
    }
    match keys.len() {
        1 => quoted(&addr),
        _ => format!("{{ {} }}", keys.join(", ")),
    }
}
