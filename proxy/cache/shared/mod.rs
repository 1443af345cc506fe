//! What proxies that share a Redis tell each other of their caches. The files here know what is told; nobody here knows
//! how to reach Redis but by `kv/`.

/// Which purges are known, in which order.
pub mod chain;
