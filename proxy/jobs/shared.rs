//! What goes on for what proxies share: the connection to Redis, and what waits to be told there.
//!
//! On a thread of its own, which drives the sockets too: neither a slow disk nor the requests' own work holds up what
//! a request waits for. Follows the generations: what one that names another Redis needs is begun, the rest ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::kv::{self, Kv};
use crate::live::control::Control;
use crate::live::peers;
use crate::live::shared::{Shared, address};

/// Tells of sessions.
mod sessions;

/// Runs until the process ends.
pub async fn run(control: Arc<Control>) {
    let mut generations = control.generations();
    let mut in_use: Option<Arc<Shared>> = None;
    let mut tasks = JoinSet::new();
    loop {
        let snapshot = control.hold.load();
        let wanted = snapshot.shared.clone();
        let redis = snapshot.config.cache.redis.as_ref();
        let moved = wanted.as_ref().zip(redis).is_some_and(|(shared, redis)| {
            shared.set_rules(redis);
            *shared.kv.address() != address(redis)
        });
        if moved || !is_same(in_use.as_ref(), wanted.as_ref()) {
            // What runs for another Redis ends here.
            tasks.shutdown().await;
            if let Some(old) = in_use.filter(|old| !is_same(Some(old), wanted.as_ref())) {
                says_what_is_lost(&old);
            }
            if let (Some(shared), Some(redis)) = (&wanted, redis) {
                if moved {
                    shared.kv.moves_to(address(redis));
                }
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
                tasks.shutdown().await;
                if let Some(shared) = &in_use {
                    begin(&mut tasks, &control, shared);
                }
            }
        }
    }
}

/// The file names no Redis any more, or another prefix: what waits to be told there never will be.
fn says_what_is_lost(old: &Shared) {
    let waiting = old.purges.waiting();
    if waiting > 0 {
        tracing::warn!(
            "{waiting} purges were never told to the proxies that share the prefix \"{}\" in Redis: purge there what they \
             were about, on any of them",
            old.prefix
        );
    }
}

/// Begins all that runs for one Redis; none of it ends by itself.
fn begin(tasks: &mut JoinSet<()>, control: &Arc<Control>, shared: &Arc<Shared>) {
    tasks.spawn(tell(control.clone(), shared.kv.clone()));
    tasks.spawn(note_seconds(shared.kv.clone()));
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

/// Tells each change of how Redis is to who looks at the page; the log has it from who finds out.
async fn tell(control: Arc<Control>, kv: Arc<Kv>) {
    let mut state = kv.state();
    // Ends with the handle, which this task holds itself: never.
    while state.changed().await.is_ok() {
        let is = state.borrow_and_update().clone();
        control.note_redis(&kv.address(), &is);
    }
}

/// Notes each second how quickly Redis answered.
async fn note_seconds(kv: Arc<Kv>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        kv.note_second();
    }
}

fn is_same(one: Option<&Arc<Shared>>, other: Option<&Arc<Shared>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
