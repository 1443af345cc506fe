//! The live world: what is in use now, and the few ways to change it.

/// Certificates that are got from a CA.
pub mod acme;
/// From a checked configuration to the next generation.
pub mod build;
/// Certificates that clients are shown, and how long they hold.
pub mod certificates;
/// The time the cache goes by.
pub mod clock;
/// The operator's verbs.
pub mod control;
/// Who may come in, and how often.
pub mod doors;
/// How connections to nodes begin.
mod greetings;
/// Wishes to be replaced by the binary on the disk.
pub mod handover;
/// The one place where the generation in use is held.
pub mod hold;
/// Certificates that came at run time.
pub mod issued;
/// Running, stopping, stopped.
pub mod lifecycle;
/// What the operator changed at run time.
pub mod overlay;
/// Who else shares our Redis.
pub mod peers;
/// What waits to be compressed better.
pub mod recompress;
/// What proxies share by Redis.
pub mod shared;
/// One immutable generation.
pub mod snapshot;
/// Where the configuration comes from.
pub mod source;
/// Sessions that stay on their node.
pub mod sticky;
/// How data ports speak TLS.
pub mod tls;
/// Every tunnel that stands.
pub mod tunnels;
/// Who is told of reloads.
pub mod witness;
