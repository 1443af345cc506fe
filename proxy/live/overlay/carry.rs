//! The overlay on its way from one process to the next: as data, and as the changes that make it again.
//!
//! It crosses between two versions of the program: what one does not know of the other is left out, never guessed.

use serde_json::{Value, json};

use super::Overlay;
use crate::base::node::Intent;
use crate::config::checked::{MAX_PRIORITY, MAX_WEIGHT, Node, NodeAddr};
use crate::live::control::{Asked, Verb};

impl Overlay {
    /// All of it, as data.
    pub fn told(&self) -> Value {
        let set = self.entries.iter().map(|((upstream, node), over)| {
            json!({
                "upstream": upstream, "node": node,
                "state": over.intent.map(Intent::as_str), "weight": over.weight,
            })
        });
        let added = self.added.iter().flat_map(|(upstream, nodes)| {
            nodes.iter().map(move |node| {
                json!({
                    "upstream": upstream, "node": node.id, "addr": addr(&node.addr), "state": node.state.as_str(),
                    "weight": node.weight, "backup": node.backup, "priority": node.priority, "max_conns": node.max_conns,
                })
            })
        });
        let removed = (self.removed.iter())
            .map(|(upstream, node)| json!({ "upstream": upstream, "node": node }));
        json!({
            "removed": removed.collect::<Vec<_>>(),
            "added": added.collect::<Vec<_>>(),
            "set": set.collect::<Vec<_>>(),
        })
    }
}

/// The changes that make an overlay again, in an order in which they can be made; and how many could not be read.
pub fn asked(told: &Value) -> (Vec<Asked>, usize) {
    let all = [
        ("removed", (|_| Some(Verb::Remove)) as fn(&Value) -> _),
        ("added", |one| Some(Verb::Add(Box::new(node(one)?)))),
        ("set", |one| {
            let (intent, weight) = (intent(&one["state"]), weight(&one["weight"]));
            (intent.is_some() || weight.is_some()).then_some(Verb::Set { intent, weight })
        }),
    ];
    let mut asked = Vec::new();
    let mut unread = 0;
    for (list, verb) in all {
        for one in told[list].as_array().into_iter().flatten() {
            let change = || {
                Some(Asked {
                    upstream: one["upstream"].as_str()?.into(),
                    node: one["node"].as_str()?.into(),
                    verb: verb(one)?,
                })
            };
            match change() {
                Some(change) => asked.push(change),
                None => unread += 1,
            }
        }
    }
    (asked, unread)
}

fn node(one: &Value) -> Option<Node> {
    let addr = one["addr"].as_str()?;
    let addr = match addr.parse() {
        Ok(addr) => NodeAddr::Socket(addr),
        Err(_) => {
            let (host, port) = addr.rsplit_once(':')?;
            NodeAddr::Name {
                host: host.into(),
                port: port.parse().ok()?,
            }
        }
    };
    let priority = u8::try_from(one["priority"].as_u64()?).ok()?;
    Some(Node {
        id: one["node"].as_str()?.into(),
        addr,
        weight: weight(&one["weight"])?,
        state: intent(&one["state"])?,
        backup: one["backup"].as_bool()?,
        priority: (priority <= MAX_PRIORITY).then_some(priority)?,
        max_conns: match &one["max_conns"] {
            Value::Null => None,
            most => Some(u32::try_from(most.as_u64()?).ok()?),
        },
    })
}

fn addr(addr: &NodeAddr) -> String {
    match addr {
        NodeAddr::Socket(addr) => addr.to_string(),
        NodeAddr::Name { host, port } => format!("{host}:{port}"),
    }
}

fn intent(word: &Value) -> Option<Intent> {
    let word = word.as_str()?;
    Intent::ALL
        .into_iter()
        .find(|intent| intent.as_str() == word)
}

fn weight(number: &Value) -> Option<u32> {
    let weight = u32::try_from(number.as_u64()?).ok()?;
    (weight <= MAX_WEIGHT).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::overlay::Override;

    #[test]
    fn what_is_told_is_asked_for_again() {
        let mut overlay = Overlay::default();
        let key = |node: &str| ("web".to_string(), node.to_string());
        let drained = Override {
            intent: Some(Intent::Drain),
            weight: None,
        };
        overlay.entries.insert(key("app-1"), drained);
        overlay.removed.insert(key("app-2"));
        let node = |id: &str, addr| Node {
            id: id.into(),
            addr,
            weight: 3,
            state: Intent::Up,
            backup: true,
            priority: 2,
            max_conns: Some(9),
        };
        let by_name = NodeAddr::Name {
            host: "app.internal".into(),
            port: 80,
        };
        let added = vec![
            node("a", NodeAddr::Socket("[::1]:9".parse().unwrap())),
            node("b", by_name),
        ];
        overlay.added.insert("web".into(), added.clone());
        let (changes, unread) = asked(&overlay.told());
        let verbs: Vec<_> = changes.iter().map(|c| (c.node.as_str(), &c.verb)).collect();
        let [a, b] = [0, 1].map(|at| Verb::Add(Box::new(added[at].clone())));
        let set = Verb::Set {
            intent: Some(Intent::Drain),
            weight: None,
        };
        assert_eq!(unread, 0);
        assert_eq!(
            verbs,
            [
                ("app-2", &Verb::Remove),
                ("a", &a),
                ("b", &b),
                ("app-1", &set)
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_left_out() {
        let told = json!({
            "set": [{ "upstream": "web", "node": "a", "state": "asleep" }, { "upstream": "web", "node": "b", "weight": 2 }],
            "added": [{ "upstream": "web", "node": "c", "addr": "nowhere" }],
            "later": [{}],
        });
        let (changes, unread) = asked(&told);
        assert_eq!((changes.len(), unread), (1, 2));
        assert_eq!(asked(&Value::Null), (vec![], 0));
    }
}
