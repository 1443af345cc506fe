//! Which ids and addresses the nodes of an upstream have, for many questions in a row.
//!
//! Made once and kept up while a batch comes in: a thousand nodes that come to ten thousand are not compared one by one.

use std::collections::{HashMap, HashSet};

use crate::config::checked::Node;
use crate::config::validate::node::show;

/// Ids and addresses of the nodes of one upstream, of which no two share any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    ids: HashSet<String>,
    /// Which node has an address.
    addrs: HashMap<String, String>,
}

impl Taken {
    /// The node, by its id, that stands in the way of this one: it has its id or its address.
    pub fn by<'a>(&'a self, node: &'a Node) -> Option<&'a str> {
        match self.ids.contains(&node.id) {
            true => Some(&node.id),
            false => self.addrs.get(&show(&node.addr)).map(String::as_str),
        }
    }

    /// A node comes, which nothing stands in the way of.
    pub fn comes(&mut self, node: &Node) {
        self.ids.insert(node.id.clone());
        self.addrs.insert(show(&node.addr), node.id.clone());
    }

    /// A node goes that had come.
    pub fn goes(&mut self, node: &Node) {
        self.ids.remove(&node.id);
        self.addrs.remove(&show(&node.addr));
    }
}

impl<'a> FromIterator<&'a Node> for Taken {
    fn from_iter<I: IntoIterator<Item = &'a Node>>(nodes: I) -> Self {
        let mut taken = Taken::default();
        nodes.into_iter().for_each(|node| taken.comes(node));
        taken
    }
}
