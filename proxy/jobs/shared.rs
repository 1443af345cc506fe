//! What goes on for what proxies share: the connection to Redis, and what waits to be told there.
//!
//! On a thread of its own, which drives the sockets too: neither a slow disk nor the requests' own work holds up what
//! a request waits for. Follows the generations: what one that names another Redis needs is begun, the rest ends.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::kv;
use crate::live::control::Control;
use crate::live::peers;
use crate::live::shared::Shared;

/// Tells of sessions.
mod sessions;

/// Runs until the process ends.
pub async fn run(control: Arc<Control>) {
    let mut generations = control.generations();
    let mut in_use: Option<Arc<Shared>> = None;
    let mut tasks = JoinSet::new();
    loop {
        let wanted = control.hold.load().shared.clone();
        if !is_same(in_use.as_ref(), wanted.as_ref()) {
            // What runs for another Redis ends here.
            tasks = JoinSet::new();
            if let Some(shared) = &wanted {
                begin(&mut tasks, &control, shared);
            }
            in_use = wanted;
        }
        tokio::select! {
            changed = generations.changed() => if changed.is_err() { return },
            Some(ended) = tasks.join_next() => {
                if let Err(fault) = ended {
                    tracing::error!("what is shared by Redis failed: {fault}; it is started again");
                }
                tokio::time::sleep(super::PAUSE_AFTER_FAULT).await;
                in_use = None;
            }
        }
    }
}

/// Begins all that runs for one Redis; none of it ends by itself.
fn begin(tasks: &mut JoinSet<()>, control: &Arc<Control>, shared: &Arc<Shared>) {
    tasks.spawn(kv::keep(shared.kv.clone()));
    let (purges, local) = (shared.purges.clone(), control.clone());
    tasks.spawn(async move { purges.publish(&*local).await });
    let (purges, local) = (shared.purges.clone(), control.clone());
    tasks.spawn(async move { purges.follow(&local).await });
    tasks.spawn(peers::keep(control.clone(), shared.clone()));
    let clock = control.clone();
    tasks.spawn(shared.entries.clone().write(move || clock.clock.now()));
    tasks.spawn(sessions::tell(shared.kv.clone(), shared.sessions.clone()));
}

fn is_same(one: Option<&Arc<Shared>>, other: Option<&Arc<Shared>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
