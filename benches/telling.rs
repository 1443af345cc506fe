//! What a line of the access log costs the thread that answers.
//!
//! The log goes to a file that keeps nothing, and its writer is waited for outside of what is measured: nothing may be
//! dropped, which would be cheaper.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime};

use criterion::{Bencher, Criterion};
use http::{Method, Version};
use tidegate::base::cached::{Outcome, Why};
use tidegate::base::coding::Coding;
use tidegate::base::reason::End;
use tidegate::config::checked::{self, LogFormat, LogPath};
use tidegate::telemetry::access_log::AccessLog;
use tidegate::telemetry::finished::Finished;
use tidegate::telemetry::metrics::Metrics;

/// Lines between two looks at whether they are written: fewer than may wait.
const AT_ONCE: u64 = 4_096;

/// A hit of the cache, and one of an address that needs escapes.
pub fn lines(c: &mut Criterion) {
    let config = checked::AccessLog {
        path: LogPath::File("/dev/null".into()),
        format: LogFormat::Json,
        sample: 1.0,
    };
    let dropped = Metrics::new("0").log_dropped.clone();
    let log = AccessLog::open(&config, dropped.clone()).expect("a file that is always there");
    let mut group = c.benchmark_group("access_log");
    for (name, path) in [
        ("hit", "/assets/app.3f2a9c.js"),
        ("escaped", "/wiki/Zürich/\"x\""),
    ] {
        let finished = hit(path);
        group.bench_function(name, |b| tell(b, &log, &finished));
    }
    group.finish();
    assert_eq!(dropped.get(), 0, "all were told");
}

fn tell(b: &mut Bencher<'_>, log: &AccessLog, finished: &Finished<'_>) {
    b.iter_custom(|all| {
        let (mut left, mut took) = (all, Duration::ZERO);
        while left > 0 {
            let now = left.min(AT_ONCE);
            let begun = Instant::now();
            for _ in 0..now {
                log.tell(black_box(finished));
            }
            took += begun.elapsed();
            log.flush();
            left -= now;
        }
        took
    });
}

fn hit(path: &str) -> Finished<'_> {
    Finished {
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        id: "9f86d081884c7d659a2feaa0c55ad015",
        client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        listener: "0.0.0.0:8080",
        route: "assets",
        method: &Method::GET,
        host: "shop.example.com",
        path,
        query: None,
        tls: None,
        sni: None,
        version: Version::HTTP_11,
        status: 200,
        bytes_in: 0,
        bytes_out: 14_321,
        queue: None,
        connect: None,
        ttfb: Some(Duration::from_micros(12)),
        total: Duration::from_micros(31),
        upstream: "",
        nodes: &[],
        cache: Some(Outcome::Hit),
        cache_reason: Some(Why::Fresh),
        encoding: Some(Coding::Brotli),
        grpc_status: None,
        dry_run: None,
        trace: None,
        recording: None,
        end: End::Ok,
    }
}
