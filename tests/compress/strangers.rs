//! Clients that nobody here wrote decode what they get, and have the origin's bytes, whatever encoding they took.

use std::collections::HashMap;

use crate::support::decoders::{Decoder, encode};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;

/// The body of a small API answer.
const SMALL: usize = 64 << 10;
/// The body of one that comes, is stored and leaves in many pieces.
const LARGE: usize = 3 << 20;

/// One origin, and the proxy in front of it. It compresses everything, except below `/as-is/`; what is below `/live/` is
/// not stored.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    async fn open() -> Self {
        let app = Origin::start("app-1").await;
        let yaml = format!(
            "upstreams: {{ web: {{ nodes: {} }} }}
routes:
  - {{ match: {{ path: /as-is/ }}, upstream: web }}
  - {{ match: {{ path: /live/ }}, upstream: web, compress: true }}
  - {{ upstream: web, cache: {{ ttl: 1h }}, compress: true }}\n",
            nodes([&app])
        );
        let tide = Tidegate::run(yaml).await;
        Stage { app, tide }
    }

    /// The origin answers everything with this JSON and its length.
    fn says(&self, body: &[u8]) {
        let body = body.to_vec();
        self.app
            .answers(move |_| as_json(Reply::text(body.clone())));
    }

    /// Where somebody finds this.
    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.tide.addr())
    }
}

/// JSON of exactly so many bytes, the same in every run: records as an API has them, no two alike.
fn json(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(6);
    let mut text = String::from("{\"items\":[");
    let tail = "],\"note\":\"\"}";
    for id in 0.. {
        let comma = if id == 0 { "" } else { "," };
        let record = format!(
            "{comma}{{\"id\":{id},\"key\":\"{:08x}\",\"price\":{:.2},\"in_stock\":{},\"name\":\"Größe {}\"}}",
            random.u32(..),
            random.f64() * 400.0,
            random.bool(),
            random.u8(36..48),
        );
        if text.len() + record.len() + tail.len() > size {
            break;
        }
        text.push_str(&record);
    }
    let rest = size - text.len() - tail.len();
    let note = ".".repeat(rest);
    format!("{text}],\"note\":\"{note}\"}}").into_bytes()
}

/// An answer that says it is JSON, of this version.
fn as_json(reply: Reply) -> Reply {
    reply
        .field("Content-Type", "application/json")
        .field("ETag", "\"v1\"")
}

/// What a client says that takes no encoding.
const NOTHING: &str = "identity";
/// Every encoding there is, the most wanted first.
const ENCODINGS: &[&str] = &["zstd", "br", "gzip", "deflate"];

/// Each stranger reads these bytes at the target in each encoding it takes, in none, and in the one that is chosen for it.
async fn all_read(stage: &Stage, target: &str, body: &[u8]) {
    let url = stage.url(target);
    for stranger in Decoder::ALL {
        for encoding in stranger.takes() {
            let what = format!("{stranger:?} {target} in {encoding}");
            let answer = stranger.get(&url, encoding, &[]).await;
            answer.is(body, &what);
            assert_eq!(answer.encoding(), Some(*encoding), "{what}");
            assert!(answer.head.names("vary", "accept-encoding"), "{what}");
        }
        let what = format!("{stranger:?} {target}");
        let plain = stranger.get(&url, NOTHING, &[]).await;
        plain.is(body, &what);
        assert_eq!(plain.encoding(), None, "{what}");
        assert!(plain.head.names("vary", "accept-encoding"), "{what}");
        // As a browser says it: the order of the words says nothing, the route's order decides.
        let usual = stranger.takes().iter().rev().copied().collect::<Vec<_>>();
        let answer = stranger.get(&url, &usual.join(", "), &[]).await;
        answer.is(body, &what);
        assert_eq!(answer.encoding(), stranger.takes().first().copied());
    }
}

/// The same, twice, of one fetch: while the forms are made, and when all are stored.
async fn all_read_of_one_fetch(stage: &Stage, target: &str, body: &[u8]) {
    all_read(stage, target, body).await;
    all_read(stage, target, body).await;
    assert_eq!(stage.app.requests(), 1, "one body serves all");
    for encoding in Decoder::Python.takes() {
        let answer = Decoder::Python.get(&stage.url(target), encoding, &[]).await;
        let tag = format!("\"v1-{encoding}\"");
        assert_eq!(answer.head.get("etag"), Some(tag.as_str()), "{encoding}");
        let length = answer
            .head
            .get("content-length")
            .expect("what is stored has a length");
        let length: usize = length.parse().unwrap();
        assert!(length < body.len() * 2 / 3, "{encoding}: {length} bytes");
    }
}

#[tokio::test]
async fn a_stored_answer_is_read_by_all_in_every_encoding() {
    let stage = Stage::open().await;
    let body = json(SMALL);
    stage.says(&body);
    all_read_of_one_fetch(&stage, "/small.json", &body).await;
}

#[tokio::test]
async fn a_stored_answer_of_many_pieces_is_read_by_all_in_every_encoding() {
    let stage = Stage::open().await;
    let body = json(LARGE);
    let says = body.clone();
    stage
        .app
        .answers(move |_| as_json(Reply::chunked(says.chunks(50_021))));
    all_read_of_one_fetch(&stage, "/large.json", &body).await;
}

