//! Who has series, and until when.
//!
//! What left the configuration keeps its series for ten minutes: a scrape interval and a look back. Who comes back
//! meanwhile finds its counts. The time is passed in.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long the series of what was removed stay.
pub const STAYS: Duration = Duration::from_secs(600);

/// The handles of all that have series of one sort, by name.
#[derive(Debug)]
pub(super) struct Lives<K, H>(Mutex<HashMap<K, Life<H>>>);

#[derive(Debug)]
struct Life<H> {
    handles: H,
    gone_since: Option<Instant>,
}

impl<K, H> Default for Lives<K, H> {
    fn default() -> Self {
        Lives(Mutex::default())
    }
}

impl<K: Eq + Hash, H: Clone> Lives<K, H> {
    /// The handles of one that is in use from now on; they are the same as long as it is known.
    pub(super) fn of(&self, key: K, make: impl FnOnce() -> H) -> H {
        let mut all = self.0.lock();
        let life = all.entry(key).or_insert_with(|| Life {
            handles: make(),
            gone_since: None,
        });
        life.gone_since = None;
        life.handles.clone()
    }

    /// The handles of one that has some. It is no more in use than before.
    pub(super) fn known<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<H>
    where
        K: Borrow<Q>,
    {
        self.0.lock().get(key).map(|life| life.handles.clone())
    }

    /// One is gone.
    pub(super) fn left<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant)
    where
        K: Borrow<Q>,
    {
        if let Some(life) = self.0.lock().get_mut(key) {
            life.gone_since.get_or_insert(now);
        }
    }

    /// Those in use, and no other, are.
    pub(super) fn only(&self, in_use: impl Fn(&K) -> bool, now: Instant) {
        for (key, life) in self.0.lock().iter_mut() {
            match in_use(key) {
                true => life.gone_since = None,
                false => drop(life.gone_since.get_or_insert(now)),
            }
        }
    }

    /// Forgets those that have been gone for long enough. Nobody gets new handles while one is forgotten.
    pub(super) fn forget_gone(&self, now: Instant, forget: impl Fn(&K)) {
        self.0.lock().retain(|key, life| {
            let gone_for = life.gone_since.map(|since| now.duration_since(since));
            let stays = gone_for.is_none_or(|time| time < STAYS);
            if !stays {
                forget(key);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn forgotten(lives: &Lives<String, u32>, now: Instant) -> Vec<String> {
        let names = RefCell::new(Vec::new());
        lives.forget_gone(now, |name| names.borrow_mut().push(name.clone()));
        names.into_inner()
    }

    fn two() -> Lives<String, u32> {
        let lives = Lives::default();
        lives.of("a".to_string(), || 1);
        lives.of("b".to_string(), || 2);
        lives
    }

    #[test]
    fn who_left_is_forgotten_after_ten_minutes_and_not_before() {
        let (lives, t0) = (two(), Instant::now());
        lives.left("a", t0);
        let almost = t0 + STAYS - Duration::from_nanos(1);
        assert!(forgotten(&lives, almost).is_empty());
        assert_eq!(forgotten(&lives, t0 + STAYS), ["a"]);
        assert_eq!((lives.known("a"), lives.known("b")), (None, Some(2)));
        assert!(forgotten(&lives, t0 + STAYS * 9).is_empty(), "once");
    }

    #[test]
    fn being_told_again_that_one_is_gone_does_not_prolong_its_stay() {
        let (lives, t0) = (two(), Instant::now());
        let only_b = |name: &String| name == "b";
        lives.only(only_b, t0);
        lives.only(only_b, t0 + STAYS / 2);
        lives.left("a", t0 + STAYS / 2);
        assert_eq!(forgotten(&lives, t0 + STAYS), ["a"]);
    }

    #[test]
    fn who_comes_back_in_time_has_the_same_handles_and_a_whole_stay_before_it() {
        let (lives, t0) = (two(), Instant::now());
        lives.left("a", t0);
        assert_eq!(lives.of("a".to_string(), || 7), 1);
        assert!(forgotten(&lives, t0 + STAYS).is_empty());
        lives.left("a", t0 + STAYS);
        assert!(forgotten(&lives, t0 + STAYS * 2 - Duration::from_nanos(1)).is_empty());
        assert_eq!(forgotten(&lives, t0 + STAYS * 2), ["a"]);
        assert_eq!(lives.of("a".to_string(), || 7), 7, "a new life");
    }

    #[test]
    fn a_reader_keeps_nobody() {
        let (lives, t0) = (two(), Instant::now());
        lives.left("a", t0);
        assert_eq!(lives.known("a"), Some(1));
        assert_eq!(forgotten(&lives, t0 + STAYS), ["a"]);
    }
}
