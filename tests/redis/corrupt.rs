//! Values that were changed, cut, exchanged or written by others: misses with the right body, and never anything else.

use super::cluster::{Cluster, is_miss, is_shared, told, with};
use crate::support::pattern;
use crate::support::reply::Reply;

/// What stands in Redis under one page's key, in place of this.
type Mangle = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn mangles() -> Vec<(String, Mangle)> {
    let mut all: Vec<(String, Mangle)> = vec![
        ("nothing".into(), Box::new(|_| Vec::new())),
        ("a number".into(), Box::new(|_| b"42".to_vec())),
        (
            "JSON".into(),
            Box::new(|_| b"{\"status\":200,\"body\":\"evil\"}".to_vec()),
        ),
        (
            "our magic alone".into(),
            Box::new(|value| value[..4].to_vec()),
        ),
        (
            "something large".into(),
            Box::new(|_| vec![b'x'; 3 * 1024 * 1024]),
        ),
        (
            "more than there was".into(),
            Box::new(|value| [value, b"x"].concat()),
        ),
        ("twice".into(), Box::new(|value| [value, value].concat())),
        (
            "an older version".into(),
            Box::new(|value| {
                let mut older = value.to_vec();
                older[3] = b'0';
                older
            }),
        ),
    ];
    for part in 1..8 {
        let cut = move |value: &[u8]| value[..value.len() * part / 8].to_vec();
        all.push((format!("{part}/8 of it"), Box::new(cut)));
        let turned = move |value: &[u8]| {
            let (mut value, at) = (value.to_vec(), value.len() * part / 8);
            value[at] ^= 1 << part;
            value
        };
        all.push((format!("a bit turned at {part}/8"), Box::new(turned)));
    }
    all
}

#[tokio::test]
async fn a_value_that_is_not_what_was_written_is_a_miss() {
    let cluster = Cluster::open(2, "", "true").await;
    cluster.app.answers(|seen| {
        // Half of them are made small.
        let body = match seen.target().len() % 2 {
            0 => [seen.target().as_bytes(), &pattern(2_000)].concat(),
            _ => seen.target().repeat(500).into_bytes(),
        };
        with(Reply::text(body), "Cache-Control: max-age=600")
    });
    let mut known = Vec::new();
    let mut key_of = async |path: &str| {
        let first = cluster.get(0, path).await;
        let keys = cluster.keeps(known.len() + 1).await;
        let key = keys
            .iter()
            .find(|key| !known.contains(*key))
            .unwrap()
            .clone();
        known = keys;
        (first, key)
    };
    for (n, (name, mangle)) in mangles().iter().enumerate() {
        let path = format!("/{}", "a".repeat(n + 1));
        let (first, key) = key_of(&path).await;
        let value = cluster.redis.get(&key).await.unwrap();
        cluster.redis.put(&key, &mangle(&value)).await;
        let second = cluster.get(1, &path).await;
        assert!(second.body == first.body, "{name}: another body");
        assert_eq!(
            (second.status, cluster.asked(&path)),
            (200, 2),
            "{name}: {}",
            told(&second)
        );
    }
    // The value of another page, whole as it is.
    let ((one, from), (_, to)) = (key_of("/this").await, key_of("/that-one").await);
    let value = cluster.redis.get(&from).await.unwrap();
    cluster.redis.put(&to, &value).await;
    let another = cluster.get(1, "/that-one").await;
    is_miss(&another);
    assert!(another.body != one.body);
    // One that never ends: nobody knows how old it is.
    let (_, key) = key_of("/ever").await;
    cluster.redis.ask(&["PERSIST", &key]).await;
    is_miss(&cluster.get(1, "/ever").await);
    // Something that is no text at all. It is somebody else's and stays.
    let (_, key) = key_of("/list").await;
    cluster.redis.ask(&["DEL", &key]).await;
    cluster.redis.ask(&["RPUSH", &key, "a", "b"]).await;
    is_miss(&cluster.get(1, "/list").await);
    assert_eq!(cluster.redis.ask(&["LLEN", &key]).await, ["2"]);
    // And one that nobody touched.
    key_of("/good").await;
    is_shared(&cluster.get(1, "/good").await);
}
