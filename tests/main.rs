//! The integration stories: the real binary on real sockets in front of real origins.
//!
//! One binary, so that the proxy's libraries are linked once. A module is a subject; a test's name is a sentence.

#![allow(
    clippy::unwrap_used,
    reason = "a panic with a line number is what a failed test is"
)]

mod support;

mod access_log;
mod acme;
mod admin;
mod agent;
mod bad_config;
mod balance;
mod cache;
mod cache_told;
mod caps;
mod commands;
mod compress;
mod corpus;
mod crowds;
mod deadlines;
mod differential;
mod drain;
mod early_answers;
mod edges;
mod events;
mod failing;
mod failures;
mod fields;
mod floors;
mod front;
mod fuzz;
mod grpc;
mod h2_nodes;
mod h2c;
mod half_close;
mod health;
mod hedges;
mod hygiene;
mod invariants;
mod known_attacks;
mod lanes;
mod limits_per_client;
mod metrics;
mod names;
mod node_answers;
mod nodes_tls;
mod page;
mod places;
mod pool;
mod probes;
mod proxy_protocol;
mod proxying;
mod purging;
mod redis;
mod refusals;
mod reload;
mod retries;
mod rig;
mod routing;
mod shutdown;
mod slow;
mod split;
mod stats;
mod sticky;
mod strangers;
mod time_limits;
mod tls;
mod tracing;
mod tunnels;
mod upgrade;
mod watching;
mod websocket;
