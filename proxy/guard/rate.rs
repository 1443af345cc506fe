//! How often a client may ask: GCRA, one state a client, a bounded number of clients.
//!
//! A burst may come at once; after it, one request for each share of the rate's time. State is kept for the clients
//! seen most lately and often, never for more than `MAX_CLIENTS` a route: a client that was forgotten begins with a
//! whole burst. Time is told, never read, and what a client chooses is hashed, so that no client decides how much
//! memory is taken.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::base::fields::Fields;
use crate::config::checked::{RateKey, RateLimit};

/// One count for all proxies.
pub mod shared;

/// Clients of which a route remembers how often they asked; at most about 10 MiB.
pub const MAX_CLIENTS: usize = 65_536;

/// Set in keys made of a field: they never meet those made of an address.
const FIELD: u128 = 1 << 127;
/// Set in keys made of an IPv6 address.
const SIX: u128 = 1 << 64;

/// The rate limit of one route.
pub struct Rate {
    config: RateLimit,
    limiter: RateLimiter<u128, Clients, Told, NoOpMiddleware<Nanos>>,
    begun: Instant,
    seed: u64,
}

/// A client asked too often: it may come again after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooOften(pub Duration);

impl Rate {
    /// A limit under which nobody has asked yet. `seed` keeps clients from choosing fields whose hashes meet.
    pub fn new(config: &RateLimit, seed: u64, now: Instant) -> Self {
        let burst = NonZeroU32::new(config.burst).unwrap_or(NonZeroU32::MIN);
        // Nothing shorter than a nanosecond: the checked configuration has at least a millisecond for a million.
        let quota = Quota::with_period(share(config))
            .unwrap_or_else(|| Quota::per_second(burst))
            .allow_burst(burst);
        Rate {
            config: config.clone(),
            limiter: RateLimiter::new(quota, Clients::new(), Told::default()),
            begun: now,
            seed,
        }
    }

    /// Whether it is what `config` asks for, so that it can be kept over a reload. Whether it is only counted, and
    /// whether others count too, is no business of its state.
    pub fn fits(&self, config: &RateLimit) -> bool {
        let (dry_run, scope) = (self.config.dry_run, self.config.scope);
        self.config
            == RateLimit {
                dry_run,
                scope,
                ..config.clone()
            }
    }

    /// A client asks.
    ///
    /// # Errors
    /// When it asked too often.
    pub fn ask(&self, client: IpAddr, fields: &impl Fields, now: Instant) -> Result<(), TooOften> {
        let told = self.limiter.clock();
        let now = told.tell(now.saturating_duration_since(self.begun));
        self.limiter
            .check_key(&self.key(client, fields))
            .map_err(|not_until| TooOften(not_until.wait_time_from(now)))
    }

    /// What tells this client apart from others.
    fn key(&self, client: IpAddr, fields: &impl Fields) -> u128 {
        match Who::of(&self.config.key, client, fields) {
            Who::Field(value) => xxh3_128_with_seed(value, self.seed) | FIELD,
            Who::Four(addr) => addr.into(),
            Who::Six(net) => u128::from(net) | SIX,
        }
    }

    /// The fields that tell a client when to come again: the standard one, those of the IETF draft
    /// (draft-ietf-httpapi-ratelimit-headers) and those that most libraries read.
    pub fn fields(&self, too_often: TooOften) -> [(&'static str, String); 6] {
        let quota = self.config.burst;
        let window = seconds(share(&self.config).saturating_mul(quota));
        let wait = seconds(too_often.0);
        [
            ("Retry-After", wait.to_string()),
            (
                "RateLimit-Policy",
                format!("\"default\";q={quota};w={window}"),
            ),
            ("RateLimit", format!("\"default\";r=0;t={wait}")),
            ("RateLimit-Limit", quota.to_string()),
            ("RateLimit-Remaining", "0".into()),
            ("RateLimit-Reset", wait.to_string()),
        ]
    }
}

/// What tells a client apart from others.
enum Who<'a> {
    /// The value of the field.
    Field(&'a [u8]),
    /// Its IPv4 address.
    Four(u32),
    /// The first 64 bits of its IPv6 address.
    Six(u64),
}

impl<'a> Who<'a> {
    fn of(key: &'a RateKey, client: IpAddr, fields: &'a impl Fields) -> Self {
        if let RateKey::Header(name) = key {
            let mut values = fields.lines(name);
            // Of several values an app may read another one than we do, and a client could change ours.
            if let (Some(value), None) = (values.next(), values.next())
                && !value.is_empty()
            {
                return Who::Field(value);
            }
        }
        match client.to_canonical() {
            IpAddr::V4(addr) => Who::Four(addr.to_bits()),
            // Whoever has one address of a /64 has them all.
            IpAddr::V6(addr) => Who::Six((addr.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The time for one request, rounded up: never more than the rate.
fn share(config: &RateLimit) -> Duration {
    let nanos = config
        .per
        .as_nanos()
        .div_ceil(config.requests.max(1).into());
    // At most 365 days: fits in 55 bits.
    Duration::from_nanos(nanos as u64)
}

/// Whole seconds, rounded up, at least one: a client that comes at once would be refused again.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// The latest time that anybody told, counted from the limit's beginning.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Told {
    /// It is this late; or later, as another request said.
    fn tell(&self, since: Duration) -> Nanos {
        let nanos = since.as_nanos().min(u64::MAX.into()) as u64;
        self.0.fetch_max(nanos, Relaxed).max(nanos).into()
    }
}

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Relaxed).into()
    }
}

/// What is remembered of clients.
#[derive(Debug)]
struct Clients(Cache<u128, Arc<InMemoryState>>);

impl Clients {
    fn new() -> Self {
        Clients(Cache::new(MAX_CLIENTS))
    }
}

impl StateStore for Clients {
    type Key = u128;

    fn measure_and_replace<T, F, E>(&self, key: &u128, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(state) = self.0.get_or_insert_with(key, fresh);
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

#[cfg(test)]
mod tests;
