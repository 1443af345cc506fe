//! Several proxies, stopped for a while or started anew, and one Redis that loses its last writes, is emptied, and evicts
//! what it likes.
//!
//! Two laws. No look-up uses an answer whose fetch began before a purge of it that its proxy knows, or that is on the
//! stream as Redis has it in that moment. And once all have read everything, every purge that one of those keeps who live
//! took effect everywhere, whoever purged.

use std::collections::{HashSet, VecDeque};

use fastrand::Rng;

use self::redis::{Redis, Stored};
use super::*;
use crate::cache::shared::outbox::kept::{Kept, Lost};

/// What Redis has.
mod redis;

const URLS: u8 = 4;
const TAGS: u8 = 2;
/// More purges than there are.
const EVERY: usize = 10_000;
/// Steps that a mark stays.
const MARKED: u64 = 40;
/// Steps after it had read all that a proxy relies on marks.
const RELIES: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Url(u8),
    Tag(u8),
    All,
}

impl What {
    fn any(rng: &mut Rng) -> What {
        match rng.u8(..4) {
            0 | 1 => What::Url(rng.u8(..URLS)),
            2 => What::Tag(rng.u8(..TAGS)),
            _ => What::All,
        }
    }

    fn concerns(self, url: u8) -> bool {
        match self {
            What::Url(this) => this == url,
            What::Tag(tag) => url % TAGS == tag,
            What::All => true,
        }
    }

    fn concern(self) -> Concern {
        match self {
            What::Url(url) => Concern::Url(url.into()),
            What::Tag(_) | What::All => Concern::Epochal,
        }
    }
}

/// A purge as it was: what, and when.
struct Purge {
    what: What,
    time: u64,
}

struct Fetch {
    url: u8,
    began: Option<Position>,
    time: u64,
}

struct Look {
    url: u8,
    answer: (Position, u64),
    head: Head,
    told: HashSet<u64>,
    /// The local fetch that it belongs to was purged meanwhile.
    is_purged: bool,
}

/// What the reader of the stream has in its hands.
enum Hand {
    Nothing,
    Read(Vec<Link>),
    /// They took effect and have no place yet.
    InEffect(Vec<Link>),
}

struct Proxy {
    chain: Chain,
    /// What took effect, by the store's numbers.
    store: Vec<What>,
    applied: HashSet<u64>,
    /// When all was made stale since something may have been missed.
    all_at: u64,
    /// Told to the chain and not yet to the store.
    begun: Vec<u64>,
    outbox: VecDeque<u64>,
    /// The last purges that it knows, its own and others'.
    kept: Kept<u64>,
    fetches: Vec<Fetch>,
    looks: Vec<Look>,
    hand: Hand,
    /// The stream is read again up to this head.
    reading: Option<Head>,
    /// When all there was had been read.
    heard: Option<u64>,
    /// It cannot read the stream, and looks answers up all the same.
    is_deaf: bool,
}

impl Proxy {
    fn new(time: u64, keeps: usize) -> Proxy {
        Proxy {
            chain: Chain::new(12, Millis::MAX),
            store: Vec::new(),
            applied: HashSet::new(),
            all_at: time,
            begun: Vec::new(),
            outbox: VecDeque::new(),
            kept: Kept::new(keeps),
            fetches: Vec::new(),
            looks: Vec::new(),
            hand: Hand::Nothing,
            reading: None,
            heard: None,
            is_deaf: false,
        }
    }

    fn sequence(&self) -> u64 {
        self.store.len() as u64
    }

    fn takes_effect(&mut self, what: What) {
        self.store.push(what);
        if let What::Url(url) = what {
            let looks = self.looks.iter_mut().filter(|look| look.url == url);
            looks.for_each(|look| look.is_purged = true);
        }
    }

    /// One step of the reader, as `feed` takes them.
    fn read(&mut self, world: &mut World, rng: &mut Rng) {
        match std::mem::replace(&mut self.hand, Hand::Nothing) {
            Hand::Read(links) => {
                let mut new: Vec<u64> = Vec::new();
                for link in &links {
                    if !self.chain.knows(link.purge) {
                        let sequence = self.sequence();
                        self.chain.begin(link.purge, link.concern, sequence, 0);
                        new.push(link.purge);
                    }
                }
                for purge in new {
                    self.chain.began_at(purge, self.sequence());
                    self.takes_effect(world.purges[purge as usize].what);
                    self.applied.insert(purge);
                }
                self.hand = Hand::InEffect(links);
            }
            Hand::InEffect(links) => {
                // One that does not follow ends it.
                if !links.iter().all(|link| self.chain.place(link)) {
                    self.reading = None;
                }
                for link in &links {
                    self.kept.keep(link.purge, link.purge, 0, None);
                }
            }
            Hand::Nothing => self.look_at_head(world, rng),
        }
    }

