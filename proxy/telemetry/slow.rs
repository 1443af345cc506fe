//! The slow requests of late, with where their time went.
//!
//! The log tells every request; these are kept at hand for the question "why was it slow just now". A ring with a bound:
//! the oldest leave. Asked only about requests that are over, never on the way of one.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::finished::Finished;
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
#[derive(Debug, Default)]
pub struct SlowRing(Mutex<VecDeque<Slow>>);

impl SlowRing {
    /// Keeps one.
    pub fn note(&self, f: &Finished<'_>) {
        let slow = Slow::from(f);
        let mut ring = self.0.lock();
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(slow);
    }

    /// The last `most`, the latest first, of this route when one is given.
    pub fn latest(&self, most: usize, route: Option<&str>) -> Vec<Slow> {
        let ring = self.0.lock();
        let wanted = |slow: &&Slow| route.is_none_or(|route| slow.route == route);
        ring.iter()
            .rev()
            .filter(wanted)
            .take(most)
            .cloned()
            .collect()
    }
}

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

    fn finished<'a>(path: &'a str, route: &'a str) -> Finished<'a> {
        Finished {
            route,
            ..Finished::example(path, &["app-1"])
        }
    }

    #[test]
    fn the_latest_are_kept_and_the_oldest_leave() {
        let ring = SlowRing::default();
        let paths: Vec<String> = (0..=KEPT).map(|n| format!("/{n}")).collect();
        for (n, path) in paths.iter().enumerate() {
            ring.note(&finished(path, if n % 2 == 0 { "even" } else { "odd" }));
        }
        let all = ring.latest(usize::MAX, None);
        assert_eq!(all.len(), KEPT);
        assert_eq!(
            (all[0].target.as_str(), all[KEPT - 1].target.as_str()),
            ("/500", "/1")
        );
        let odd = ring.latest(2, Some("odd"));
        assert_eq!(
            odd.iter().map(|s| s.target.as_str()).collect::<Vec<_>>(),
            ["/499", "/497"]
        );
    }

    #[test]
    fn what_the_cache_did_is_kept_too() {
        let ring = SlowRing::default();
        ring.note(&Finished {
            cache: Some(Outcome::Miss),
            cache_reason: Some(Why::Expired),
            ..Finished::example("/", &[])
        });
        let kept = &ring.latest(1, None)[0];
        assert_eq!(
            (kept.cache, kept.cache_reason),
            (Some("miss"), Some("expired"))
        );
    }

    #[test]
    fn a_very_long_path_is_cut_between_letters() {
        let ring = SlowRing::default();
        ring.note(&finished(&"é".repeat(LONGEST), "r"));
        let kept = &ring.latest(1, None)[0].target;
        assert!(kept.len() <= LONGEST + 3 && kept.ends_with("é…"), "{kept}");
    }
}
