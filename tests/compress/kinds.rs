//! Answers of every kind: error pages, writes, interim answers, streams that must not wait, cookies, digests.

use super::*;
use crate::support::reply::Step;

const BOTH: [&str; 2] = [
    "compress: { types: [\"*\"], max_cpu: 100% }",
    "cache: true\ncompress: { types: [\"*\"], max_cpu: 100% }",
];

#[tokio::test]
async fn calls_and_event_streams_are_never_compressed() {
    for keys in BOTH {
        let stage = Stage::open(keys).await;
        stage.answers(|seen| {
            let reply = Reply::chunked([vec![b'a'; 3_000], vec![b'b'; 3_000]]);
            reply
                .field("Content-Type", &seen.target()[1..])
                .field("Cache-Control", "max-age=60")
                .field("ETag", "\"x\"")
        });
        let all = [
            "text/event-stream",
            "Text/Event-Stream;charset=utf-8",
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web",
            "application/grpc-web-text",
            "Application/GRPC+json",
        ];
        for media_type in all {
            let answer = stage.get(&format!("/{media_type}"), "gzip, br").await;
            assert_eq!(encoding(&answer), "identity", "{keys}: {media_type}");
            assert_eq!(answer.body.len(), 6_000);
            assert_eq!(answer.head.get("etag"), Some("\"x\""));
            assert_eq!(answer.head.get("vary"), None, "{media_type}");
        }
        assert_eq!(stage.skipped("event_stream").await, all.len() as f64);
    }
}

#[tokio::test]
async fn error_pages_of_the_origin_are_compressed_too() {
    for keys in BOTH {
        for status in [403, 404, 410, 500, 503] {
            let stage = Stage::open(keys).await;
            let body = json(20_000);
            let page = body.clone();
            stage.answers(move |_| with(Reply::sized(status, page.clone()), JSON));
            for takes in ["br", "gzip", "identity", "br"] {
                let answer = stage.get("/", takes).await;
                assert_eq!(
                    (answer.status, encoding(&answer)),
                    (status, takes),
                    "{keys}"
                );
                assert!(decoded(&answer) == body, "{keys}: {status}");
                assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
            }
        }
    }
}

#[tokio::test]
async fn what_the_proxy_says_itself_is_whole_for_everybody() {
    let stage = Stage::open(BOTH[1]).await;
    stage.app.refuse().await;
    for takes in ["br", "gzip;q=0, *", "identity"] {
        let answer = stage.get("/", takes).await;
        assert!(answer.status >= 502, "{}", answer.status);
        let said = decoded(&answer);
        assert!(!said.is_empty(), "{takes}");
    }
}

#[tokio::test]
async fn the_answer_to_a_write_is_compressed_as_it_streams() {
    for keys in BOTH {
        let stage = Stage::open(keys).await;
        let body = json(50_000);
        stage.says(body.clone(), JSON);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::post("/", "what is written").method(method);
            let answer = stage
                .tide
                .ask(&request.field("Accept-Encoding", "br"))
                .await;
            assert_eq!(encoding(&answer), "br", "{keys}: {method}");
            assert!(decoded(&answer) == body, "{keys}: {method}");
            assert_eq!(answer.head.get("etag"), Some("\"x-br\""));
            // It is for nobody else, and the node may encode it as well.
            let asked = stage.app.seen().pop().unwrap();
            assert_eq!(asked.head.get("accept-encoding"), Some("br"), "{method}");
            assert_eq!(asked.body, b"what is written");
        }
        assert_eq!(stage.kept("br", "live").await, 0.0);
    }
}

#[tokio::test]
async fn interim_answers_come_before_a_compressed_one() {
    for keys in BOTH {
        let stage = Stage::open(keys).await;
        let body = json(50_000);
        let page = body.clone();
        stage.answers(move |_| {
            let link = ("link".to_owned(), "</a.css>; rel=preload".to_owned());
            let length = ("content-length".to_owned(), page.len().to_string());
            let lines = [
                ("content-type".to_owned(), "text/html".to_owned()),
                ("cache-control".to_owned(), "max-age=60".to_owned()),
            ];
            let fields = lines.into_iter().chain([length]).collect();
            Reply::steps([
                Step::Head(103, vec![link]),
                Step::Head(200, fields),
                Step::Bytes(page.clone()),
            ])
        });
        let answer = stage.get("/", "br").await;
        assert_eq!(answer.interim, [103], "{keys}");
        assert_eq!((answer.status, encoding(&answer)), (200, "br"));
        assert!(decoded(&answer) == body, "{keys}");
        // To a client that asks before it sends.
        let request = Request::post("/", vec![b'x'; 20_000]);
        let request = lined(request, "Expect: 100-continue\nAccept-Encoding: gzip");
        let answer = stage.tide.ask(&request).await;
        assert!(answer.interim.ends_with(&[103]), "{:?}", answer.interim);
        assert_eq!(encoding(&answer), "gzip");
        assert!(decoded(&answer) == body, "{keys}");
    }
}

