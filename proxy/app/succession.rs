//! From one process to the next: the wish, the attempt, and what the new one does before it lets anybody in.
//!
//! The one that runs is never worse off for having tried: whatever goes wrong, it is told and serves on.

use std::future::pending;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::upgrade::{Estate, Fledgling, Go, Hello, Replaces};
use crate::balance::node::Fitness;
use crate::live::control::Control;
use crate::live::handover::{Ask, Outcome, Turn};
use crate::live::lifecycle::Successor;

/// How long a process that takes over waits for its first probes and names: the one before serves meanwhile.
const SETTLES: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);
/// How long what needs the ports may take to its end (an order at a CA that is about to look), before it is given up: most
/// such orders take less, and the next process waits meanwhile.
const FINISHES: Duration = Duration::from_secs(15);
/// How long it may take to give it up.
const GIVES_UP: Duration = Duration::from_secs(3);

/// A next process that waits for the word that it may accept.
pub struct Heir {
    process: Fledgling,
    ask: Ask,
}

/// A next process that serves.
pub struct Served {
    /// The process.
    pub process: Fledgling,
    /// What it says of itself.
    pub successor: Successor,
    /// Where the outcome is told.
    pub answer: oneshot::Sender<Outcome>,
}

/// Hears wishes to be replaced until one is about to come true. Dropped, it ends a process that it has started: that one
/// has accepted nobody.
pub async fn found(
    control: &Control,
    estate: &Estate,
    of: Replaces,
    asks: &mut Option<mpsc::Receiver<Ask>>,
) -> Heir {
    let Some(asks) = asks else {
        return pending().await;
    };
    while let Some(ask) = asks.recv().await {
        tracing::info!("{}: upgrade, the next process is started", ask.by);
        match attempt(control, estate, of, &ask).await {
            Ok(process) => return Heir { process, ask },
            Err(why) => failed(control, ask, why),
        }
    }
    pending().await
}

/// This process serves on, and whoever asked is told why.
fn failed(control: &Control, ask: Ask, why: String) {
    tracing::error!(
        "{}: the upgrade failed, this process serves on: {why}",
        ask.by
    );
    control.note_no_successor(&why);
    control.handover.is_turn_of(Turn::Ours);
    control.handover.is_over();
    // Whoever asked may have left.
    let _ = ask.answer.send(Err(why));
}

impl Heir {
    /// Lets it accept, with what was changed at run time until now; `None`: it does not, and this process serves on. Not to
    /// be dropped before its end: it may have accepted somebody.
    pub async fn goes(mut self, control: &Control) -> Option<Served> {
        let go = Go(control.freeze());
        match self.process.goes(&go).await {
            Ok(successor) => Some(Served {
                process: self.process,
                successor,
                answer: self.ask.answer,
            }),
            Err(why) => {
                control.thaw();
                failed(control, self.ask, why);
                None
            }
        }
    }
}

async fn attempt(
    control: &Control,
    estate: &Estate,
    of: Replaces,
    ask: &Ask,
) -> Result<Fledgling, String> {
    let mut process = estate.pass_on(of)?;
    let hello = Hello {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        key: Some(control.own_key()),
        changes: control.changes_told(),
    };
    process.grows(&hello, ask.patience).await?;
    // Where a CA looks, who ordered has to answer.
    control.handover.is_turn_of(Turn::Last);
    if timeout(FINISHES, control.handover.finished())
        .await
        .is_err()
    {
        control.handover.is_turn_of(Turn::Theirs);
        let _ = timeout(GIVES_UP, control.handover.finished()).await;
    }
    control.handover.is_turn_of(Turn::Theirs);
    Ok(process)
}

/// Waits for the end of the process that took over, as whoever started it must. It should come after ours.
pub async fn mourn(mut child: Child, pid: u32) {
    match child.wait().await {
        Ok(status) => tracing::error!(
            "process {pid}, which took over, has ended ({status}) before this one was done: unless it was told to, nobody \
             accepts connections any more, and tidegate has to be started"
        ),
        Err(e) => tracing::debug!("process {pid} cannot be waited for: {e}"),
    }
}

/// Waits, within bounds, until nodes are known as well as the process before knows them.
pub async fn settle(control: &Control) {
    let begun = Instant::now();
    while !is_settled(control) && begun.elapsed() < SETTLES {
        sleep(LOOK).await;
    }
}

/// Does to nodes what was done to them at run time in the process before, on the files as that one knows them.
pub fn carry_on(control: &Control, changes: &Value) {
    // It may have read them again since we did.
    control.reload("a file changed during the upgrade", true);
    let (made, lost) = control.carry_on(changes);
    if made > 0 {
        tracing::info!("{made} changes made at run time are carried on from the process before");
    }
    for one in lost {
        tracing::warn!("changed at run time and not carried on: {one}");
    }
}

fn is_settled(control: &Control) -> bool {
    let (snapshot, now) = (control.hold.load(), Instant::now());
    let untried = || {
        let nodes = snapshot.upstreams.iter().flat_map(|u| u.pool.candidates());
        nodes
            .filter(|c| c.takes_new())
            .any(|c| c.node.fitness(now) == Fitness::Untried)
    };
    snapshot.not_ready(now).is_empty() && !untried()
}
