//! Calls of every kind arrive and end as without the proxy.

use std::time::Duration;

use serde_json::json;

use super::{Service, call, in_front_of, one_service};

#[tokio::test]
async fn a_unary_call_keeps_its_metadata_at_both_ends() {
    let (_service, tide) = one_service().await;
    let said = call(&tide, &["unary", "Unary", "hello"]).await;
    assert_eq!(
        (&said["code"], &said["message"]),
        (&json!("OK"), &json!("HELLO"))
    );
    assert_eq!(said["begins"]["x-begins"], "'here'");
    assert_eq!(said["ends"]["x-ends"], "'there'");
    assert_eq!(said["ends"]["x-bytes-bin"], r"b'\x00\xff'");
    let line = tide.told("/tide.Story/Unary").await;
    assert_eq!(
        (&line["grpc_status"], &line["end"]),
        (&json!(0), &json!("ok")),
        "{line}"
    );
    assert_eq!(
        (&line["status"], &line["proto"]),
        (&json!(200), &json!("HTTP/2"))
    );
}

#[tokio::test]
async fn the_service_learns_of_the_client_and_of_the_time_that_is_left() {
    let (_service, tide) = one_service().await;
    let said = call(
        &tide,
        &[
            "unary",
            "Told",
            "",
            "20",
            "x-own=1",
            "x-forwarded-for=6.6.6.6",
        ],
    )
    .await;
    let told: serde_json::Value = serde_json::from_str(said["message"].as_str().unwrap()).unwrap();
    let metadata = &told["metadata"];
    assert_eq!(metadata["x-own"], "'1'");
    assert_eq!(metadata["x-forwarded-for"], "'127.0.0.1'");
    assert_eq!(metadata["x-real-ip"], "'127.0.0.1'");
    assert!(
        metadata["x-request-id"].is_string() && metadata["via"].is_string(),
        "{metadata}"
    );
    let left = told["left"].as_f64().unwrap();
    assert!((15.0..20.0).contains(&left), "{left}");
}

#[tokio::test]
async fn streams_go_both_ways_and_nothing_is_held_back() {
    let (_service, tide) = one_service().await;
    assert_eq!(call(&tide, &["count", "3"]).await, json!(["0", "1", "2"]));
    assert_eq!(call(&tide, &["total", "50", "1000"]).await, json!("50000"));
    let said = call(&tide, &["chat", "one", "two", "three"]).await;
    let heard = json!(["you said one", "you said two", "you said three"]);
    assert_eq!((&said["heard"], &said["code"]), (&heard, &json!("OK")));
}

#[tokio::test]
async fn who_streams_may_be_silent_for_longer_than_a_body_may_pause() {
    let service = Service::start(&[]).await;
    let keys = "timeouts: { read: 400ms, write: 400ms }";
    let tide = in_front_of("timeouts: { body: 400ms }", keys, &[service.addr()]).await;
    let said = call(&tide, &["chat", "one", "pause:1.5", "two"]).await;
    assert_eq!(
        said["heard"],
        json!(["you said one", "you said two"]),
        "{said}"
    );
}

#[tokio::test]
async fn errors_arrive_with_their_code_and_words() {
    let (_service, tide) = one_service().await;
    for (code, number) in [
        ("NOT_FOUND", 5),
        ("INVALID_ARGUMENT", 3),
        ("UNAVAILABLE", 14),
    ] {
        let message = format!("{code} none of 100% café");
        let said = call(&tide, &["unary", "Fail", &message]).await;
        assert_eq!(
            (&said["code"], &said["details"]),
            (&json!(code), &json!("none of 100% café"))
        );
        let lines = tide.access_log();
        let line = lines.last().unwrap();
        assert_eq!(
            (&line["grpc_status"], &line["status"]),
            (&json!(number), &json!(200))
        );
    }
    let said = call(&tide, &["fail_late", "ABORTED too late"]).await;
    assert_eq!(
        said,
        json!({"heard": ["something"], "code": "ABORTED", "details": "too late"})
    );
}

#[tokio::test]
async fn a_deadline_ends_a_call_in_its_time_and_the_service_is_told() {
    let (_service, tide) = one_service().await;
    let said = call(&tide, &["unary", "Slow", "20", "0.7"]).await;
    assert_eq!(said["code"], "DEADLINE_EXCEEDED", "{said}");
    let took = Duration::from_secs_f64(said["took"].as_f64().unwrap());
    assert!(took < Duration::from_secs(3), "{took:?}");
    let said = call(&tide, &["cancel"]).await;
    assert_eq!(
        said["cancelled"], true,
        "one was cancelled by the deadline already"
    );
}

#[tokio::test]
async fn a_call_that_its_client_cancels_is_cancelled_at_the_service() {
    let (_service, tide) = one_service().await;
    assert_eq!(call(&tide, &["cancel"]).await["cancelled"], true);
    let line = tide.told("/tide.Story/Slow").await;
    assert_eq!(line["end"], "client_abort", "{line}");
}

#[tokio::test]
async fn large_messages_go_through() {
    let (_service, tide) = one_service().await;
    let said = call(&tide, &["large", "30000000"]).await;
    assert_eq!(said, json!({"up": "30000000", "down": 30_000_000}));
}

#[tokio::test]
async fn a_hundred_calls_at_a_time_share_few_connections() {
    let (_service, tide) = one_service().await;
    let ends = call(&tide, &["many", "100", "5"]).await;
    assert_eq!(ends, json!({"OK": 500}));
    let opened = tide
        .metric("tidegate_upstream_connect_duration_seconds_count", &[])
        .await;
    let opened = opened.unwrap();
    assert!(
        (1.0..=8.0).contains(&opened),
        "{opened} connections were opened"
    );
}