#[tokio::test]
async fn an_answer_that_is_not_stored_is_read_by_all_in_every_encoding() {
    let stage = Stage::open().await;
    let bodies = [json(SMALL), json(LARGE)];
    let [small, large] = bodies.clone();
    stage.app.answers(move |seen| match seen.target() {
        "/live/small.json" => as_json(Reply::text(small.clone())),
        "/live/large.json" => as_json(Reply::text(large.clone())),
        _ => as_json(Reply::chunked(large.chunks(50_021))),
    });
    let [small, large] = bodies;
    all_read(&stage, "/live/small.json", &small).await;
    all_read(&stage, "/live/large.json", &large).await;
    all_read(&stage, "/live/chunked.json", &large).await;
}

#[tokio::test]
async fn a_head_says_what_a_get_says_and_nobody_waits_for_its_body() {
    let stage = Stage::open().await;
    let body = json(SMALL);
    stage.says(&body);
    let url = stage.url("/small.json");
    for stranger in Decoder::ALL {
        for encoding in stranger.takes().iter().copied().chain([NOTHING]) {
            let get = stranger.get(&url, encoding, &[]).await;
            get.is(&body, &format!("{stranger:?} in {encoding}"));
            assert_eq!(get.encoding().unwrap_or(NOTHING), encoding);
            let head = stranger.head(&url, encoding).await;
            assert_eq!((head.status, head.body.len()), (200, 0));
            for name in ["content-encoding", "content-type", "etag", "vary"] {
                let (head, get) = (head.head.get(name), get.head.get(name));
                assert_eq!(head, get, "{stranger:?} in {encoding}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn who_has_a_form_is_told_that_it_is_still_good() {
    let stage = Stage::open().await;
    let body = json(SMALL);
    stage.says(&body);
    let url = stage.url("/small.json");
    for stranger in Decoder::ALL {
        for encoding in stranger.takes().iter().copied().chain([NOTHING]) {
            let what = format!("{stranger:?} in {encoding}");
            let has = stranger.get(&url, encoding, &[]).await;
            assert_eq!(has.encoding().unwrap_or(NOTHING), encoding, "{what}");
            let tag = has.head.get("etag").expect("the origin has one");
            let known = [("If-None-Match", tag)];
            let again = stranger.get(&url, encoding, &known).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{what}");
            assert_eq!(again.head.get("etag"), Some(tag), "{what}");
            let known = [("If-None-Match", "\"v0\"")];
            let other = stranger.get(&url, encoding, &known).await;
            other.is(&body, &format!("{what}, who has another version"));
        }
        // Node's `fetch` says `no-cache` beside a condition, as browsers do: the origin is asked for it.
        if stranger != Decoder::Node {
            assert_eq!(stage.app.requests(), 1, "one body serves all");
        }
    }
}

#[tokio::test]
async fn a_part_is_one_of_the_plain_body_or_it_is_the_whole() {
    let stage = Stage::open().await;
    let body = json(SMALL);
    stage.says(&body);
    let url = stage.url("/small.json");
    for stranger in Decoder::ALL {
        for encoding in stranger.takes().iter().copied().chain([NOTHING]) {
            let what = format!("{stranger:?} in {encoding}");
            stranger.get(&url, encoding, &[]).await.is(&body, &what);
            let range = [("Range", "bytes=100-4099")];
            let part = stranger.get(&url, encoding, &range).await;
            if part.status == 206 {
                assert_eq!(part.encoding(), None, "{what}");
                assert!(part.body == body[100..4100], "{what}: other bytes");
            } else {
                part.is(&body, &what);
                assert_ne!(encoding, NOTHING, "the plain body has parts");
            }
        }
    }
}

/// What an origin sends that always encodes: `/…/ENCODING`, whatever anybody takes.
async fn always_encodes(stage: &Stage, body: &[u8]) {
    let mut bodies = HashMap::new();
    for encoding in ENCODINGS {
        bodies.insert(*encoding, encode(encoding, body).await);
    }
    stage.app.answers(move |seen| {
        let encoding = seen.target().rsplit('/').next().unwrap();
        let reply = as_json(Reply::text(bodies[encoding].clone()));
        reply.field("Content-Encoding", encoding)
    });
}

#[tokio::test]
async fn what_an_origin_encodes_is_read_by_who_takes_it_where_nobody_compresses() {
    let stage = Stage::open().await;
    let body = json(LARGE);
    always_encodes(&stage, &body).await;
    for stranger in Decoder::ALL {
        for encoding in stranger.takes() {
            let what = format!("{stranger:?} in {encoding}");
            let url = stage.url(&format!("/as-is/{encoding}"));
            let answer = stranger.get(&url, encoding, &[]).await;
            answer.is(&body, &what);
            assert_eq!(answer.encoding(), Some(*encoding), "{what}");
            let head = stranger.head(&url, encoding).await;
            assert_eq!((head.status, head.encoding()), (200, Some(*encoding)));
        }
    }
}

#[tokio::test]
async fn what_an_origin_encodes_is_read_by_all() {
    let stage = Stage::open().await;
    let body = json(LARGE);
    always_encodes(&stage, &body).await;
    for sent in ENCODINGS {
        let url = stage.url(&format!("/always/{sent}"));
        for stranger in Decoder::ALL {
            for taken in stranger.takes().iter().copied().chain([NOTHING]) {
                let what = format!("{stranger:?} takes {taken} of what comes in {sent}");
                let answer = stranger.get(&url, taken, &[]).await;
                answer.is(&body, &what);
                let got = answer.encoding().unwrap_or(NOTHING);
                let fits = got == taken || (got == NOTHING && taken != *sent);
                assert!(fits, "{what}: {got}");
            }
        }
    }
    let fetches = stage.app.requests();
    assert_eq!(fetches, ENCODINGS.len(), "one body serves all");
}
