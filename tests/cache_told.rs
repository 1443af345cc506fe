//! What an operator is told of the cache: by metrics, the log, the stats port and the command that explains.

use serde_json::{Value, json};

use crate::support::client::Request;
use crate::support::proxy::Tidegate;
use crate::support::shop::{get, shop_behind};

/// What the stats port says of a GET for this target, with these fields (escaped, as `&header=…`).
async fn explained(tide: &Tidegate, target: &str, more: &str) -> Value {
    let ask = format!("/api/v1/cache/explain?url=http://tide.test{target}{more}");
    tide.json(&ask).await
}

fn decision(told: &Value) -> &str {
    told["decision"].as_str().unwrap()
}

/// A request that puts the cache's clock forward and does nothing else to it.
async fn time_passes(tide: &Tidegate, millis: u64) {
    let ask = Request::post("/clock", "").field("X-Clock", &format!("+{millis}"));
    tide.ask(&ask).await;
}

#[tokio::test]
async fn explain_tells_what_is_fresh_stale_and_not_there() {
    let (app, tide) = shop_behind("{ stale_if_error: 5m }").await;
    let told = explained(&tide, "/page", "").await;
    assert_eq!(
        decision(&told),
        "would be fetched: nothing stored under this key"
    );
    assert_eq!(told["variants"], json!([]));

    get(&tide, "tide.test", "/page").await;
    time_passes(&tide, 18_000).await;
    let told = explained(&tide, "/page", "").await;
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("hit"), &json!("fresh"))
    );
    assert_eq!(told["key"], "http://tide.test/page");
    let words = decision(&told);
    let left: u64 = words
        .strip_prefix("would be answered from the store: fresh for ")
        .and_then(|rest| rest.strip_suffix(" s more (max-age=60)")?.parse().ok())
        .unwrap_or_else(|| panic!("{words}"));
    assert!((30..42).contains(&left), "{words}");
    let one = &told["variants"][0];
    for (key, value) in [
        ("is_for_request", json!(true)),
        ("status", json!(200)),
        ("lifetime_seconds", json!(60)),
        ("lifetime_from", json!("max-age")),
        ("stale_if_error_seconds", json!(300)),
        ("has_validator", json!(true)),
        ("tags", json!(["shop", "p/page"])),
        ("purged_seconds_ago", Value::Null),
    ] {
        assert_eq!(one[key], value, "{key} in {one}");
    }
    assert!(one["size_bytes"].as_u64() > Some(20), "{one}");

    time_passes(&tide, 60_000).await;
    let told = explained(&tide, "/page", "").await;
    assert_eq!(told["outcome"], "revalidated");
    let words = decision(&told);
    let begins = "a node would be asked whether it is still right, because it is older than its freshness lifetime: stale for ";
    assert!(
        words.starts_with(begins) && words.ends_with(" s (max-age=60)"),
        "{words}"
    );
    let only = app
        .seen()
        .iter()
        .filter(|seen| seen.target() == "/page")
        .count();
    assert_eq!(only, 1, "to be told asks no node");
}

#[tokio::test]
async fn explain_tells_variants_marks_and_what_the_request_says() {
    let (_app, tide) = shop_behind("true").await;
    tide.ask(&Request::get("/vary").field("X-Lang", "de")).await;
    let told = explained(&tide, "/vary", "&header=X-Lang:%20fr").await;
    assert_eq!(
        decision(&told),
        "would be fetched: what is stored under this key is for other request fields (Vary)"
    );
    assert_eq!(told["variants"][0]["is_for_request"], false);
    assert_eq!(
        told["variants"][0]["selected_by"],
        json!({ "x-lang": "de" })
    );
    let told = explained(&tide, "/vary", "&header=X-Lang:%20de").await;
    assert_eq!(told["outcome"], "hit");

    get(&tide, "tide.test", "/cookie").await;
    let told = explained(&tide, "/cookie", "").await;
    let words = decision(&told);
    let begins = "would be handed on, each request by itself, because answers under this key were not storable a moment ago";
    assert!(
        words.starts_with(begins) && words.contains("not stored: set_cookie"),
        "{words}"
    );
    // A minute later the next one fetches again; the reason is known as long as nothing was stored.
    time_passes(&tide, 61_000).await;
    let told = explained(&tide, "/cookie", "").await;
    assert!(decision(&told).starts_with("would be fetched: nothing stored under this key; the last answer was not stored: set_cookie"), "{told}");

    let told = explained(&tide, "/page", "&header=If-Match:%20x").await;
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("bypass"), &json!("precondition"))
    );
    let wrong = tide.api("GET", "/api/v1/cache/explain?url=/page", "").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("http://HOST"), "{}", wrong.text());
}

