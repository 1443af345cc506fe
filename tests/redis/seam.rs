//! The seam itself: Redis comes, goes and comes back, and the log says so once each time.

use super::{RECOVERY, shared, told};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;
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
