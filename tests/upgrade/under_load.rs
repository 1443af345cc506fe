//! Upgrades while everybody is busy: keep-alive, new connections, HTTP/2, WebSockets and the stats port.

use std::sync::atomic::Ordering::Relaxed;

use tokio::task::JoinHandle;

use super::{Reign, is_gone};
use crate::support::busy::{counted, over_h2};
use crate::support::client::{Client, Request};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::websocket::{TEXT, frame};
use crate::support::{Gate, check, eventually, ms};

const UPGRADES: usize = 20;

/// Asks the stats port again and again, each time by a connection of its own.
fn watching(tide: &Tidegate, stop: Gate) -> JoinHandle<Result<usize, String>> {
    let to = tide.admin();
    tokio::spawn(async move {
        let mut answered = 0;
        let ask = Request::get("/healthz")
            .host(&to.to_string())
            .field("Connection", "close");
        loop {
            let asked = async { Client::connect(to).await?.ask(&ask).await };
            let asked = tokio::select! {
                biased;
                () = stop.passed() => return Ok(answered),
                asked = asked => asked,
            };
            match asked {
                Ok(answer) if answer.status == 200 => answered += 1,
                Ok(answer) => return Err(format!("status {} after {answered}", answer.status)),
                Err(e) => return Err(format!("{e} after {answered}")),
            }
            tokio::time::sleep(ms(10)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_upgrades_refuse_nobody_and_reset_nobody() {
    let app = Origin::start("app-1").await;
    let served = counted(&app);
    let listen = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n";
    let reign = Reign::begin(&format!("{listen}{}", web("", nodes([&app])))).await;
    let mut chat = reign.connect().await;
    chat.send(&Request::websocket("/chat")).await.unwrap();
    assert_eq!(chat.answer("GET").await.unwrap().status, 101);

    let stop = Gate::closed();
    let load = Load::at(300).new_connection_every(3).start(reign.addr());
    let h2 = over_h2(reign.addr(), 150, usize::MAX, stop.clone());
    let stats = watching(&reign, stop.clone());
    let mut pids = vec![reign.pid().await];
    for n in 0..UPGRADES {
        let before = served.load(Relaxed);
        eventually("the load goes on", ms(10_000), async || {
            check(served.load(Relaxed) >= before + 40, served.load(Relaxed))
        })
        .await;
        pids.push(reign.upgrade().await);
        let said = frame(TEXT, format!("still here {n:02}").as_bytes(), true);
        chat.send_bytes(&said).await.unwrap();
        assert_eq!(chat.exactly(said.len()).await.unwrap(), said);
    }
    stop.open();
    let tally = load.stop().await;
    tally.nothing_failed_of(40 * UPGRADES);
    let answered = h2.await.unwrap().expect("none over HTTP/2 is lost");
    assert!(answered > 2 * UPGRADES, "{answered} over HTTP/2");
    let asked = stats
        .await
        .unwrap()
        .expect("the stats port answers all the time");
    assert!(asked > 2 * UPGRADES, "{asked} of the stats port");

    // All but the first, which has the tunnel, and the last are done.
    for pid in &pids[1..UPGRADES] {
        is_gone(*pid).await;
    }
    assert!(reign.process().runs(), "the tunnel is the first one's");
    drop(chat);
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    assert_eq!(reign.pid().await, pids[UPGRADES]);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pids[UPGRADES]));
    assert_eq!(
        children.unwrap_or_default().trim(),
        "",
        "no remains of anybody"
    );
}
