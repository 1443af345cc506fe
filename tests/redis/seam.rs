//! The seam itself: Redis comes, goes and comes back, and the log says so once each time.

use super::{RECOVERY, shared, shared_at, told};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;
use crate::support::rough::Rough;
use crate::support::{check, eventually};

#[tokio::test]
async fn each_change_of_redis_is_one_line_of_the_log() {
    let mut redis = Redis::run().await;
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(shared(&redis, "", &[app])).await;
    let lines = async |n: usize, word: &str| {
        eventually(word, RECOVERY, async || {
            let told = told(&tide);
            check(
                told.len() == n && told[n - 1].contains(word),
                told.join("\n"),
            )
        })
        .await;
    };
    lines(1, "is used").await;
    redis.kill().await;
    lines(2, "is not used").await;
    assert_eq!(tide.get("/").await.status, 200);
    redis.restart().await;
    lines(3, "is used").await;
}

#[tokio::test]
async fn a_hit_in_memory_asks_redis_nothing() {
    let redis = Redis::run().await;
    let rough = Rough::before(redis.addr()).await;
    let app = Origin::start("app-1").await;
    let url = format!("redis://{}/0", rough.addr());
    let nodes = [app.addr().to_string()];
    let tide = Tidegate::run(shared_at(&url, ", timeout: 500ms", &nodes)).await;
    eventually("a stored page", RECOVERY, async || {
        tide.get("/page").await;
        let keys = redis.keys("tg:e:").await;
        check(!keys.is_empty(), "nothing is stored")
    })
    .await;
    let commands = async || {
        // What is asked each second and every five seconds whatever comes is no matter of hits.
        let stats = redis.ask(&["INFO", "commandstats"]).await;
        let of_hits = ["cmdstat_getrange", "cmdstat_pttl", "cmdstat_set:"];
        stats
            .into_iter()
            .filter(|line| of_hits.iter().any(|name| line.starts_with(name)))
            .collect::<Vec<_>>()
    };
    let (asked, came) = (commands().await, rough.came());
    for _ in 0..500 {
        assert_eq!(tide.get("/page").await.status, 200);
    }
    assert_eq!(commands().await, asked);
    let came = rough.came() - came;
    assert!(came < 500 * 20, "{came} bytes came for 500 hits");
    assert_eq!(app.requests(), 1);
}
