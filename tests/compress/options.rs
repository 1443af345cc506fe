//! The keys of `compress`: a story for each that fails when the key does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::support::client::Client;

const CODINGS: [&str; 4] = ["zstd", "br", "gzip", "deflate"];
/// A route without a cache, and one with.
const BOTH: [&str; 2] = ["", "cache: true\n"];

#[tokio::test]
async fn a_lower_level_makes_more_bytes() {
    const LEAST: &str = "{ zstd: 1, br: 0, gzip: 1, deflate: 1 }";
    const MOST: &str = "{ zstd: 19, br: 11, gzip: 9, deflate: 9 }";
    for cache in BOTH {
        let mut sizes = Vec::new();
        for level in [LEAST, MOST] {
            let keys = format!("{cache}compress: {{ level: {level}, max_cpu: 100% }}");
            let stage = Stage::open(&keys).await;
            let body = json(100_000);
            stage.says(body.clone(), JSON);
            for takes in CODINGS {
                let answer = stage.get("/", takes).await;
                assert_eq!(encoding(&answer), takes, "{keys}");
                assert!(decoded(&answer) == body, "{keys}: {takes}");
                sizes.push(answer.body.len());
            }
        }
        let (least, most) = sizes.split_at(CODINGS.len());
        for (at, takes) in CODINGS.into_iter().enumerate() {
            assert!(least[at] > most[at], "{cache}{takes}: {sizes:?}");
        }
    }
}

#[tokio::test]
async fn the_level_behind_the_answers_is_the_route_s() {
    let mut sizes = Vec::new();
    for level in [5, 11] {
        let rules = format!("level: {{ br: 0 }}, stored_level: {{ br: {level} }}, max_cpu: 100%");
        let stage = Stage::open(&format!("cache: true\ncompress: {{ {rules} }}")).await;
        let body = json(64 * 1024);
        stage.says(body.clone(), JSON);
        let live = stage.get("/", "br").await;
        stage.keeps("br", "live", 1.0).await;
        stage.hits("/", "br", 3).await;
        stage.keeps("br", "background", 1.0).await;
        let better = stage.get("/", "br").await;
        assert!(decoded(&better) == body, "{level}");
        sizes.extend([live.body.len(), better.body.len()]);
    }
    let [live, five, same, eleven] = sizes[..] else {
        panic!("{sizes:?}")
    };
    // How it came in pieces makes a little difference.
    assert!(live.abs_diff(same) < live / 20, "another key says this");
    assert!(live > five && five > eleven, "{sizes:?}");
}

#[tokio::test]
async fn what_was_made_at_its_best_level_is_not_made_again() {
    let levels = "level: { br: 3, gzip: 1 }, stored_level: { br: 3, gzip: 9 }, max_cpu: 100%";
    let stage = Stage::open(&format!("cache: true\ncompress: {{ {levels} }}")).await;
    stage.says(json(20_000), JSON);
    for takes in ["br", "gzip"] {
        stage.get("/", takes).await;
        stage.keeps(takes, "live", 1.0).await;
    }
    stage.hits("/", "br", 20).await;
    // They wait in one line: what stood before this one would have been made before it.
    stage.hits("/", "gzip", 3).await;
    stage.keeps("gzip", "background", 1.0).await;
    assert_eq!(stage.kept("br", "background").await, 0.0);
}

