//! What the verbs say: how a reload went, why a verb failed, who is leaving.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::balance::node::Node;
use crate::config::problem::Problem;

/// A node that no generation names any more, with requests left on it.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Its state.
    pub node: Arc<Node>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// When it was removed.
    pub since: Instant,
    /// How long its drain may take.
    pub limit: Duration,
    /// Who removed it, in words.
    pub why: &'static str,
}

impl Leaving {
    /// When what is left on it is cut.
    pub fn ends(&self) -> Instant {
        self.since + self.limit
    }
}

/// What came of a reload.
#[derive(Debug)]
pub enum Reloaded {
    /// A new generation is in use.
    Applied {
        /// Its number.
        generation: u64,
        /// What changed, in words.
        notes: Vec<String>,
        /// What the operator should look at.
        warnings: Vec<Problem>,
    },
    /// The files say what is in use already.
    Unchanged,
    /// The files are wrong: everything stays as it was.
    Refused(Vec<Problem>),
    /// They were not looked at, and why.
    NotNow(VerbError),
}

/// How the last reload went, for the stats port.
#[derive(Debug, Clone)]
pub struct LastReload {
    /// When.
    pub at: SystemTime,
    /// What was wrong; empty when it was accepted.
    pub problems: Vec<Problem>,
}

/// Why a verb could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerbError {
    /// No upstream of this name.
    UnknownUpstream(String),
    /// No node of this id there.
    UnknownNode(String),
    /// There is such a node already, in words.
    Exists(String),
    /// It cannot be done, in words.
    Refused(String),
    /// Nothing of this node was changed at run time.
    Unchanged(String),
    /// The next generation could not be built.
    Failed(String),
    /// Another process takes over at this moment, or has.
    HandsOver,
    /// The caller has seen another generation than the one in use.
    OtherGeneration {
        /// The one that it has seen.
        expected: u64,
        /// The one in use.
        is: u64,
    },
}

impl std::fmt::Display for VerbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VerbError::UnknownUpstream(name) => write!(f, "there is no upstream \"{name}\""),
            VerbError::UnknownNode(name) => write!(f, "there is no node \"{name}\""),
            VerbError::Unchanged(name) => {
                write!(
                    f,
                    "nothing of \"{name}\" was changed at run time; `tidegate drift` lists what was"
                )
            }
            VerbError::Exists(why) | VerbError::Refused(why) | VerbError::Failed(why) => {
                f.write_str(why)
            }
            VerbError::HandsOver => f.write_str(
                "another process takes over at this moment, and nothing was changed here: ask again in a second, and who serves then does it",
            ),
            VerbError::OtherGeneration { expected, is } => {
                write!(
                    f,
                    "generation {is} is in use, and the change was decided on generation {expected}: something changed meanwhile. Read it again and decide anew"
                )
            }
        }
    }
}

impl std::error::Error for VerbError {}
