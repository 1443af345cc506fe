//! Redis in every kind of trouble, under 500 requests a second that all miss in memory: nobody notices but by what is
//! fetched again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::{RECOVERY, shared_at, told};
use crate::support::load::{Load, Tally};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::rough::{Rough, Way};
use crate::support::{check, eventually, ms};

/// Requests a second.
const RATE: u32 = 500;
/// Of each phase: requests.
const PHASE: usize = 1_500;
/// What the first requests may wait for a Redis that does not answer: its deadline, and what a busy machine adds.
const FIRST: Duration = Duration::from_millis(25);
/// What a machine that builds and tests beside it adds to the slowest of a hundred. The figures are printed.
const NOISE: Duration = Duration::from_millis(150);
/// Requests that may wait for a whole deadline before nobody asks any more: those of two deadlines, and what comes late on a
/// busy machine.
const MOST_WAIT: f64 = 60.0;
/// Memory that a run may take beyond what it had: what is stored meanwhile, and no queue without a bound.
const GROWTH: usize = 48 * 1024 * 1024;

/// The n-th page of a phase.
type Pages = fn(usize) -> String;

/// Pages of each phase: nobody has asked for them before.
const PHASES: [Pages; 6] = [
    |n| format!("/a/{n}"),
    |n| format!("/b/{n}"),
    |n| format!("/c/{n}"),
    |n| format!("/d/{n}"),
    |n| format!("/e/{n}"),
    |n| format!("/f/{n}"),
];

/// An app whose pages say which they are.
async fn app() -> Origin {
    let app = Origin::start("app-1").await;
    app.answers(|seen| {
        let body = format!("{} {}", seen.target(), noise(seen.target()));
        Reply::text(body).field("cache-control", "max-age=600")
    });
    app
}

/// Text that nobody can make much shorter.
fn noise(of: &str) -> String {
    let mut state = of
        .bytes()
        .fold(7_u64, |all, byte| all.wrapping_mul(131) + u64::from(byte))
        | 1;
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 93) as u8)
    };
    (0..2_000).map(|_| next()).collect()
}

/// A proxy, its app, and a Redis behind what can go wrong.
struct World {
    redis: Redis,
    rough: Rough,
    tide: Tidegate,
    _app: Origin,
    phases: AtomicUsize,
}

impl World {
    async fn new() -> World {
        World::with(&[]).await
    }

    async fn with(args: &[&str]) -> World {
        let redis = Redis::run_with(args).await;
        let rough = Rough::before(redis.addr()).await;
        let app = app().await;
        let url = format!("redis://{}/0", rough.addr());
        let nodes = [app.addr().to_string()];
        let tide = Tidegate::run(shared_at(&url, "", &nodes)).await;
        let world = World {
            redis,
            rough,
            tide,
            _app: app,
            phases: AtomicUsize::new(0),
        };
        world.is_used().await;
        world
    }

    /// Another phase: pages that nobody has asked for before.
    async fn load(&self) -> Tally {
        let pages = PHASES[self.phases.fetch_add(1, Relaxed)];
        let load = Load::at(RATE).count(PHASE).pages(pages);
        load.run(self.tide.addr()).await
    }

    /// Operations on a request's way that waited for their whole deadline so far.
    async fn timeouts(&self) -> f64 {
        let ops = ["read", "lease"].map(|op| [("op", op), ("reason", "timeout")]);
        let mut all = 0.0;
        for labels in ops {
            let name = "tidegate_cache_tier_errors_total";
            all += self.tide.metric(name, &labels).await.unwrap_or(0.0);
        }
        all
    }

    /// Redis is used.
    async fn is_used(&self) {
        self.told("is used").await;
    }

    /// The last line about Redis says this.
    async fn told(&self, word: &str) {
        eventually(word, RECOVERY, async || {
            let last = told(&self.tide).pop().unwrap_or_default();
            check(last.contains(word), last)
        })
        .await;
    }

    /// Pages that are asked for now go to Redis. Not those of the first moment: they do not know the new stream of purges.
    async fn stores(&self) {
        self.redis.ask(&["FLUSHALL"]).await;
        let mut n = 0;
        eventually("a stored page", RECOVERY, async || {
            n += 1;
            self.tide.get(&format!("/last/{n}")).await;
            let keys = self.redis.keys("tg:e:").await;
            check(!keys.is_empty(), "nothing is stored")
        })
        .await;
    }
}

