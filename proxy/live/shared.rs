//! What this proxy shares with others by Redis, in the generations that name the same one.
//!
//! Lives on over reloads as long as the prefix stays the same: queues and what is known of purges are not begun anew because
//! a route changed, and go along when Redis moves or gets another password. `jobs/shared` brings what the file says to what
//! runs, after the swap: building a generation changes nothing here.

use std::sync::Arc;

use super::peers::Peers;
use super::snapshot::Snapshot;
use crate::balance::sticky::shared::Outbox;
use crate::cache::policy::life::Millis;
use crate::cache::shared::entries::Entries;
use crate::cache::shared::purges::Purges;
use crate::config::checked::{Config, Redis};
use crate::kv::{Address, Kv};

/// What this proxy shares with others.
#[derive(Debug)]
pub struct Shared {
    /// The seam to Redis.
    pub kv: Arc<Kv>,
    /// What all keys begin with.
    pub prefix: Arc<str>,
    /// What others know this process by: 16 hexadecimal digits drawn at random.
    pub id: Arc<str>,
    /// Purges that all of them carry out.
    pub purges: Arc<Purges>,
    /// Who else is there.
    pub peers: Peers,
    /// Answers that are kept for each other.
    pub entries: Arc<Entries>,
    /// Sessions that Redis is to be told of.
    pub sessions: Arc<Outbox>,
}

impl Shared {
    /// What the configuration says is shared: that of the generation before, where keys begin alike.
    pub fn of(config: &Config, previous: Option<&Snapshot>) -> Option<Arc<Shared>> {
        let redis = config.cache.redis.as_ref()?;
        let before = previous.and_then(|before| before.shared.as_ref());
        if let Some(same) = before.filter(|before| *before.prefix == *redis.prefix) {
            return Some(same.clone());
        }
        let kv = Arc::new(Kv::new(address(redis), redis.timeout));
        let (history, ttl_max) = bounds(redis);
        let (prefix, seed) = (&redis.prefix, fastrand::u64(..));
        let id: Arc<str> = format!("{:016x}", fastrand::u64(..)).into();
        let purges = Arc::new(Purges::new(kv.clone(), prefix, seed, history, ttl_max));
        let entries = Entries::new(kv.clone(), purges.clone(), prefix, id.clone());
        Some(Arc::new(Shared {
            kv,
            prefix: prefix.as_str().into(),
            id,
            purges,
            peers: Peers::new(prefix),
            entries: Arc::new(entries),
            sessions: Arc::default(),
        }))
    }

    /// Brings the numbers of the file to what runs.
    pub fn set_rules(&self, redis: &Redis) {
        self.kv.set_limit(redis.timeout);
        let (history, ttl_max) = bounds(redis);
        self.purges.set_bounds(history, ttl_max);
    }
}

/// Purges that are remembered, and for how many milliseconds Redis keeps an answer at the most.
fn bounds(redis: &Redis) -> (usize, Millis) {
    let history = usize::try_from(redis.purge_history).unwrap_or(usize::MAX);
    let ttl_max = Millis::try_from(redis.ttl_max.as_millis()).unwrap_or(Millis::MAX);
    (history, ttl_max)
}

/// Where Redis is.
pub fn address(redis: &Redis) -> Address {
    let password = redis.password.as_ref();
    // Checked to be text when the file was read.
    let text = password.and_then(|file| std::str::from_utf8(file.key.bytes()).ok());
    Address {
        url: redis.url.clone(),
        password: text.map(Into::into),
        ca: redis.ca.as_ref().map(|ca| ca.text.clone()),
        cluster: redis.cluster,
    }
}
