//! Commands about nodes, and what was changed of them at run time.

use std::time::Duration;

use clap::Args;

use super::{AdminArgs, duration};

/// A verb on one node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node, as UPSTREAM/NODE.
    #[arg(value_name = "UPSTREAM/NODE")]
    pub node: String,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// A verb on one node or several.
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// The nodes, each as UPSTREAM/NODE.
    #[arg(value_name = "UPSTREAM/NODE", required = true)]
    pub nodes: Vec<String>,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `drain`
#[derive(Debug, Args)]
pub struct DrainArgs {
    #[command(flatten)]
    /// The nodes.
    pub nodes: NodesArgs,
    /// Wait until the nodes are empty, at most this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// `weight`
#[derive(Debug, Args)]
pub struct WeightArgs {
    #[command(flatten)]
    /// The node.
    pub node: NodeArgs,
    /// Its weight from now on, until the file says otherwise.
    pub weight: u32,
}

/// `add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The upstream.
    pub upstream: String,
    /// Where the node listens, as 10.0.0.12:3000 or app.internal:3000.
    pub addr: String,
    /// What it is called; without it, its address.
    #[arg(long)]
    pub id: Option<String>,
    /// Its share of new requests beside the other nodes.
    #[arg(long)]
    pub weight: Option<u32>,
    /// How it begins: up, drain or down.
    #[arg(long)]
    pub state: Option<String>,
    /// Use it only when no other node can be.
    #[arg(long)]
    pub backup: bool,
    /// Its tier: nodes of the lowest number that can be used are used.
    #[arg(long)]
    pub priority: Option<u8>,
    /// How many requests it may have at a time; 0: any number.
    #[arg(long, value_name = "N")]
    pub max_conns: Option<u32>,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    /// The node.
    pub node: NodeArgs,
    /// Wait until the node is empty, at most this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// `save`
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Print what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `drop`
#[derive(Debug, Args)]
pub struct DropArgs {
    /// Only this node, as UPSTREAM/NODE; without it, everything.
    #[arg(value_name = "UPSTREAM/NODE")]
    pub node: Option<String>,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}
