//! What proxies share, as the page shows it: how Redis is, and nothing of it where there is none.

use super::two_nodes;
use crate::support::browser::Browser;
use crate::support::origin::Origin;
use crate::support::proxy::Tidegate;
use crate::support::redis::Redis;

#[tokio::test]
async fn the_cache_shows_how_redis_is_and_every_view_when_it_is_away() {
    let redis = Redis::run().await;
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(format!(
        "cache: {{ redis: {{ url: \"{}\" }} }}\n\
         upstreams: {{ web: {{ nodes: [\"{}\"] }} }}\n\
         routes: [{{ upstream: web, cache: true }}]\n",
        redis.url(),
        app.addr()
    ))
    .await;
    let browser = Browser::open(tide.admin()).await;
    browser.view("cache").await;
    browser.says("#shared-facts", "used for").await;
    browser.says("#shared-facts", &redis.url()).await;
    browser.says("#shared-facts", "p99").await;
    browser.says("#peers tbody", "(this one)").await;
    browser.says("#cluster-facts", "1 proxy").await;
    for scheme in ["light", "dark"] {
        browser.likes(scheme).await;
        browser.picture(&format!("shared-{scheme}")).await;
    }
    redis.kill().await;
    browser.says("#shared-facts", "not used for").await;
    browser.view("overview").await;
    browser
        .says("#banners", "Redis has not been used for")
        .await;
    browser.says("#events", "is not used").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test]
async fn without_redis_nothing_of_it_is_shown() {
    let (_apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.view("cache").await;
    browser.says("#cache-tiles", "Answers stored").await;
    let hidden = "return document.getElementById('shared').hidden";
    assert_eq!(browser.run(hidden).await, true);
}
