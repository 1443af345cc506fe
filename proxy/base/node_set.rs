//! A set of positions in a pool, as bits.
//!
//! A pick builds one per attempt ("who may be chosen now"), so it must not allocate for pools of ordinary size:
//! 256 positions live on the stack, more spill to the heap.

use smallvec::SmallVec;

/// A set of positions `0..n`.
///
/// Two sets are equal when they hold the same positions, provided they were made for the same `n`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: SmallVec<[u64; 4]>,
}

impl NodeSet {
    /// An empty set for positions below `n`.
    pub fn with_len(n: usize) -> Self {
        NodeSet {
            words: SmallVec::from_elem(0, n.div_ceil(64)),
        }
    }

    /// The set of all positions below `n`.
    pub fn full(n: usize) -> Self {
        let mut set = Self::with_len(n);
        for i in 0..n {
            set.insert(i);
        }
        set
    }

    /// Adds position `i`.
    ///
    /// # Panics
    /// When `i` is beyond the length the set was made for.
    pub fn insert(&mut self, i: usize) {
        self.words[i / 64] |= 1 << (i % 64);
    }

    /// Takes position `i` out.
    ///
    /// # Panics
    /// When `i` is beyond the length the set was made for.
    pub fn remove(&mut self, i: usize) {
        self.words[i / 64] &= !(1 << (i % 64));
    }

    /// Whether position `i` is in the set.
    pub fn contains(&self, i: usize) -> bool {
        self.words
            .get(i / 64)
            .is_some_and(|w| w & (1 << (i % 64)) != 0)
    }

    /// Number of positions in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether no position is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_in_order_across_words() {
        let mut set = NodeSet::with_len(300);
        for i in [299, 0, 63, 64, 128] {
            set.insert(i);
        }
        set.remove(128);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 299]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(299) && !set.contains(128) && !set.contains(10_000));
    }

    #[test]
    fn a_full_set_has_every_position_and_an_empty_one_none() {
        assert_eq!(NodeSet::full(70).len(), 70);
        assert!(NodeSet::with_len(70).is_empty() && NodeSet::with_len(0).is_empty());
    }
}
