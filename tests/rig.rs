//! The rig itself tells the truth: origins, client and load generator, without the proxy between them.

use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::ms;
use crate::support::origin::Origin;
use crate::support::reply::Reply;
use crate::support::wire::Broken;

#[tokio::test]
async fn an_origin_echoes_the_id_and_keeps_every_byte() {
    let app = Origin::start("app-1").await;
    let mut client = Client::connect(app.addr()).await.unwrap();
    let request = Request::post("/a?b=c", "hello").chunked(2).id("seven");
    let answer = client.ask(&request).await.unwrap();
    assert_eq!((answer.status, answer.node()), (200, "app-1"));
    assert_eq!(answer.head.get("x-id"), Some("seven"));
    assert!(answer.stays_open);
    let seen = app.only();
    assert_eq!((seen.method(), seen.target()), ("POST", "/a?b=c"));
    assert_eq!((seen.body.as_slice(), seen.complete), (&b"hello"[..], true));
    assert_eq!(seen.head.raw, request.head_bytes());
}

#[tokio::test]
async fn broken_answers_are_told_apart() {
    let app = Origin::start("app-1").await;
    let ask = async |reply: Reply| {
        app.answers(move |_| reply.clone());
        let mut client = Client::connect(app.addr()).await.unwrap();
        client.ask(&Request::get("/")).await.map(|a| a.body.len())
    };
    assert_eq!(ask(Reply::reset()).await, Err(Broken::Reset));
    assert_eq!(ask(Reply::close()).await, Err(Broken::Closed));
    assert_eq!(ask(Reply::short_of(10, "abc")).await, Err(Broken::Cut));
    assert_eq!(ask(Reply::chunked(["ab", "cd"])).await, Ok(4));
}

#[tokio::test]
async fn a_killed_origin_costs_the_load_requests_and_a_revived_one_serves_again() {
    let app = Origin::start("app-1").await;
    let calm = Load::at(1_000).count(300).new_connection_every(4);
    calm.clone().run(app.addr()).await.nothing_failed_of(300);

    app.answers(|seen| Reply::usual(seen).after(ms(5)));
    let load = Load::at(1_000).start(app.addr());
    app.holds(3).await;
    app.kill().await;
    let tally = load.stop().await;
    assert!(tally.failures() >= 3, "a reset is never hidden: {tally}");

    app.revive().await;
    calm.run(app.addr()).await.nothing_failed_of(300);
}
