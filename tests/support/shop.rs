//! An origin whose answers may be kept for a minute, and what the proxy says it did with them.

use super::client::{Answer, Request};
use super::origin::{Origin, nodes};
use super::proxy::{Tidegate, web};
use super::reply::{Reply, Seen, Step};

/// Answers by path: `/private…`, `/cookie…`, `/vary…` (by `X-Lang`), `/slow…` (half a second of freshness); anything
/// else is fresh for a minute, with a validator and the tags `shop` and `p` plus the target.
pub fn shop(seen: &Seen) -> Reply {
    let target = seen.target();
    if seen.head.get("if-none-match") == Some("\"v1\"") {
        let fields = [("etag", "\"v1\""), ("cache-control", "max-age=60")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        return Reply::steps([Step::Head(304, fields.into())]);
    }
    let usual = Reply::usual(seen);
    if target.starts_with("/private") {
        return usual.field("cache-control", "private, max-age=60");
    }
    let kept = usual
        .field("cache-control", "max-age=60")
        .field("etag", "\"v1\"");
    if target.starts_with("/cookie") {
        return kept.field("set-cookie", "a=b");
    }
    if target.starts_with("/vary") {
        return kept.field("vary", "X-Lang");
    }
    let tag = format!("shop, p{target}");
    kept.field("cache-tag", &tag)
}

/// The shop with the proxy in front of it, whose one route has a cache with these keys: `true`, or a mapping.
pub async fn shop_behind(cache: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    app.answers(shop);
    let tide = Tidegate::run_with_faults(cached(cache, &app)).await;
    tide.node_has("web/app-1", "health", "healthy").await;
    (app, tide)
}

/// The configuration of a shop.
pub fn cached(cache: &str, app: &Origin) -> String {
    format!("{}    cache: {cache}\n", web("health: off", nodes([app])))
}

/// The answer to a GET of this host.
pub async fn get(tide: &Tidegate, host: &str, target: &str) -> Answer {
    tide.ask(&Request::get(target).host(host)).await
}

/// What the proxy says it did, without our name.
pub fn did(answer: &Answer) -> &str {
    let said = answer.head.get("cache-status").unwrap_or("nothing");
    said.strip_prefix("tidegate; ").unwrap_or(said)
}

/// Whether it was answered from the store, fresh.
pub fn is_hit(answer: &Answer) -> bool {
    did(answer).starts_with("hit;") && did(answer).contains("detail=fresh")
}
