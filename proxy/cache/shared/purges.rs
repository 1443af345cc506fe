//! Purges that all proxies of a cluster carry out: the handle of one proxy.
//!
//! A purge takes effect here first and at once; that it is told to others holds nobody up. In this order: `Purges::begin`
//! before the store is told, `Purges::tell` after. So an answer of another proxy that is looked at meanwhile is judged
//! as if the purge had been known all along.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::chain::{Chain, Head, Position, Unusable};
use super::outbox::{Outbox, Put};
use super::purges_stats::{PurgesStats, add, set};
use super::record::{Deed, Record};
use super::stream::Stream;
use crate::cache::policy::life::Millis;
use crate::kv::Kv;

/// How much longer than an answer may be kept in Redis a purge is remembered that Redis forgot: fetches take time, too.
const MORE: Millis = 60_000;
/// Milliseconds that the mark of a purged URL stays. It is for proxies that have not read the purge yet, and keeps answers
/// away that were on their way; who has read it knows without a mark. As many as clients write to URLs, so many there are.
const MARKED: Millis = 120_000;
/// For so long after it had read all there was a proxy may rely on the marks of what came since: half as long as they stay.
const RELIES: Duration = Duration::from_secs(60);

/// Where purges take effect: the proxy, as far as a purge needs it.
pub trait Local: Send + Sync + 'static {
    /// The time by the clock of the cache.
    fn now(&self) -> Millis;
    /// The seed of the store's keys.
    fn seed(&self) -> u64;
    /// The store's sequence.
    fn sequence(&self) -> u64;
    /// Carries out purges of others. `began` is told the number of each, and the store's sequence right before it.
    fn carry_out(&self, records: &[Record], began: &mut dyn FnMut(u64, u64));
    /// Makes all that is stored stale, since purges of others may have been missed. Returns how many answers.
    fn doubt_all(&self) -> u64;
    /// Notes what became of the stream, in words; `is_bad`: somebody should look at it.
    fn note(&self, said: String, is_bad: bool);
}

/// The purges of a cluster, as one proxy knows them.
#[derive(Debug)]
pub struct Purges {
    pub(super) kv: Arc<Kv>,
    pub(super) stream: Stream,
    pub(super) chain: RwLock<Chain>,
    pub(super) outbox: Mutex<Outbox>,
    /// There is something to tell.
    pub(super) news: Notify,
    /// Somebody saw that the stream went on without us.
    pub(super) woken: Notify,
    /// Somebody waits until all is told.
    pub(super) told: Notify,
    stats: PurgesStats,
    seed: u64,
    drawn: AtomicU64,
    /// Places that are kept.
    history: AtomicU64,
    ttl_max: AtomicU64,
    /// When all there was had been read.
    heard: Mutex<Option<Instant>>,
}

impl Purges {
    /// Nothing is known yet. `seed` is drawn at random, so that no two proxies draw the same numbers; `ttl_max`: for so
    /// many milliseconds Redis keeps an answer at the most.
    pub fn new(kv: Arc<Kv>, prefix: &str, seed: u64, history: usize, ttl_max: Millis) -> Purges {
        Purges {
            kv,
            stream: Stream::new(prefix),
            chain: RwLock::new(Chain::new(history, ttl_max.saturating_add(MORE))),
            outbox: Mutex::default(),
            news: Notify::new(),
            woken: Notify::new(),
            told: Notify::new(),
            stats: PurgesStats::default(),
            seed,
            drawn: AtomicU64::new(0),
            history: AtomicU64::new(history as u64),
            ttl_max: AtomicU64::new(ttl_max),
            heard: Mutex::new(None),
        }
    }

    /// Goes on with other bounds.
    pub fn set_bounds(&self, history: usize, ttl_max: Millis) {
        self.history.store(history as u64, Relaxed);
        self.ttl_max.store(ttl_max, Relaxed);
        let keep = ttl_max.saturating_add(MORE);
        self.chain.write().set_bounds(history, keep);
    }

    /// Numbers of what was told and heard.
    pub fn stats(&self) -> &PurgesStats {
        &self.stats
    }

    /// What a fetch that begins now knows. `None`: nobody else could use its answer.
    pub fn position(&self) -> Option<Position> {
        self.chain.read().position()
    }

    /// The store's sequence at which the fetch of an answer counts as begun that was found in Redis. `url`: the hash of
    /// its key that is the same everywhere; `began`: what its fetch knew; `head`: what Redis had under the chain's head
    /// in the same moment; `sequence`: the store's, read before this is called. `None`: it must not be used.
    pub fn begun(&self, url: u128, began: Position, head: &[u8], sequence: u64) -> Option<u64> {
        let judge = |head: Head| {
            let chain = self.chain.read();
            match chain.is_behind(&head) && !self.has_marks() {
                true => Err(Unusable::Behind),
                false => chain.begun(url, began, &head, sequence),
            }
        };
        let begun = Head::parse(head).ok_or(Unusable::Behind).and_then(judge);
        if begun == Err(Unusable::Behind) {
            self.woken.notify_one();
        }
        begun.ok()
    }

