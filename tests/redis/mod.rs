//! What several proxies share by Redis, and that none of it ever hurts: a Redis that is away, slow, full or wrong costs
//! hits and nothing else.

use crate::support::origin::Origin;
use crate::support::redis::Redis;

mod faults;
mod seam;

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
