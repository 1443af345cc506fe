//! Parts of what is stored (RFC 9110 §14).

use super::{Stage, is_hit, told};
use crate::support::client::{Answer, Request};
use crate::support::pattern;
use crate::support::reply::Reply;

const LENGTH: usize = 1_000;
const FIELDS: [(&str, &str); 5] = [
    ("Cache-Control", "max-age=600"),
    ("ETag", "\"a\""),
    ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Last-Modified", "Sat, 05 Nov 1994 08:49:37 GMT"),
    ("Content-Type", "image/x-pattern"),
];

/// A stage whose origin has a thousand bytes and does not know parts.
async fn thousand() -> Stage {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let reply = match seen.target() {
            "/chunked" => Reply::chunked(pattern(LENGTH).chunks(100)),
            "/none" => Reply::sized(404, pattern(LENGTH)),
            "/empty" => Reply::text(""),
            _ => Reply::text(pattern(LENGTH)),
        };
        let with = |reply: Reply, (name, value): (&str, &str)| reply.field(name, value);
        FIELDS.into_iter().fold(reply, with)
    });
    stage
}

/// The same with `/` stored.
async fn stored() -> Stage {
    let stage = thousand().await;
    stage.get("/").await;
    stage
}

async fn range(stage: &Stage, range: &str) -> Answer {
    stage.ask(&Request::get("/").field("Range", range)).await
}

#[tokio::test]
async fn one_part_of_what_is_stored_is_sent_as_such() {
    let stage = stored().await;
    let all = pattern(LENGTH);
    for (wanted, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=500-", 500, 1_000),
        ("bytes=-1", 999, 1_000),
        ("bytes=-100", 900, 1_000),
        ("bytes=-5000", 0, 1_000),
        ("bytes=990-5000", 990, 1_000),
        ("BYTES=1-2", 1, 3),
        ("bytes= 1-2", 1, 3),
        ("bytes=10-19,5000-", 10, 20),
    ] {
        let answer = range(&stage, wanted).await;
        assert_eq!(answer.status, 206, "{wanted}");
        assert_eq!(answer.body, all[from..to], "{wanted}");
        let said = format!("bytes {from}-{}/{LENGTH}", to - 1);
        assert_eq!(
            answer.head.get("content-range"),
            Some(said.as_str()),
            "{wanted}"
        );
        assert_eq!(answer.head.get("content-type"), Some("image/x-pattern"));
        assert!(is_hit(&answer), "{wanted}: {}", told(&answer));
    }
    assert_eq!(stage.asked("/"), 1);
}

/// The parts of a `multipart/byteranges` answer: what each says that it is, and its bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kind = answer.head.get("content-type").expect("a type");
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("several parts");
    let mark = format!("\r\n--{boundary}");
    let mut rest = &answer.body[..];
    let mut found = Vec::new();
    while let Some(after) = rest
        .strip_prefix(mark.as_bytes())
        .filter(|after| !after.starts_with(b"--"))
    {
        let end = after
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&after[..end]).into_owned();
        assert!(head.contains("Content-Type: image/x-pattern"), "{head}");
        let (_, said) = head
            .split_once("Content-Range: ")
            .expect("which part it is");
        let said = said.lines().next().unwrap().to_owned();
        let (from, to) = said["bytes ".len()..]
            .split_once('/')
            .unwrap()
            .0
            .split_once('-')
            .unwrap();
        let length = to.parse::<usize>().unwrap() + 1 - from.parse::<usize>().unwrap();
        found.push((said, after[end + 4..end + 4 + length].to_vec()));
        rest = &after[end + 4 + length..];
    }
    assert_eq!(rest, format!("{mark}--\r\n").as_bytes(), "the end");
    found
}

#[tokio::test]
async fn several_parts_are_sent_one_after_the_other() {
    let stage = stored().await;
    let all = pattern(LENGTH);
    let answer = range(&stage, "bytes=0-9, 100-109 ,-10").await;
    assert_eq!(answer.status, 206);
    assert_eq!(answer.head.get("content-range"), None);
    let found = parts(&answer);
    let expected = [(0, 10), (100, 110), (990, 1_000)];
    assert_eq!(found.len(), 3);
    for ((said, bytes), (from, to)) in found.iter().zip(expected) {
        assert_eq!(*said, format!("bytes {from}-{}/{LENGTH}", to - 1));
        assert_eq!(bytes, &all[from..to]);
    }
}

#[tokio::test]
async fn what_lies_beyond_the_end_is_416_with_the_length() {
    let stage = stored().await;
    for wanted in [
        "bytes=1000-",
        "bytes=5000-6000",
        "bytes=-0",
        "bytes=1000-1001,2000-",
    ] {
        let answer = range(&stage, wanted).await;
        assert_eq!((answer.status, answer.body.len()), (416, 0), "{wanted}");
        assert_eq!(
            answer.head.get("content-range"),
            Some("bytes */1000"),
            "{wanted}"
        );
    }
}

