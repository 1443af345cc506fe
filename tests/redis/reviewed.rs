//! What a reading of the code found: each of these went wrong once.

use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cluster::{Cluster, reply, told};
use super::{RECOVERY, shared_at};
use crate::support::client::Request;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::reply::Reply;
use crate::support::shop::{get, is_hit, shop};
use crate::support::{Gate, check, eventually, ms};

const STALE: &str = "Cache-Control: max-age=10, stale-if-error=600";

#[tokio::test]
async fn who_has_a_stale_answer_does_not_get_the_failure_that_another_proxy_met() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.says(STALE);
    let kept = cluster.get(1, "/page").await;
    cluster.keeps(1).await;
    cluster.passes(20).await;
    // The other proxy has nothing, and finds nothing: it asks a node, which fails.
    cluster
        .redis
        .ask(&["DEL", &cluster.keeps(1).await[0]])
        .await;
    let gate = Gate::closed();
    let opened = gate.clone();
    cluster
        .app
        .answers(move |_| Reply::sized(500, "broken").when(&opened));
    let mut first = cluster.tides[0].connect().await;
    first.send(&Request::get("/page")).await.unwrap();
    cluster.app.holds(1).await;
    let mut other = cluster.tides[1].connect().await;
    other.send(&Request::get("/page")).await.unwrap();
    eventually("who waits for the other", RECOVERY, async || {
        let stats = cluster.redis.ask(&["INFO", "commandstats"]).await;
        let sets = stats.iter().find(|line| line.starts_with("cmdstat_set:"));
        // Both want the lease, and who does not get it asks again.
        let rejected = sets.cloned().unwrap_or_default();
        let calls = rejected
            .split(['=', ','])
            .nth(1)
            .and_then(|n| n.parse::<u32>().ok());
        check(calls >= Some(6), rejected)
    })
    .await;
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().status, 500);
    let answer = other.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.body), (200, kept.body));
}

/// A proxy with this password for this Redis.
async fn with_password(redis: &Redis, app: &Origin, password: &str) -> Tidegate {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let nodes = [app.addr().to_string()];
    let keys = ", password_file: redis.password, timeout: 500ms";
    let yaml = complete(&shared_at(&redis.url(), keys, &nodes));
    std::fs::write(dir.path().join("tidegate.yaml"), yaml).expect("a writable folder");
    std::fs::write(dir.path().join("redis.password"), password).expect("a writable folder");
    let tide = Tidegate::run_in(dir).await;
    in_step(&tide).await;
    tide
}

async fn in_step(tide: &Tidegate) {
    eventually("in step", RECOVERY, async || {
        let purges = tide.json("/api/v1/cluster").await["purges"].clone();
        check(purges["in_step"] == true, purges)
    })
    .await;
}

#[tokio::test]
async fn purges_that_wait_go_along_when_redis_gets_another_password() {
    let redis = Redis::run_with(&["--requirepass", "old"]).await;
    let app = Origin::start("app-1").await;
    app.answers(shop);
    let one = with_password(&redis, &app, "old").await;
    let other = with_password(&redis, &app, "old").await;
    for tide in [&one, &other] {
        get(tide, "tide.test", "/a").await;
        assert!(
            is_hit(&get(tide, "tide.test", "/a").await)
                || told(&get(tide, "tide.test", "/a").await).contains("hit")
        );
    }
    let rotate = [
        "-a",
        "old",
        "--no-auth-warning",
        "CONFIG",
        "SET",
        "requirepass",
        "new",
    ];
    redis.ask(&rotate).await;
    redis
        .ask(&[
            "-a",
            "new",
            "--no-auth-warning",
            "CLIENT",
            "KILL",
            "TYPE",
            "normal",
        ])
        .await;
    one.metric_is("tidegate_cache_tier_up", &[], 0.0).await;
    let all = json!({ "all": true, "hard": true }).to_string();
    let said = one.api("POST", "/api/v1/purge", &all).await.json();
    assert_eq!(said["cluster"], "queued", "{said}");
    for tide in [&one, &other] {
        let before = tide.generation().await;
        tide.write_file("redis.password", "new");
        tide.reaches_generation(before + 1).await;
        in_step(tide).await;
    }
    eventually("the purge at the other", RECOVERY, async || {
        let purges = other.json("/api/v1/cluster").await["purges"].clone();
        check(purges["received"] == 1, purges)
    })
    .await;
    assert!(!told(&get(&other, "tide.test", "/a").await).contains("hit"));
}

