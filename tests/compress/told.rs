//! What the operator is told of what is kept in other encodings.

use super::*;

#[tokio::test]
async fn explain_and_the_stats_say_which_encodings_are_kept() {
    let stage = Stage::open("cache: true\ncompress: true").await;
    stage.says(json(5_000), JSON);
    let br = stage.get("/", "br").await;
    stage.get("/", "gzip").await;
    let stats = stage.tide.json("/api/v1/cache").await;
    assert_eq!(stats["entries"], 1);
    assert_eq!(stats["encoded"], 2);
    let taken = stats["encoded_bytes"].as_u64().unwrap();
    assert!(taken >= br.body.len() as u64, "{taken}");
    // What a client takes does not select what is stored.
    let target = "/api/v1/cache/explain?url=http://tide.test/&header=Accept-Encoding:%20br";
    let told = stage.tide.json(target).await;
    let one = &told["variants"][0];
    assert_eq!(one["is_for_request"], true);
    assert_eq!(one["encoding"], "identity");
    assert_eq!(one["encoded_bytes"]["br"], br.body.len());
    assert!(one["encoded_bytes"]["gzip"].is_u64());
    let done = stage
        .tide
        .command(&["cache", "explain", "http://tide.test/"])
        .await;
    let line = format!("in br: {} bytes", br.body.len());
    assert!(done.out.contains(&line), "{}", done.all());
    let done = stage.tide.command(&["cache"]).await;
    assert!(
        done.out.contains("2 bodies beside them in other encodings"),
        "{}",
        done.all()
    );
}
