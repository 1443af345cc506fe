//! Bodies of one connection do not wait for each other, and none may be silent because it says so.

use bytes::Bytes;

use super::speaking_both;
use crate::support::h2::{H2, request};
use crate::support::reply::Reply;
use crate::support::{Gate, ms, pattern};

#[tokio::test]
async fn to_say_that_it_is_a_call_buys_no_silence_where_nodes_know_no_calls() {
    let (_app, tide) = speaking_both("timeouts: { body: 500ms }", "").await;
    let mut client = H2::connect(tide.addr()).await;
    let asked = request("POST", "/says").header("content-type", "application/grpc");
    let mut stalls = client.send(asked, false).await.unwrap();
    let part = Bytes::from_static(b"a part");
    stalls.body.send_data(part, false).unwrap();
    let line = tide.told("/says").await;
    assert_eq!(line["end"], "client_timeout", "{line}");
}

#[tokio::test]
async fn an_upload_whose_node_takes_nothing_holds_up_no_other() {
    let limits = "timeouts: { body: 2s }\nlimits: { body: 128MiB }";
    let (app, tide) = speaking_both(limits, "").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| match seen.target() {
        "/stuck" => Reply::text("late").without_reading().when(&held),
        _ => Reply::mirror(),
    });
    let mut client = H2::connect(tide.addr()).await;
    let mut stuck = client.send(request("POST", "/stuck"), false).await.unwrap();
    // Until the node's windows are full.
    loop {
        stuck.body.reserve_capacity(16_384);
        let room = std::future::poll_fn(|cx| stuck.body.poll_capacity(cx));
        let Ok(room) = tokio::time::timeout(ms(500), room).await else {
            break;
        };
        let piece = vec![b'z'; room.unwrap().unwrap()];
        stuck.body.send_data(piece.into(), false).unwrap();
    }
    let body = pattern(30_000);
    let other = client.ask(request("POST", "/other"), &body).await.unwrap();
    assert!((other.status, &other.body) == (200, &body));
    gate.open();
}
