//! How much effort a busy thread spends on compressing: bytes are cheaper than waiting.
//!
//! Is told how busy the thread is; never measures it.

use crate::base::coding::Coding;

/// How much is done for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// The level that the route says.
    Full,
    /// The level of least effort: [`least`].
    Least,
    /// It goes out as it is.
    None,
}

/// What a thread does that is busy for `busy` hundredths of its time, where the route says `max` hundredths: below them
/// everything, for half of the way from there to 100 the least, above nothing. A `max` of 100: always everything.
pub fn effort(busy: u32, max: u32) -> Effort {
    if busy < max || max >= 100 {
        return Effort::Full;
    }
    let half_way = (max + 100) / 2;
    match busy <= half_way {
        true => Effort::Least,
        false => Effort::None,
    }
}

/// The level of a coding that costs least; 0 for identity, which has none.
pub fn least(coding: Coding) -> u32 {
    match coding {
        Coding::Identity | Coding::Brotli => 0,
        Coding::Gzip | Coding::Deflate | Coding::Zstd => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::compress::levels;

    #[test]
    fn the_busier_a_thread_is_the_less_it_compresses() {
        let steps = [0, 79, 80, 90, 91, 100].map(|busy| effort(busy, 80));
        use Effort::{Full, Least, None};
        assert_eq!(steps, [Full, Full, Least, Least, None, None]);
        assert_eq!(
            [0, 1, 50, 51].map(|busy| effort(busy, 0)),
            [Least, Least, Least, None]
        );
    }

    #[test]
    fn a_limit_of_a_hundred_is_none() {
        assert_eq!(effort(100, 100), Effort::Full);
        // A clock that jumps makes a thread busier than it can be.
        assert_eq!(effort(u32::MAX, 100), Effort::Full);
        assert_eq!(effort(u32::MAX, 99), Effort::None);
    }

    #[test]
    fn least_is_the_first_of_the_levels() {
        for coding in Coding::ALL.into_iter().filter(|c| *c != Coding::Identity) {
            assert_eq!(least(coding), *levels(coding).start());
        }
    }
}
