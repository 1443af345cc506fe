//! How a node that is new or has recovered comes to its share of the traffic.
//!
//! A cold cache, an empty connection pool and code that is not compiled yet make a fresh node slow, and its full share
//! at once makes it fail. Pure: the time since it began decides. Source: Envoy, "Slow start mode".

use std::time::Duration;

use crate::config::checked::SlowStart;

/// All of its weight, in hundredths.
pub const FULL: u32 = 100;

/// The part of its weight that counts, in hundredths, so long after the start.
pub fn share(rules: &SlowStart, since: Duration) -> u32 {
    if since >= rules.time || rules.time.is_zero() {
        return FULL;
    }
    let passed = since.as_secs_f64() / rules.time.as_secs_f64();
    let share = passed.powf(f64::from(rules.curve) / 100.0) * f64::from(FULL);
    // Nothing at all would never be tried.
    (share.round() as u32).max(rules.floor).clamp(1, FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_climbs_from_the_floor_along_its_curve() {
        let rules = |curve| SlowStart {
            time: Duration::from_secs(10),
            floor: 10,
            curve,
        };
        let at = |curve, ms| share(&rules(curve), Duration::from_millis(ms));
        assert_eq!(
            [0, 500, 2_500, 5_000, 9_990, 10_000, 60_000].map(|ms| at(100, ms)),
            [10, 10, 25, 50, 100, 100, 100]
        );
        assert_eq!(at(200, 5_000), 25, "slower in the beginning");
        assert_eq!(at(50, 2_500), 50, "quicker");
    }
}
