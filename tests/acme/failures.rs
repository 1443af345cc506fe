//! A CA that is away, refuses, or is odd: requests go on, the reason is told, and it is tried again in time.

use crate::support::browser::Browser;
use crate::support::dns::Says;
use crate::support::proxy::Tidegate;

use super::*;

#[tokio::test]
async fn while_the_ca_is_away_requests_are_served_and_the_certificate_comes_when_it_is_back() {
    let mut stage = Stage::set(How::default()).await;
    stage.pebble.stop().await;
    let tide = Tidegate::run(stage.config("")).await;
    let told = fails(&tide, "127.0.0.1").await;
    assert_eq!(told["state"], "missing");
    assert_eq!(tide.get("/").await.status, 200);
    orders(&tide, "away", 1.0).await;
    stage.pebble.start().await;
    let told = stands(&tide, "valid").await;
    assert_eq!(told["failures"], 0);
    assert_eq!(told["failure"], Value::Null);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_told_by_name_and_not_asked_for_again_at_once() {
    let stage = Stage::set(How::default()).await;
    stage.dns.says("www.a.test", Says::Code(3));
    let tide = Tidegate::run(stage.config("")).await;
    let told = fails(&tide, "www.a.test: ").await;
    let failure = told["failure"].as_str().unwrap();
    assert!(failure.contains("port 80"), "{failure}");
    assert_eq!(told["failures"], 1);
    let next = humantime::parse_rfc3339(told["next_order_at"].as_str().unwrap()).unwrap();
    let wait = next.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(wait > Duration::from_secs(600), "{wait:?}");
    orders(&tide, "refused", 1.0).await;
    assert!(tide.log().contains("tried again in"), "{}", tide.log());
    let browser = Browser::open(tide.admin()).await;
    browser.says("#banners", "1 certificate from the CA").await;
    browser.says("#banners", "www.a.test: ").await;
    // The operator mends it, and says so by a reload that changes something here.
    stage.dns.has("www.a.test", &["127.0.0.1"]);
    tide.apply(&stage.config(", email: ops@a.test")).await;
    stands(&tide, "valid").await;
}

#[tokio::test]
async fn a_name_that_the_ca_signs_nothing_for_is_a_refusal_in_its_words() {
    let how = How {
        blocked: vec!["a.test".into()],
        ..How::default()
    };
    let stage = Stage::set(how).await;
    let tide = Tidegate::run(stage.config("")).await;
    let told = fails(&tide, "rejectedIdentifier").await;
    assert_eq!(told["state"], "missing");
    let events = tide.json("/api/v1/events?kind=acme").await;
    assert_eq!(events["events"][0]["level"], "error", "{events}");
}

#[tokio::test]
async fn nonces_that_the_ca_refuses_cost_a_request_more_and_nothing_else() {
    let how = How {
        refuses_nonces: 30,
        ..How::default()
    };
    let stage = Stage::set(how).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
}

#[tokio::test]
async fn an_account_that_the_ca_has_forgotten_is_made_anew() {
    let mut stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    stage.pebble.stop().await;
    stage.pebble.start().await; // it knows nobody
    tide.apply(&stage.config(", key: ecdsa-p384")).await;
    // Its own certificate of before is used until the new one is there.
    eventually("a new account has ordered", SOON, async || {
        check(stage.pebble.issued() == 1, tide.log())
    })
    .await;
    stands(&tide, "valid").await;
}

#[tokio::test]
async fn a_ca_whose_server_nobody_vouches_for_is_not_asked() {
    let stage = Stage::set(How::default()).await;
    let ca = format!(", ca: {}", stage.pebble.ca().display());
    let tide = Tidegate::run(stage.config("").replace(&ca, "")).await;
    let told = fails(&tide, "certificate").await;
    assert_eq!(told["state"], "missing");
    assert_eq!(stage.pebble.issued(), 0);
}

#[tokio::test]
async fn an_account_that_the_ca_knows_already_is_bound_with_its_key() {
    let how = || How {
        binding: Some((
            "kid-1".into(),
            "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W".into(),
        )),
        ..How::default()
    };
    let stage = Stage::set(how()).await;
    let tide = Tidegate::run(stage.config("")).await;
    fails(&tide, "externalAccount").await;
    let key = stage.dir.path().join("eab.key");
    let text = how().binding.unwrap().1 + "\n";
    std::fs::write(&key, text).expect("a writable folder");
    let keys = format!(", eab: {{ kid: kid-1, key_file: {} }}", key.display());
    tide.apply(&stage.config(&keys)).await;
    stands(&tide, "valid").await;
}
