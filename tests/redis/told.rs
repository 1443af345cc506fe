//! What the operator sees of Redis: metrics, events, the stats port, the commands.

use std::time::Duration;

use serde_json::Value;

use super::shared;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::{check, eventually};

/// How long a proxy may take to find out how Redis is.
const SOON: Duration = Duration::from_secs(10);
const UP: &str = "tidegate_cache_tier_up";

/// What one of the stats port's answers says of Redis.
async fn redis_of(tide: &Tidegate, path: &str) -> Value {
    tide.api("GET", path, "").await.json()["redis"].clone()
}

async fn is(tide: &Tidegate, state: &str) {
    eventually(state, SOON, async || {
        let redis = redis_of(tide, "/api/v1/status").await;
        check(redis["state"] == state, redis)
    })
    .await;
}

/// What a command says of the running proxy.
async fn says(tide: &Tidegate, command: &str, more: &[&str]) -> String {
    let line: Vec<&str> = std::iter::once(command)
        .chain(more.iter().copied())
        .collect();
    let done = tide.command(&line).await;
    assert_eq!(done.code, 0, "{}", done.all());
    done.out
}

#[tokio::test]
async fn its_metrics_are_there_from_the_start_and_go_with_it() {
    let redis = Redis::run().await;
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(shared(&redis, "", std::slice::from_ref(&app))).await;
    let text = tide.api("GET", "/metrics", "").await.text();
    for series in [
        "tidegate_cache_tier_up{tier=\"redis\"}",
        "tidegate_cache_tier_errors_total{op=\"session\",reason=\"timeout\",tier=\"redis\"} 0",
        "tidegate_cache_tier_operation_duration_seconds_count{op=\"rate\",tier=\"redis\"} 0",
        "tidegate_cache_tier_bytes_total{direction=\"sent\",tier=\"redis\"}",
        "tidegate_cache_tier_dropped_total{reason=\"full\",tier=\"redis\"} 0",
        "tidegate_cache_lookup_duration_seconds_count{tier=\"redis\"} 0",
        "tidegate_cluster_purges_total{direction=\"received\"} 0",
        "tidegate_cluster_purges_queued 0",
    ] {
        assert!(text.contains(series), "{series} is missing in\n{text}");
    }
    tide.metric_is(UP, &[("tier", "redis")], 1.0).await;
    redis.kill().await;
    tide.metric_is(UP, &[("tier", "redis")], 0.0).await;
    tide.apply(&format!(
        "upstreams: {{ web: {{ nodes: [\"{}\"] }} }}\nroutes: [{{ upstream: web }}]\n",
        app.addr()
    ))
    .await;
    let text = tide.api("GET", "/metrics", "").await.text();
    for gone in ["cache_tier", "tidegate_cluster", "tier=\"redis\""] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert_eq!(redis_of(&tide, "/api/v1/status").await, Value::Null);
}

#[tokio::test]
async fn each_change_is_an_event() {
    let mut redis = Redis::run().await;
    let app = Origin::start("app-1").await;
    // On a machine that is busy an answer may take longer than the 20 ms that are usual: a change that is none of ours.
    let tide = Tidegate::run(shared(&redis, ", timeout: 500ms", &[app])).await;
    let events = async |n: usize, level: &str, words: &str| {
        eventually(words, SOON, async || {
            let told = tide
                .api("GET", "/api/v1/events?kind=redis", "")
                .await
                .json();
            let all = told["events"].as_array().unwrap();
            let last = &all[0]; // the latest comes first
            let text = last["text"].as_str().unwrap_or_default();
            let holds = all.len() == n && last["level"] == level && text.contains(words);
            check(holds, &told)
        })
        .await;
    };
    events(1, "info", "is used").await;
    redis.kill().await;
    events(2, "warning", "is not used: ").await;
    redis.restart().await;
    events(3, "info", "is used").await;
    let told = says(&tide, "events", &["--kind", "redis"]).await;
    assert_eq!(
        told.lines()
            .filter(|line| line.contains("redis://"))
            .count(),
        3,
        "{told}"
    );
}

#[tokio::test]
async fn status_and_cache_say_in_a_line_how_it_is_and_never_the_password() {
    let redis = Redis::run_with(&["--requirepass", "open-sesame"]).await;
    let app = Origin::start("app-1").await;
    let file = shared(&redis, ", password_file: redis.pass", &[app]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("redis.pass"), "open-sesame\n").unwrap();
    std::fs::write(dir.path().join("tidegate.yaml"), complete(&file)).unwrap();
    let tide = Tidegate::run_in(dir).await;
    is(&tide, "up").await;
    eventually("it says how quickly", SOON, async || {
        let redis = redis_of(&tide, "/api/v1/cache").await;
        check(redis["latency"]["p99_seconds"].as_f64() > Some(0.0), redis)
    })
    .await;
    for command in ["status", "cache"] {
        let said = says(&tide, command, &[]).await;
        let line = format!("redis {}: used for ", redis.url());
        assert!(said.contains(&line) && said.contains(", p50 "), "{said}");
        let json = says(&tide, command, &["-o", "json"]).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["redis"]["address"], redis.url(), "{json}");
        assert!(!format!("{said}{json}").contains("open-sesame"));
    }
    redis.kill().await;
    is(&tide, "down").await;
    for command in ["status", "cache"] {
        let said = says(&tide, command, &[]).await;
        assert!(said.contains("NOT USED for "), "{said}");
        assert!(said.contains("requests are served without it"), "{said}");
    }
}