    fn look_at_head(&mut self, world: &mut World, rng: &mut Rng) {
        let redis = &mut world.redis;
        let head = redis.head(rng);
        let last = self.chain.last();
        if self.reading.is_none() && self.chain.is_other(&head) {
            self.chain.lose();
            let first = redis.log.first();
            let there = redis.log.iter().find(|link| link.at.n == last.n);
            let way = self.chain.way(&head, first, there.map(|link| link.at.uid));
            if let Way::Restart(begin) = way {
                self.chain.restart(begin, 0);
            }
            self.reading = Some(head);
        }
        let mut links = redis.links_after(self.chain.last().n);
        if !links.is_empty() {
            links.truncate(rng.usize(1..5));
            self.hand = Hand::Read(links);
        } else if let Some(head) = self.reading.take() {
            if !self.chain.has(head.last) {
                // The stream lacks what the head knows.
                self.chain.restart(head.last, 0);
            }
            if self.chain.has_missed() {
                self.takes_effect(What::All);
                self.all_at = world.time;
            }
            assert!(self.chain.settle(&head));
        } else if head.last.n > last.n {
            self.chain.lose(); // nothing came, and there is something
        } else {
            self.heard = Some(world.time);
            // All is read, and what has no place is not on it.
            let lost = Lost {
                stream: self.chain.stream(),
                since: 0,
                told: u64::MAX,
                others: rng.bool(),
            };
            let is_placed = |purge| self.chain.is_placed(purge);
            self.outbox
                .extend(self.kept.take(lost, usize::MAX, is_placed));
        }
    }

    /// A look-up ends: whether its answer is used.
    fn uses(&self, look: &Look, time: u64) -> bool {
        let has_marks = self.heard.is_some_and(|heard| time - heard < RELIES);
        if self.chain.is_behind(&look.head) && !has_marks {
            return false;
        }
        let (began, _) = look.answer;
        let url = u128::from(look.url);
        let begun = self.chain.begun(url, began, &look.head, self.sequence());
        let Ok(begun) = begun else { return false };
        let later = &self.store[begun as usize..];
        let is_epoch = |what: &&What| !matches!(what, What::Url(_));
        let mut epochs = later.iter().filter(is_epoch);
        !look.is_purged && !epochs.any(|what| what.concerns(look.url))
    }
}

struct World {
    time: u64,
    purges: Vec<Purge>,
    redis: Redis,
    saved: VecDeque<Redis>,
    used: usize,
    looked: usize,
}

impl World {
    fn trouble(&mut self, rng: &mut Rng) {
        match rng.u8(..7) {
            0 => self.redis = Redis::default(),
            1 => self.redis.head = None,
            2 => self.redis.log.clear(),
            3 | 4 => {
                let keep = rng.usize(..6);
                let drop = self.redis.log.len().saturating_sub(keep);
                self.redis.log.drain(..drop);
            }
            5 => {
                // A replica that lacks the last writes takes over.
                if let Some(saved) = self.saved.pop_back() {
                    self.redis = saved;
                }
            }
            _ => {
                let url = rng.u8(..URLS);
                if let Some(Stored::Tombstone(..)) = self.redis.stored.remove(&url) {
                    // Those who have not read that far cannot know.
                    let purges = &self.purges;
                    let is_it = |id: &u64| purges[*id as usize].what == What::Url(url);
                    self.redis.told.retain(|id| !is_it(id));
                }
            }
        }
    }
}

