//! Carries purges out: what they concern is judged at every lookup from the first moment on; the walk behind it lets go
//! of the memory and counts.

use super::stats::Gone;
use super::{Purge, Store};
use crate::cache::key::Key;
use crate::cache::policy::life::Millis;

impl Store {
    /// Purges: hard removes, soft makes stale from `now` on. From when this is called on nobody is given what it
    /// concerns; the time it takes to return is that of a walk over all that is stored, so it is called off the
    /// threads that serve requests. Returns how many entries it concerned.
    pub fn purge(&self, what: &Purge, hard: bool, now: Millis) -> u64 {
        self.purge_each([(what, hard)], now, |_| {})
    }

    /// The same for several things in their order, with one walk for all of them. `began` is told the
    /// [`Store::sequence`] right before each.
    pub fn purge_each<'a>(
        &self,
        all: impl IntoIterator<Item = (&'a Purge, bool)>,
        now: Millis,
        mut began: impl FnMut(u64),
    ) -> u64 {
        let tag = |name: &[u8]| self.tag_hash(name);
        let (mut first, mut concerned) = (None, 0);
        for (what, hard) in all {
            let number = self.core.epochs.note(what, hard, now, tag);
            began(number - 1);
            match what {
                Purge::Url(key) => concerned += self.purge_url(key, hard, number, now),
                _ => first = first.or(Some(number)),
            }
        }
        concerned + first.map_or(0, |number| self.walk(number))
    }

    fn purge_url(&self, key: &Key, hard: bool, number: u64, now: Millis) -> u64 {
        self.core.registry.purge(key);
        match hard {
            true => self.core.shelf.remove(key) as u64,
            false => (self.core.shelf).each_of(key, |e| e.expire_by(now, number)) as u64,
        }
    }

    /// Judges all that is stored and removes what may not be used. Returns how many entries this purge concerned.
    fn walk(&self, number: u64) -> u64 {
        let core = &self.core;
        let mut concerned = 0;
        core.shelf.for_each(|entry| {
            if !core.epochs.spares(entry) {
                concerned += u64::from(core.shelf.discard(entry, Gone::Purged));
            } else if entry.expired_by() >= number {
                concerned += 1;
            }
        });
        concerned
    }
}
