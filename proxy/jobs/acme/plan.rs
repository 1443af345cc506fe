//! When a certificate is renewed, and when to try again after a failure: arithmetic alone.
//!
//! Nothing here may read a clock or draw a number: both are passed in, so that years are tested in no time.

use std::time::{Duration, SystemTime};

/// How long a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// From when.
    pub from: SystemTime,
    /// Until when.
    pub until: SystemTime,
}

/// When the CA wants a certificate to be renewed (RFC 9773 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub start: SystemTime,
    /// Not after.
    pub end: SystemTime,
}

/// Of the time that is left when it is renewed, so much is spread: proxies that began together do not all come at once.
const SPREAD: f64 = 0.1;

/// When a certificate is to be renewed. `before`: so long before its end; `None`, or as long as its whole life: after two
/// thirds of it. `luck`, from 0 to 1, spreads many over time; the same certificate always has the same.
pub fn renewal(
    life: Life,
    before: Option<Duration>,
    window: Option<Window>,
    luck: f64,
) -> SystemTime {
    if let Some(Window { start, end }) = window {
        let length = end.duration_since(start).unwrap_or_default();
        // A CA that says "never" does not know how long its own certificate holds.
        return (start + length.mul_f64(luck)).min(life.until);
    }
    let length = life.until.duration_since(life.from).unwrap_or_default();
    let left = before
        .filter(|before| *before < length)
        .unwrap_or(length / 3);
    let spread = left.mul_f64(SPREAD * luck);
    let at = life.until.checked_sub(left + spread).unwrap_or(life.from);
    at.max(life.from)
}

/// A number from 0 to 1 that a certificate always has.
pub fn luck(certificate: &[u8]) -> f64 {
    let hash = xxhash_rust::xxh3::xxh3_64(certificate);
    (hash >> 32) as f64 / f64::from(u32::MAX)
}

/// Why there is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// The CA could not be asked, or failed itself: nothing was counted against us.
    Away,
    /// The CA said no, or could not see that a name is ours. Let's Encrypt bears five such in an hour for a name.
    Refused,
    /// The CA has had enough of us.
    Limited,
}

impl Setback {
    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Setback::Away => "away",
            Setback::Refused => "refused",
            Setback::Limited => "limited",
        }
    }

    /// The first pause and the longest.
    fn pauses(self) -> (Duration, Duration) {
        let (minute, hour) = (60, 3_600);
        let (first, longest) = match self {
            Setback::Away => (2, 10 * minute),
            Setback::Refused => (15 * minute, 12 * hour),
            Setback::Limited => (hour, 24 * hour),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }
}

/// The longest that a CA may keep us waiting: its limits are for a week at the most.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long to wait after so many failures in a row (1 is the first). `asked`: what the CA said in `Retry-After`.
pub fn pause(setback: Setback, failures: u32, asked: Option<Duration>, luck: f64) -> Duration {
    let (first, longest) = setback.pauses();
    let doubled = 1u32 << failures.saturating_sub(1).min(20);
    let own = first.saturating_mul(doubled).min(longest);
    let pause = own.max(asked.unwrap_or_default()).min(LONGEST);
    pause + pause.mul_f64(SPREAD * luck)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn day(n: u32) -> SystemTime {
        UNIX_EPOCH + DAY * n
    }

    fn life(days: u32) -> Life {
        Life {
            from: day(100),
            until: day(100 + days),
        }
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life_or_when_the_file_says() {
        assert_eq!(renewal(life(90), None, None, 0.0), day(160));
        assert_eq!(renewal(life(6), None, None, 0.0), day(104));
        assert_eq!(renewal(life(90), Some(DAY * 10), None, 0.0), day(180));
        // As long before its end it does not exist.
        assert_eq!(renewal(life(6), Some(DAY * 30), None, 0.0), day(104));
        assert_eq!(renewal(life(30), Some(DAY * 30), None, 0.0), day(120));
    }

    #[test]
    fn luck_spreads_renewals_over_a_tenth_of_what_is_left_and_never_beyond_its_life() {
        assert_eq!(renewal(life(90), None, None, 1.0), day(157));
        let short = Life {
            from: day(100),
            until: day(100),
        };
        assert_eq!(renewal(short, None, None, 1.0), day(100));
        let turned = Life {
            from: day(100),
            until: day(90),
        };
        assert_eq!(renewal(turned, None, None, 1.0), day(100));
    }

    #[test]
    fn what_the_ca_suggests_counts_before_the_file_but_not_beyond_the_end() {
        let window = Window {
            start: day(110),
            end: day(112),
        };
        let at = |window, luck| renewal(life(90), Some(DAY), Some(window), luck);
        assert_eq!(at(window, 0.0), day(110));
        assert_eq!(at(window, 0.5), day(111));
        assert_eq!(at(window, 1.0), day(112));
        // It revokes: renewed at once, the window being past.
        let past = Window {
            start: day(1),
            end: day(2),
        };
        assert_eq!(at(past, 1.0), day(2));
        let never = Window {
            start: day(5_000),
            end: day(6_000),
        };
        assert_eq!(at(never, 0.0), day(190));
        let turned = Window {
            start: day(112),
            end: day(110),
        };
        assert_eq!(at(turned, 1.0), day(112));
    }

    #[test]
    fn failures_make_pauses_longer_up_to_a_bound_and_the_ca_may_ask_for_more() {
        let seconds = |setback, n, asked: Option<u64>| {
            pause(setback, n, asked.map(Duration::from_secs), 0.0).as_secs()
        };
        assert_eq!(seconds(Setback::Away, 1, None), 2);
        assert_eq!(seconds(Setback::Away, 4, None), 16);
        assert_eq!(seconds(Setback::Away, 400, None), 600);
        assert_eq!(seconds(Setback::Refused, 1, None), 900);
        assert_eq!(seconds(Setback::Refused, u32::MAX, None), 12 * 3_600);
        assert_eq!(seconds(Setback::Limited, 1, None), 3_600);
        assert_eq!(seconds(Setback::Limited, 1, Some(7_000)), 7_000);
        assert_eq!(seconds(Setback::Refused, 1, Some(5)), 900);
        assert_eq!(seconds(Setback::Away, 1, Some(u64::MAX)), 7 * 24 * 3_600);
        let spread = pause(Setback::Refused, 1, None, 1.0);
        assert_eq!(spread, Duration::from_secs(990));
    }

    #[test]
    fn five_refusals_do_not_fall_into_one_hour() {
        let tries: Duration = (1..=4).map(|n| pause(Setback::Refused, n, None, 0.0)).sum();
        assert!(tries > Duration::from_secs(3_600), "{tries:?}");
    }
}
