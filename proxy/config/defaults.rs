//! What holds when the file says nothing.
//!
//! A default is a decision: each says why it is what it is. Every value here must be finite where a client or a node
//! could otherwise hold a resource for ever. Nothing else in the program may carry a default of the configuration.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::checked::{
    AccessLog, Balance, ClientTimeouts, InitialHealth, LogFormat, LogPath, NodeTimeouts, Shutdown,
};

/// The stats port: loopback only, because it can drain nodes and has no passwords yet.
pub const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9900));

/// Limits towards clients.
pub const CLIENT_TIMEOUTS: ClientTimeouts = ClientTimeouts {
    // A head is one packet or two: ten seconds forgive a bad line and stop a slowloris.
    header: Some(Duration::from_secs(10)),
    // What browsers and other proxies keep; longer costs memory per idle client.
    idle: Some(Duration::from_secs(60)),
    // Between two reads, not in total: a phone in a tunnel recovers within it.
    body: Some(Duration::from_secs(30)),
    // One write that nobody takes for so long goes to a client that is gone.
    write: Some(Duration::from_secs(30)),
    // Downloads, event streams and long polls are legitimate; each of their steps has a limit above.
    request: None,
};

/// How the process ends.
pub const SHUTDOWN: Shutdown = Shutdown {
    // Without another balancer in front there is nobody to wait for.
    pre_stop: Duration::ZERO,
    // What Kubernetes gives a pod before it is killed.
    grace: Duration::from_secs(30),
};

/// Where requests are told: every one, on standard output, as containers and systemd expect.
pub const ACCESS_LOG: AccessLog = AccessLog {
    path: LogPath::Stdout,
    format: LogFormat::Json,
    sample: 1.0,
};

/// How a node is chosen: what every other balancer does unless told otherwise, and the easiest to reason about.
pub const BALANCE: Balance = Balance::RoundRobin;

/// Limits towards nodes.
pub const NODE_TIMEOUTS: NodeTimeouts = NodeTimeouts {
    // One lost SYN is sent again after a second; the next node is a better bet than waiting for it.
    connect: Some(Duration::from_secs(1)),
    // Slow pages exist; a node silent for half a minute is stuck.
    read: Some(Duration::from_secs(30)),
    // As towards clients.
    write: Some(Duration::from_secs(30)),
    // Below what app servers commonly keep (75 s), so that we close first and never write to a closed connection.
    idle: Duration::from_secs(60),
};

/// How long requests in flight on a draining node may take: a minute is longer than any request with a default
/// read limit needs.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Share of the traffic: all nodes alike.
pub const WEIGHT: u32 = 1;

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

/// What a node is before its first probe: nobody's guess, the probe runs at once.
pub const HEALTH_INITIAL: InitialHealth = InitialHealth::Probe;

/// Status of a redirect: 302 is forgotten at once, a wrong 301 or 308 stays in browsers for months.
pub const REDIRECT_STATUS: http::StatusCode = http::StatusCode::FOUND;

/// Worker threads: every core; 1 where the system does not tell.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
