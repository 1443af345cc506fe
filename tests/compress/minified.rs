//! `minify`: what is stored loses what nobody needs, once; everything else stays as it came.

use std::time::Duration;

use super::*;
use crate::support::reply::Step;

const MINIFIED: &str = "cache: true\nminify: [json]";

/// Blanks where people like them, and one that means something.
fn pretty() -> Vec<u8> {
    let mut text = String::from("{\r\n\t\"items\" : [\n");
    for n in 0..400 {
        text.push_str(&format!(
            "    {{ \"id\" : {n},  \"name\" : \"a \\\" b\" }},\n"
        ));
    }
    (text + "    null\n  ]\n}\n").into_bytes()
}

/// The same as a program would have written it.
fn plain() -> Vec<u8> {
    let mut text = String::from("{\"items\":[");
    for n in 0..400 {
        text.push_str(&format!("{{\"id\":{n},\"name\":\"a \\\" b\"}},"));
    }
    (text + "null]}").into_bytes()
}

#[tokio::test]
async fn json_is_stored_without_its_blanks() {
    let stage = Stage::open(MINIFIED).await;
    let lines = "Content-Type: application/json\nCache-Control: max-age=60\nETag: \"x\"
        Accept-Ranges: bytes\nLast-Modified: Sat, 01 Jan 2022 00:00:00 GMT";
    stage.says(pretty(), lines);
    for round in 0..3 {
        let answer = stage.get("/", "br").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == plain(), "{round}: {}", answer.text());
        assert_eq!(answer.head.get("etag"), Some("W/\"x\""));
        assert_eq!(answer.head.get("accept-ranges"), Some("none"));
        assert_eq!(answer.head.get("vary"), None);
        if round > 0 {
            let length = plain().len().to_string();
            assert_eq!(answer.head.get("content-length"), Some(length.as_str()));
        }
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn however_it_arrives_it_is_minified() {
    for size in [1, 7, 1_000] {
        let stage = Stage::open(MINIFIED).await;
        let body = pretty();
        stage.answers(move |_| with(Reply::chunked(body.chunks(size)), JSON));
        for _ in 0..2 {
            assert!(stage.get("/", "").await.body == plain(), "{size}");
        }
        assert_eq!(stage.app.requests(), 1);
    }
}

#[tokio::test]
async fn there_are_no_parts_of_what_was_minified() {
    let stage = Stage::open(MINIFIED).await;
    stage.says(pretty(), JSON);
    stage.get("/", "").await;
    for lines in [
        "Range: bytes=5-9",
        "Range: bytes=5-9\nIf-Range: \"x\"",
        "Range: bytes=5-9\nIf-Range: W/\"x\"",
        "Range: bytes=1000000-",
    ] {
        let answer = stage.get_with("/", "", lines).await;
        assert_eq!(answer.status, 200, "{lines}");
        assert!(answer.body == plain(), "{lines}");
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn who_has_it_is_told_so_by_its_weak_tag_or_the_origin_s() {
    let stage = Stage::open(MINIFIED).await;
    stage.says(pretty(), JSON);
    stage.get("/", "").await;
    for tag in ["W/\"x\"", "\"x\""] {
        let line = format!("If-None-Match: {tag}");
        let answer = stage.get_with("/", "", &line).await;
        assert_eq!(answer.status, 304, "{tag}");
        assert_eq!(answer.head.get("etag"), Some("W/\"x\""));
    }
}

#[tokio::test]
async fn it_stays_minified_when_the_origin_confirms_it() {
    for compress in ["", "\ncompress: { max_cpu: 100% }"] {
        let stage = Stage::open(&format!("{MINIFIED}{compress}")).await;
        stage.answers(|seen| {
            let lines = "Content-Type: application/json\nCache-Control: max-age=60\nETag: \"x\"
                Accept-Ranges: bytes";
            let names = |tag: &str| tag.contains("\"x\"");
            match seen.head.get("if-none-match").is_some_and(names) {
                true => with(Reply::steps([Step::Head(304, vec![])]), lines),
                false => with(Reply::text(pretty()), lines),
            }
        });
        for round in 1..4 {
            let answer = stage.get("/", "gzip").await;
            assert!(decoded(&answer) == plain(), "{round}");
            let tag = match encoding(&answer) {
                "gzip" => "W/\"x-gzip\"",
                _ => "W/\"x\"",
            };
            assert_eq!(answer.head.get("etag"), Some(tag), "{round}");
            let part = stage.get_with("/", "identity", "Range: bytes=5-9").await;
            assert_eq!((part.status, part.body == plain()), (200, true));
            assert_eq!(stage.asked("/"), round);
            stage.tide.forward(Duration::from_secs(70)).await;
        }
    }
}

#[tokio::test]
async fn its_compressed_forms_are_those_of_what_is_stored() {
    let stage = Stage::open("cache: true\ncompress: { max_cpu: 100% }\nminify: true").await;
    stage.says(pretty(), JSON);
    for round in 0..2 {
        for takes in ["br", "gzip", "zstd", "deflate", "identity"] {
            let answer = stage.get("/", takes).await;
            assert_eq!(encoding(&answer), takes, "{round}");
            assert!(decoded(&answer) == plain(), "{takes} {round}");
            let tag = match takes {
                "identity" => "W/\"x\"".to_owned(),
                _ => format!("W/\"x-{takes}\""),
            };
            assert_eq!(answer.head.get("etag"), Some(tag.as_str()));
            let known = format!("If-None-Match: {tag}");
            let again = stage.get_with("/", takes, &known).await;
            assert_eq!(again.status, 304, "{takes}");
        }
    }
    assert_eq!(stage.app.requests(), 1);
}

/// Answers of the origin are sent as they came, twice.
async fn untouched(keys: &str, lines: &'static str) {
    let stage = Stage::open(keys).await;
    stage.says(pretty(), lines);
    for _ in 0..2 {
        let answer = stage.get("/", "identity").await;
        assert!(answer.body == pretty(), "{keys}: {lines}");
        if lines.contains("ETag") {
            assert_eq!(answer.head.get("etag"), Some("\"x\""), "{keys}: {lines}");
        }
    }
}

#[tokio::test]
async fn everything_else_stays_as_it_came() {
    for (keys, lines) in [
        // The route does not say so, or says it of another kind.
        ("cache: true", JSON),
        ("cache: true\nminify: false", JSON),
        // It is not stored.
        ("minify: [json]", JSON),
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: no-store\nETag: \"x\"",
        ),
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: private, max-age=60",
        ),
        // Nobody may change it.
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: max-age=60, no-transform\nETag: \"x\"",
        ),
        // Somebody vouches for the very bytes.
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: max-age=60\nContent-Digest: sha-256=:AA==:",
        ),
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: max-age=60\nContent-MD5: AAAA",
        ),
        // It is something else, where a line's end means something.
        (
            MINIFIED,
            "Content-Type: application/x-ndjson\nCache-Control: max-age=60",
        ),
        (
            MINIFIED,
            "Content-Type: application/json-seq\nCache-Control: max-age=60",
        ),
        (
            MINIFIED,
            "Content-Type: text/plain\nCache-Control: max-age=60",
        ),
        (MINIFIED, "Cache-Control: max-age=60"),
        // Nobody here reads its letters.
        (
            MINIFIED,
            "Content-Type: application/json; charset=utf-16\nCache-Control: max-age=60",
        ),
        // It is encoded in a way that is not read here.
        (
            MINIFIED,
            "Content-Type: application/json\nCache-Control: max-age=60\nContent-Encoding: aes128gcm",
        ),
    ] {
        untouched(keys, lines).await;
    }
}

