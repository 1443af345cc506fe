//! What this proxy shares with others by Redis, in the generations that name the same one.
//!
//! Lives on over reloads as long as Redis, the password, the prefix and the authorities stay the same: connection,
//! queues and what is known of purges are not begun anew because a route changed. What the file says in numbers is read
//! from the configuration each time.

use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::balance::sticky::shared::Outbox;
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
    /// Sessions that Redis is to be told of.
    pub sessions: Arc<Outbox>,
}

impl Shared {
    /// What the configuration says is shared: that of the generation before, where it is with the same Redis.
    pub fn of(config: &Config, previous: Option<&Snapshot>) -> Option<Arc<Shared>> {
        let redis = config.cache.redis.as_ref()?;
        let address = address(redis);
        let before = previous.and_then(|before| before.shared.as_ref());
        let same = before.filter(|b| *b.kv.address() == address && *b.prefix == *redis.prefix);
        if let Some(same) = same {
            same.kv.set_limit(redis.timeout);
            return Some(same.clone());
        }
        Some(Arc::new(Shared {
            kv: Arc::new(Kv::new(address, redis.timeout)),
            prefix: redis.prefix.as_str().into(),
            id: format!("{:016x}", fastrand::u64(..)).into(),
            sessions: Arc::default(),
        }))
    }
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
