//! What is remembered of an app's own sessions: which node has them.
//!
//! A session is known by a hash of its id, seeded anew for every table, so that nobody finds an id here. How many are
//! remembered is bounded; the least used give way, and a flood of new ones does not push out the busy. One that was
//! idle for longer than its time is forgotten. Time is told, never read.

use std::fmt;
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Parts of the table, each with a lock of its own.
const PARTS: usize = 8;
/// How much later a use is noted than it was at the most: every request of a session would write otherwise.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// What a session is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session(u128);

/// Where a session is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Hash of the node's id, [`super::Candidate::hash`].
    node: u64,
    used: Instant,
}

/// The sessions of one upstream.
pub struct Learned {
    seed: u64,
    ttl: Duration,
    table: Cache<Session, Place>,
}

impl Learned {
    /// An empty table for at most `max` sessions (at least [`Learned::LEAST`]) that may be idle for `ttl`. `seed` is
    /// drawn at random.
    pub fn new(max: usize, ttl: Duration, seed: u64) -> Self {
        // Each part rounds its share up: what that may add in all is taken off first.
        let capacity = max.max(Self::LEAST) - (PARTS - 1);
        let options = OptionsBuilder::new()
            .shards(PARTS)
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            // Half of it is for sessions that were used once so far: a login must outlive many visits without one.
            .hot_allocation(0.5)
            .build()
            .expect("invariant: both capacities are given");
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Learned {
            seed,
            ttl,
            table: Cache::with_options(options, UnitWeighter, hasher, lifecycle),
        }
    }

    /// The smallest number of sessions that a table can be made for.
    pub const LEAST: usize = 100;

    /// What the session with this id is known by.
    pub fn session(&self, id: &[u8]) -> Session {
        Session(xxh3_128_with_seed(id, self.seed))
    }

    /// The node that has a session, by the hash of its id.
    pub fn node(&self, session: Session, now: Instant) -> Option<u64> {
        let place = self.table.get(&session)?;
        let idle = now.saturating_duration_since(place.used);
        if idle >= self.ttl {
            self.table.remove(&session);
            return None;
        }
        if idle >= NOTED_EVERY.min(self.ttl / 4) {
            self.put(session, place.node, now);
        }
        Some(place.node)
    }

    /// From now on the session is on this node.
    pub fn put(&self, session: Session, node: u64, now: Instant) {
        self.table.insert(session, Place { node, used: now });
    }

    /// Number of sessions remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learned")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(600);

    #[test]
    fn a_session_is_found_until_it_was_idle_for_too_long() {
        let now = Instant::now();
        let learned = Learned::new(1_000, TTL, 1);
        let (one, other) = (learned.session(b"one"), learned.session(b"other"));
        assert_eq!(learned.node(one, now), None);
        learned.put(one, 7, now);
        assert_eq!(learned.node(one, now), Some(7));
        assert_eq!(learned.node(other, now), None);
        let mut at = now;
        for _ in 0..5 {
            at += TTL - Duration::from_secs(1);
            assert_eq!(learned.node(one, at), Some(7), "used now and then");
        }
        assert_eq!(learned.node(one, at + TTL), None);
        assert!(learned.is_empty(), "and gone");
        learned.put(one, 8, at);
        assert_eq!(learned.node(one, at), Some(8), "where it was seen last");
    }

    #[test]
    fn there_are_never_more_than_asked_for_and_the_busy_ones_stay() {
        let now = Instant::now();
        for max in [100, 101, 131, 1_000, 5_003] {
            let learned = Learned::new(max, TTL, 3);
            let busy: Vec<_> = (0..max / 10)
                .map(|i| learned.session(&i.to_be_bytes()))
                .collect();
            busy.iter()
                .for_each(|session| learned.put(*session, 1, now));
            for i in 0..max * 10 {
                let passing = learned.session(format!("passing {i}").as_bytes());
                learned.put(passing, 2, now);
                let asked = busy[i % busy.len()];
                learned.node(asked, now);
                assert!(learned.len() <= max, "{} of {max}", learned.len());
            }
            assert!(learned.len() > max / 2, "{} of {max}", learned.len());
            let stayed = busy
                .iter()
                .filter(|s| learned.node(**s, now).is_some())
                .count();
            assert!(stayed * 10 >= busy.len() * 9, "{stayed} of {}", busy.len());
        }
    }

    #[test]
    fn ids_are_hashed_by_each_table_in_its_own_way() {
        let [a, b] = [1, 2].map(|seed| Learned::new(100, TTL, seed));
        assert_ne!(a.session(b"id"), b.session(b"id"));
        assert_eq!(a.session(b"id"), a.session(b"id"));
    }
}
