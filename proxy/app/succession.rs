//! From one process to the next: the wish, the attempt, and what the new one does before it lets anybody in.
//!
//! The one that runs is never worse off for having tried: whatever goes wrong, it is told and serves on.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::upgrade::{Estate, Fledgling, Hello, Replaces};
use crate::balance::node::Fitness;
use crate::live::control::Control;
use crate::live::handover::{Ask, Outcome};
use crate::live::lifecycle::Successor;

/// How long a process that takes over waits for its first probes and names: the one before serves meanwhile.
const SETTLES: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);

/// A next process that serves.
pub struct Heir {
    /// The process.
    pub process: Fledgling,
    /// What it says of itself.
    pub successor: Successor,
    /// Where the outcome is told.
    pub answer: oneshot::Sender<Outcome>,
}

/// Hears wishes to be replaced until one comes true. Dropped, it ends a process that it has started and that does not
/// serve yet.
pub async fn found(control: &Arc<Control>, estate: &Estate, of: Replaces) -> Heir {
    let Some(mut asks) = control.handover.hear() else {
        return pending().await;
    };
    while let Some(ask) = asks.recv().await {
        tracing::info!("{}: upgrade, the next process is started", ask.by);
        match attempt(control, estate, of, &ask).await {
            Ok((process, successor)) => {
                return Heir {
                    process,
                    successor,
                    answer: ask.answer,
                };
            }
            Err(why) => {
                tracing::error!(
                    "{}: the upgrade failed, this process serves on: {why}",
                    ask.by
                );
                control.note_no_successor(&why);
                control.handover.is_over();
                // Whoever asked may have left.
                let _ = ask.answer.send(Err(why));
            }
        }
    }
    pending().await
}

async fn attempt(
    control: &Control,
    estate: &Estate,
    of: Replaces,
    ask: &Ask,
) -> Result<(Fledgling, Successor), String> {
    let mut process = estate.pass_on(of)?;
    let hello = Hello {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        key: Some(control.own_key()),
        changes: control.changes_told(),
    };
    let successor = process.grows(&hello, ask.patience).await?;
    Ok((process, successor))
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

/// Waits, within bounds, until nodes are known as well as the process before knows them, and does to them what was done
/// there at run time.
pub async fn settle(control: &Control, before: &Hello) {
    let begun = Instant::now();
    while !is_settled(control) && begun.elapsed() < SETTLES {
        sleep(LOOK).await;
    }
    let (made, lost) = control.carry_on(&before.changes);
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