#[tokio::test]
async fn the_command_explains_and_shows_the_cache() {
    let (_app, tide) = shop_behind("true").await;
    tide.ask(&Request::get("/vary").field("X-Lang", "de")).await;
    let ask = [
        "cache",
        "explain",
        "http://tide.test/vary",
        "-H",
        "X-Lang: de",
    ];
    let done = tide.command(&ask).await;
    assert_eq!(done.code, 0, "{}", done.all());
    for words in [
        "http://tide.test/vary\n  would be answered from the store: fresh for ",
        "stored for this request: 200",
        "selected by x-lang: \"de\"",
    ] {
        assert!(
            done.out.contains(words),
            "{words:?} is missing in\n{}",
            done.all()
        );
    }
    let json = tide
        .command(&["cache", "explain", "http://tide.test/no", "-o", "json"])
        .await;
    assert_eq!(json.json()["reason"], "nothing_stored");
    let wrong = tide.command(&["cache", "explain", "tide.test"]).await;
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("write it as http://HOST"),
        "{}",
        wrong.err
    );

    tide.ask(&Request::get("/vary").field("X-Lang", "de")).await;
    tide.tells(2).await;
    let done = tide.command(&["cache"]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    for words in [
        "1 answers stored",
        "50.0 % answered from it",
        "most hits",
        "http://tide.test/vary",
    ] {
        assert!(
            done.out.contains(words),
            "{words:?} is missing in\n{}",
            done.all()
        );
    }
}

#[tokio::test]
async fn metrics_log_and_lists_tell_the_same() {
    let (_app, tide) = shop_behind("true").await;
    let page = || Request::get("/page");
    let asks = [
        page(),
        page(),
        page(),
        Request::get("/private"),
        Request::post("/page/form", "a=b"),
    ];
    for (at, ask) in asks.iter().enumerate() {
        tide.ask(ask).await;
        // Told after the answer: the next one could overtake it.
        tide.tells(at + 1).await;
    }
    let lines = tide.access_log();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["cache"].as_str(), line["cache_reason"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("miss"), Some("nothing_stored")),
            (Some("hit"), Some("fresh")),
            (Some("hit"), Some("fresh")),
            (Some("miss"), Some("private")),
            (Some("bypass"), Some("method")),
        ]
    );
    assert_eq!(lines[0]["upstream"], "web");
    assert!(
        lines[1].get("upstream").is_none() && lines[1]["nodes"] == json!([]),
        "{}",
        lines[1]
    );

    let requests = "tidegate_cache_requests_total";
    for (result, n) in [
        ("hit", 2.0),
        ("miss", 2.0),
        ("bypass", 1.0),
        ("stale", 0.0),
        ("error", 0.0),
    ] {
        tide.metric_is(requests, &[("route", "default"), ("result", result)], n)
            .await;
    }
    let durations = "tidegate_http_request_duration_seconds_count";
    for (cache, n) in [("hit", 2.0), ("miss", 2.0), ("bypass", 1.0), ("none", 0.0)] {
        tide.metric_is(durations, &[("cache", cache)], n).await;
    }
    tide.metric_is(
        "tidegate_cache_uncacheable_total",
        &[("reason", "private")],
        1.0,
    )
    .await;
    tide.metric_is("tidegate_cache_entries", &[("tier", "memory")], 1.0)
        .await;
    for gauge in ["size", "capacity"] {
        let bytes = tide
            .metric(
                &format!("tidegate_cache_{gauge}_bytes"),
                &[("tier", "memory")],
            )
            .await;
        assert!(bytes > Some(0.0), "{gauge}: {bytes:?}");
    }

    let stats = tide.json("/api/v1/cache").await;
    assert_eq!(
        (&stats["entries"], &stats["hit_ratio"]),
        (&json!(1), &json!(0.5)),
        "{stats}"
    );
    assert_eq!(stats["requests"]["hit"], 2, "{stats}");
    let first = &stats["top"]["hits"][0];
    assert_eq!(
        *first,
        json!({ "url": "http://tide.test/page", "at_least": 2, "at_most": 2 })
    );
    assert_eq!(
        stats["top"]["misses"].as_array().map(Vec::len),
        Some(2),
        "{stats}"
    );
}

#[tokio::test]
async fn requests_that_share_a_fetch_are_counted() {
    use crate::support::Gate;
    use crate::support::shop::shop;
    let (app, tide) = shop_behind("true").await;
    let gate = Gate::closed();
    let shut = gate.clone();
    app.answers(move |seen| shop(seen).when(&shut));
    let ask = || get(&tide, "tide.test", "/page");
    let (one, two, ()) = tokio::join!(ask(), ask(), async {
        app.holds(1).await;
        tide.metric_is("tidegate_http_requests_in_flight", &[], 2.0)
            .await;
        gate.open();
    });
    assert_eq!(one.body, two.body);
    assert_eq!(app.requests(), 1);
    tide.metric_is(
        "tidegate_cache_coalesced_requests_total",
        &[("route", "default")],
        1.0,
    )
    .await;
}
