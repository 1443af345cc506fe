//! What is stored and what never is (RFC 9111 §3).

use super::{Stage, is_hit, reply, row_of, told, validated};
use crate::support::client::Request;
use crate::support::reply::{Reply, Step};
use crate::support::{check, eventually, pattern};

const MINUTE: &str = "Cache-Control: max-age=60";
/// Fresh for a day by the usual guess.
const OLD: &str = "Last-Modified: {now-864000}";

/// A row a status.
macro_rules! statuses {
    ($says:expr, $($status:literal)+) => {
        [$(row_of(stringify!($status), $says).status($status)),+]
    };
}

#[tokio::test]
async fn an_answer_that_says_how_long_it_is_fresh_is_stored_whatever_its_status() {
    let stage = Stage::open("true").await;
    let rows = statuses!(MINUTE, 200 201 202 203 204 205 226 299 300 301 302 303 307 308 399
        400 401 403 404 405 410 414 418 429 451 499 500 501 502 503 504 511 599);
    stage.keeps(&rows).await;
}

#[tokio::test]
async fn a_part_of_an_answer_is_none_that_is_stored() {
    let stage = Stage::open("true").await;
    let part = row_of(
        "part",
        "Cache-Control: max-age=60\nContent-Range: bytes 0-3/9",
    );
    stage.refuses(&[part.status(206)]).await;
}

#[tokio::test]
async fn without_a_word_on_freshness_a_last_modified_is_enough_for_a_few_statuses() {
    let stage = Stage::open("true").await;
    stage
        .keeps(&statuses!(OLD, 200 203 204 300 301 308 404 405 410 414 501))
        .await;
    let stage = Stage::open("true").await;
    stage
        .refuses(&statuses!(OLD, 201 202 302 303 307 400 401 403 418 429 500 503 599))
        .await;
    let stage = Stage::open("true").await;
    let public = "Cache-Control: public\nLast-Modified: {now-864000}";
    stage
        .keeps(&statuses!(public, 201 302 400 403 500 599))
        .await;
}

#[tokio::test]
async fn what_an_answer_forbids_is_not_stored() {
    let stage = Stage::open("{ ttl: 60s }").await;
    let rows = [
        row_of("no-store", "Cache-Control: no-store"),
        row_of("in capitals", "Cache-Control: NO-STORE, max-age=60"),
        row_of("beside max-age", "Cache-Control: no-store, max-age=60"),
        row_of(
            "a line below",
            "Cache-Control: max-age=60\nCache-Control: no-store",
        ),
        row_of("private", "Cache-Control: private, max-age=60"),
        row_of("mixed letters", "Cache-Control: Private"),
        row_of(
            "private and for shared",
            "Cache-Control: private, s-maxage=60",
        ),
        row_of("vary by all", "Cache-Control: max-age=60\nVary: *"),
        row_of(
            "vary by all among",
            "Cache-Control: max-age=60\nVary: Accept, *, Origin",
        ),
        row_of(
            "vary by all below",
            "Cache-Control: max-age=60\nVary: Accept\nVary: *",
        ),
    ];
    stage.refuses(&rows).await;
}

#[tokio::test]
async fn an_answer_for_somebody_who_logged_in_is_for_others_only_if_it_says_so() {
    let stage = Stage::open("true").await;
    let logged_in = |name, says| row_of(name, says).asked("Authorization: Basic YTpi");
    stage
        .refuses(&[
            logged_in("max-age", MINUTE),
            logged_in("expires", "Expires: {now+60}"),
            logged_in(
                "proxy-revalidate",
                "Cache-Control: proxy-revalidate, max-age=60",
            ),
            logged_in("old", OLD),
        ])
        .await;
    let rows = [
        logged_in("public", "Cache-Control: public, max-age=60"),
        logged_in(
            "must-revalidate",
            "Cache-Control: must-revalidate, max-age=60",
        ),
        logged_in("s-maxage", "Cache-Control: s-maxage=60"),
    ];
    stage.keeps(&rows).await;
    for row in rows {
        assert!(is_hit(&stage.get(&row.path()).await), "{}", row.name);
    }
    // What was stored for everybody is for those who logged in too.
    stage.says(MINUTE);
    stage.get("/open").await;
    let known = stage.get_with("/open", "Authorization: Basic YTpi").await;
    assert!(is_hit(&known), "{}", told(&known));
}

