//! The page as a person meets it: in a real browser, in front of the real program.
//!
//! What the page says of the proxy is compared with what the proxy says of itself; what a button does is looked up
//! behind the page's back.

mod driving;
mod link;
mod relay;
mod shared;
mod views;

use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};

/// The row of a node.
fn row(node: &str) -> String {
    format!("tr[data-node='{node}']")
}

/// The button of a node.
fn button(node: &str, verb: &str) -> String {
    format!("{} [data-verb='{verb}']", row(node))
}

/// Two nodes that take turns.
async fn two_nodes() -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("balance: round_robin", nodes(&apps))).await;
    (apps, tide)
}
