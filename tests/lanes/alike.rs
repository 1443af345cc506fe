//! The same requests get the same answers in both lanes: thousands of made-up requests, sent to a proxy that has its
//! express lane and to one that has not, with the same origin behind both and the same moment on both clocks.
//!
//! Between the requests time passes, answers change, nodes fail and what is stored is purged. What is done behind the
//! answers is awaited before the next request could see it, so that both are always in the same state; they must say so
//! too. A difference is never settled by making a request rarer.
//!
//! `TIDEGATE_LANES=100000` sends more, `TIDEGATE_SEED=7` sends others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use serde_json::json;

use super::made::{self, Made};
use super::side::{Heard, Side};
use super::world::{PLACES, World};
use crate::support::{check, eventually};

/// Requests by default.
const MANY: usize = 5_000;
/// Seed by default: the same requests on every machine and day.
const SEED: u64 = 2_026;
/// Connections of each side.
const CONNECTIONS: usize = 4;
/// Requests that are sent at once, at most.
const AT_ONCE: usize = 8;
/// What happened lately that a failure tells.
const TOLD: usize = 30;

/// Counted alike on both sides, sample by sample.
const COUNTED: [&str; 5] = [
    "tidegate_cache_requests_total",
    "tidegate_http_requests_total",
    "tidegate_http_response_bytes_total",
    "tidegate_cache_uncacheable_total",
    "tidegate_requests_refused_total",
];
const EXPRESS: &str = "tidegate_express_requests_total";

/// What happened, and to which place; `None`: to all.
type Event = (Option<usize>, String);

/// Both sides and the world they are in.
struct Twins {
    express: Side,
    plain: Side,
    world: Arc<Mutex<World>>,
    rng: Rng,
    pinned: String,
    events: Vec<Event>,
    /// Steps until the nodes are well again.
    fails_for: u32,
    /// What was a hit a moment ago and will be one again, unless something happens.
    again: Option<Made>,
}

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |n| {
        n.parse().unwrap_or_else(|_| panic!("{name}: a number"))
    })
}

#[tokio::test]
async fn the_same_requests_get_the_same_answers_in_both_lanes() {
    let seed = number("TIDEGATE_SEED", SEED);
    let many = number("TIDEGATE_LANES", MANY as u64) as usize;
    eprintln!("lanes: TIDEGATE_SEED={seed} TIDEGATE_LANES={many}");
    let began = Instant::now();
    let mut twins = Twins::start(seed).await;
    let mut sent = 0;
    while sent < many {
        twins.something_happens().await;
        sent += twins.step(many - sent).await;
    }
    let (hits, express) = twins.counted_alike().await;
    eprintln!(
        "lanes: seed {seed}, {sent} requests, {hits} hits, {express} of them in the express lane ({:.1?})",
        began.elapsed()
    );
    assert!(
        hits * 3.0 > sent as f64,
        "{hits} hits of {sent}: too few to tell anything"
    );
    assert!(
        express >= hits * 0.3,
        "{express} of {hits} hits were answered in the express lane"
    );
}

impl Twins {
    async fn start(seed: u64) -> Twins {
        let world = Arc::new(Mutex::new(World::new()));
        let lane = "TIDEGATE_EXPRESS_LANE";
        // Cookies of clients that wrote hold by the machine's own time.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let until = now.expect("after 1970") + Duration::from_secs(3_000);
        Twins {
            express: Side::start(&[(lane, "on")], &world, CONNECTIONS).await,
            plain: Side::start(&[(lane, "off")], &world, CONNECTIONS).await,
            world,
            rng: Rng::with_seed(seed),
            pinned: until.as_millis().to_string(),
            events: Vec::new(),
            fails_for: 0,
            again: None,
        }
    }

    fn note(&mut self, place: Option<usize>, what: String) {
        self.events.push((place, what));
    }

    /// Time passes, an answer changes, the nodes fail, something is purged; mostly nothing.
    async fn something_happens(&mut self) {
        if self.fails_for > 0 {
            self.fails_for -= 1;
            if self.fails_for == 0 {
                self.world.lock().unwrap().fails = false;
                self.note(None, "the nodes are well again".into());
            }
        }
        match self.rng.u8(..100) {
            0..4 => {
                let seconds = [1, 1, 2, 4, 6, 11, 31, 61, 200, 610, 3_700, 90_000];
                let seconds = seconds[self.rng.usize(..seconds.len())];
                self.passes(seconds).await;
            }
            4..8 => {
                let place = made::place(&mut self.rng);
                let (_, target) = PLACES[place];
                self.world.lock().unwrap().changes(target);
                self.note(Some(place), format!("{target} has a new version"));
            }
            8 => {
                self.world.lock().unwrap().fails = true;
                self.fails_for = self.rng.u32(1..12);
                self.note(None, "the nodes fail".into());
            }
            9..12 => self.purges().await,
            _ => return,
        }
        self.again = None;
    }