/// Before, during and after: nobody fails, the slowest of a hundred hardly change, memory does not grow.
async fn nobody_notices(what: &str, mut world: World, way: Option<Way>) {
    world.load().await.nothing_failed_of(PHASE); // warm
    let before = world.load().await;
    before.nothing_failed_of(PHASE);
    let memory = world.tide.process().memory();
    let waited = world.timeouts().await;
    match way {
        Some(way) => world.rough.goes(way).await,
        None => world.redis.kill().await,
    }
    let first = world.load().await;
    first.nothing_failed_of(PHASE);
    let waited_first = world.timeouts().await - waited;
    let then = world.load().await;
    then.nothing_failed_of(PHASE);
    let waited_then = world.timeouts().await - waited - waited_first;
    let grown = world.tide.process().memory().saturating_sub(memory);
    match way {
        Some(_) => world.rough.goes(Way::Open).await,
        None => world.redis.restart().await,
    }
    world.is_used().await;
    let after = world.load().await;
    after.nothing_failed_of(PHASE);
    println!(
        "{what}: p99 before {:?}, at first {:?}, then {:?}, after {:?}; memory +{} KiB",
        before.p99(),
        first.p99(),
        then.p99(),
        after.p99(),
        grown / 1024
    );
    println!("{what}: {waited_first} waited a deadline at first, then {waited_then}");
    assert!(
        waited_first <= MOST_WAIT,
        "{what}: {waited_first} waited at first"
    );
    assert!(
        waited_then <= 0.0,
        "{what}: {waited_then} waited although it was known"
    );
    let usual = before.p99().max(after.p99());
    assert!(first.p99() <= usual + FIRST + NOISE, "{what}: at first");
    assert!(then.p99() <= usual + NOISE, "{what}: then");
    assert!(grown <= GROWTH, "{what}: {grown} bytes more");
    world.stores().await;
}

#[tokio::test]
async fn redis_that_refuses_connections() {
    nobody_notices("refused", World::new().await, Some(Way::Refuses)).await;
}

#[tokio::test]
async fn redis_that_hangs() {
    nobody_notices("hanging", World::new().await, Some(Way::Hangs)).await;
}

#[tokio::test]
async fn redis_whose_replies_are_cut() {
    nobody_notices("reset mid-reply", World::new().await, Some(Way::Cuts)).await;
}

#[tokio::test]
async fn redis_that_is_slow_by_100_ms() {
    nobody_notices(
        "late by 100 ms",
        World::new().await,
        Some(Way::Late(ms(100))),
    )
    .await;
}

#[tokio::test]
async fn what_answers_is_no_redis() {
    nobody_notices("nonsense", World::new().await, Some(Way::Nonsense)).await;
}

#[tokio::test]
async fn redis_that_is_killed_and_comes_back() {
    nobody_notices("killed", World::new().await, None).await;
}

#[tokio::test]
async fn redis_that_answers_everything_with_errors() {
    let world = World::new().await;
    world
        .redis
        .ask(&[
            "ACL",
            "SETUSER",
            "root",
            "on",
            ">root-pass",
            "~*",
            "&*",
            "+@all",
        ])
        .await;
    let before = world.load().await;
    before.nothing_failed_of(PHASE);
    world
        .redis
        .ask(&["ACL", "SETUSER", "default", "-@all"])
        .await;
    let first = world.load().await;
    first.nothing_failed_of(PHASE);
    world.told("is not used").await;
    let then = world.load().await;
    then.nothing_failed_of(PHASE);
    let root = ["--user", "root", "--pass", "root-pass", "--no-auth-warning"];
    let back = ["ACL", "SETUSER", "default", "+@all"];
    world.redis.ask(&[&root[..], &back[..]].concat()).await;
    world.is_used().await;
    println!(
        "errors: p99 before {:?}, at first {:?}, then {:?}",
        before.p99(),
        first.p99(),
        then.p99()
    );
    assert!(then.p99() <= before.p99() + NOISE);
    world.stores().await;
}

#[tokio::test]
async fn redis_that_is_full_still_answers_and_takes_what_fits_later() {
    let world = World::with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]).await;
    let first = world.load().await;
    first.nothing_failed_of(PHASE);
    world.load().await.nothing_failed_of(PHASE);
    eventually("a full Redis", RECOVERY, async || {
        let info = world.redis.ask(&["INFO", "errorstats"]).await;
        let is_full = info.iter().any(|line| line.contains("errorstat_OOM"));
        check(is_full, info.join("\n"))
    })
    .await;
    let then = world.load().await;
    then.nothing_failed_of(PHASE);
    println!(
        "full: p99 at first {:?}, then {:?}",
        first.p99(),
        then.p99()
    );
    assert!(then.p99() <= first.p99() + NOISE);
    // It refuses writes, and is not taken for gone.
    world.is_used().await;
    let stored = world.redis.keys("tg:e:").await.len();
    assert!(stored > 100, "{stored} are stored");
    world
        .redis
        .ask(&["CONFIG", "SET", "maxmemory", "64mb"])
        .await;
    world.load().await.nothing_failed_of(PHASE);
    eventually("what is stored grows", RECOVERY, async || {
        let now = world.redis.keys("tg:e:").await.len();
        check(now > stored + PHASE / 2, now)
    })
    .await;
}
