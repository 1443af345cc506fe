//! What the cache says of itself in every answer (RFC 9211), and answers before the answer (1xx).

use super::{Stage, is_hit, reply, told, validated};
use crate::support::client::Request;
use crate::support::reply::Reply;

const EARLY: &str = "HTTP/1.1 103 Early Hints\r\nLink: </early.css>\r\nX-Early: 1\r\n\r\n";

#[tokio::test]
async fn answers_before_the_answer_are_passed_on_and_never_stored() {
    let stage = Stage::open("true").await;
    stage.app.answers(|_| {
        Reply::raw(format!(
            "{EARLY}HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nlate"
        ))
    });
    let mut client = stage.tide.connect().await;
    client.send(&Request::get("/")).await.unwrap();
    let early = client.head().await.unwrap();
    assert!(early.line.contains("103"), "{}", early.line);
    assert_eq!(early.get("x-early"), Some("1"));
    let first = client.answer("GET").await.unwrap();
    let hit = stage.get("/").await;
    assert!(is_hit(&hit), "{}", told(&hit));
    assert_eq!(hit.interim, Vec::<u16>::new(), "a hit has none");
    for answer in [first, hit] {
        assert_eq!((answer.status, answer.text()), (200, "late".into()));
        assert_eq!(
            answer.head.get("x-early"),
            None,
            "nothing of it is in the answer"
        );
    }
}

#[tokio::test]
async fn cache_status_tells_of_a_life_from_the_miss_to_the_confirmation() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=100";
    stage
        .app
        .answers(move |seen| validated(seen, "\"v1\"", lines));
    let miss = stage.get("/").await;
    assert_eq!(
        told(&miss),
        "tidegate; fwd=uri-miss; stored; ttl=99; detail=nothing_stored"
    );
    stage.passes(40).await;
    let hit = stage.get("/").await;
    assert!(
        told(&hit).starts_with("tidegate; hit; ttl=5"),
        "{}",
        told(&hit)
    );
    assert!(told(&hit).ends_with("; detail=fresh"), "{}", told(&hit));
    stage.passes(100).await;
    let confirmed = stage.get("/").await;
    let said = told(&confirmed);
    assert!(
        said.starts_with("tidegate; fwd=stale; fwd-status=304"),
        "{said}"
    );
    assert!(
        said.contains("; stored") && said.ends_with("; detail=expired"),
        "{said}"
    );
    stage.passes(150).await;
    let stale = stage.get_with("/", "Cache-Control: max-stale").await;
    assert!(
        told(&stale).starts_with("tidegate; hit; ttl=-5"),
        "{}",
        told(&stale)
    );
    assert!(
        told(&stale).ends_with("; detail=max_stale"),
        "{}",
        told(&stale)
    );
}

#[tokio::test]
async fn cache_status_names_why_an_answer_was_forwarded_and_why_it_was_not_stored() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let minute = "Cache-Control: max-age=60";
        match seen.target() {
            "/private" => reply(seen, 200, "Cache-Control: private"),
            "/no-store" => reply(seen, 200, "Cache-Control: no-store"),
            "/cookie" => reply(seen, 200, minute).field("Set-Cookie", "a=1"),
            "/star" => reply(seen, 200, minute).field("Vary", "*"),
            "/silent" => reply(seen, 200, ""),
            "/vary" => reply(seen, 200, minute).field("Vary", "X-Kind"),
            _ => reply(seen, 200, minute),
        }
    });
    stage.get("/vary").await;
    stage.get("/kept").await;
    let get = |target: &str| Request::get(target);
    for (request, forwarded, why) in [
        (get("/private"), "uri-miss", "private"),
        (get("/no-store"), "uri-miss", "no_store"),
        (get("/cookie"), "uri-miss", "set_cookie"),
        (get("/star"), "uri-miss", "vary_any"),
        (get("/silent"), "uri-miss", "no_freshness"),
        (get("/silent"), "uri-miss", "no_freshness"),
        (
            get("/new").field("Authorization", "x"),
            "uri-miss",
            "authorization",
        ),
        (
            get("/new").field("Cache-Control", "no-store"),
            "uri-miss",
            "request_no_store",
        ),
        (
            get("/vary").field("X-Kind", "b"),
            "vary-miss",
            "other_variant",
        ),
        (
            get("/kept").field("Cache-Control", "no-cache"),
            "request",
            "request_no_cache",
        ),
        (
            get("/kept").field("If-Match", "\"a\""),
            "bypass",
            "precondition",
        ),
        (
            Request::post("/kept", "x").method("GET"),
            "bypass",
            "request_body",
        ),
        (Request::new("OPTIONS", "/kept"), "method", "method"),
        (Request::new("HEAD", "/unseen"), "uri-miss", "head"),
    ] {
        let answer = stage.ask(&request).await;
        let said = told(&answer);
        assert!(
            said.starts_with(&format!("tidegate; fwd={forwarded}")),
            "{why}: {said}"
        );
        assert!(said.ends_with(&format!("; detail={why}")), "{why}: {said}");
        let stores = matches!(why, "other_variant" | "request_no_cache");
        assert_eq!(said.contains("; stored"), stores, "{why}: {said}");
    }
}

#[tokio::test]
async fn answers_of_the_proxy_itself_say_it_too() {
    let stage = Stage::open("true").await;
    let none = stage.get_with("/", "Cache-Control: only-if-cached").await;
    assert_eq!(none.status, 504);
    assert!(
        told(&none).ends_with("; detail=only_if_cached"),
        "{}",
        told(&none)
    );
    stage.app.kill().await;
    let failed = stage.get("/").await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    assert!(
        told(&failed).ends_with("; detail=fetch_failed"),
        "{}",
        told(&failed)
    );
}

#[tokio::test]
async fn cache_status_comes_behind_that_of_the_caches_before_us() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60\nCache-Status: origin-cache; hit");
    for ours in ["tidegate; fwd=uri-miss", "tidegate; hit"] {
        let answer = stage.get("/").await;
        let all = answer.head.all("cache-status");
        assert_eq!((all.len(), all[0]), (2, "origin-cache; hit"));
        assert!(all[1].starts_with(ours), "{all:?}");
    }
}

#[tokio::test]
async fn cache_status_names_the_key_where_a_route_says_so() {
    let stage = Stage::open("{ show_key: true, key: { drop_query: [b] } }").await;
    stage.says("Cache-Control: max-age=60");
    for _ in 0..2 {
        let answer = stage
            .ask(&Request::get("/a?b=1&c=%22").host("TIDE.test:80"))
            .await;
        let said = told(&answer);
        assert!(
            said.contains("; key=\"http://tide.test/a?c=%22\""),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_route_without_a_cache_has_nothing_to_say() {
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60");
    for n in 1..3 {
        let answer = stage.get("/plain/x").await;
        assert_eq!((told(&answer), answer.head.get("age")), ("", None));
        assert_eq!(stage.asked("/plain/x"), n);
    }
}