#[tokio::test]
async fn private_and_no_cache_of_some_fields_concern_those_alone() {
    for directive in ["private", "no-cache"] {
        let stage = Stage::open("true").await;
        stage.app.answers(move |seen| {
            let only = format!("max-age=60, {directive}=\"x-own, X-Too\"");
            reply(seen, 200, "X-Own: 1\nX-Too: 2\nX-All: 3").field("Cache-Control", &only)
        });
        let (first, second) = (stage.get("/").await, stage.get("/").await);
        assert_eq!(
            first.head.get("x-own"),
            Some("1"),
            "{directive}: it is theirs"
        );
        assert!(is_hit(&second), "{directive}: {}", told(&second));
        let seen = ["x-own", "x-too", "x-all"].map(|name| second.head.get(name));
        assert_eq!(seen, [None, None, Some("3")], "{directive}");
    }
}

#[tokio::test]
async fn must_understand_stores_what_is_understood_in_spite_of_no_store() {
    let stage = Stage::open("true").await;
    let says = "Cache-Control: must-understand, no-store, max-age=60";
    stage.keeps(&statuses!(says, 200 203 301 404)).await;
    let stage = Stage::open("true").await;
    stage.refuses(&statuses!(says, 299 399 499 599)).await;
    let stage = Stage::open("true").await;
    let says = "Cache-Control: must-understand, max-age=60";
    stage.refuses(&statuses!(says, 299 599)).await;
}

#[tokio::test]
async fn no_cache_is_stored_and_validated_on_every_use() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: no-cache, max-age=60";
    stage
        .app
        .answers(move |seen| validated(seen, "\"v1\"", lines));
    let first = stage.get("/").await;
    for n in 2..5 {
        let again = stage.get("/").await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(stage.asked("/"), n);
        assert_eq!(stage.last().head.get("if-none-match"), Some("\"v1\""));
    }
}

#[tokio::test]
async fn there_is_no_freshness_that_nobody_gave() {
    let stage = Stage::open("true").await;
    let none = [
        row_of("nothing", ""),
        row_of("public", "Cache-Control: public"),
    ];
    stage.refuses(&none).await;
    stage.app.answers(|seen| validated(seen, "\"v1\"", ""));
    stage.get("/tagged").await;
    stage.get("/tagged").await;
    let asked = stage.last();
    assert_eq!(asked.head.get("if-none-match"), Some("\"v1\""), "validated");
    let stage = Stage::open("{ ttl: 60s }").await;
    stage.keeps(&none).await;
}