#[tokio::test]
async fn a_body_is_compressed_from_the_route_s_size_on() {
    for (rules, least) in [
        ("max_cpu: 100%", 1_024),
        ("max_cpu: 100%, min_size: 2KiB", 2_048),
        ("max_cpu: 100%, min_size: 100B", 100),
    ] {
        for cache in BOTH {
            let stage = Stage::open(&format!("{cache}compress: {{ {rules} }}")).await;
            stage.answers(|seen| {
                let size = seen.target()[1..].parse().unwrap();
                with(Reply::text(vec![b'a'; size]), JSON)
            });
            for (size, expected) in [
                (least - 1, "identity"),
                (least, "gzip"),
                (least + 1, "gzip"),
            ] {
                for _ in 0..2 {
                    let answer = stage.get(&format!("/{size}"), "gzip").await;
                    assert_eq!(encoding(&answer), expected, "{cache}{rules}: {size}");
                    assert!(decoded(&answer) == vec![b'a'; size]);
                }
            }
            assert_eq!(stage.skipped("small").await, 2.0);
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_compressed_whatever_it_turns_out_to_be() {
    let stage = Stage::open("compress: { max_cpu: 100% }").await;
    stage.answers(|_| with(Reply::chunked(["a few ", "bytes"]), JSON));
    let answer = stage.get("/", "gzip").await;
    assert_eq!(
        (encoding(&answer), &decoded(&answer)[..]),
        ("gzip", &b"a few bytes"[..])
    );
}

#[tokio::test]
async fn everything_is_compressed_where_the_types_say_so() {
    let rows = [
        ("text/html", true),
        ("text/x-unheard-of", true),
        ("application/json", true),
        ("application/ld+json", true),
        ("application/javascript", true),
        ("image/svg+xml", true),
        ("application/wasm", true),
        ("image/png", false),
        ("video/mp4", false),
        ("application/zip", false),
        ("font/woff2", false),
        ("application/octet-stream", false),
    ];
    for cache in BOTH {
        for (types, all) in [("", false), (", types: [\"*\"]", true)] {
            let keys = format!("{cache}compress: {{ max_cpu: 100%{types} }}");
            let stage = Stage::open(&keys).await;
            stage.answers(|seen| {
                let reply = Reply::text(vec![b'a'; 5_000]);
                reply
                    .field("Content-Type", &seen.target()[1..])
                    .field("Cache-Control", "max-age=60")
            });
            for (media_type, usually) in rows {
                let answer = stage.get(&format!("/{media_type}"), "gzip").await;
                let expected = if all || usually { "gzip" } else { "identity" };
                assert_eq!(encoding(&answer), expected, "{keys}: {media_type}");
                assert_eq!(decoded(&answer).len(), 5_000);
            }
        }
    }
}

/// A proxy of one thread with work for more than one: bodies at the best level of Brotli, again and again.
struct Busy {
    stage: Stage,
    body: Vec<u8>,
    is_over: Arc<AtomicBool>,
    at_work: Vec<tokio::task::JoinHandle<()>>,
}

impl Busy {
    /// `/thrifty` stops compressing when the thread is busy; `/always` never does.
    async fn thread() -> Self {
        let best = "compress: { level: { br: 11 }, max_cpu: 100% }";
        let routes = format!(
            "match: {{ path: /work }}, {best}
             match: {{ path: /thrifty }}, compress: {{ max_cpu: 1% }}
             match: {{ path: /stored/ }}, cache: true, compress: {{ max_cpu: 1% }}
             match: {{ path: / }}, compress: {{ max_cpu: 100% }}"
        );
        let stage = Stage::routed("threads: 1\n", &routes).await;
        let (body, work) = (json(20_000), json(150_000));
        let says = body.clone();
        stage.answers(move |seen| match seen.target() {
            "/work" => with(Reply::text(work.clone()), JSON),
            _ => with(Reply::text(says.clone()), JSON),
        });
        let mut busy = Busy {
            at_work: Vec::new(),
            stage,
            body,
            is_over: Arc::default(),
        };
        busy.works();
        busy
    }

    /// Two who have work for it.
    fn works(&mut self) {
        self.is_over.store(false, SeqCst);
        let addr = self.stage.tide.addr();
        let works = |_| {
            let is_over = self.is_over.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(addr).await.unwrap();
                let request = Request::get("/work").field("Accept-Encoding", "br");
                while !is_over.load(SeqCst) {
                    client.ask(&request).await.unwrap();
                }
            })
        };
        self.at_work = (0..2).map(works).collect();
    }

    /// Nobody has any work for it any more.
    async fn rests(&mut self) {
        self.is_over.store(true, SeqCst);
        for work in self.at_work.drain(..) {
            work.await.unwrap();
        }
    }

    /// Asks for this until it goes out as it is.
    async fn skips(&self, target: &str) {
        eventually("it goes out as it is", PATIENCE, async || {
            let answer = self.stage.get(target, "br").await;
            assert!(decoded(&answer) == self.body);
            assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
            check(encoding(&answer) == "identity", encoding(&answer))
        })
        .await;
    }

    /// Asks for this until it is compressed.
    async fn compresses(&self, target: &str) {
        eventually("it is compressed", PATIENCE, async || {
            let answer = self.stage.get(target, "br").await;
            assert!(decoded(&answer) == self.body);
            check(encoding(&answer) == "br", encoding(&answer))
        })
        .await;
    }
}

#[tokio::test]
async fn a_busy_thread_compresses_less_where_the_route_says_so() {
    let mut busy = Busy::thread().await;
    busy.skips("/thrifty").await;
    assert_eq!(busy.stage.skipped("busy").await, 1.0);
    for _ in 0..5 {
        let answer = busy.stage.get("/always", "br").await;
        assert_eq!(encoding(&answer), "br");
        assert!(decoded(&answer) == busy.body);
    }
    busy.rests().await;
    busy.compresses("/thrifty").await;
}

#[tokio::test]
async fn what_is_stored_waits_with_its_form_for_a_better_time() {
    let mut busy = Busy::thread().await;
    busy.skips("/thrifty").await;
    // One thread asks at one time: as long as it is busy each of these is new.
    let mut late = 0;
    while busy.stage.skipped("busy").await < 2.0 {
        late += 1;
        let answer = busy.stage.get(&format!("/stored/{late}"), "br").await;
        assert!(decoded(&answer) == busy.body);
        assert!(late < 100, "it is not busy");
    }
    let late = format!("/stored/{late}");
    busy.rests().await;
    busy.compresses(&late).await;
    assert_eq!(busy.stage.asked(&late), 1);
    // A form that is there costs nothing: it is sent however busy the thread is.
    let before = busy.stage.skipped("busy").await;
    busy.works();
    busy.skips("/thrifty").await;
    for _ in 0..5 {
        let answer = busy.stage.get(&late, "br").await;
        assert_eq!(encoding(&answer), "br");
        assert!(decoded(&answer) == busy.body);
    }
    assert_eq!(busy.stage.skipped("busy").await, before + 1.0);
    busy.rests().await;
}

#[tokio::test]
async fn a_busy_thread_still_compresses_for_who_refuses_the_plain_body() {
    let mut busy = Busy::thread().await;
    busy.skips("/thrifty").await;
    for _ in 0..5 {
        let answer = busy.stage.get("/thrifty", "br, identity;q=0").await;
        assert_eq!(encoding(&answer), "br");
        assert!(decoded(&answer) == busy.body);
    }
    busy.rests().await;
}

#[tokio::test]
async fn a_busy_thread_sends_what_came_encoded_to_nobody_as_it_refused_it() {
    let mut busy = Busy::thread().await;
    let (work, gzip) = (json(150_000), encode("gzip", &busy.body));
    let page = busy.body.clone();
    busy.stage.answers(move |seen| match seen.target() {
        "/work" => with(Reply::text(work.clone()), JSON),
        "/thrifty?gzip" => {
            let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
            with(reply, JSON)
        }
        _ => with(Reply::text(page.clone()), JSON),
    });
    busy.skips("/thrifty").await;
    for _ in 0..5 {
        let answer = busy.stage.get("/thrifty?gzip", "br, identity;q=0").await;
        assert_eq!(encoding(&answer), "br");
        assert!(decoded(&answer) == busy.body);
    }
    busy.rests().await;
}
