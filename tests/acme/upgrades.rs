//! Another process takes over: who orders is who answers where the CA looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::upgrade::Reign;

/// An app that answers probes as long as it is well; else it is silent.
async fn moody(is_well: Arc<AtomicBool>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("it is open");
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !is_well.load(SeqCst) {
                silent.push(stream);
                continue;
            }
            let mut room = [0; 1_024];
            let _ = stream.read(&mut room).await;
            let words = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(words.as_bytes()).await;
        }
    });
    addr
}

#[tokio::test]
async fn the_next_process_orders_once_it_answers_and_the_one_before_no_more() {
    let mut stage = Stage::set(How::default()).await;
    stage.pebble.stop().await;
    let is_well = Arc::new(AtomicBool::new(true));
    let slow = format!(
        "upstreams: {{ slow: {{ nodes: [{}], health: {{ path: /, interval: 60s, timeout: 50s }} }}, ",
        moody(is_well.clone()).await
    );
    let reign = Reign::begin(&stage.config("").replace("upstreams: { ", &slow)).await;
    // Its next try is later than the next process takes to its word.
    eventually("it has tried three times", SOON, async || {
        let told = told(&reign).await;
        check(told["failures"].as_u64() >= Some(3), told)
    })
    .await;
    // Keeps the process before, which has no certificate, as long as the story lasts.
    let _stays = reign.connect().await;
    is_well.store(false, SeqCst);
    stage.pebble.start().await;
    reign.upgrade().await;
    stands(&reign, "valid").await;
    let log = reign.log();
    assert!(!log.contains("could not see"), "{log}");
    assert_eq!(stage.pebble.issued(), 1);
}
