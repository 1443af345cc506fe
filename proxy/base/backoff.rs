//! How long to wait before trying again: longer each time, and never all at the same moment.
//!
//! Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), "full jitter". Draws nothing itself.

use std::time::Duration;

/// How many times the first pause the longest one is.
const LONGEST: u32 = 10;

/// The pause before try `n` (the first repetition is 1), where the first is at most `first`.
/// `random` decides how much of it, from nothing to all.
pub fn pause(first: Duration, n: u32, random: u64) -> Duration {
    let doubled = 1u32 << n.saturating_sub(1).min(16);
    let most = first.saturating_mul(doubled.min(LONGEST));
    // The upper half of the random bits, as a share of 2^32.
    let share = (random >> 32) as f64 / f64::from(u32::MAX);
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_bound_and_chance_takes_any_part_of_it() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(25), 1, u64::MAX), ms(25));
        assert_eq!(pause(ms(25), 2, u64::MAX), ms(50));
        assert_eq!(pause(ms(25), 40, u64::MAX), ms(250));
        assert_eq!(pause(ms(25), 3, 0), ms(0));
        assert_eq!(pause(ms(0), 3, u64::MAX), ms(0));
        let half = pause(ms(100), 1, u64::MAX / 2);
        assert!(half > ms(49) && half < ms(51), "{half:?}");
    }
}
