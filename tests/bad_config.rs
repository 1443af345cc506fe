//! Files that somebody got wrong while the proxy runs: nothing stops, and the reason is found where one looks.

use std::fs;

use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete, web};
use crate::support::{check, eventually, ms};

#[tokio::test]
async fn a_file_cut_at_any_place_never_stops_what_serves() {
    let apps = Origin::several(2).await;
    let whole = complete(&web(
        "health: { path: /healthz, interval: 1s }",
        nodes(&apps),
    ));
    let tide = Tidegate::run(&whole).await;
    let load = Load::at(200).new_connection_every(3).start(tide.addr());
    let (mut refused, mut taken) = (0, 0);
    for part in 0..40 {
        let cut = &whole[..whole.len() * part / 40];
        fs::write(tide.path(), cut).unwrap();
        match tide.api("POST", "/api/v1/reload", "").await.status {
            422 => refused += 1,
            200 => taken += 1,
            other => panic!("{other} for {cut:?}"),
        }
        assert_eq!(tide.get("/").await.status, 200, "after {cut:?}");
    }
    println!("{refused} refused, {taken} were whole files of their own");
    assert!(refused >= 36, "{refused} of 40");
    load.stop().await.nothing_failed_of(10);
}

#[tokio::test]
async fn what_no_editor_writes_is_refused_too() {
    let app = Origin::start("app-1").await;
    let good = complete(&web("", nodes([&app])));
    let tide = Tidegate::run(&good).await;
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(0..12)
            .map(|n| {
                let (this, last) = ((b'b' + n) as char, (b'a' + n) as char);
                let refs = vec![format!("*{last}"); 9].join(", ");
                format!("{this}: &{this} [{refs}]\n")
            })
            .collect::<String>();
    let huge = format!("{good}# {}\n", "x".repeat(20 << 20));
    for (what, bytes) in [
        ("binary", vec![0xff, 0xfe, 0, 1, 2, 3]),
        ("tabs", good.replace("    ", "\t").into_bytes()),
        ("an alias bomb", bomb.into_bytes()),
        ("a list", b"- a\n- b\n".to_vec()),
        ("deep nesting", "[".repeat(100_000).into_bytes()),
        (
            "a duplicate key",
            format!("{good}threads: 4\n").into_bytes(),
        ),
        (
            "two documents",
            format!("{good}---\nthreads: 4\n").into_bytes(),
        ),
        ("no nodes", good.replace("nodes: [", "nodes: [] # ").into()),
    ] {
        fs::write(tide.path(), bytes).unwrap();
        let answer = tide.api("POST", "/api/v1/reload", "").await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        assert!(
            answer.body.len() < 64 << 10,
            "{what}: an answer one can read"
        );
        assert_eq!(tide.get("/").await.status, 200, "after {what}");
    }
    fs::write(tide.path(), huge).unwrap();
    tide.api("POST", "/api/v1/reload", "").await;
    assert_eq!(tide.get("/").await.status, 200, "after a file of 20 MiB");
    assert_eq!(tide.generation().await, 1);
}

#[tokio::test]
async fn the_reason_is_in_the_log_the_status_and_on_the_page() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    tide.write(&web("balance: <fastest>", nodes([&app])));
    eventually("the log says it", ms(3_000), async || {
        check(tide.log().contains("<fastest>"), tide.log())
    })
    .await;
    assert!(tide.log().contains("tidegate.yaml:7:14"), "{}", tide.log());
    let last = tide.status().await["config"]["last_reload"].clone();
    assert!(
        last["errors"][0].as_str().unwrap().contains("<fastest>"),
        "{last}"
    );
}
