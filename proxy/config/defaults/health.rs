//! Defaults of health checks.
//!
//! Numbers and words alone, each with its reason. Nothing here may be read from a file.

use std::time::Duration;

use crate::config::checked::InitialHealth;

/// From one probe to the next: with `fall: 3` a dead node is out after 15 s, at one cheap request every 5 s.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// One probe's limit: a health page that takes longer says that the node is not well.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Passed probes that make a node healthy: one may be luck.
pub const HEALTH_RISE: u32 = 2;

/// Failed probes that make it unhealthy: one or two may be a deploy or a lost packet.
pub const HEALTH_FALL: u32 = 3;

/// Path of an HTTP probe: the only one that every app has.
pub const HEALTH_PATH: &str = "/";

/// Accepted status codes: answers and redirects, as in HAProxy and nginx.
pub const HEALTH_EXPECT: &[(u16, u16)] = &[(200, 399)];

/// Method of an HTTP probe: the one that every app answers. HEAD is seldom written by hand and often wrong.
pub const HEALTH_METHOD: http::Method = http::Method::GET;

/// Whether a node's certificate must be good: an answer of somebody else says nothing about the node.
pub const HEALTH_VERIFY: bool = true;

/// Whether a node's own word on its state is obeyed: not unasked, because whatever can set a field on the health page
/// could then take the node out.
pub const HEALTH_AGENT: bool = false;

/// What a node is before its first probe: nobody's guess, the probe runs at once.
pub const HEALTH_INITIAL: InitialHealth = InitialHealth::Probe;
