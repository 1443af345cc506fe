//! What the program believes of an upstream's health checks.
//!
//! How a node is asked is apart from what its answers lead to: nodes at one address that are asked alike share a
//! probe, and each counts for itself. Nothing here may need the file to be understood.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

use super::{NodeTls, ProxyProtocol};

/// Active health checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// How a node is asked.
    pub asking: Asking,
    /// Passed probes in a row that make a node healthy.
    pub rise: u32,
    /// Failed probes in a row that make a node unhealthy.
    pub fall: u32,
    /// What a node is before its first probe has answered.
    pub initial: InitialHealth,
    /// Whether the answer's `X-Tidegate-State` is obeyed.
    pub agent: bool,
}

/// How a node is asked, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// What is asked.
    pub probe: Probe,
    /// `Host` (HTTP), `:authority` (gRPC), the name in the certificate (TLS); the node's address when absent.
    pub host: Option<HeaderValue>,
    /// Further fields of an HTTP or gRPC probe, in the order of the file.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Another port of the node than the one that requests go to.
    pub port: Option<u16>,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<NodeTls>,
    /// How the node is told that nobody's connection comes; `None`: it is not.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// From one probe to the next (jittered by a tenth).
    pub interval: Duration,
    /// The same while the node is unhealthy.
    pub unhealthy_interval: Duration,
    /// One probe's limit.
    pub timeout: Duration,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A request.
    Http(HttpProbe),
    /// A connection that opens; with TLS, a handshake that succeeds.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Whose health is asked for; empty: the server's.
        service: String,
    },
}

/// What an HTTP probe asks, and which answer is a good one.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    /// GET, HEAD or OPTIONS.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Accepted status codes, as inclusive ranges; not empty.
    pub expect: Vec<(u16, u16)>,
    /// What the body must have; `None`: it is not read.
    pub body: Option<BodyMatch>,
}

/// Accepted status codes as the file writes them.
pub fn codes(expect: &[(u16, u16)]) -> Vec<String> {
    let word = |(low, high): &(u16, u16)| match low == high {
        true => low.to_string(),
        false => format!("{low}-{high}"),
    };
    expect.iter().map(word).collect()
}

/// What the beginning of an answer's body must have.
#[derive(Debug, Clone)]
pub enum BodyMatch {
    /// This text, somewhere.
    Text(String),
    /// Something this expression finds; bytes that are no UTF-8 are replaced before it looks.
    Regex(Regex),
}

impl PartialEq for BodyMatch {
    /// Expressions are alike when they are written alike.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (BodyMatch::Text(a), BodyMatch::Text(b)) => a == b,
            (BodyMatch::Regex(a), BodyMatch::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What a node is before its first probe has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialHealth {
    /// Not used while others are there, until one probe passes.
    Probe,
    /// Taken for healthy.
    Healthy,
    /// Taken for unhealthy until `rise` probes have passed.
    Unhealthy,
}
