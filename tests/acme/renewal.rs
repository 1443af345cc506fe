//! Certificates are renewed in time, while the old one is served.

use crate::support::proxy::Tidegate;

use super::*;

#[tokio::test]
async fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
    let how = How {
        holds: Some(24),
        ..How::default()
    };
    let stage = Stage::set(how).await;
    let tide = Tidegate::run(stage.config("")).await;
    let first = stands(&tide, "valid").await;
    let time = |told: &Value, key: &str| {
        humantime::parse_rfc3339(told[key].as_str().unwrap()).expect("a time")
    };
    let left = time(&first, "expires_at").duration_since(time(&first, "next_order_at"));
    let left = left.expect("it is renewed before its end").as_secs();
    assert!((6..=10).contains(&left), "{left} of 24 s are left");
    orders(&tide, "issued", 2.0).await;
    let second = stands(&tide, "valid").await;
    assert!(
        time(&second, "expires_at") > time(&first, "expires_at"),
        "{second}"
    );
    assert_eq!(stage.files().len(), 1);
}

#[tokio::test]
async fn a_certificate_that_expired_while_the_ca_was_away_is_told_of_and_renewed_when_it_is_back() {
    let how = How {
        holds: Some(6),
        ..How::default()
    };
    let mut stage = Stage::set(how).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    stage.pebble.stop().await;
    stands(&tide, "expired").await;
    killed(tide).await;
    let tide = Tidegate::run(stage.config("")).await;
    assert!(
        tide.log()
            .contains("has expired; it is served all the same"),
        "{}",
        tide.log()
    );
    stage.pebble.start().await;
    stands(&tide, "valid").await;
}
