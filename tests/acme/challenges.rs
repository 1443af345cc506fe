//! Both ways to prove a name, and what of them others see.

use crate::support::proxy::Tidegate;

use super::*;

#[tokio::test]
async fn a_certificate_comes_by_http_01_while_every_request_is_redirected() {
    let stage = Stage::set(How::default()).await;
    let config = stage.config("").replace(
        "routes: [{ upstream: web }]",
        "routes: [{ redirect: { to: \"https://{host}{uri}\" } }]",
    );
    let tide = Tidegate::run_unready(config).await;
    let told = stands(&tide, "valid").await;
    assert_eq!(told["names"], serde_json::json!(["a.test", "www.a.test"]));
    assert_eq!(told["failures"], 0);
    assert_eq!(stage.pebble.issued(), 1);
    orders(&tide, "issued", 1.0).await;
    assert!(
        tide.metric(
            "tidegate_acme_certificate_expiry_timestamp_seconds",
            &[("name", "a.test")]
        )
        .await
            > Some(1.7e9)
    );
    let events = tide.json("/api/v1/events?kind=acme").await;
    let text = events["events"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("a.test, www.a.test issued"), "{events}");
    let status = tide.command(&["status"]).await;
    let list = tide.json("/api/v1/certificates").await;
    let shown = &list["certificates"][0];
    assert_eq!(
        (&shown["source"], &shown["names"], &shown["state"]),
        (&"acme".into(), &told["names"], &"ok".into()),
        "{list}"
    );
    assert_eq!(shown["ports"].as_array().map(Vec::len), Some(1), "{list}");
    assert!(
        status.out.contains("acme a.test, www.a.test: holds until"),
        "{}",
        status.all()
    );
}

#[tokio::test]
async fn a_token_that_nobody_knows_is_the_apps() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    let before = stage.app.requests();
    let answer = tide.get("/.well-known/acme-challenge/of-the-app").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stage.app.requests(), before + 1);
}
