//! The slow requests of late, with where their time went.
//!
//! The log tells every request; these are kept at hand for the question "why was it slow just now". A ring with a bound:
//! the oldest leave. Asked only about requests that are over, never on the way of one.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::finished::Finished;
use super::ring::Ring;
use crate::base::cached::{Outcome, Why};

/// How many are kept.
pub const KEPT: usize = 500;
/// Bytes of a path and its query that are kept; the longest that may come has thousands.
const LONGEST: usize = 512;

/// A slow request.
#[derive(Debug, Clone)]
pub struct Slow {
    /// When its head had arrived.
    pub at: SystemTime,
    /// Its id.
    pub id: String,
    /// The client's real address.
    pub client: IpAddr,
    /// Its route.
    pub route: String,
    /// Its method.
    pub method: String,
    /// Its `Host`.
    pub host: String,
    /// Its path and query, cut when they are very long.
    pub target: String,
    /// Status sent; 0 when nothing was.
    pub status: u16,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Time it waited for a place on a node.
    pub queue: Option<Duration>,
    /// Time to connect to the node that answered.
    pub connect: Option<Duration>,
    /// From its arrival to the first byte of the answer.
    pub ttfb: Option<Duration>,
    /// From its arrival to its end.
    pub total: Duration,
    /// Its upstream.
    pub upstream: String,
    /// The nodes tried, in order.
    pub nodes: Vec<String>,
    /// What the cache did with it; `None`: its route has no cache.
    pub cache: Option<&'static str>,
    /// Why.
    pub cache_reason: Option<&'static str>,
    /// How it ended.
    pub end: &'static str,
}

/// The last of them.
pub type SlowRing = Ring<Slow>;

impl From<&Finished<'_>> for Slow {
    fn from(f: &Finished<'_>) -> Self {
        Slow {
            at: f.at,
            id: f.id.to_owned(),
            client: f.client,
            route: f.route.to_owned(),
            method: f.method.as_str().to_owned(),
            host: cut(f.host.to_owned()),
            target: cut(match f.query {
                Some(query) => format!("{}?{query}", f.path),
                None => f.path.to_owned(),
            }),
            status: f.status,
            bytes_out: f.bytes_out,
            queue: f.queue,
            connect: f.connect,
            ttfb: f.ttfb,
            total: f.total,
            upstream: f.upstream.to_owned(),
            nodes: f.nodes.iter().map(|node| (*node).to_owned()).collect(),
            cache: f.cache.map(Outcome::as_str),
            cache_reason: f.cache_reason.map(Why::as_str),
            end: f.end.as_str(),
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cache_did_is_kept_too() {
        let kept = Slow::from(&Finished {
            cache: Some(Outcome::Miss),
            cache_reason: Some(Why::Expired),
            ..Finished::example("/", &[])
        });
        assert_eq!(
            (kept.cache, kept.cache_reason),
            (Some("miss"), Some("expired"))
        );
    }

    #[test]
    fn a_very_long_path_is_cut_between_letters() {
        let kept = Slow::from(&Finished::example(&"é".repeat(LONGEST), &[])).target;
        assert!(kept.len() <= LONGEST + 3 && kept.ends_with("é…"), "{kept}");
    }
}