#[tokio::test]
async fn a_right_that_is_missing_for_one_thing_takes_nothing_else_away() {
    let cluster = Cluster::open(1, "", "true").await;
    cluster
        .app
        .answers(|seen| reply(seen, "Cache-Control: max-age=600"));
    // No scripts: nothing can be stored, nor a lease be given back.
    cluster
        .redis
        .ask(&["ACL", "SETUSER", "default", "-evalsha", "-eval"])
        .await;
    for n in 0..30 {
        assert_eq!(cluster.get(0, &format!("/{n}")).await.status, 200);
    }
    let labels = [("op", "write"), ("reason", "error_reply")];
    eventually("refused writes", RECOVERY, async || {
        let refused = cluster.tides[0]
            .metric("tidegate_cache_tier_errors_total", &labels)
            .await;
        check(refused > Some(0.0), format!("{refused:?}"))
    })
    .await;
    let lines = super::told(&cluster.tides[0]);
    assert_eq!(lines.len(), 1, "it was never given up: {lines:?}");
}

#[tokio::test]
async fn what_stands_in_the_place_of_a_lease_and_is_none_holds_nobody_up() {
    let cluster = Cluster::open(1, "", "{ wait: 10s }").await;
    let gate = Gate::closed();
    let opened = gate.clone();
    cluster
        .app
        .answers(move |seen| reply(seen, "Cache-Control: max-age=600").when(&opened));
    let mut first = cluster.tides[0].connect().await;
    first.send(&Request::get("/page")).await.unwrap();
    cluster.app.holds(1).await;
    let leases = cluster.redis.keys("tg:l:").await;
    gate.open();
    assert_eq!(first.answer("GET").await.unwrap().status, 200);
    let all = json!({ "all": true, "hard": true }).to_string();
    for value in ["x", "00112233445566ff-1"] {
        // Somebody else's, and one of ours that never ends.
        cluster.redis.ask(&["SET", &leases[0], value]).await;
        let purged = cluster.tides[0].api("POST", "/api/v1/purge", &all).await;
        assert_eq!(purged.status, 200);
        let began = Instant::now();
        assert_eq!(cluster.get(0, "/page").await.status, 200);
        assert!(
            began.elapsed() < ms(2_500),
            "{value}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn a_purge_says_whether_redis_has_taken_it() {
    let cluster = Cluster::open(1, "", "true").await;
    in_step(&cluster.tides[0]).await;
    let all = json!({ "all": true }).to_string();
    let purge = async || {
        let answer = cluster.tides[0].api("POST", "/api/v1/purge", &all).await;
        answer.json()["cluster"].clone()
    };
    assert_eq!(purge().await, "sent");
    cluster.redis.stop();
    // The breaker knows nothing of it yet.
    assert_eq!(purge().await, "queued");
    cluster.redis.go_on();
    eventually("a purge that is taken", RECOVERY, async || {
        let word = purge().await;
        check(word == "sent", word)
    })
    .await;
}

#[tokio::test]
async fn what_answers_like_no_redis_is_not_asked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let answers = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4_096];
                // One answer of the wrong kind for each command, whatever it is.
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    let commands = bytes[..n].iter().filter(|byte| **byte == b'*').count();
                    let said = b":1\r\n".repeat(commands);
                    if stream.write_all(&said).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(shared_at(&url, "", &[app.addr().to_string()])).await;
    eventually("a refusal", RECOVERY, async || {
        let lines = super::told(&tide);
        check(
            lines.len() == 1 && lines[0].contains("is not used"),
            lines.join("\n"),
        )
    })
    .await;
    assert_eq!(tide.get("/page").await.status, 200);
    answers.abort();
}

#[tokio::test]
async fn what_somebody_else_wrote_in_the_place_of_the_view_is_cleared_away() {
    let cluster = Cluster::open(2, "", "true").await;
    let sees_both = async || {
        eventually("both", RECOVERY, async || {
            let view = cluster.tides[0].json("/api/v1/cluster").await;
            let fresh = view["seen_seconds_ago"].as_f64() < Some(2.0);
            check(view["peers_total"] == 2 && fresh, view)
        })
        .await;
    };
    sees_both().await;
    for key in ["tg:{peers}:seen", "tg:{peers}:info"] {
        cluster.redis.ask(&["SET", key, "x"]).await;
        eventually("a cleared place", RECOVERY, async || {
            // Who looks has Redis asked.
            cluster.tides[0].json("/api/v1/cluster").await;
            let kind = cluster.redis.ask(&["TYPE", key]).await.join("");
            check(kind != "string", kind)
        })
        .await;
        sees_both().await;
    }
}
