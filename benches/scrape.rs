//! What one scrape of `/metrics` costs a proxy with a hundred upstreams of ten nodes, all of which have served requests.
//!
//! A scrape a second must stay below 2 % of one core: 20 ms. Nothing here may measure the network or wait.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::base::reason::End;
use tidegate::live::control::Control;
use tidegate::live::source::Source;
use tidegate::telemetry::metrics::Metrics;

/// The program's own: a scrape is mostly memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const UPSTREAMS: usize = 100;
const NODES: usize = 10;

// The macro makes public functions without a word of their own.
#[allow(missing_docs, reason = "made by the macro")]
mod groups {
    use super::*;
    criterion_group!(benches, scrape);
}
use groups::benches;
criterion_main!(benches);

fn scrape(c: &mut Criterion) {
    let control = busy();
    let ask = || control.exposition(Instant::now());
    let text = ask();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(samples > UPSTREAMS * NODES * 40, "{samples} samples");
    println!("{samples} samples, {} bytes", text.len());
    let mut group = c.benchmark_group("scrape");
    group.throughput(Throughput::Elements(samples as u64));
    group.bench_function("1000_nodes", |b| b.iter(|| black_box(ask()).len()));
    group.finish();
}

/// Every node has answered in three ways, failed once and been probed.
fn busy() -> Control {
    let source = Source::Text {
        name: "bench".into(),
        text: file(),
    };
    let loaded = source.load();
    let config = loaded
        .config
        .clone()
        .expect("the configuration of the bench is right");
    let metrics = Metrics::new("bench");
    let control = Control::start(source, config, &loaded, metrics, true, Instant::now())
        .expect("a log that is off opens");
    for upstream in &control.hold.load().upstreams {
        for (at, member) in upstream.members.iter().enumerate() {
            let took = Duration::from_micros(700 * (at as u64 + 1));
            for code in [200, 304, 404] {
                member.metrics.answered(code, took);
                member.metrics.attempt_took(took);
            }
            member.metrics.failed(End::UpstreamReset);
            member.metrics.probed(true);
        }
        upstream.metrics.retried(End::UpstreamReset);
    }
    control
}

fn file() -> String {
    let mut text =
        "listen: [{ addr: \"127.0.0.1:0\" }]\naccess_log: { format: \"off\" }\nupstreams:\n"
            .to_string();
    for upstream in 0..UPSTREAMS {
        let _ = write!(text, "  shop-{upstream}: {{ nodes: [");
        for node in 0..NODES {
            let _ = write!(text, "\"10.0.{upstream}.{node}:8080\", ");
        }
        text += "] }\n";
    }
    text += "routes:\n";
    for upstream in 0..UPSTREAMS {
        let _ = writeln!(
            text,
            "  - {{ match: {{ path: /shop-{upstream}/ }}, upstream: shop-{upstream} }}"
        );
    }
    text
}
