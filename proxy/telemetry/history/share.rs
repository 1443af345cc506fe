//! Within what time a share of the requests was answered, out of the counts of a histogram.
//!
//! Within a bucket requests are taken to be spread evenly, as Prometheus' `histogram_quantile` does: below the first
//! bound from zero on. Of those above the last bound it is only known that they took longer: they count as that bound.

use super::amounts::SIZES;
use crate::telemetry::metrics::BUCKETS;

/// Steps that a bucket is divided into.
const PARTS: u16 = 4_000;

/// A time as a place among the buckets: which one, and how far into it. Two bytes; as exact as the buckets allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot(u16);

impl Spot {
    /// No request, no time.
    pub(super) const NONE: Spot = Spot(u16::MAX);

    /// Where the request at `share` (0 to 1) of all is found.
    pub(super) fn of(took: &[u64; SIZES], share: f64) -> Spot {
        let all: u64 = took.iter().sum();
        if all == 0 {
            return Spot::NONE;
        }
        let rank = all as f64 * share;
        let mut below = 0.0;
        for (bucket, &n) in (0_u16..).zip(took) {
            let n = n as f64;
            if n > 0.0 && below + n >= rank {
                if usize::from(bucket) == BUCKETS.len() {
                    break;
                }
                let into = ((rank - below) / n * f64::from(PARTS)).round();
                return Spot(bucket * PARTS + into as u16);
            }
            below += n;
        }
        Spot(BUCKETS.len() as u16 * PARTS)
    }

    /// The time in seconds; none: there was no request.
    pub(super) fn seconds(self) -> Option<f64> {
        if self == Spot::NONE {
            return None;
        }
        let (bucket, into) = (usize::from(self.0 / PARTS), self.0 % PARTS);
        let upper = BUCKETS.get(bucket).or(BUCKETS.last());
        let lower = match bucket {
            0 => 0.0,
            _ => BUCKETS[bucket.min(BUCKETS.len()) - 1],
        };
        let span = upper.map_or(0.0, |upper| upper - lower);
        let seconds = lower + span * f64::from(into) / f64::from(PARTS);
        Some((seconds * 1e6).round() / 1e6)
    }
}
