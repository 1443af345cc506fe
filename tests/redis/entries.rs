//! Answers that one proxy fetched and all have.

use super::cluster::{Cluster, is_miss, is_shared, reply, told, with};
use crate::support::client::Request;
use crate::support::proxy::SOON;
use crate::support::reply::Reply;
use crate::support::{check, eventually, pattern};

const FRESH: &str = "Cache-Control: max-age=600";

#[tokio::test]
async fn a_page_that_one_proxy_fetched_is_a_hit_in_the_other() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.says("Cache-Control: max-age=600\nX-Thing: a, b\nETag: \"1\"");
    let first = cluster.get(0, "/a?b=c").await;
    is_miss(&first);
    cluster.keeps(1).await;
    let second = cluster.get(1, "/a?b=c").await;
    is_shared(&second);
    assert_eq!(second.body, first.body);
    for name in ["x-thing", "etag", "cache-control", "date"] {
        assert_eq!(second.head.get(name), first.head.get(name), "{name}");
    }
    let line = cluster.tides[1].told("/a").await;
    assert_eq!(
        (&line["cache"], &line["cache_reason"]),
        (&"hit".into(), &"shared".into())
    );
    // From now on it is at hand.
    let third = cluster.get(1, "/a?b=c").await;
    assert!(told(&third).contains("hit") && !told(&third).contains("shared"));
    assert_eq!(cluster.app.requests(), 1);
}

#[tokio::test]
async fn every_variant_is_for_who_wants_it() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.app.answers(|seen| {
        let language = seen.head.get("x-kind").unwrap_or("none").to_owned();
        with(
            Reply::text(language),
            "Vary: X-Kind\nCache-Control: max-age=600",
        )
    });
    for kind in ["one", "two"] {
        cluster.get_with(0, "/a", ("X-Kind", kind)).await;
    }
    cluster.keeps(3).await; // what it varies by, and two
    for kind in ["two", "one"] {
        let answer = cluster.get_with(1, "/a", ("X-Kind", kind)).await;
        is_shared(&answer);
        assert_eq!(answer.text(), kind);
    }
    assert_eq!(cluster.asked("/a"), 2);
    let other = cluster.get_with(1, "/a", ("X-Kind", "three")).await;
    is_miss(&other);
    assert_eq!(other.text(), "three");
    let none = cluster.get(1, "/a").await;
    is_miss(&none);
    assert_eq!(none.text(), "none");
}

#[tokio::test]
async fn head_a_part_a_condition_and_only_if_cached_are_answered_without_the_origin() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.app.answers(|_| {
        with(
            Reply::text("0123456789"),
            "ETag: \"1\"\nCache-Control: max-age=600",
        )
    });
    let paths = ["/head", "/part", "/condition", "/only"];
    for path in paths {
        cluster.get(0, path).await;
    }
    cluster.keeps(paths.len()).await;
    let ask = async |request: Request| cluster.tides[1].ask(&request).await;
    let head = ask(Request::new("HEAD", "/head")).await;
    is_shared(&head);
    assert_eq!(
        (head.head.get("content-length"), head.body.len()),
        (Some("10"), 0)
    );
    let part = ask(Request::get("/part").field("Range", "bytes=3-5")).await;
    assert_eq!((part.status, part.text()), (206, "345".into()));
    let condition = ask(Request::get("/condition").field("If-None-Match", "\"1\"")).await;
    assert_eq!((condition.status, condition.body.len()), (304, 0));
    let only = ask(Request::get("/only").field("Cache-Control", "only-if-cached")).await;
    is_shared(&only);
    assert_eq!(cluster.app.requests(), paths.len());
    let nowhere = ask(Request::get("/nowhere").field("Cache-Control", "only-if-cached")).await;
    assert_eq!(nowhere.status, 504);
}

#[tokio::test]
async fn what_is_stale_is_refreshed_by_one_proxy_for_all() {
    let cluster = Cluster::open(3, "", "true").await;
    cluster.says("Cache-Control: max-age=60, stale-while-revalidate=600");
    for proxy in 0..3 {
        cluster.get(proxy, "/a").await;
        cluster.keeps(1).await;
    }
    assert_eq!(cluster.asked("/a"), 1);
    cluster.passes(90).await;
    let all = [0, 1, 2].map(|proxy| cluster.get(proxy, "/a"));
    for answer in futures(all).await {
        assert_eq!(answer.text(), "/a 0");
    }
    let mut new = Vec::new();
    for proxy in 0..3 {
        let answer = eventually("the new one", SOON, async || {
            let answer = cluster.get(proxy, "/a").await;
            check(answer.text() != "/a 0", answer.text()).map(|()| answer)
        });
        new.push(answer.await.text());
    }
    assert!(new.iter().all(|text| *text == new[0]), "{new:?}");
    assert_eq!(cluster.asked("/a"), 2);
}

