//! What is kept of one step, as small as it goes: there are thousands of them for each series.

use super::amounts::{Amounts, SIZES};
use super::share::Spot;

/// The shares of which a time is kept.
const SHARES: [f64; 3] = [0.5, 0.95, 0.99];

/// One step of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Requests that ended.
    pub requests: u64,
    /// Of those, what [`Amounts::errors`] says.
    pub errors: u64,
    /// Attempts that followed a failed one; 0 in a series of [`Shape::Whole`].
    pub retries: u64,
    /// Seconds within which half of the requests were answered; none: there were none.
    pub p50: Option<f64>,
    /// The same for 95 of 100.
    pub p95: Option<f64>,
    /// The same for 99 of 100.
    pub p99: Option<f64>,
    /// Requests being worked on at its end.
    pub in_flight: u64,
    /// Body bytes from clients. This and what follows is 0 in a series of [`Shape::Nodes`].
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Requests answered from the store.
    pub cache_hits: u64,
    /// Requests that the store was asked for.
    pub cache_lookups: u64,
    /// Body bytes out of the store.
    pub cache_hit_bytes: u64,
}

/// What a series keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// What is seen at the front: all but retries.
    Whole,
    /// What is seen of nodes: requests, errors, retries, times, in flight.
    Nodes,
}

/// A step as it is kept.
pub(super) trait Kept: Copy {
    /// A step of which nothing is known.
    const NONE: Self;
    /// A step in which this came.
    fn of(came: &Amounts, in_flight: u64) -> Self;
    /// What it says; none: nothing is known of it.
    fn told(&self) -> Option<Point>;
}

/// Stands for "nothing is known" where the requests are.
const UNKNOWN: u32 = u32::MAX;

/// Of [`Shape::Nodes`]: 20 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfNodes {
    requests: u32,
    errors: u32,
    retries: u32,
    took: [Spot; SHARES.len()],
    in_flight: u16,
}

impl Kept for OfNodes {
    const NONE: Self = OfNodes {
        requests: UNKNOWN,
        errors: 0,
        retries: 0,
        took: [Spot::NONE; SHARES.len()],
        in_flight: 0,
    };

    fn of(came: &Amounts, in_flight: u64) -> Self {
        OfNodes {
            requests: narrow(came.requests),
            errors: narrow(came.errors),
            retries: narrow(came.retries),
            took: spots(&came.took),
            in_flight: in_flight.try_into().unwrap_or(u16::MAX),
        }
    }

    fn told(&self) -> Option<Point> {
        let [p50, p95, p99] = self.took.map(Spot::seconds);
        (self.requests != UNKNOWN).then(|| Point {
            requests: self.requests.into(),
            errors: self.errors.into(),
            retries: self.retries.into(),
            p50,
            p95,
            p99,
            in_flight: self.in_flight.into(),
            ..Point::default()
        })
    }
}

/// Of [`Shape::Whole`]: 44 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfWhole {
    requests: u32,
    errors: u32,
    in_flight: u32,
    cache_hits: u32,
    cache_lookups: u32,
    bytes_in: Wide,
    bytes_out: Wide,
    cache_hit_bytes: Wide,
    took: [Spot; SHARES.len()],
}

impl Kept for OfWhole {
    const NONE: Self = OfWhole {
        requests: UNKNOWN,
        errors: 0,
        in_flight: 0,
        cache_hits: 0,
        cache_lookups: 0,
        bytes_in: Wide([0; 3]),
        bytes_out: Wide([0; 3]),
        cache_hit_bytes: Wide([0; 3]),
        took: [Spot::NONE; SHARES.len()],
    };

    fn of(came: &Amounts, in_flight: u64) -> Self {
        OfWhole {
            requests: narrow(came.requests),
            errors: narrow(came.errors),
            in_flight: narrow(in_flight),
            cache_hits: narrow(came.cache_hits),
            cache_lookups: narrow(came.cache_lookups),
            bytes_in: Wide::of(came.bytes_in),
            bytes_out: Wide::of(came.bytes_out),
            cache_hit_bytes: Wide::of(came.cache_hit_bytes),
            took: spots(&came.took),
        }
    }

    fn told(&self) -> Option<Point> {
        let [p50, p95, p99] = self.took.map(Spot::seconds);
        (self.requests != UNKNOWN).then(|| Point {
            requests: self.requests.into(),
            errors: self.errors.into(),
            retries: 0,
            p50,
            p95,
            p99,
            in_flight: self.in_flight.into(),
            bytes_in: self.bytes_in.told(),
            bytes_out: self.bytes_out.told(),
            cache_hits: self.cache_hits.into(),
            cache_lookups: self.cache_lookups.into(),
            cache_hit_bytes: self.cache_hit_bytes.told(),
        })
    }
}

/// The point of what came in several steps together.
pub(super) fn together(came: &Amounts, in_flight: u64) -> Option<Point> {
    let mut point = OfWhole::of(came, in_flight).told()?;
    point.retries = came.retries;
    Some(point)
}

/// 48 bits, aligned as 16: bytes of a minute do not fit into 32.
#[derive(Debug, Clone, Copy)]
struct Wide([u16; 3]);

impl Wide {
    const MOST: u64 = (1 << 48) - 1;

    fn of(n: u64) -> Wide {
        let n = n.min(Wide::MOST);
        Wide([n as u16, (n >> 16) as u16, (n >> 32) as u16])
    }

    fn told(self) -> u64 {
        let [low, middle, high] = self.0.map(u64::from);
        low | middle << 16 | high << 32
    }
}

/// As much as fits; one less than what stands for "nothing is known".
fn narrow(n: u64) -> u32 {
    n.try_into().unwrap_or(UNKNOWN).min(UNKNOWN - 1)
}

fn spots(took: &[u64; SIZES]) -> [Spot; SHARES.len()] {
    SHARES.map(|share| Spot::of(took, share))
}
