//! What is done to requests before anybody looks at them is the file's to say, and a reload changes it at once.
//!
//! Each story asks before and after, on one connection that lives through the reload.

use crate::support::client::{Answer, Client, Request};
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};

/// A node, and the proxy in front of it with nothing said.
async fn usual() -> (Origin, Tidegate, Client) {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    let client = tide.connect().await;
    (app, tide, client)
}

/// The next generation has these sections beside the usual ones, without a restart.
async fn reload(tide: &Tidegate, app: &Origin, top: &str) {
    tide.apply(&format!("{top}\n{}", web("", nodes([app]))))
        .await;
    let waits = &tide.status().await["waits_for_restart"];
    assert_eq!(waits, &serde_json::json!([]), "{top}");
}

async fn ask(client: &mut Client, request: &Request) -> Answer {
    client.ask(request).await.unwrap()
}

/// The target with which the node saw the last request.
fn target(app: &Origin) -> String {
    app.seen().last().unwrap().target().to_owned()
}

#[tokio::test]
async fn slashes_are_merged_unless_the_file_says_otherwise() {
    let (app, tide, mut client) = usual().await;
    let request = Request::get("//a//b///?c//d");
    assert_eq!(ask(&mut client, &request).await.status, 200);
    assert_eq!(target(&app), "/a/b/?c//d");
    reload(&tide, &app, "requests: { merge_slashes: false }").await;
    assert_eq!(ask(&mut client, &request).await.status, 200);
    assert_eq!(target(&app), "//a//b///?c//d");
    assert_eq!(
        ask(&mut client, &Request::get("/a//../b")).await.status,
        200
    );
    assert_eq!(
        target(&app),
        "/a/b",
        "dot segments are resolved all the same"
    );
    reload(&tide, &app, "").await;
    assert_eq!(ask(&mut client, &request).await.status, 200);
    assert_eq!(target(&app), "/a/b/?c//d");
}

#[tokio::test]
async fn fields_with_an_underscore_reach_the_node_only_when_the_file_lets_them() {
    let (app, tide, mut client) = usual().await;
    let request = Request::get("/")
        .field("X_User", "root")
        .field("X-Mine", "1");
    let seen = || {
        let head = app.seen().last().unwrap().head.clone();
        (
            head.get("x_user").map(str::to_owned),
            head.get("x-mine").is_some(),
        )
    };
    ask(&mut client, &request).await;
    assert_eq!(seen(), (None, true));
    reload(&tide, &app, "requests: { underscores: keep }").await;
    ask(&mut client, &request).await;
    assert_eq!(seen(), (Some("root".into()), true));
    reload(&tide, &app, "requests: { underscores: drop }").await;
    ask(&mut client, &request).await;
    assert_eq!(seen(), (None, true));
}

#[tokio::test]
async fn the_file_says_which_fields_no_client_may_send() {
    let (app, tide, mut client) = usual().await;
    let request = Request::get("/")
        .field("X-Original-URL", "/admin")
        .field("X-HTTP-Method-Override", "DELETE")
        .field("Proxy", "http://evil.test")
        .field("X-Internal", "1");
    let seen = || {
        let head = app.seen().last().unwrap().head.clone();
        let names = [
            "x-original-url",
            "x-http-method-override",
            "proxy",
            "x-internal",
        ];
        names.map(|name| head.get(name).is_some())
    };
    ask(&mut client, &request).await;
    assert_eq!(seen(), [false, false, false, true]);
    reload(&tide, &app, "requests: { drop: [] }").await;
    ask(&mut client, &request).await;
    assert_eq!(seen(), [true, true, true, true]);
    reload(&tide, &app, "requests: { drop: [x-INTERNAL] }").await;
    ask(&mut client, &request).await;
    assert_eq!(seen(), [true, true, true, false]);
}

#[tokio::test]
async fn where_underscores_are_kept_nothing_comes_in_under_another_spelling() {
    let (app, tide, mut client) = usual().await;
    reload(&tide, &app, "requests: { underscores: keep }").await;
    let request = Request::get("/")
        .field("X_User", "me")
        .field("X_Forwarded_For", "10.0.0.1")
        .field("x_real-IP", "10.0.0.1")
        .field("X_Original_URL", "/admin")
        .field("Transfer_Encoding", "chunked")
        .field("Content_Length", "5")
        .field("HOST_", "fine");
    assert_eq!(ask(&mut client, &request).await.status, 200);
    let head = app.only().head;
    assert_eq!(head.get("x_user"), Some("me"));
    assert_eq!(head.get("host_"), Some("fine"));
    for gone in [
        "x_forwarded_for",
        "x_real-ip",
        "x_original_url",
        "transfer_encoding",
        "content_length",
    ] {
        assert_eq!(head.get(gone), None, "{gone}");
    }
}

/// `good` passes, then not any more after this reload, for which it is refused so; then it does again.
async fn refused_after(top: &str, good: Request, status: u16, reason: &str) {
    let (app, tide, mut client) = usual().await;
    assert_eq!(ask(&mut client, &good).await.status, 200);
    reload(&tide, &app, top).await;
    let small = Request::get("/");
    assert_eq!(ask(&mut client, &small).await.status, 200, "{top}");
    let before = app.requests();
    let answer = ask(&mut client, &good).await;
    assert_eq!((answer.status, answer.stays_open), (status, false), "{top}");
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    assert_eq!(app.requests(), before);
    tide.refused(reason, 1).await;
    reload(&tide, &app, "").await;
    assert_eq!(tide.ask(&good).await.status, 200, "{top}");
}

#[tokio::test]
async fn a_smaller_limit_of_a_head_holds_from_the_next_request_on() {
    let long = Request::get("/").field("X-Long", &"x".repeat(2_000));
    let top = "limits: { header_bytes: 1KiB, uri_bytes: 512B }";
    refused_after(top, long, 431, "header_too_large").await;
}

#[tokio::test]
async fn a_smaller_number_of_fields_holds_from_the_next_request_on() {
    let many = (0..20).fold(Request::get("/"), |r, n| r.field(&format!("X-{n}"), "x"));
    refused_after("limits: { headers: 10 }", many, 431, "header_too_large").await;
}

#[tokio::test]
async fn a_smaller_limit_of_a_target_holds_from_the_next_request_on() {
    let far = Request::get(&format!("/{}", "x".repeat(300)));
    refused_after("limits: { uri_bytes: 128B }", far, 414, "uri_too_long").await;
}

#[tokio::test]
async fn larger_limits_hold_from_the_next_request_on() {
    let (app, tide, mut client) = usual().await;
    assert_eq!(ask(&mut client, &Request::get("/")).await.status, 200);
    let far = Request::get(&format!("/{}", "x".repeat(10_000)));
    let long = Request::get("/").field("X-Long", &"x".repeat(40_000));
    let many = (0..150).fold(Request::get("/"), |r, n| r.field(&format!("X-{n}"), "x"));
    for (request, status) in [(&far, 414), (&long, 431), (&many, 431)] {
        assert_eq!(tide.ask(request).await.status, status);
    }
    let top = "limits: { header_bytes: 60KiB, headers: 200, uri_bytes: 16KiB }";
    reload(&tide, &app, top).await;
    for request in [&far, &long, &many] {
        let answer = ask(&mut client, request).await;
        assert_eq!((answer.status, answer.stays_open), (200, true));
    }
    assert_eq!(app.requests(), 4);
}