#[tokio::test]
async fn what_is_fresh_stays_in_use_whatever_the_origin_would_say_by_now() {
    let stage = Stage::open("true").await;
    stage.says(MINUTE);
    let first = stage.get("/").await;
    for (status, lines) in [
        (200, "Cache-Control: no-store"),
        (404, ""),
        (500, ""),
        (301, "Location: /"),
    ] {
        stage.app.answers(move |seen| reply(seen, status, lines));
        let again = stage.get("/").await;
        assert_eq!((again.status, again.text()), (200, first.text()));
    }
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn what_sets_a_cookie_is_stored_as_the_route_says() {
    for (word, fetches, cookie) in [
        ("refuse", 2, Some("id=1")),
        ("strip", 1, None),
        ("store", 1, Some("id=1")),
    ] {
        let stage = Stage::open(&format!("{{ set_cookie: {word} }}")).await;
        stage.says("Cache-Control: max-age=60\nSet-Cookie: id=1");
        let (first, second) = (stage.get("/").await, stage.get("/").await);
        assert_eq!(
            first.head.get("set-cookie"),
            Some("id=1"),
            "{word}: it is theirs"
        );
        assert_eq!(second.head.get("set-cookie"), cookie, "{word}");
        assert_eq!(stage.asked("/"), fetches, "{word}");
    }
    let stage = Stage::open("true").await;
    stage.says("Cache-Control: max-age=60\nSet-Cookie: id=1");
    let refused = stage.get("/").await;
    assert!(
        told(&refused).ends_with("; detail=set_cookie"),
        "{}",
        told(&refused)
    );
}

#[tokio::test]
async fn a_requests_cookie_neither_splits_nor_bypasses() {
    let stage = Stage::open("true").await;
    stage.says(MINUTE);
    let first = stage.get_with("/", "Cookie: id=1").await;
    for lines in ["Cookie: id=2", "", "Cookie: a=1; b=2"] {
        assert_eq!(stage.get_with("/", lines).await.body, first.body);
    }
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn fields_are_replayed_as_they_came_but_for_those_of_one_connection() {
    let stage = Stage::open("true").await;
    stage.says(
        "Cache-Control: max-age=60, x-y=\"a, b\"
Connection: X-Hop, x-other
X-Hop: 1
X-Other: 1
Keep-Alive: timeout=5
Proxy-Authenticate: Basic
Proxy-Connection: keep-alive
Content-Encoding: br
Content-Language: de, en
X-Two: 1
X-Two: 2
X-Empty:
X-Unknown: \"a  b\" ; c",
    );
    stage.get("/").await;
    let hit = stage.get("/").await;
    assert!(is_hit(&hit));
    for name in [
        "x-hop",
        "x-other",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
    ] {
        assert_eq!(hit.head.all(name), Vec::<&str>::new(), "{name}");
    }
    let value = |name: &str| hit.head.all(name).join("|");
    for (name, expected) in [
        ("Cache-Control", "max-age=60, x-y=\"a, b\""),
        ("Content-Encoding", "br"),
        ("Content-Language", "de, en"),
        ("X-Two", "1|2"),
        ("X-Empty", ""),
        ("X-Unknown", "\"a  b\" ; c"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_may_be_cut_is_not_stored() {
    let stage = Stage::open("true").await;
    let minute = |reply: Reply| reply.field("Cache-Control", "max-age=60");
    stage.app.answers(move |seen| match seen.target() {
        "/short" => minute(Reply::short_of(9, "short")),
        "/no-last-chunk" => minute(Reply::steps([
            Reply::chunked_head(),
            Step::Chunk("half".into()),
            Step::Close,
        ])),
        "/reset" => minute(Reply::short_of(9, "short").then(Step::Reset)),
        "/until-close" => minute(Reply::steps([
            Step::Head(200, vec![]),
            Step::Bytes("all".into()),
            Step::Close,
        ])),
        _ => Reply::usual(seen),
    });
    for (path, whole) in [
        ("/short", false),
        ("/no-last-chunk", false),
        ("/reset", false),
        ("/until-close", true),
    ] {
        for n in 1..3 {
            let answer = stage.tide.try_ask(&Request::get(path)).await;
            let looks_whole = answer.is_ok_and(|answer| answer.status == 200);
            assert_eq!(looks_whole, whole, "{path}");
            assert_eq!(stage.asked(path), n, "{path}");
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_stored_when_its_last_chunk_has_come() {
    let stage = Stage::open("true").await;
    let chunks = ["in ", "three ", "pieces"];
    stage
        .app
        .answers(move |_| Reply::chunked(chunks).field("Cache-Control", "max-age=60"));
    assert_eq!(stage.get("/").await.text(), "in three pieces");
    let hit = eventually("a hit", crate::support::proxy::SOON, async || {
        let again = stage.get("/").await;
        check(is_hit(&again), told(&again)).map(|()| again)
    })
    .await;
    assert_eq!(
        (hit.text(), hit.head.get("content-length")),
        ("in three pieces".into(), Some("15"))
    );
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn what_is_larger_than_the_file_allows_is_passed_on_and_not_stored() {
    let stage = Stage::under("cache: { memory: 4MiB, max_object: 64KiB }\n", "true").await;
    let large = pattern(65_537);
    let body = large.clone();
    stage.app.answers(move |seen| {
        let reply = match seen.target() {
            "/sized" => Reply::text(body.clone()),
            "/chunked" => Reply::chunked(body.chunks(9_000)),
            _ => Reply::text(&body[1..]),
        };
        reply.field("Cache-Control", "max-age=60")
    });
    for (path, fetches) in [("/sized", 2), ("/chunked", 2), ("/fits", 1)] {
        for _ in 0..2 {
            let answer = stage.get(path).await;
            assert!(
                large.ends_with(&answer.body) && answer.body.len() > 65_535,
                "{path}"
            );
        }
        assert_eq!(stage.asked(path), fetches, "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_a_post_that_is_of_its_own_url_serves_later_gets() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let reply = reply(
            seen,
            if seen.target() == "/created" {
                201
            } else {
                200
            },
            "",
        );
        let location = match seen.target() {
            "/other" => "/elsewhere",
            own => own,
        };
        let reply = match seen.target() {
            "/unsaid" => reply.field("Cache-Control", "public"),
            _ => reply.field("Cache-Control", "max-age=60"),
        };
        reply.field("Content-Location", location)
    });
    for (path, fetches) in [("/form", 1), ("/other", 2), ("/created", 2), ("/unsaid", 2)] {
        let posted = stage.ask(&Request::post(path, "x=1")).await;
        let got = stage.get(path).await;
        assert_eq!(
            got.body == posted.body,
            fetches == 1,
            "{path}: {}",
            told(&got)
        );
        assert_eq!(stage.asked(path), fetches, "{path}");
    }
    stage.ask(&Request::post("/form", "x=2")).await;
    assert_eq!(
        stage.asked("/form"),
        2,
        "a POST itself is never answered so"
    );
}
