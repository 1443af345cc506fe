//! What is answered in the lane, and that it is told and counted as ever.

use super::{LANES, MIB, MODIFIED, Stage, TAG, alike, is_hit};
use crate::support::client::Request;
use crate::support::proxy::SOON;
use crate::support::reply::Reply;
use crate::support::{check, eventually, pattern};

#[tokio::test]
async fn a_hit_is_answered_in_the_lane_and_told_as_in_the_other() {
    let mut told = Vec::new();
    for (lane, express) in LANES.into_iter().zip([0, 1]) {
        let stage = Stage::with(lane, "", "cache: true").await;
        let asked = Request::get("/page?a=b").field("User-Agent", "story");
        let miss = stage.tide.ask(&asked).await;
        stage.express(0).await;
        let hit = stage.tide.ask(&asked).await;
        assert!(!is_hit(&miss) && is_hit(&hit), "{:?}", hit.head.fields);
        assert_eq!((hit.status, &hit.body), (200, &miss.body));
        assert_eq!(stage.app.requests(), 1);
        stage.express(express).await;
        let line = stage.tide.tells(2).await.pop().unwrap();
        assert_eq!(
            (&line["cache"], &line["end"]),
            (&"hit".into(), &"ok".into())
        );
        assert_eq!(line["bytes_out"], hit.body.len(), "{line}");
        told.push(alike(line));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn whoever_has_it_already_is_told_so_in_the_lane() {
    let stage = Stage::open().await;
    stage.stores(&["/page"]).await;
    let weak = format!("W/{TAG}");
    let list = format!("\"other\", {TAG}");
    let mut client = stage.tide.connect().await;
    for (name, value, status) in [
        ("If-None-Match", TAG, 304),
        ("If-None-Match", &weak, 304),
        ("If-None-Match", &list, 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", MODIFIED, 304),
        ("If-Modified-Since", "Mon, 02 Mar 2026 00:00:00 GMT", 304),
        ("If-Modified-Since", "Sat, 28 Feb 2026 00:00:00 GMT", 200),
        ("If-Modified-Since", "nonsense", 200),
    ] {
        let asked = Request::get("/page").field(name, value);
        let answer = client.ask(&asked).await.unwrap();
        assert_eq!(answer.status, status, "{name}: {value}");
        assert!(is_hit(&answer) && answer.stays_open, "{name}: {value}");
        assert_eq!(answer.head.get("etag"), Some(TAG));
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    stage.express(9).await;
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn a_head_of_what_is_stored_is_answered_in_the_lane_without_its_body() {
    let stage = Stage::open().await;
    stage.stores(&["/sized/5000"]).await;
    let mut client = stage.tide.connect().await;
    for _ in 0..2 {
        let head = client.ask(&Request::new("HEAD", "/sized/5000")).await;
        let head = head.unwrap();
        assert!(is_hit(&head) && head.status == 200);
        assert_eq!(head.head.get("content-length"), Some("5000"));
        let whole = client.ask(&Request::get("/sized/5000")).await.unwrap();
        assert_eq!(whole.body, pattern(5_000), "nothing of a body came before");
    }
    stage.express(4).await;
}

#[tokio::test]
async fn small_or_large_every_byte_of_a_hit_is_right() {
    let top = "cache: { memory: 128MiB, max_object: 24MiB }\naccess_log: { sample: 1.0 }\n";
    let stage = Stage::with("on", top, "cache: true").await;
    let sizes = [0, 1, 1_000, 16_384, 65_536, 65_537, MIB, 20 * MIB];
    let mut client = stage.tide.connect().await;
    for size in sizes {
        let asked = Request::get(&format!("/sized/{size}"));
        for hit in [false, true, true] {
            let answer = client.ask(&asked).await.unwrap();
            assert_eq!(is_hit(&answer), hit, "{size}");
            assert!(answer.body == pattern(size), "{size}: other bytes");
            assert_eq!(answer.head.get("content-length"), Some(&*size.to_string()));
        }
    }
    stage.express(2 * sizes.len()).await;
    let lines = stage.tide.tells(3 * sizes.len()).await;
    let mut told: Vec<_> = lines.iter().map(|l| l["bytes_out"].as_u64()).collect();
    told.sort_unstable(); // threads may tell in another order than the client asked
    let due = sizes.map(|size| [Some(size as u64); 3]);
    assert_eq!(told, due.as_flattened());
}

#[tokio::test]
async fn what_varies_is_told_apart_in_the_lane() {
    let stage = Stage::open().await;
    stage.app.answers(|seen| {
        let lang = seen.head.get("accept-language").unwrap_or("none");
        Reply::text(lang.to_owned())
            .field("Cache-Control", "max-age=600")
            .field("Vary", "Accept-Language")
    });
    let asked = |lang: &str| Request::get("/").field("Accept-Language", lang);
    for lang in ["de", "fr", "en"] {
        stage.tide.ask(&asked(lang)).await;
    }
    for lang in ["fr", "de", "en", "de"] {
        let hit = stage.tide.ask(&asked(lang)).await;
        assert!(is_hit(&hit) && hit.text() == lang, "{lang}: {}", hit.text());
    }
    stage.express(4).await;
    assert!(!is_hit(&stage.tide.ask(&asked("it")).await));
    stage.express(4).await;
}

#[tokio::test]
async fn a_form_that_is_there_is_sent_in_the_lane_to_who_takes_it() {
    let stage = Stage::with("on", "", "cache: true, compress: true").await;
    let plain = "many words, and the same words again. ".repeat(300);
    let body = plain.clone();
    stage.app.answers(move |_| {
        Reply::text(body.clone())
            .field("Cache-Control", "max-age=600")
            .field("Content-Type", "text/plain")
            .field("ETag", TAG)
    });
    let asked = |takes: &str| Request::get("/").field("Accept-Encoding", takes);
    stage.tide.ask(&asked("gzip")).await;
    eventually("the form is there", SOON, async || {
        let cache = stage.tide.json("/api/v1/cache").await;
        let is_there = cache["encoded"] == 1 && cache["fills"] == 0 && cache["makings"] == 0;
        check(is_there, cache)
    })
    .await;
    let before = stage.so_far().await as usize;
    let small = stage.tide.ask(&asked("gzip")).await;
    assert_eq!(small.head.get("content-encoding"), Some("gzip"));
    assert_eq!(small.head.get("etag"), Some("\"v1-gzip\""));
    assert!(is_hit(&small) && small.body.len() < plain.len() / 4);
    let whole = stage.tide.ask(&asked("identity")).await;
    assert_eq!(
        (whole.text(), whole.head.get("content-encoding")),
        (plain, None)
    );
    let has_it = asked("gzip").field("If-None-Match", "\"v1-gzip\"");
    assert_eq!(stage.tide.ask(&has_it).await.status, 304);
    stage.express(before + 3).await;
}

#[tokio::test]
async fn hits_in_the_lane_are_counted_wherever_hits_are() {
    let mut counted = Vec::new();
    for (lane, express) in LANES.into_iter().zip([0, 25]) {
        let stage = Stage::with(lane, "", "cache: true").await;
        stage.stores(&["/sized/1000"]).await;
        let mut client = stage.tide.connect().await;
        for _ in 0..25 {
            assert!(is_hit(
                &client.ask(&Request::get("/sized/1000")).await.unwrap()
            ));
        }
        stage.express(express).await;
        let route = ("route", "shop");
        let mut values = Vec::new();
        for (name, labels) in [
            ("tidegate_http_requests_total", vec![route, ("code", "200")]),
            ("tidegate_http_response_bytes_total", vec![route]),
            (
                "tidegate_cache_requests_total",
                vec![route, ("result", "hit")],
            ),
            (
                "tidegate_http_request_duration_seconds_count",
                vec![route, ("cache", "hit")],
            ),
            ("tidegate_http_requests_in_flight", vec![]),
            ("tidegate_connections_active", vec![]),
        ] {
            values.push((name, stage.tide.metric(name, &labels).await));
        }
        let cache = stage.tide.json("/api/v1/cache").await;
        let top = &cache["top"]["hits"][0];
        assert_eq!(top["url"], "http://tide.test/sized/1000", "{cache}");
        values.push(("top", top["at_least"].as_f64()));
        values.push(("top bytes", cache["top"]["bytes"][0]["at_least"].as_f64()));
        values.push(("hits", cache["requests"]["hit"].as_f64()));
        counted.push(values);
    }
    assert_eq!(counted[0], counted[1]);
    let value = |at: usize| counted[1][at].1;
    assert_eq!((value(0), value(1)), (Some(26.0), Some(26_000.0)));
    assert_eq!(
        (value(2), value(3), value(6)),
        (Some(25.0), Some(25.0), Some(25.0))
    );
}

#[tokio::test]
async fn what_varies_by_encoding_is_selected_as_nodes_are_asked() {
    let mut told = Vec::new();
    for (lane, express) in LANES.into_iter().zip([0, 4]) {
        let stage = Stage::with(lane, "", "cache: true, compress: true").await;
        stage.app.answers(|seen| {
            let asked = seen.head.get("accept-encoding").unwrap_or("nothing");
            Reply::text(format!("asked for {asked}, {}", "again ".repeat(600)))
                .field("Cache-Control", "max-age=600")
                .field("Vary", "Accept-Encoding")
        });
        let mut bodies = Vec::new();
        for takes in ["gzip", "identity", "gzip", "identity", "x-none"] {
            let asked = Request::get("/").field("Accept-Encoding", takes);
            let answer = stage.tide.ask(&asked).await;
            bodies.push((
                answer.status,
                answer.head.get("content-encoding").map(str::to_owned),
            ));
        }
        assert_eq!(stage.app.requests(), 1, "one plain body is for all of them");
        stage.express(express).await;
        told.push(bodies);
    }
    assert_eq!(told[0], told[1]);
}
