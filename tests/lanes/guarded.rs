//! What is stored is no way round the rules of its route.

use super::{Stage, is_hit};
use crate::support::client::{Client, Request};

#[tokio::test]
async fn a_rate_limit_counts_what_is_answered_in_the_lane() {
    let keys = "cache: true, rate_limit: { rate: 6/d, burst: 6 }";
    let stage = Stage::with("on", "", keys).await;
    let mut client = stage.tide.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..9 {
        let answer = client.ask(&Request::get("/page")).await.unwrap();
        statuses.push(answer.status);
        assert!(answer.stays_open);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 429, 429, 429]);
    stage.express(5).await;
    stage.tide.refused("rate_limit", 3).await;
}

#[tokio::test]
async fn who_may_not_come_in_gets_nothing_that_is_stored() {
    let top = "trusted_proxies: [127.0.0.1]\n";
    let stage = Stage::with(
        "on",
        top,
        "cache: true, deny: [127.0.7.0/24, 203.0.113.0/24]",
    )
    .await;
    stage.stores(&["/page"]).await;
    let denied = "127.0.7.1".parse().unwrap();
    let mut denied = Client::connect_from(denied, stage.tide.addr())
        .await
        .unwrap();
    let other = "127.0.8.1".parse().unwrap();
    let mut other = Client::connect_from(other, stage.tide.addr())
        .await
        .unwrap();
    let mut proxy = stage.tide.connect().await;
    for _ in 0..3 {
        let answer = denied.ask(&Request::get("/page")).await.unwrap();
        assert_eq!((answer.status, answer.stays_open), (403, true));
        assert!(is_hit(&other.ask(&Request::get("/page")).await.unwrap()));
        for (client, status) in [("203.0.113.9", 403), ("198.51.100.9", 200)] {
            let asked = Request::get("/page").field("X-Forwarded-For", client);
            assert_eq!(proxy.ask(&asked).await.unwrap().status, status, "{client}");
        }
    }
    stage.express(6).await;
    stage.tide.refused("acl", 6).await;
}

#[tokio::test]
async fn what_a_client_may_not_have_of_the_store_it_does_not_get_in_the_lane() {
    let stage = Stage::open().await;
    stage.stores(&["/page"]).await;
    for (name, value) in [
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Pragma", "no-cache"),
    ] {
        let asked = Request::get("/page").field(name, value);
        let answer = stage.tide.ask(&asked).await;
        assert!(!is_hit(&answer), "{name}: {value}");
    }
    stage.express(0).await;
    assert!(is_hit(&stage.tide.get("/page").await));
    stage.express(1).await;
    stage
        .tide
        .forward(std::time::Duration::from_secs(601))
        .await;
    assert!(!is_hit(&stage.tide.get("/page").await), "it is old");
    stage.express(1).await;
}
