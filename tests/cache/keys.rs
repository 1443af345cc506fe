//! What an answer is found by: its URL, and the request fields that selected it (RFC 9111 §2, §4.1).

use super::{Stage, is_hit, reply, told, with};
use crate::support::client::{Answer, Request};

/// The origin tells in the body what it was asked for.
async fn telling(top: &str, rules: &str) -> Stage {
    let stage = Stage::under(top, rules).await;
    stage.app.answers(|seen| {
        let host = seen.head.get("host").unwrap_or_default();
        let scheme = seen.head.get("x-forwarded-proto").unwrap_or_default();
        let body = format!("{scheme} {host} {}", seen.target());
        crate::support::reply::Reply::text(body).field("Cache-Control", "max-age=60")
    });
    stage
}

fn at(host: &str, target: &str) -> Request {
    Request::get(target).host(host)
}

#[tokio::test]
async fn urls_that_differ_in_a_byte_that_counts_are_told_apart() {
    let stage = telling("", "true").await;
    let all = [
        at("a.test", "/p"),
        at("b.test", "/p"),
        at("a.test:8080", "/p"),
        at("a.test:443", "/p"),
        at("a.test", "/P"),
        at("a.test", "/p/"),
        at("a.test", "/p?"),
        at("a.test", "/p?x=1"),
        at("a.test", "/p?x=2"),
        at("a.test", "/p?x=1&y=2"),
        at("a.test", "/p?y=2&x=1"),
        at("a.test", "/p?x=1&x=1"),
        at("a.test", "/p?X=1"),
        at("a.test", "/p/a/b"),
        at("a.test", "/p/a%2fb"),
        at("a.test", "/p/a%252fb"),
    ];
    for round in 0..2 {
        for request in &all {
            let answer = stage.ask(request).await;
            assert_eq!(
                is_hit(&answer),
                round == 1,
                "{request:?}: {}",
                told(&answer)
            );
        }
    }
    assert_eq!(stage.app.requests(), all.len());
}

#[tokio::test]
async fn hosts_that_differ_in_letter_case_or_the_usual_port_are_one() {
    let stage = telling("", "true").await;
    stage.ask(&at("a.test", "/")).await;
    for host in ["A.TEST", "a.test:80", "A.test:80"] {
        let answer = stage.ask(&at(host, "/")).await;
        assert!(is_hit(&answer), "{host}: {}", told(&answer));
    }
}