#[tokio::test]
async fn an_error_page_stays_as_it_came() {
    let stage = Stage::open(MINIFIED).await;
    stage.answers(|_| with(Reply::sized(404, pretty()), JSON));
    for _ in 0..2 {
        let answer = stage.get("/", "").await;
        assert!(answer.status == 404 && answer.body == pretty());
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn what_is_no_json_goes_on_as_it_came_whatever_it_says_it_is() {
    let broken = b"{ \"a\" : [ 1, 2 ,  <html> \"never closed  ".to_vec();
    let stage = Stage::open(MINIFIED).await;
    stage.says(broken.clone(), JSON);
    let first = stage.get("/", "").await;
    let text = |bytes: &[u8]| {
        bytes
            .iter()
            .filter(|b| **b != b' ')
            .copied()
            .collect::<Vec<_>>()
    };
    assert!(text(&first.body) == text(&broken), "{}", first.text());
    assert!(
        first.body.ends_with(b"\"never closed  "),
        "{}",
        first.text()
    );
    assert_eq!(stage.get("/", "").await.body, first.body);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_stored_minified() {
    let stage = Stage::open(MINIFIED).await;
    stage.answers(|seen| match seen.serial {
        0 => with(Reply::short_of(50_000, "{ \"a\" : 1,  "), JSON),
        _ => with(Reply::text(pretty()), JSON),
    });
    assert!(stage.tide.try_ask(&Request::get("/")).await.is_err());
    assert!(stage.get("/", "").await.body == plain());
}

#[tokio::test]
async fn each_kind_is_minified_where_the_route_names_it_and_the_build_has_it() {
    for (word, media_type, text, is_built) in [
        ("json", "application/json", "{  \"a\" : 1  }", true),
        (
            "html",
            "text/html",
            "<!doctype html>\n<html>\n<body>\n   <p>   a   b   </p>   <!-- a note -->\n</body></html>",
            cfg!(feature = "minify-html"),
        ),
        (
            "css",
            "text/css",
            "/* a note */\na   {\n   color :  red;\n}\n",
            cfg!(feature = "minify-css"),
        ),
        (
            "js",
            "text/javascript",
            "// a note\nlet   a   =   1 ;\n\n\nlet   b   =   2 ;\n",
            cfg!(feature = "minify-js"),
        ),
    ] {
        // What a build lacks cannot be named, but everything that it has can.
        let named = if is_built {
            format!("[{word}]")
        } else {
            "true".to_owned()
        };
        let stage = Stage::open(&format!("cache: true\nminify: {named}")).await;
        stage.answers(move |_| {
            let reply = Reply::text(text).field("Cache-Control", "max-age=60");
            reply.field("Content-Type", media_type)
        });
        let answer = stage.get("/", "").await;
        let is_smaller = answer.body.len() < text.len();
        assert_eq!(is_smaller, is_built, "{word}: {}", answer.text());
        // Another kind is another word.
        let other = if word == "json" { "false" } else { "[json]" };
        let stage = Stage::open(&format!("cache: true\nminify: {other}")).await;
        stage.answers(move |_| {
            let reply = Reply::text(text).field("Cache-Control", "max-age=60");
            reply.field("Content-Type", media_type)
        });
        assert_eq!(stage.get("/", "").await.text(), text, "{word}");
    }
}