/// What these come to, all at once.
async fn futures<T>(all: [impl Future<Output = T>; 3]) -> [T; 3] {
    let [one, two, three] = all;
    let (one, two, three) = tokio::join!(one, two, three);
    [one, two, three]
}

#[tokio::test]
async fn what_a_node_confirmed_is_confirmed_for_all() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.app.answers(|seen| {
        let lines = "ETag: \"1\"\nCache-Control: max-age=60, stale-if-error=600";
        match seen.head.get("if-none-match") {
            Some(_) => with(Reply::sized(304, ""), lines),
            None => reply(seen, lines),
        }
    });
    for proxy in 0..2 {
        cluster.get(proxy, "/a").await;
        cluster.keeps(1).await;
    }
    cluster.passes(90).await;
    let first = cluster.get(0, "/a").await;
    assert!(told(&first).contains("fwd=stale"), "{}", told(&first));
    eventually("the confirmed one", SOON, async || {
        let left = cluster
            .redis
            .ask(&["PTTL", &cluster.keeps(1).await[0]])
            .await;
        check(left[0].parse::<u64>().unwrap() > 600_000, &left[0])
    })
    .await;
    let second = cluster.get(1, "/a").await;
    is_shared(&second);
    assert_eq!((second.text(), cluster.asked("/a")), ("/a 0".into(), 2));
}

#[tokio::test]
async fn what_redis_let_go_is_a_miss_and_what_it_has_grows_old_there() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.says("Cache-Control: max-age=600\nAge: 100");
    cluster.get(0, "/a").await;
    let key = cluster.keeps(1).await.remove(0);
    let left = cluster.redis.ask(&["PTTL", &key]).await;
    let left: u64 = left[0].parse().unwrap();
    assert!((400_000..=500_000).contains(&left), "fresh for {left} ms");
    // A minute passes in Redis, and on no clock of a proxy.
    cluster
        .redis
        .ask(&["PEXPIRE", &key, &(left - 60_000).to_string()])
        .await;
    let second = cluster.get(1, "/a").await;
    is_shared(&second);
    let age: u64 = second.head.get("age").unwrap().parse().unwrap();
    assert!((160..260).contains(&age), "{age} seconds");
    cluster.get(0, "/b").await;
    let keys = cluster.keeps(2).await;
    for key in &keys {
        cluster.redis.ask(&["PEXPIRE", key, "1"]).await;
    }
    cluster.keeps(0).await;
    is_miss(&cluster.get(1, "/b").await);
    assert_eq!(cluster.asked("/b"), 2);
}

#[tokio::test]
async fn bodies_are_small_in_redis_and_whole_everywhere() {
    let cluster = Cluster::open(2, "", "true").await;
    let text = b"the same again, ".repeat(20_000);
    let other = pattern(300_000);
    let (body, coded) = (text.clone(), other.clone());
    cluster.app.answers(move |seen| match seen.target() {
        "/text" => with(Reply::text(body.clone()), FRESH),
        "/empty" => with(Reply::text(""), FRESH),
        _ => with(
            Reply::text(coded.clone()),
            "Cache-Control: max-age=600\nContent-Encoding: br",
        ),
    });
    let mut values = 0;
    for (path, body) in [("/text", &text[..]), ("/empty", b""), ("/coded", &other)] {
        cluster.get(0, path).await;
        values += 1;
        cluster.keeps(values).await;
        let second = cluster.get(1, path).await;
        is_shared(&second);
        assert!(second.body == body, "{path}: {} bytes", second.body.len());
    }
    let mut sizes = Vec::new();
    for key in cluster.keeps(3).await {
        sizes.push(cluster.redis.get(&key).await.unwrap().len());
    }
    sizes.sort_unstable();
    assert!(sizes[1] < text.len() / 8, "made small: {sizes:?}");
    assert!(sizes[2] > other.len(), "left alone: {sizes:?}");
}

#[tokio::test]
async fn what_is_larger_than_it_may_be_stays_out() {
    let cluster = Cluster::open(2, ", max_object: 4KiB", "true").await;
    cluster.app.answers(|seen| {
        let length = if seen.target() == "/small" {
            4_096
        } else {
            4_097
        };
        with(Reply::text(pattern(length)), FRESH)
    });
    cluster.get(0, "/large").await;
    cluster.get(0, "/small").await;
    cluster.keeps(1).await;
    is_shared(&cluster.get(1, "/small").await);
    is_miss(&cluster.get(1, "/large").await);
    assert_eq!((cluster.asked("/large"), cluster.asked("/small")), (2, 1));
}

