//! Upgrades of a port that speaks TLS: what was agreed with the old process stays with it, and nobody is cut off.

use std::sync::atomic::Ordering::Relaxed;

use super::{Reign, folder, is_gone};
use crate::support::busy::{Everybody, counted};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::web;
use crate::support::tls::Authority;
use crate::support::{check, eventually, ms};

/// Fewer than over plain ports: what is new here is the handshake.
const UPGRADES: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_over_tls_refuse_nobody_and_reset_nobody() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let served = counted(&app);
    let tls = "{ certs: [{ cert: site.pem, key: site.key }] }";
    let listen = format!("listen: [{{ addr: \"127.0.0.1:0\", tls: {tls} }}]\n");
    let dir = folder(&format!("{listen}{}", web("", nodes([&app]))));
    let pair = authority.issue(&["site.test"]);
    pair.write(dir.path(), "site");
    let reign = Reign::begin_in(dir, &[]).await;
    let mut clients = Everybody::at(reign.addr(), "site.test", &authority, 300).await;
    let mut pids = vec![reign.pid().await];
    for n in 0..UPGRADES {
        let before = served.load(Relaxed);
        eventually("the load goes on", ms(10_000), async || {
            check(served.load(Relaxed) >= before + 100, served.load(Relaxed))
        })
        .await;
        pids.push(reign.upgrade().await);
        clients.chats(&format!("still here {n:02}")).await;
    }
    let (shook, chat) = clients.leave(20 * UPGRADES).await;
    println!("{} handshakes", shook.len());
    assert!(shook.iter().all(|shook| shook.cert == pair.der()));

    // All but the first, which has the WebSocket, and the last are done.
    for pid in &pids[1..UPGRADES] {
        is_gone(*pid).await;
    }
    assert!(reign.process().runs(), "the WebSocket is the first one's");
    drop(chat);
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    assert_eq!(reign.pid().await, pids[UPGRADES]);
}
