//! `cache.recompress`: what is made better behind the answers, for whom, and at what cost.
//!
//! What does not happen is seen by what does: all that is worth it waits in one line, and what comes out of it last was
//! put there last.

use std::time::Instant;

use super::*;

/// A route whose first form can be improved by much.
const POOR: &str = "cache: true\ncompress: { level: { br: 0 }, max_cpu: 100% }";

/// The stage with these words behind `recompress:`. At `/BYTES` or `/BYTES/WORD` there is JSON of about that size.
async fn stage(recompress: &str) -> Stage {
    let stage = Stage::under(&top(recompress), POOR).await;
    stage.answers(|seen| {
        let size = seen.target().split('/').nth(1).unwrap();
        with(Reply::text(json(size.parse().unwrap())), JSON)
    });
    stage
}

fn top(recompress: &str) -> String {
    format!("cache: {{ recompress: {recompress} }}\n")
}

/// Asks for it once, waits until the form is kept (it is the `n`th), and asks so often for that.
async fn popular(stage: &Stage, target: &str, n: usize, hits: usize) -> usize {
    let first = stage.get(target, "br").await;
    stage.keeps("br", "live", n as f64).await;
    stage.hits(target, "br", hits).await;
    first.body.len()
}

/// What it takes to send it now.
async fn size(stage: &Stage, target: &str) -> usize {
    stage.get(target, "br").await.body.len()
}

#[tokio::test]
async fn nothing_is_made_better_while_it_is_off() {
    let stage = stage("true").await;
    stage.reloads(&top("false"), POOR).await;
    let first = popular(&stage, "/20000/off", 1, 20).await;
    stage.reloads(&top("true"), POOR).await;
    popular(&stage, "/20000/on", 2, 3).await;
    stage.keeps("br", "background", 1.0).await;
    assert_eq!(size(&stage, "/20000/off").await, first);
    assert!(size(&stage, "/20000/on").await < first);
    assert_eq!(stage.kept("br", "background").await, 1.0);
}

#[tokio::test]
async fn a_process_that_began_without_it_makes_nothing_better() {
    let (with, without) = (stage("true").await, stage("false").await);
    let first = popular(&without, "/20000", 1, 20).await;
    popular(&with, "/20000", 1, 20).await;
    with.keeps("br", "background", 1.0).await;
    assert_eq!(without.kept("br", "background").await, 0.0);
    assert_eq!(size(&without, "/20000").await, first);
    assert_eq!(background_threads(&without), Vec::<u32>::new());
}

#[tokio::test]
async fn it_is_worth_it_after_as_many_requests_as_the_file_says() {
    let stage = stage("{ after: 10 }").await;
    let first = popular(&stage, "/20000/nine", 1, 9).await;
    popular(&stage, "/20000/ten", 2, 10).await;
    stage.keeps("br", "background", 1.0).await;
    assert!(size(&stage, "/20000/ten").await < first);
    // This is the tenth.
    assert_eq!(size(&stage, "/20000/nine").await, first);
    stage.keeps("br", "background", 2.0).await;
    assert!(size(&stage, "/20000/nine").await < first);
}

#[tokio::test]
async fn each_encoding_is_popular_for_itself() {
    let stage = stage("{ after: 4 }").await;
    for takes in ["gzip", "deflate", "zstd"] {
        stage.get("/20000", takes).await;
        stage.keeps(takes, "live", 1.0).await;
        stage.hits("/20000", takes, 3).await;
    }
    popular(&stage, "/20000", 1, 4).await;
    stage.keeps("br", "background", 1.0).await;
    for takes in ["gzip", "deflate", "zstd"] {
        assert_eq!(stage.kept(takes, "background").await, 0.0, "{takes}");
    }
}