#[tokio::test]
async fn an_answer_goes_there_with_the_use_that_the_file_names() {
    let cluster = Cluster::open(2, ", min_uses: 3", "true").await;
    cluster.says(FRESH);
    for path in ["/often", "/often", "/seldom", "/seldom"] {
        cluster.get(0, path).await;
    }
    cluster.get(0, "/often").await; // the third
    cluster.keeps(1).await;
    // One connection: the lane that answers at the door counts as well.
    let mut client = cluster.tides[0].connect().await;
    for _ in 0..3 {
        client.ask(&Request::get("/fast")).await.unwrap();
    }
    cluster.keeps(2).await;
    is_shared(&cluster.get(1, "/often").await);
    is_shared(&cluster.get(1, "/fast").await);
    is_miss(&cluster.get(1, "/seldom").await);
}

#[tokio::test]
async fn a_file_that_keeps_no_answers_there_finds_none_there() {
    let mut cluster = Cluster::open(1, ", entries: false", "true").await;
    cluster.says(FRESH);
    cluster.get(0, "/a").await;
    cluster.yaml = cluster.yaml.replace("entries: false", "entries: true");
    cluster.join().await;
    is_miss(&cluster.get(1, "/a").await);
    cluster.keeps(1).await; // the second proxy's
    cluster.get(1, "/b").await;
    cluster.keeps(2).await;
    is_miss(&cluster.get(0, "/b").await);
    assert_eq!((cluster.asked("/a"), cluster.asked("/b")), (2, 2));
}

#[tokio::test]
async fn nothing_stays_there_longer_than_it_may() {
    let cluster = Cluster::open(1, ", ttl_max: 30s", "true").await;
    cluster.says("Cache-Control: max-age=31536000, stale-if-error=31536000");
    cluster.get(0, "/a").await;
    let key = cluster.keeps(1).await.remove(0);
    let left = cluster.redis.ask(&["PTTL", &key]).await;
    let left: u64 = left[0].parse().unwrap();
    assert!((10_000..=30_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn what_is_for_one_alone_is_never_there() {
    let cluster = Cluster::open(2, "", "{ ttl: 1h }").await;
    let rows = [
        "Cache-Control: private, max-age=600",
        "Cache-Control: no-store",
        "Cache-Control: no-cache\nETag: \"1\"",
        "Cache-Control: max-age=600\nSet-Cookie: a=b",
        "Cache-Control: max-age=600\nVary: *",
        // Its tags would not be known to who reads it.
        "Cache-Control: max-age=600, private=\"cache-tag\"\nCache-Tag: news",
    ];
    cluster.app.answers(move |seen| {
        let row = seen.target().trim_matches('/').parse::<usize>();
        match row {
            Ok(row) => reply(seen, rows[row]),
            Err(_) => reply(seen, FRESH),
        }
    });
    for row in 0..rows.len() {
        cluster.get(0, &format!("/{row}")).await;
    }
    let secret = ("Authorization", "Basic YTpi");
    cluster.get_with(0, "/secret", secret).await;
    // Written after them, had they been: it comes last.
    cluster.get(0, "/public").await;
    cluster.keeps(1).await;
    is_shared(&cluster.get(1, "/public").await);
    for row in 0..rows.len() {
        is_miss(&cluster.get(1, &format!("/{row}")).await);
    }
}

#[tokio::test]
async fn who_wants_to_know_for_themselves_is_not_answered_from_there() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.says(FRESH);
    let fields = [
        ("Authorization", "Basic YTpi"),
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
    ];
    for (n, field) in fields.into_iter().enumerate() {
        let path = format!("/{n}");
        cluster.get(0, &path).await;
        cluster.keeps(n + 1).await;
        is_miss(&cluster.get_with(1, &path, field).await);
        assert_eq!(cluster.asked(&path), 2, "{field:?}");
    }
}

#[tokio::test]
async fn what_turns_out_not_to_be_storable_is_forgotten_there() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.says("Cache-Control: max-age=60, stale-while-revalidate=600");
    cluster.get(0, "/a").await;
    cluster.keeps(1).await;
    cluster.passes(90).await;
    cluster.says("Cache-Control: no-store");
    assert_eq!(cluster.get(0, "/a").await.text(), "/a 0"); // refreshed behind it
    cluster.keeps(0).await;
    is_miss(&cluster.get(1, "/a").await);
}