    fn one_of(&mut self, words: [&'static str; 3]) -> &'static str {
        words[self.rng.usize(..words.len())]
    }

    async fn passes(&mut self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.world.lock().unwrap().now += seconds * 1_000;
        tokio::join!(self.express.tide.forward(by), self.plain.tide.forward(by));
        self.note(None, format!("{seconds} s pass"));
    }

    async fn purges(&mut self) {
        let (host, target) = PLACES[made::place(&mut self.rng)];
        let host = if host.is_empty() { "tide.test" } else { host };
        let mut what = match self.rng.u8(..12) {
            0..7 => json!({ "url": format!("http://{host}{target}") }),
            7..9 => json!({ "tag": self.one_of(["shop", "all-of-it", "none"]) }),
            9 => json!({ "prefix": self.one_of(["/zip/", "/plain/l", "/swr/"]) }),
            10 => json!({ "host": "other.test" }),
            _ => json!({ "all": true }),
        };
        what["hard"] = json!(self.rng.bool());
        let said = tokio::join!(self.express.purges(&what), self.plain.purges(&what));
        self.note(None, format!("purged {what}: {}", said.0));
        assert_eq!(said.0, said.1, "{what}: {}", self.told(None));
    }

    /// Sends a few requests, at most so many, to both; how many.
    async fn step(&mut self, most: usize) -> usize {
        let batch = self.batch(most);
        let on = self.rng.usize(..CONNECTIONS);
        for (n, made) in batch.iter().enumerate() {
            let what = format!(
                "connection {on}, {} of {}: {}",
                n + 1,
                batch.len(),
                made.told()
            );
            self.note(Some(made.place), what);
        }
        let (express, plain) =
            tokio::join!(self.express.hears(on, &batch), self.plain.hears(on, &batch));
        for (n, made) in batch.iter().enumerate() {
            self.compare(made, express.get(n), plain.get(n));
        }
        assert_eq!(
            express.get(batch.len()),
            plain.get(batch.len()),
            "{}",
            self.told(None)
        );
        let (one, other) = tokio::join!(self.express.settles(), self.plain.settles());
        let place = batch.last().map(|made| made.place);
        assert_eq!(one, other, "what is stored differs\n{}", self.told(place));
        let hit = plain
            .iter()
            .position(|heard| heard.as_ref().is_ok_and(Heard::is_hit));
        let reads = batch.iter().all(Made::is_read);
        self.again = hit.filter(|_| reads).map(|n| batch[n].clone());
        batch.len()
    }

    /// What is sent at once: one request, several for different things, or what was just answered from the store again
    /// and again.
    fn batch(&mut self, most: usize) -> Vec<Made> {
        let most = most.min(AT_ONCE);
        let again = self
            .again
            .take()
            .filter(|made| !made.told().contains("Connection"));
        let size = match self.rng.u8(..10) {
            0..5 => 1,
            _ => self.rng.usize(1..=most),
        };
        // What is made better after a few hits changes behind the answers.
        let still = again.filter(|made| !PLACES[made.place].1.starts_with("/better"));
        if let Some(made) = still.filter(|_| self.rng.u8(..4) == 0) {
            return vec![made; size];
        }
        let mut batch: Vec<Made> = Vec::new();
        while batch.len() < size {
            let place = made::place(&mut self.rng);
            // What is done behind an answer nobody who is right behind it may see: it would be a race.
            if batch.iter().any(|made| made.place == place) {
                continue;
            }
            let world = self.world.lock().unwrap();
            let made = made::request(&mut self.rng, place, &world, &self.pinned);
            batch.push(made);
        }
        batch
    }

    fn compare(
        &self,
        made: &Made,
        express: Option<&Result<Heard, String>>,
        plain: Option<&Result<Heard, String>>,
    ) {
        let told = |heard: Option<&Result<Heard, String>>| match heard {
            Some(Ok(heard)) => heard.told(),
            other => format!("{other:?}"),
        };
        assert!(
            express == plain,
            "the lanes differ for {}\n  express: {}\n  plain:   {}\n{}",
            made.told(),
            told(express),
            told(plain),
            self.told(Some(made.place))
        );
    }

    /// What happened lately to this place, or to all.
    fn told(&self, place: Option<usize>) -> String {
        let concerns = |(its, _): &&Event| its.is_none() || place.is_none() || *its == place;
        let mut lately: Vec<&str> = (self.events.iter().rev().filter(concerns))
            .map(|(_, what)| what.as_str())
            .take(TOLD)
            .collect();
        lately.reverse();
        format!("what happened to it:\n  {}", lately.join("\n  "))
    }

    /// Both have counted the same; how many hits, and how many of them in the express lane.
    async fn counted_alike(&mut self) -> (f64, f64) {
        let (express, plain) = (&mut self.express, &mut self.plain);
        let both = eventually("both count the same", Duration::from_secs(8), async || {
            let both = (
                express.metrics(&COUNTED).await,
                plain.metrics(&COUNTED).await,
            );
            let differ: Vec<String> = (both.0.iter())
                .filter(|(series, value)| both.1.get(*series) != Some(*value))
                .map(|(series, value)| format!("{series} {value}, not {:?}", both.1.get(series)))
                .collect();
            let same = differ.is_empty() && both.0.len() == both.1.len();
            check(same, format!("{differ:#?}")).map(|()| both.0)
        })
        .await;
        let hits = both
            .iter()
            .filter(|(series, _)| series.contains("result=\"hit\""));
        let hits = hits.map(|(_, value)| value).sum();
        let sum = |samples: BTreeMap<String, f64>| samples.values().fold(0.0, |sum, n| sum + n);
        let off = sum(plain.metrics(&[EXPRESS]).await);
        assert_eq!(off, 0.0, "the lane is off there");
        (hits, sum(express.metrics(&[EXPRESS]).await))
    }
}
