//! What several proxies share by Redis, and that none of it ever hurts: a Redis that is away, slow, full or wrong costs
//! hits and nothing else.

use crate::support::origin::Origin;
use crate::support::redis::Redis;

mod cluster;
mod corrupt;
mod entries;
mod restart;
mod seam;
mod together;

/// A configuration with a cached route to these nodes, and this Redis with these keys more.
fn shared(redis: &Redis, keys: &str, apps: &[Origin]) -> String {
    let nodes: Vec<String> = apps.iter().map(|app| app.addr().to_string()).collect();
    format!(
        "cache: {{ memory: 64MiB, redis: {{ url: \"{}\"{keys} }} }}\n\
         upstreams: {{ web: {{ nodes: [{}] }} }}\n\
         routes: [{{ upstream: web, cache: {{ ttl: 1h }} }}]\n",
        redis.url(),
        nodes.join(", ")
    )
}