#[tokio::test]
async fn what_is_no_range_or_not_worth_one_is_the_whole() {
    let stage = stored().await;
    let many: String = (0..1_000).map(|n| format!("{n}-{n},")).collect();
    let far: String = (0..500).map(|n| format!("{}-{},", 2 * n, 2 * n)).collect();
    let over = "0-,".repeat(200);
    for wanted in [
        "bytes=9-1",
        "bytes=a-b",
        "bytes=",
        "bytes",
        "bytes=1",
        "bytes=--1",
        "bytes=1-2;3-4",
        "lines=0-9",
        "bytes=99999999999999999999999999-1",
        &format!("bytes={far}"),
    ] {
        let answer = range(&stage, wanted).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, LENGTH),
            "{wanted}"
        );
    }
    for wanted in [format!("bytes={many}"), format!("bytes={over}")] {
        let answer = range(&stage, wanted.trim_end_matches(',')).await;
        assert!(matches!(answer.status, 200 | 206), "{}", answer.status);
        assert!(
            answer.body.len() <= 2 * LENGTH,
            "{} bytes of {LENGTH}",
            answer.body.len()
        );
    }
    let two_lines = Request::get("/")
        .field("Range", "bytes=0-1")
        .field("Range", "bytes=2-3");
    assert_eq!(stage.ask(&two_lines).await.status, 200);
}

#[tokio::test]
async fn if_range_asks_for_a_part_of_this_very_one() {
    let stage = stored().await;
    for (named, status) in [
        ("\"a\"", 206),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 206),
        ("\"b\"", 200),
        ("W/\"a\"", 200),
        ("a", 200),
        ("*", 200),
        ("Sat, 05 Nov 1994 08:49:38 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let request = Request::get("/")
            .field("Range", "bytes=0-9")
            .field("If-Range", named);
        assert_eq!(stage.ask(&request).await.status, status, "{named}");
    }
    // A weak tag names nothing byte for byte.
    stage.app.answers(|_| {
        let reply = Reply::text(pattern(LENGTH)).field("ETag", "W/\"a\"");
        reply.field("Cache-Control", "max-age=600")
    });
    stage.get("/weak").await;
    let request = Request::get("/weak")
        .field("Range", "bytes=0-9")
        .field("If-Range", "W/\"a\"");
    assert_eq!(stage.ask(&request).await.status, 200);
}

#[tokio::test]
async fn a_part_is_for_a_get_of_something_that_is_there() {
    let stage = stored().await;
    let part =
        |method: &str, target: &str| Request::new(method, target).field("Range", "bytes=0-9");
    let head = stage.ask(&part("HEAD", "/")).await;
    assert_eq!(
        (head.status, head.head.get("content-length")),
        (200, Some("1000"))
    );
    for _ in 0..2 {
        let none = stage.ask(&part("GET", "/none")).await;
        assert_eq!((none.status, none.body.len()), (404, LENGTH));
    }
    stage.get("/empty").await;
    assert_eq!(stage.ask(&part("GET", "/empty")).await.status, 416);
    let held = part("GET", "/").field("If-None-Match", "\"a\"");
    assert_eq!(
        stage.ask(&held).await.status,
        304,
        "who has it needs no part"
    );
}

#[tokio::test]
async fn the_beginning_of_what_is_not_stored_is_cut_from_the_whole_that_is_fetched() {
    let stage = thousand().await;
    let answer = range(&stage, "bytes=0-99").await;
    assert_eq!(answer.status, 206, "{}", told(&answer));
    assert!(answer.body == pattern(LENGTH)[..100]);
    let asked = stage.app.only();
    assert_eq!(asked.head.get("range"), None, "the whole was asked for");
    for (wanted, length) in [("bytes=10-19", 10), ("bytes=-50", 50)] {
        let answer = range(&stage, wanted).await;
        assert_eq!((answer.status, answer.body.len()), (206, length));
    }
    assert!(stage.get("/").await.body == pattern(LENGTH));
    assert_eq!(stage.asked("/"), 1);
}

#[tokio::test]
async fn a_part_from_the_middle_of_what_is_not_stored_is_the_origins_to_cut_and_is_not_stored() {
    let stage = Stage::open("true").await;
    stage.app.answers(|seen| {
        let reply = match seen.head.get("range") {
            Some(_) => Reply::sized(206, "part").field("Content-Range", "bytes 500-503/1000"),
            None => Reply::text(pattern(LENGTH)),
        };
        reply.field("Cache-Control", "max-age=600")
    });
    for n in 1..3 {
        let answer = range(&stage, "bytes=500-503").await;
        assert_eq!((answer.status, answer.text()), (206, "part".into()));
        assert_eq!(stage.last().head.get("range"), Some("bytes=500-503"));
        assert_eq!(stage.app.requests(), n);
    }
    assert!(stage.get("/").await.body == pattern(LENGTH));
    let hit = range(&stage, "bytes=500-503").await;
    assert_eq!(
        (is_hit(&hit), &hit.body[..]),
        (true, &pattern(LENGTH)[500..504])
    );
}

#[tokio::test]
async fn a_part_of_something_whose_length_is_not_known_yet_is_the_whole() {
    let stage = thousand().await;
    let part = Request::get("/chunked").field("Range", "bytes=0-9");
    let cold = stage.ask(&part).await;
    assert_eq!((cold.status, cold.body.len()), (200, LENGTH));
    let hot = stage.ask(&part).await;
    assert_eq!((hot.status, hot.body.len()), (206, 10));
    assert_eq!(stage.asked("/chunked"), 1);
}
