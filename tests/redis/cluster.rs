//! Some proxies in front of one origin, with one Redis behind them.

use std::time::Duration;

use crate::support::client::{Answer, Request};
use crate::support::origin::Origin;
use crate::support::proxy::{SOON, Tidegate};
use crate::support::redis::Redis;
use crate::support::reply::{Reply, Seen};
use crate::support::{check, eventually};

/// Some proxies that share.
pub struct Cluster {
    pub redis: Redis,
    pub app: Origin,
    pub tides: Vec<Tidegate>,
    /// What their file says.
    pub yaml: String,
}

impl Cluster {
    /// So many proxies. `keys` stand behind the address of Redis, `rules` behind the route's `cache:`.
    pub async fn open(proxies: usize, keys: &str, rules: &str) -> Cluster {
        let (redis, app) = (Redis::run().await, Origin::start("app-1").await);
        // Deadlines are not what is told here, and the machine may be busy.
        let yaml = format!(
            "cache: {{ memory: 64MiB, redis: {{ url: \"{}\", timeout: 500ms{keys} }} }}\n\
             upstreams: {{ web: {{ nodes: [{}] }} }}\n\
             routes: [{{ upstream: web, cache: {rules} }}]\n",
            redis.url(),
            app.addr()
        );
        let mut cluster = Cluster {
            redis,
            app,
            tides: Vec::new(),
            yaml,
        };
        for _ in 0..proxies {
            cluster.join().await;
        }
        cluster
    }

    /// One more proxy.
    pub async fn join(&mut self) {
        let tide = Tidegate::run_with_faults(&self.yaml).await;
        eventually("redis is used", SOON, async || {
            let log = tide.log();
            check(log.contains("is used"), log)
        })
        .await;
        self.tides.push(tide);
    }

    /// What the origin answers: 200 with the target and the number of the request, and these lines.
    pub fn says(&self, lines: &'static str) {
        self.app.answers(move |seen| reply(seen, lines));
    }

    /// The answer of one of the proxies to a GET.
    pub async fn get(&self, proxy: usize, target: &str) -> Answer {
        self.tides[proxy].get(target).await
    }

    /// The same to a GET with this field.
    pub async fn get_with(
        &self,
        proxy: usize,
        target: &str,
        (name, value): (&str, &str),
    ) -> Answer {
        let request = Request::get(target).field(name, value);
        self.tides[proxy].ask(&request).await
    }

    /// How often the origin was asked for this.
    pub fn asked(&self, target: &str) -> usize {
        let seen = self.app.seen();
        seen.iter().filter(|seen| seen.target() == target).count()
    }

    /// Waits until so many values are in Redis; their keys.
    pub async fn keeps(&self, values: usize) -> Vec<String> {
        eventually(&format!("{values} values"), SOON, async || {
            let keys = self.redis.keys("tg:e:").await;
            match keys.len() == values {
                true => Ok(keys),
                false => Err(keys.join("\n")),
            }
        })
        .await
    }

    /// So many seconds pass, for the proxies and in Redis.
    pub async fn passes(&self, seconds: u64) {
        for tide in &self.tides {
            tide.forward(Duration::from_secs(seconds)).await;
        }
        for key in self.redis.keys("tg:e:").await {
            let left = self.redis.ask(&["PTTL", &key]).await;
            let left: i64 = left[0].parse().unwrap();
            let left = left - i64::try_from(seconds).unwrap() * 1_000;
            self.redis.ask(&["PEXPIRE", &key, &left.to_string()]).await;
        }
    }
}

/// 200 with the target and the number of the request, and these lines.
pub fn reply(seen: &Seen, lines: &str) -> Reply {
    let body = format!("{} {}", seen.target(), seen.serial);
    with(Reply::text(body), lines)
}

/// An answer with these lines.
pub fn with(reply: Reply, lines: &str) -> Reply {
    let lines = lines.lines().filter_map(|line| line.split_once(':'));
    lines.fold(reply, |reply, (name, value)| {
        reply.field(name.trim(), value.trim())
    })
}

/// What the cache says that it did.
pub fn told(answer: &Answer) -> &str {
    answer.head.get("cache-status").unwrap_or_default()
}

/// It came from another proxy, by Redis.
#[track_caller]
pub fn is_shared(answer: &Answer) {
    let told = told(answer);
    let holds = told.starts_with("tidegate; hit") && told.ends_with("detail=shared");
    assert!(answer.status == 200 && holds, "{} {told}", answer.status);
}

/// It was fetched.
#[track_caller]
pub fn is_miss(answer: &Answer) {
    let told = told(answer);
    assert!(told.contains("fwd=") && !told.contains("hit"), "{told}");
}