#[tokio::test]
async fn the_scheme_is_part_of_the_url_where_a_trusted_proxy_tells_it() {
    let stage = telling("trusted_proxies: 127.0.0.1\n", "true").await;
    for _ in 0..2 {
        for scheme in ["http", "https"] {
            let said = Request::get("/").field("X-Forwarded-Proto", scheme);
            let answer = stage.ask(&said).await;
            assert!(
                answer.text().starts_with(&format!("{scheme} ")),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(stage.app.requests(), 2);
    // From a stranger it says nothing.
    let stage = telling("", "true").await;
    for scheme in ["http", "https"] {
        let said = Request::get("/").field("X-Forwarded-Proto", scheme);
        assert!(stage.ask(&said).await.text().starts_with("http "));
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn what_is_left_out_of_the_key_is_left_out_of_what_the_origin_is_asked() {
    let rules = "{ key: { drop_query: [\"utm_*\", fbclid], sort_query: true } }";
    let stage = telling("", rules).await;
    let first = stage.get("/?b=2&utm_source=x&a=1&fbclid=9").await;
    assert_eq!(stage.app.only().target(), "/?a=1&b=2");
    for same in ["/?a=1&b=2", "/?b=2&a=1&utm_x=", "/?utm_medium&a=1&b=2"] {
        let answer = stage.get(same).await;
        assert_eq!(
            (is_hit(&answer), answer.text()),
            (true, first.text()),
            "{same}"
        );
    }
    for other in [
        "/?a=1",
        "/?a=1&b=2&fbclids=1",
        "/?a=2&b=1",
        "/?xutm_=1&a=1&b=2",
    ] {
        assert!(!is_hit(&stage.get(other).await), "{other}");
    }
    // With nothing left there is no `?`.
    stage.get("/none?fbclid=1").await;
    assert_eq!(stage.last().target(), "/none");
}

/// An origin whose answers vary by this, with the request's fields of that name in the body.
async fn varying(top: &str, vary: &'static str) -> Stage {
    let stage = Stage::under(top, "true").await;
    stage.app.answers(move |seen| {
        let reply = reply(seen, 200, "Cache-Control: max-age=600");
        vary.split('|')
            .fold(reply, |reply, line| reply.field("Vary", line))
    });
    stage
}

#[tokio::test]
async fn variants_are_stored_side_by_side() {
    let stage = varying("", "X-Kind").await;
    let kinds = ["X-Kind: a", "X-Kind: b", "X-Kind: A", "X-Kind:", ""];
    let mut bodies = Vec::new();
    for kind in kinds {
        bodies.push(stage.get_with("/", kind).await.body);
    }
    for (kind, body) in kinds.iter().zip(&bodies) {
        let again = stage.get_with("/", kind).await;
        assert_eq!((is_hit(&again), &again.body), (true, body), "{kind:?}");
    }
    assert_eq!(stage.app.requests(), kinds.len());
    let other = stage.get_with("/", "X-Kind: c").await;
    assert!(told(&other).contains("fwd=vary-miss"), "{}", told(&other));
}

#[tokio::test]
async fn empty_members_and_several_lines_of_vary_are_harmless() {
    for vary in [", x-a,, X-B ,", "X-A|X-B", "X-B, x-a, X-A"] {
        let stage = varying("", vary).await;
        let ask = async |lines: &str| is_hit(&stage.get_with("/", lines).await);
        assert!(!ask("X-A: 1\nX-B: 2").await, "{vary}");
        assert!(ask("X-B: 2\nX-A: 1\nX-C: 3").await, "{vary}");
        for other in ["X-A: 1", "X-B: 2", "X-A: 2\nX-B: 1", ""] {
            assert!(!ask(other).await, "{vary}: {other:?}");
        }
    }
}

#[tokio::test]
async fn there_are_never_more_variants_than_the_file_allows() {
    let stage = varying("cache: { variants: 4 }\n", "X-Kind").await;
    for kind in 0..20 {
        stage.get_with("/", &format!("X-Kind: {kind}")).await;
    }
    let kept = async |kind: usize| {
        let only = format!("X-Kind: {kind}\nCache-Control: only-if-cached");
        stage.get_with("/", &only).await.status == 200
    };
    let mut all = Vec::new();
    for kind in 0..20 {
        if kept(kind).await {
            all.push(kind);
        }
    }
    assert!((1..=4).contains(&all.len()), "{all:?}");
    assert!(all.contains(&19), "the newest is there: {all:?}");
}

/// Whether these two sets of lines select the same variant of an answer that varies by `vary`.
async fn select_the_same(vary: &'static str, one: &str, other: &str) -> bool {
    let stage = varying("", vary).await;
    stage.ask(&with(Request::get("/"), one)).await;
    is_hit(&stage.ask(&with(Request::get("/"), other)).await)
}

#[tokio::test]
async fn selecting_fields_that_mean_the_same_select_the_same() {
    let (encoding, language) = ("Accept-Encoding", "Accept-Language");
    for (vary, one, other) in [
        ("X-List", "X-List: a, b", "X-List: a,b"),
        ("X-List", "X-List: a, b", "X-List: a\nX-List: b"),
        (
            encoding,
            "Accept-Encoding: gzip, br",
            "Accept-Encoding: br,gzip",
        ),
        (
            encoding,
            "Accept-Encoding: gzip, br",
            "Accept-Encoding: GZIP;q=0.9, br;q=1.0",
        ),
        (
            encoding,
            "Accept-Encoding: gzip",
            "Accept-Encoding: gzip, br;q=0",
        ),
        (encoding, "Accept-Encoding: gzip", "Accept-Encoding: x-gzip"),
        (
            language,
            "Accept-Language: de, en;q=0.5",
            "Accept-Language: en;q=0.5, DE",
        ),
        (language, "Accept-Language: de;q=1.0", "Accept-Language: de"),
        ("Accept", "Accept: text/html, */*", "Accept: Text/HTML,*/*"),
    ] {
        assert!(
            select_the_same(vary, one, other).await,
            "{one:?} and {other:?}"
        );
    }
}

#[tokio::test]
async fn selecting_fields_that_mean_something_else_do_not() {
    let (encoding, language) = ("Accept-Encoding", "Accept-Language");
    for (vary, one, other) in [
        ("X-List", "X-List: a, b", "X-List: b, a"),
        ("X-List", "X-List: a", "X-List: A"),
        (
            encoding,
            "Accept-Encoding: gzip",
            "Accept-Encoding: gzip, br",
        ),
        (
            encoding,
            "Accept-Encoding: gzip",
            "Accept-Encoding: gzip;q=0",
        ),
        (encoding, "Accept-Encoding: gzip", ""),
        (
            encoding,
            "Accept-Encoding: gzip",
            "Accept-Encoding: gzip, identity;q=0",
        ),
        (
            language,
            "Accept-Language: de, en;q=0.5",
            "Accept-Language: de;q=0.5, en",
        ),
        ("Accept", "Accept: text/html", "Accept: text/plain"),
    ] {
        assert!(
            !select_the_same(vary, one, other).await,
            "{one:?} and {other:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_in_the_one_language_a_client_prefers_is_the_one_it_wants() {
    let stage = Stage::open("true").await;
    let lines = "Cache-Control: max-age=60\nVary: Accept-Language\nContent-Language: de";
    stage.says(lines);
    let ask = async |wanted: &str| -> Answer {
        let lines = format!("Accept-Language: {wanted}");
        stage.get_with("/", &lines).await
    };
    ask("de-AT, de;q=0.9").await;
    for (wanted, fits) in [
        ("de", true),
        ("DE;q=0.9, en;q=0.1", true),
        ("en, de;q=0.9", false),
    ] {
        let answer = ask(wanted).await;
        assert_eq!(is_hit(&answer), fits, "{wanted}: {}", told(&answer));
    }
}
