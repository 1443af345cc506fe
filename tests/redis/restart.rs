//! A proxy that starts again begins with what its cluster has.

use super::cluster::{Cluster, told};

/// Pages of the site.
const PAGES: usize = 300;
/// Requests after the restart.
const REQUESTS: usize = 1_000;

#[tokio::test]
async fn a_proxy_that_was_restarted_hits_at_once() {
    let mut cluster = Cluster::open(1, "", "true").await;
    cluster.says("Cache-Control: max-age=600");
    let mut client = cluster.tides[0].connect().await;
    for page in 0..PAGES {
        let request = crate::support::client::Request::get(&format!("/{page}"));
        client.ask(&request).await.unwrap();
    }
    cluster.keeps(PAGES).await;
    let before = cluster.app.requests();
    drop(cluster.tides.remove(0));
    cluster.join().await;
    let (mut rng, mut hits) = (fastrand::Rng::with_seed(5), 0);
    let mut client = cluster.tides[0].connect().await;
    for _ in 0..REQUESTS {
        // Some pages nobody has asked for yet.
        let page = rng.usize(..PAGES + PAGES / 20);
        let request = crate::support::client::Request::get(&format!("/{page}"));
        let answer = client.ask(&request).await.unwrap();
        assert!(answer.text().starts_with(&format!("/{page} ")));
        hits += usize::from(told(&answer).contains("hit"));
    }
    let fetches = cluster.app.requests() - before;
    println!("{hits} hits of {REQUESTS} requests, {fetches} fetches for {PAGES} pages");
    assert!(hits * 10 > REQUESTS * 9, "{hits} hits");
    assert!(fetches <= PAGES / 20, "{fetches} fetches");
}