fn step(world: &mut World, proxy: &mut Proxy, rng: &mut Rng) {
    world.time += 1;
    let time = world.time;
    world.redis.forget_marks_before(time.saturating_sub(MARKED));
    match rng.u8(..40) {
        0 => {
            let (id, what) = (world.purges.len() as u64, What::any(rng));
            world.purges.push(Purge { what, time });
            let sequence = proxy.sequence();
            proxy.chain.begin(id, what.concern(), sequence, 0);
            proxy.begun.push(id);
        }
        1..=3 => {
            if let Some(id) = proxy.begun.pop() {
                // It counts from when it took effect.
                world.purges[id as usize].time = time;
                proxy.takes_effect(world.purges[id as usize].what);
                proxy.applied.insert(id);
                proxy.outbox.push_back(id);
            }
        }
        4..=6 => {
            if let Some(id) = proxy.outbox.front().copied() {
                world
                    .redis
                    .publish(id, world.purges[id as usize].what, time, rng);
                // Sometimes the answer is lost, and it is told twice.
                if rng.u8(..8) > 0 {
                    proxy.outbox.pop_front();
                    proxy.kept.keep(id, id, 0, Some(0));
                }
            }
        }
        7..=17 if proxy.is_deaf => {}
        7..=17 => proxy.read(world, rng),
        18..=20 => proxy.fetches.push(Fetch {
            url: rng.u8(..URLS),
            began: proxy.chain.position(),
            time,
        }),
        21..=23 => {
            if !proxy.fetches.is_empty() {
                let fetch = proxy.fetches.swap_remove(rng.usize(..proxy.fetches.len()));
                if let Some(began) = fetch.began {
                    world.redis.write(fetch.url, began, fetch.time);
                }
            }
        }
        24..=31 => {
            let url = rng.u8(..URLS);
            let stored = world.redis.stored.get(&url);
            if let (Some(Stored::Answer(began, fetched)), Some(head)) = (stored, world.redis.head) {
                proxy.looks.push(Look {
                    url,
                    answer: (*began, *fetched),
                    head,
                    told: world.redis.told.clone(),
                    is_purged: false,
                });
            }
        }
        _ => {
            if !proxy.looks.is_empty() {
                let look = proxy.looks.swap_remove(rng.usize(..proxy.looks.len()));
                let is_used = proxy.uses(&look, time);
                world.looked += 1;
                world.used += usize::from(is_used);
                for (id, purge) in (0..).zip(&world.purges) {
                    let is_known = proxy.applied.contains(&id) || look.told.contains(&id);
                    let is_later = purge.time > look.answer.1;
                    let is_wrong = is_known && is_later && purge.what.concerns(look.url);
                    assert!(
                        !(is_used && is_wrong),
                        "{:?} was not heeded: {:?}",
                        purge.what,
                        look.answer
                    );
                }
            }
        }
    }
}

/// Returns how many look-ups there were and how many used what they found.
/// Each proxy keeps so many purges at the most.
fn run(seed: u64, trouble: u32, keeps: usize) -> (usize, usize) {
    let rng = &mut Rng::with_seed(seed);
    let mut world = World {
        time: 0,
        purges: Vec::new(),
        redis: Redis::default(),
        saved: VecDeque::new(),
        used: 0,
        looked: 0,
    };
    let mut proxies: Vec<Proxy> = (0..3).map(|_| Proxy::new(0, keeps)).collect();
    // One of them may be stopped for a while.
    let mut stopped = None;
    for _ in 0..1_500 {
        if rng.u32(..100) < trouble {
            world.trouble(rng);
        }
        if rng.u8(..10) == 0 {
            world.saved.push_back(world.redis.clone());
            world.saved.truncate(3);
        }
        if rng.u8(..50) == 0 {
            stopped = (rng.u8(..2) == 0).then(|| rng.usize(..3));
        }
        let at = rng.usize(..3);
        if trouble > 0 && rng.u8(..100) == 0 {
            proxies[at].is_deaf = rng.bool();
        }
        if rng.u32(..1_000) < trouble {
            proxies[at] = Proxy::new(world.time, keeps);
        } else if stopped != Some(at) {
            step(&mut world, &mut proxies[at], rng);
        }
    }
    // All is well from now on.
    for _ in 0..1_000 {
        for proxy in &mut proxies {
            while let Some(id) = proxy.begun.pop() {
                world.purges[id as usize].time = world.time;
                proxy.takes_effect(world.purges[id as usize].what);
                proxy.applied.insert(id);
                proxy.outbox.push_back(id);
            }
            proxy.read(&mut world, rng);
            if let Some(id) = proxy.outbox.pop_front() {
                world
                    .redis
                    .publish(id, world.purges[id as usize].what, world.time, rng);
                proxy.kept.keep(id, id, 0, Some(0));
            }
        }
        world.time += 1;
    }
    for proxy in &proxies {
        assert_eq!(
            proxy.chain.position(),
            world.redis.head.map(|head| head.last),
            "all is read ({seed})"
        );
        for (id, purge) in (0..).zip(&world.purges) {
            let is_known = proxy.applied.contains(&id) || proxy.all_at >= purge.time;
            let is_kept = proxies.iter().any(|other| other.kept.has(id));
            assert!(is_known || !is_kept, "purge {id} is lost ({seed})");
            let can_be_lost = keeps < EVERY || !proxy.applied.contains(&id);
            assert!(can_be_lost || proxy.kept.has(id), "{id} is kept ({seed})");
        }
    }
    (world.looked, world.used)
}

#[test]
fn no_purge_that_can_be_known_is_missed_and_none_is_lost_whatever_redis_forgets() {
    for seed in 0..400 {
        run(seed, 4, EVERY);
        run(seed, 4, 6);
        run(seed, 1, EVERY);
    }
}

#[test]
fn without_trouble_much_of_what_is_found_is_used() {
    let all = (0..50).map(|seed| run(seed, 0, EVERY));
    let (looked, used) = all.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(used * 8 > looked, "{used} of {looked}");
}