#[tokio::test]
async fn what_is_too_large_for_it_stays_as_it_is() {
    let stage = stage("{ max_size: 40KiB }").await;
    let large = popular(&stage, "/60000", 1, 20).await;
    let small = popular(&stage, "/20000", 2, 20).await;
    stage.keeps("br", "background", 1.0).await;
    assert!(size(&stage, "/20000").await < small);
    assert_eq!(size(&stage, "/60000").await, large);
}

#[tokio::test]
async fn what_takes_too_long_stays_as_it_is() {
    let stage = stage("{ time: 100ms, cpu: 100% }").await;
    let large = popular(&stage, "/1000000", 1, 3).await;
    let small = popular(&stage, "/1500", 2, 3).await;
    // On a busy machine even this may take too long, and then it comes again.
    eventually("the small one is better", PATIENCE, async || {
        let now = size(&stage, "/1500").await;
        check(now < small, now)
    })
    .await;
    assert_eq!(size(&stage, "/1000000").await, large);
    assert_eq!(stage.kept("br", "background").await, 1.0);
}

#[tokio::test]
async fn what_finds_no_place_in_the_line_is_counted_and_may_come_again() {
    let stage = stage("{ queue: 1, after: 1 }").await;
    let paths: Vec<_> = (0..8).map(|n| format!("/60000/{n}")).collect();
    let mut first = 0;
    for (at, path) in paths.iter().enumerate() {
        first = stage.get(path, "br").await.body.len();
        stage.keeps("br", "live", at as f64 + 1.0).await;
    }
    for path in &paths {
        stage.hits(path, "br", 1).await;
    }
    let dropped = || stage.tide.metric("tidegate_recompress_dropped_total", &[]);
    assert!(dropped().await.unwrap() >= 1.0);
    for path in &paths {
        let what = format!("{path} is better");
        eventually(&what, PATIENCE, async || {
            let now = size(&stage, path).await;
            check(now < first, now)
        })
        .await;
    }
    stage
        .tide
        .metric_is("tidegate_recompress_queue_entries", &[], 0.0)
        .await;
}

#[tokio::test]
async fn its_threads_are_as_many_as_the_file_says_and_the_last_to_run() {
    for threads in [1, 3] {
        let stage = stage(&format!("{{ threads: {threads} }}")).await;
        popular(&stage, "/20000", 1, 3).await;
        stage.keeps("br", "background", 1.0).await;
        eventually("they are there", PATIENCE, async || {
            let policies = background_threads(&stage);
            // One that never had anything to do has no need to give way.
            let is_so = policies.len() == threads && policies.contains(&IDLE);
            check(is_so, format!("{policies:?}"))
        })
        .await;
    }
}

/// The policy of threads that run when no other wants to (sched(7)).
const IDLE: u32 = 5;

/// The policies of its threads that do it, as the system says.
fn background_threads(stage: &Stage) -> Vec<u32> {
    let dir = format!("/proc/{}/task", stage.tide.process().pid());
    let tasks = std::fs::read_dir(dir).unwrap().filter_map(Result::ok);
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let policies = stats.filter_map(|stat| {
        let (name, rest) = stat.split_once(") ")?;
        // The 41st field of all, the 39th behind the name (proc(5)).
        let policy = rest.split_whitespace().nth(38)?.parse().ok()?;
        name.contains("recompress").then_some(policy)
    });
    policies.collect()
}

#[tokio::test]
async fn it_takes_no_more_of_a_core_than_the_file_says() {
    let stage = stage("{ cpu: 5% }").await;
    let seconds = || async {
        let name = "tidegate_compression_duration_seconds_sum";
        let sum = stage.tide.metric(name, &[("encoding", "br")]).await;
        sum.unwrap()
    };
    popular(&stage, "/20000", 1, 2).await;
    let (before, began) = (seconds().await, Instant::now());
    stage.hits("/20000", "br", 1).await;
    stage.keeps("br", "background", 1.0).await;
    let (worked, took) = (seconds().await - before, began.elapsed().as_secs_f64());
    assert!(worked > 0.0);
    assert!(took > 15.0 * worked, "{worked} s of work within {took} s");
}