#[tokio::test]
async fn the_cookie_of_who_fetched_is_nobody_else_s() {
    let stage = Stage::open("cache: { set_cookie: strip }\ncompress: { max_cpu: 100% }").await;
    let body = json(50_000);
    let lines = "Content-Type: application/json\nCache-Control: max-age=60\nETag: \"x\"
        Set-Cookie: session=1";
    stage.says(body.clone(), lines);
    let first = stage.get("/", "br").await;
    assert_eq!(first.head.get("set-cookie"), Some("session=1"));
    assert_eq!(encoding(&first), "br");
    assert!(decoded(&first) == body);
    for takes in ["br", "gzip", "identity", "br", "gzip"] {
        let answer = stage.get("/", takes).await;
        assert_eq!(answer.head.get("set-cookie"), None, "{takes}");
        assert_eq!(encoding(&answer), takes);
        assert!(decoded(&answer) == body, "{takes}");
    }
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn who_waited_for_the_same_fetch_gets_no_cookie_of_who_began_it() {
    let stage = Stage::open("cache: { set_cookie: strip }\ncompress: { max_cpu: 100% }").await;
    let body = json(50_000);
    let gate = crate::support::Gate::closed();
    let (page, behind) = (body.clone(), gate.clone());
    stage.answers(move |_| {
        let reply = with(Reply::text(page.clone()).when(&behind), JSON);
        reply.field("Set-Cookie", "session=1")
    });
    let mut clients = Vec::new();
    for takes in ["br", "gzip", "identity", "br", "gzip"] {
        let mut client = stage.tide.connect().await;
        let request = Request::get("/").field("Accept-Encoding", takes);
        client.send(&request).await.unwrap();
        clients.push((takes, client));
        // The first one is the one that fetches.
        let asked = clients.len() as f64;
        let in_flight = "tidegate_http_requests_in_flight";
        stage.tide.metric_is(in_flight, &[], asked).await;
    }
    gate.open();
    let mut cookies = Vec::new();
    for (takes, mut client) in clients {
        let answer = client.answer("GET").await.unwrap();
        assert_eq!(encoding(&answer), takes);
        assert!(decoded(&answer) == body, "{takes}");
        cookies.push(answer.head.get("set-cookie").map(str::to_owned));
    }
    let first = Some("session=1".to_owned());
    assert_eq!(cookies, [first, None, None, None, None]);
    assert_eq!(stage.app.requests(), 1);
}

#[tokio::test]
async fn fields_of_the_very_bytes_stay_with_them() {
    const LINES: &str = "Content-Type: application/json\nCache-Control: max-age=60\nETag: \"x\"
        Content-Digest: sha-256=:AAAA:\nRepr-Digest: sha-256=:AAAA:\nDigest: sha-256=AAAA
        Content-MD5: AAAA\nAccept-Ranges: bytes\nLast-Modified: Sat, 01 Jan 2022 00:00:00 GMT
        X-Digest: kept";
    const OF_THE_BYTES: [&str; 5] = [
        "content-digest",
        "repr-digest",
        "digest",
        "content-md5",
        "accept-ranges",
    ];
    for keys in BOTH {
        let stage = Stage::open(keys).await;
        stage.says(json(20_000), LINES);
        for round in 0..2 {
            for takes in ["identity", "br", "gzip", "identity"] {
                let answer = stage.get("/", takes).await;
                assert_eq!(encoding(&answer), takes);
                for name in OF_THE_BYTES {
                    let is_there = answer.head.get(name).is_some();
                    assert_eq!(is_there, takes == "identity", "{keys}: {name} {round}");
                }
                assert_eq!(answer.head.get("x-digest"), Some("kept"));
                assert!(answer.head.get("last-modified").is_some());
            }
        }
        // What comes encoded and goes out so is what it was, and decoded it is not.
        let gzip = encode("gzip", &json(20_000));
        stage.answers(move |_| {
            let reply = Reply::text(gzip.clone()).field("Content-Encoding", "gzip");
            with(reply, LINES)
        });
        for takes in ["gzip", "identity", "br", "gzip"] {
            let answer = stage.get("/encoded", takes).await;
            assert_eq!(encoding(&answer), takes);
            assert!(decoded(&answer) == json(20_000));
            for name in OF_THE_BYTES {
                let is_there = answer.head.get(name).is_some();
                assert_eq!(is_there, takes == "gzip", "{keys}: {name} {takes}");
            }
        }
    }
}

#[tokio::test]
async fn what_sets_a_cookie_is_not_compressed_for_who_gets_the_cookie() {
    let keys = "cache: { set_cookie: strip }\ncompress: { set_cookie: false, max_cpu: 100% }";
    let stage = Stage::open(keys).await;
    let lines = "Content-Type: application/json\nCache-Control: max-age=60\nSet-Cookie: a=1";
    stage.says(json(20_000), lines);
    let first = stage.get("/", "br").await;
    assert_eq!(first.head.get("set-cookie"), Some("a=1"));
    assert_eq!(encoding(&first), "identity");
}
