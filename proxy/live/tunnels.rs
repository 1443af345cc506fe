//! Every tunnel that stands, so that it can be ended.
//!
//! A tunnel has no end of its own: it is ended when nothing passed for as long as it may be silent, when its node's drain
//! is over, and when the process stops. Its carrier then says good-bye to both sides; one that has not gone a moment later
//! is cut. A tunnel costs no timer and no task: now and then one walk over all of them finds those whose time is over.
//! There are never more than connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::balance::node::Node;
use crate::base::reason::End;
use crate::upstream::tunnel::{FAREWELL, Tunnel};

/// A tunnel that is to end and is still there so much later is cut: its carrier is stuck with one side.
const CUT_AFTER: Duration = FAREWELL.saturating_add(Duration::from_millis(500));
/// So much longer the last one may take to be gone.
const GONE_AFTER: Duration = CUT_AFTER.saturating_add(Duration::from_millis(500));

/// Every tunnel that stands.
#[derive(Debug, Default)]
pub struct Tunnels {
    all: Mutex<Slab<One>>,
    /// Told when the last one has gone.
    empty: Notify,
}

#[derive(Debug)]
struct One {
    tunnel: Arc<Tunnel>,
    node: Arc<Node>,
    /// Serves it; ended, it is gone.
    task: Option<AbortHandle>,
    /// How long it may be silent.
    idle: Option<Duration>,
    /// Bytes that had passed when it was last looked at, and since when they are so many.
    passed: u64,
    since: Instant,
    /// Since when it is to end.
    closing: Option<Instant>,
}

/// A tunnel's place among them. Dropped, the tunnel has gone.
#[derive(Debug)]
pub struct Standing {
    among: Arc<Tunnels>,
    at: usize,
}

impl Tunnels {
    /// One more stands, to `node`. It may be silent for as long as `idle`; `task` serves it.
    pub fn stands(
        self: &Arc<Self>,
        tunnel: Arc<Tunnel>,
        node: Arc<Node>,
        idle: Option<Duration>,
        task: Option<AbortHandle>,
        now: Instant,
    ) -> Standing {
        let one = One {
            tunnel,
            node,
            task,
            idle,
            passed: 0,
            since: now,
            closing: None,
        };
        Standing {
            among: self.clone(),
            at: self.all.lock().insert(one),
        }
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.all.lock().len()
    }

    /// Ends those whose time is over: silent for too long, or on a node whose drain is over. Called several times a
    /// second.
    pub fn look(&self, now: Instant) {
        for (_, one) in &mut *self.all.lock() {
            one.look(now);
        }
    }

    /// Ends all of them, because of this: both sides of each are told, and have a moment to answer. Comes back when all
    /// are gone, within two seconds.
    pub async fn end(&self, why: End, now: Instant) {
        for (_, one) in &mut *self.all.lock() {
            one.ends(why, now);
        }
        let all_gone = async {
            while self.count() > 0 {
                self.empty.notified().await;
            }
        };
        if tokio::time::timeout(GONE_AFTER, all_gone).await.is_err() {
            tracing::warn!("{} tunnels did not end in time and are cut", self.count());
        }
    }
}

impl One {
    fn look(&mut self, now: Instant) {
        if let Some(since) = self.closing {
            if now.saturating_duration_since(since) >= CUT_AFTER
                && let Some(task) = &self.task
            {
                task.abort();
            }
            return;
        }
        if self.node.is_cut() {
            return self.ends(End::DrainTimeout, now);
        }
        let (from_client, to_client) = self.tunnel.bytes();
        let passed = from_client.wrapping_add(to_client);
        if passed != self.passed {
            (self.passed, self.since) = (passed, now);
        }
        let silent = now.saturating_duration_since(self.since);
        if self.idle.is_some_and(|limit| silent >= limit) {
            self.ends(End::TunnelIdle, now);
        }
    }

    fn ends(&mut self, why: End, now: Instant) {
        self.closing.get_or_insert(now);
        self.tunnel.close(why);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut all = self.among.all.lock();
        all.remove(self.at);
        if all.is_empty() {
            self.among.empty.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::node::{Health, Intent};

    fn node(now: Instant) -> Arc<Node> {
        let (upstream, id) = ("web".into(), "a".into());
        Arc::new(Node::new(upstream, id, Intent::Up, Health::Healthy, now))
    }

    fn one(all: &Arc<Tunnels>, idle: Option<Duration>, now: Instant) -> (Arc<Tunnel>, Standing) {
        let tunnel = Arc::new(Tunnel::new(true, [0; 4], None));
        let standing = all.stands(tunnel.clone(), node(now), idle, None, now);
        (tunnel, standing)
    }

    #[test]
    fn who_is_silent_for_too_long_is_ended_and_nobody_else() {
        let (all, now) = (Arc::new(Tunnels::default()), Instant::now());
        let limit = Duration::from_secs(60);
        let (silent, _a) = one(&all, Some(limit), now);
        let (patient, _b) = one(&all, None, now);
        all.look(now + limit - Duration::from_millis(1));
        assert_eq!(silent.closes(), None);
        all.look(now + limit);
        assert_eq!(silent.closes(), Some(End::TunnelIdle));
        all.look(now + limit * 1_000);
        assert_eq!(patient.closes(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_all_is_waited_for_but_not_for_ever() {
        let (all, now) = (Arc::new(Tunnels::default()), Instant::now());
        all.end(End::Stopped, now).await; // nobody there
        let (tunnel, standing) = one(&all, None, now);
        let began = tokio::time::Instant::now();
        all.end(End::Stopped, now).await;
        assert_eq!(began.elapsed().as_secs(), GONE_AFTER.as_secs());
        assert_eq!(tunnel.closes(), Some(End::Stopped));
        let (_, again) = one(&all, None, now);
        let (ended, ()) = tokio::join!(all.end(End::Stopped, now), async {
            drop((standing, again))
        });
        assert_eq!((ended, all.count()), ((), 0));
    }
}
