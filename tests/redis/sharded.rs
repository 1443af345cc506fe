//! The same on a Redis Cluster, where what belongs together may be on different nodes.

use serde_json::{Value, json};

use super::cluster::{is_miss, is_shared};
use super::{RECOVERY, shared_at};
use crate::support::client::{Answer, Request};
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::{Redis, cluster};
use crate::support::reply::Reply;
use crate::support::{check, eventually};

/// Two proxies before one app, on three nodes of Redis.
struct World {
    redis: Vec<Redis>,
    app: Origin,
    one: Tidegate,
    other: Tidegate,
}

impl World {
    async fn new() -> World {
        let redis = cluster(3).await;
        let app = Origin::start("app-1").await;
        app.answers(|seen| {
            let kept = Reply::text(format!("{} {}", seen.target(), seen.serial));
            let kept = kept.field("cache-control", "max-age=600");
            match seen.target().starts_with("/vary") {
                true => kept.field("vary", "X-Lang"),
                false => kept.field("cache-tag", "all"),
            }
        });
        let nodes = [app.addr().to_string()];
        // Any of its nodes will do.
        let file = |n: usize| shared_at(&redis[n].url(), ", cluster: true, timeout: 500ms", &nodes);
        let (one, other) = (Tidegate::run(file(0)).await, Tidegate::run(file(2)).await);
        for tide in [&one, &other] {
            eventually("in step", RECOVERY, async || {
                let purges = tide.json("/api/v1/cluster").await["purges"].clone();
                check(purges["in_step"] == true, purges)
            })
            .await;
        }
        World {
            redis,
            app,
            one,
            other,
        }
    }

    /// Waits until so many values are on all nodes together.
    async fn keeps(&self, values: usize) {
        eventually("stored values", RECOVERY, async || {
            let mut keys = Vec::new();
            for node in &self.redis {
                keys.extend(node.keys("tg:e:").await);
            }
            check(keys.len() == values, keys.join("\n"))
        })
        .await;
    }

    async fn purge(&self, what: Value) {
        let answer = self
            .one
            .api("POST", "/api/v1/purge", &what.to_string())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The other proxy does not use what it had of this page.
    async fn is_fetched_anew(&self, target: &str, before: &Answer) {
        eventually("a new answer", RECOVERY, async || {
            let answer = self.other.get(target).await;
            check(answer.text() != before.text(), answer.text())
        })
        .await;
    }
}

#[tokio::test]
async fn answers_are_found_on_whatever_node_they_are() {
    let world = World::new().await;
    let pages: Vec<String> = (0..24).map(|n| format!("/page/{n}")).collect();
    for page in &pages {
        is_miss(&world.one.get(page).await);
    }
    world.keeps(pages.len()).await;
    for node in &world.redis {
        assert!(!node.keys("tg:e:").await.is_empty(), "24 on three nodes");
    }
    for page in &pages {
        is_shared(&world.other.get(page).await);
    }
    assert_eq!(world.app.requests(), pages.len());
}

#[tokio::test]
async fn variants_are_found_beside_what_says_by_what_they_vary() {
    let world = World::new().await;
    let ask = |lang: &str| Request::get("/vary").field("X-Lang", lang);
    for lang in ["de", "en"] {
        is_miss(&world.one.ask(&ask(lang)).await);
    }
    world.keeps(3).await;
    for lang in ["de", "en"] {
        is_shared(&world.other.ask(&ask(lang)).await);
    }
    is_miss(&world.other.ask(&ask("fr")).await);
}

#[tokio::test]
async fn what_was_purged_comes_back_from_no_node() {
    let world = World::new().await;
    let purges = [
        json!({ "url": "http://tide.test/page/0", "hard": true }),
        json!({ "tag": "all", "hard": true }),
        json!({ "all": true, "hard": true }),
    ];
    for (n, what) in purges.into_iter().enumerate() {
        let page = format!("/page/{n}");
        let before = world.one.get(&page).await;
        world.keeps(n + 1).await;
        is_shared(&world.other.get(&page).await);
        world.purge(what).await;
        world.is_fetched_anew(&page, &before).await;
    }
}
