//! What a node has agreed to with 101 is a tunnel, each time: not closed by the moment in which the client's bytes come.

use std::net::SocketAddr;

use crate::support::client::{Client, Request};
use crate::support::proxy::one_node;
use crate::support::reply::Reply;
use crate::support::wire::Broken;

const TUNNELS: usize = 3_000;
const AT_ONCE: usize = 8;

fn at(what: &'static str) -> impl Fn(Broken) -> String {
    move |broken| format!("{what}: {broken}")
}

/// Asks for a tunnel and sends through it, the first bytes with the request or behind the answer; what went wrong.
async fn one(to: SocketAddr, glued: bool) -> Result<(), String> {
    let mut client = Client::connect(to).await.map_err(at("connecting"))?;
    let early: &[u8] = if glued { b"early " } else { b"" };
    let bytes = [&Request::websocket("/chat").head_bytes(), early].concat();
    client.send_bytes(&bytes).await.map_err(at("asking"))?;
    let answer = client.answer("GET").await.map_err(at("the answer"))?;
    if answer.status != 101 {
        return Err(format!("status {}", answer.status));
    }
    client.send_bytes(b"later").await.map_err(at("sending"))?;
    let echoed = client
        .exactly(early.len() + 5)
        .await
        .map_err(at("the echo"))?;
    let whole = [early, b"later"].concat();
    (echoed == whole).then_some(()).ok_or(format!("{echoed:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_upgrade_that_was_agreed_to_becomes_a_tunnel() {
    let (app, tide) = one_node().await;
    app.answers(|_| Reply::websocket());
    let to = tide.addr();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|worker| {
            tokio::spawn(async move {
                let mut failed = Vec::new();
                for n in 0..TUNNELS / AT_ONCE {
                    let glued = n % 2 == 0;
                    if let Err(why) = one(to, glued).await {
                        failed.push(format!("worker {worker}, {n}, glued {glued}: {why}"));
                    }
                }
                failed
            })
        })
        .collect();
    let mut failed = Vec::new();
    for worker in workers {
        failed.extend(worker.await.unwrap());
    }
    let n = failed.len();
    assert!(n == 0, "{n} of {TUNNELS} tunnels: {}", failed.join("\n"));
}
