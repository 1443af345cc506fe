//! What is remembered of an app's own sessions: which node has them.
//!
//! A session is known by a hash of its id, so that nobody finds an id here: seeded anew for every table, or, where all
//! proxies know of the sessions, the one they have in common. How many are remembered is bounded; the least used give
//! way, and a flood of new ones does not push out the busy. One that was idle for longer than its time is forgotten.
//! Time is told, never read.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::shared::Names;

/// Parts of the table, each with a lock of its own.
const PARTS: usize = 8;
/// How much later a use is noted than it was at the most: every request of a session would write otherwise.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// How long one is believed that others know of, too: it may have moved by another proxy. A quarter of its time, where
/// that is shorter.
const BELIEVED: Duration = Duration::from_secs(10);

/// What a session is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session(u128);

impl Session {
    /// A number that is the same on all proxies that name it alike: what its lot is drawn by.
    pub fn lot(self) -> u64 {
        self.0 as u64
    }

    /// The whole of what it is known by.
    pub fn number(self) -> u128 {
        self.0
    }
}

/// Where a session is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Hash of the node's id, [`super::Candidate::hash`].
    node: u64,
    used: Instant,
    /// When the proxy that asks for it, or Redis, said so last.
    agreed: Instant,
}

/// Where a session is, as far as this proxy knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Hash of the node's id, [`super::super::pick::Candidate::hash`].
    pub node: u64,
    /// Whether nobody else need be asked.
    pub is_sure: bool,
}

/// What sessions are known by.
#[derive(Debug)]
enum Naming {
    /// A hash with this seed.
    Own(u64),
    /// Their names in Redis.
    Shared(Arc<Names>),
}

/// The sessions of one upstream.
pub struct Learned {
    naming: Naming,
    ttl: Duration,
    table: Cache<Session, Place>,
}

impl Learned {
    /// An empty table for at most `max` sessions (at least [`Learned::LEAST`]) that may be idle for `ttl`. `seed` is
    /// drawn at random.
    pub fn new(max: usize, ttl: Duration, seed: u64) -> Self {
        Learned::named(max, ttl, Naming::Own(seed))
    }

    /// The same for sessions that all proxies know of by these names.
    pub fn shared(max: usize, ttl: Duration, names: Arc<Names>) -> Self {
        Learned::named(max, ttl, Naming::Shared(names))
    }

    fn named(max: usize, ttl: Duration, naming: Naming) -> Self {
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
            naming,
            ttl,
            table: Cache::with_options(options, UnitWeighter, hasher, lifecycle),
        }
    }

    /// The smallest number of sessions that a table can be made for.
    pub const LEAST: usize = 100;

    /// What the session with this id is known by.
    pub fn session(&self, id: &[u8]) -> Session {
        Session(match &self.naming {
            Naming::Own(seed) => xxh3_128_with_seed(id, *seed),
            Naming::Shared(names) => names.session(id),
        })
    }

    /// Where a session is.
    pub fn find(&self, session: Session, now: Instant) -> Option<Known> {
        let place = self.table.get(&session)?;
        let idle = now.saturating_duration_since(place.used);
        if idle >= self.ttl {
            self.table.remove(&session);
            return None;
        }
        if idle >= NOTED_EVERY.min(self.ttl / 4) {
            self.table.insert(session, Place { used: now, ..place });
        }
        let is_sure = match self.naming {
            Naming::Own(_) => true,
            Naming::Shared(_) => {
                now.saturating_duration_since(place.agreed) < BELIEVED.min(self.ttl / 4)
            }
        };
        Some(Known {
            node: place.node,
            is_sure,
        })
    }

    /// From now on the session is on this node.
    pub fn put(&self, session: Session, node: u64, now: Instant) {
        let (used, agreed) = (now, now);
        self.table.insert(session, Place { node, used, agreed });
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

    fn node(learned: &Learned, session: Session, now: Instant) -> Option<u64> {
        let known = learned.find(session, now)?;
        assert!(known.is_sure, "nobody else knows of it");
        Some(known.node)
    }

    #[test]
    fn one_that_others_know_of_is_believed_for_ten_seconds_or_a_quarter_of_its_time() {
        for (ttl, believed) in [(600, 10_000), (8, 2_000)] {
            let (ttl, t0) = (Duration::from_secs(ttl), Instant::now());
            let names = Arc::new(Names::new("tg", "web"));
            let learned = Learned::shared(1_000, ttl, names.clone());
            let session = learned.session(b"one");
            assert_eq!(session, Learned::shared(100, ttl, names).session(b"one"));
            learned.put(session, 7, t0);
            let is_sure = |at| {
                let at = t0 + Duration::from_millis(at);
                learned.find(session, at).map(|known| known.is_sure)
            };
            assert_eq!(is_sure(believed - 1), Some(true), "used, and not asked");
            assert_eq!(is_sure(believed), Some(false));
            learned.put(session, 7, t0 + Duration::from_millis(believed));
            assert_eq!(is_sure(2 * believed - 1), Some(true));
            assert_eq!(is_sure(2 * believed), Some(false));
        }
    }

    #[test]
    fn a_session_is_found_until_it_was_idle_for_too_long() {
        let now = Instant::now();
        let learned = Learned::new(1_000, TTL, 1);
        let (one, other) = (learned.session(b"one"), learned.session(b"other"));
        assert_eq!(node(&learned, one, now), None);
        learned.put(one, 7, now);
        assert_eq!(node(&learned, one, now), Some(7));
        assert_eq!(node(&learned, other, now), None);
        let mut at = now;
        for _ in 0..5 {
            at += TTL - Duration::from_secs(1);
            assert_eq!(node(&learned, one, at), Some(7), "used now and then");
        }
        assert_eq!(node(&learned, one, at + TTL), None);
        assert!(learned.is_empty(), "and gone");
        learned.put(one, 8, at);
        assert_eq!(node(&learned, one, at), Some(8), "where it was seen last");
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
                node(&learned, asked, now);
                assert!(learned.len() <= max, "{} of {max}", learned.len());
            }
            assert!(learned.len() > max / 2, "{} of {max}", learned.len());
            let stayed = busy
                .iter()
                .filter(|s| node(&learned, **s, now).is_some())
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