    /// Whether each purge of a URL that is not known here has its mark. Not in a cluster of Redis, where it is set after
    /// the head went on; and not for longer than marks stay.
    fn has_marks(&self) -> bool {
        let heard = *self.heard.lock();
        !self.kv.address().cluster && heard.is_some_and(|heard| heard.elapsed() < RELIES)
    }

    /// All that had been told by then is known.
    pub(super) fn has_heard(&self, by: Instant) {
        *self.heard.lock() = Some(by);
    }

    /// A purge is about to take effect here, which concerns what this says. To be told before the store is. Returns what
    /// it is known by.
    pub fn begin(&self, deed: &Deed, sequence: u64, now: Millis) -> u64 {
        let purge = self.draw();
        let concern = deed.concern();
        self.chain.write().begin(purge, concern, sequence, now);
        purge
    }

    /// It took effect; the others are told.
    pub fn tell(&self, record: Record) {
        let purge = record.purge;
        let mut outbox = self.outbox.lock();
        let put = outbox.put(record);
        set(&self.stats.queued, outbox.waiting() as u64);
        drop(outbox);
        match put {
            Put::Waits => {}
            // The one that says it too took effect before and is told after.
            Put::Said => self.chain.write().withdraw(purge),
            Put::Folded(many) => {
                add(&self.stats.folded, many);
                tracing::warn!(
                    "{many} purges waited to be told to the other proxies: they will be told to purge everything instead"
                );
            }
        }
        self.news.notify_one();
    }

    /// How many of our purges nobody was told of yet.
    pub fn waiting(&self) -> usize {
        self.outbox.lock().waiting()
    }

    /// Waits until all of our purges are told.
    pub async fn all_told(&self) {
        loop {
            let told = self.told.notified();
            if self.outbox.lock().waiting() == 0 {
                return;
            }
            told.await;
        }
    }

    /// A number that nobody else draws; never 0.
    pub(super) fn draw(&self) -> u64 {
        let n = self.drawn.fetch_add(1, Relaxed);
        xxh3_64_with_seed(&n.to_be_bytes(), self.seed).max(1)
    }

    pub(super) fn history(&self) -> usize {
        usize::try_from(self.history.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// Milliseconds that a purge is remembered which Redis forgot.
    pub(super) fn keep(&self) -> Millis {
        self.ttl_max.load(Relaxed).saturating_add(MORE)
    }

    /// Milliseconds that others have to tell again what Redis forgot of theirs, before we do. Not the same everywhere, so
    /// that one does it and the others see that.
    pub(super) fn patience(&self) -> Millis {
        2_000 + self.seed % 4 * 1_000
    }

    /// Milliseconds that the mark of a purged URL stays.
    pub(super) fn marks(&self) -> Millis {
        self.keep().min(MARKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Address;

    /// In step with a stream on which nothing was purged yet.
    fn purges(cluster: bool) -> Purges {
        let address = Address {
            url: "redis://127.0.0.1:1".into(),
            password: None,
            ca: None,
            cluster,
        };
        let kv = Arc::new(Kv::new(address, Duration::from_millis(20)));
        let purges = Purges::new(kv, "tg", 1, 256, 60_000);
        let genesis = Position { n: 0, uid: 9 };
        let head = Head {
            last: genesis,
            epochal: genesis,
        };
        purges.chain.write().restart(genesis, 0);
        assert!(purges.chain.write().settle(&head));
        purges
    }

    /// What is said of an answer beside a head that is as far as we are, and beside one that is a purge of a URL ahead.
    fn judged(purges: &Purges) -> [Option<u64>; 2] {
        let genesis = Position { n: 0, uid: 9 };
        let heads: [&[u8]; 2] = [b"0:9:0:9", b"1:a:0:9"];
        heads.map(|head| purges.begun(7, genesis, head, 30))
    }

    #[test]
    fn marks_of_what_is_not_known_yet_count_where_they_are_set_with_the_head() {
        let one = purges(false);
        one.has_heard(Instant::now());
        assert_eq!(judged(&one), [Some(30), Some(30)]);
        let cluster = purges(true);
        cluster.has_heard(Instant::now());
        assert_eq!(judged(&cluster), [Some(30), None]);
    }

    #[test]
    fn who_has_heard_nothing_for_long_relies_on_no_mark_that_may_be_gone() {
        let deaf = purges(false);
        assert_eq!(judged(&deaf), [Some(30), None]);
        let then = Instant::now().checked_sub(RELIES).unwrap();
        deaf.has_heard(then);
        assert_eq!(judged(&deaf), [Some(30), None]);
        let marked = Duration::from_millis(deaf.marks());
        assert!(RELIES * 2 <= marked, "a mark outlives that");
    }
}
