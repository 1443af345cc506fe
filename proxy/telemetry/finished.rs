//! What is told of a finished request: one record, whichever way the request went.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{Method, Version};

use super::traces::Recording;
use crate::base::cached::{Outcome, Why};
use crate::base::coding::Coding;
use crate::base::reason::{End, Refusal};
use crate::base::trace::Trace;

/// A finished request, as the access log tells it. Borrowed: it lives as long as one call.
#[derive(Debug)]
pub struct Finished<'a> {
    /// When its head had arrived.
    pub at: SystemTime,
    /// Its id, the one sent to the node.
    pub id: &'a str,
    /// The client's real address.
    pub client: IpAddr,
    /// The data port it came in by.
    pub listener: &'a str,
    /// The route it took; empty when none matched.
    pub route: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its `Host`.
    pub host: &'a str,
    /// Its path.
    pub path: &'a str,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Version the client spoke.
    pub version: Version,
    /// The version of TLS that its client spoke to us; `None`: it came in the clear.
    pub tls: Option<&'static str>,
    /// The name that its client asked for in the handshake.
    pub sni: Option<&'a str>,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Time it waited for a place on a node.
    pub queue: Option<Duration>,
    /// Time to connect to the node that answered, last attempt.
    pub connect: Option<Duration>,
    /// From the request's arrival to the first byte of the node's answer.
    pub ttfb: Option<Duration>,
    /// From the request's arrival to its end.
    pub total: Duration,
    /// The upstream; empty when none was asked.
    pub upstream: &'a str,
    /// The nodes tried, in order.
    pub nodes: &'a [&'a str],
    /// What the cache did with it; `None`: its route has no cache.
    pub cache: Option<Outcome>,
    /// Why.
    pub cache_reason: Option<Why>,
    /// How the body that the client got is written; `None`: as it is.
    pub encoding: Option<Coding>,
    /// How it ended as a gRPC call, by the call's own number; `None`: it is none, or nobody said.
    pub grpc_status: Option<u32>,
    /// Why it would not have been taken in, were that not only counted.
    pub dry_run: Option<Refusal>,
    /// Its place in its trace; `None`: it has none.
    pub trace: Option<Trace>,
    /// What happened meanwhile, of a request whose span goes to the collector.
    pub recording: Option<&'a Recording>,
    /// How it ended.
    pub end: End,
}

#[cfg(test)]
impl<'a> Finished<'a> {
    /// A request that went well, for tests.
    pub(super) fn example(path: &'a str, nodes: &'a [&'a str]) -> Self {
        Finished {
            at: std::time::UNIX_EPOCH + Duration::from_millis(1_500),
            id: "id1",
            client: "10.0.0.7".parse().expect("invariant: an address"),
            listener: "127.0.0.1:8080",
            route: "default",
            method: &Method::GET,
            host: "a\"b",
            path,
            query: None,
            version: Version::HTTP_11,
            tls: None,
            sni: None,
            status: 200,
            bytes_in: 0,
            bytes_out: 5,
            queue: None,
            connect: None,
            ttfb: Some(Duration::from_micros(1_500)),
            total: Duration::from_millis(2),
            upstream: "web",
            nodes,
            cache: None,
            cache_reason: None,
            encoding: None,
            grpc_status: None,
            dry_run: None,
            trace: None,
            recording: None,
            end: End::Ok,
        }
    }
}
