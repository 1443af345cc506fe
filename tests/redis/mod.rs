//! What several proxies share by Redis, and that none of it ever hurts: a Redis that is away, slow, full or wrong costs
//! hits and nothing else.

use std::time::Duration;

use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;
use crate::support::{check, eventually};

mod cluster;
mod corrupt;
mod entries;
mod faults;
mod kinds;
mod peers;
mod probe;
mod purged;
mod purges;
mod rates;
mod restart;
mod reviewed;
mod seam;
mod sessions;
mod sharded;
mod together;
mod told;

/// How long a proxy may take to find out that Redis is back.
const RECOVERY: Duration = Duration::from_secs(10);

/// Lines of the log that say how Redis is.
fn told(tide: &Tidegate) -> Vec<String> {
    let log = tide.process().output().err;
    let about = |line: &&String| line.contains(" INFO redis r") || line.contains(" WARN redis r");
    log.iter().filter(about).cloned().collect()
}

/// Waits until a proxy has a connection to its Redis.
async fn is_used(tide: &Tidegate) {
    eventually("redis is used", RECOVERY, async || {
        check(tide.log().contains("is used"), tide.log())
    })
    .await;
}

/// A configuration with a cached route to these nodes, and this Redis with these keys more (`, min_uses: 2`).
fn shared(redis: &Redis, keys: &str, apps: &[Origin]) -> String {
    let nodes: Vec<String> = apps.iter().map(|app| app.addr().to_string()).collect();
    shared_at(&redis.url(), keys, &nodes)
}

/// The same, with the Redis at this address.
fn shared_at(url: &str, keys: &str, nodes: &[String]) -> String {
    format!(
        "cache: {{ memory: 64MiB, redis: {{ url: \"{url}\"{keys} }} }}\n\
         upstreams: {{ web: {{ nodes: [{}] }} }}\n\
         routes: [{{ upstream: web, cache: {{ ttl: 1h }} }}]\n",
        nodes.join(", ")
    )
}
