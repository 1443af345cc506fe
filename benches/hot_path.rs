//! What every request pays before a byte moves: reading its head, seeing one generation, finding its route, being let
//! in, choosing its node; and the whole of what one costs that is answered from the store.
//!
//! Numbers are only comparable on one machine. Nothing here may measure the network or wait.

mod bytes;
mod coding;
mod lane;
mod picks;
mod scenes;
mod telling;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use tidegate::config::checked::{
    Access, Action, HostPattern, Match, Minify, PathPattern, RateKey, RateLimit, Route, Scope,
};
use tidegate::guard::rate::Rate;
use tidegate::live::control::Control;
use tidegate::live::overlay::Change;
use tidegate::live::source::Source;
use tidegate::route::{RouteAsk, Table};
use tidegate::telemetry::metrics::Metrics;

/// The program's own: what a context costs is mostly memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// The macro makes public functions without a word of their own.
#[allow(missing_docs, reason = "made by the macro")]
mod groups {
    use super::*;
    criterion_group!(
        benches,
        bytes::heads,
        bytes::chunks,
        bytes::paths,
        bytes::preludes,
        coding::negotiation,
        coding::encoding,
        coding::decoding,
        lane::requests,
        rate_ask,
        route_match,
        picks::alone,
        picks::by_many,
        snapshot_load,
        telling::lines
    );
}
use groups::benches;
criterion_main!(benches);

// -- rate limit -------------------------------------------------------------------------------------------------------

/// One client that asks on and on, and as many as are remembered, in turn; nobody is refused.
fn rate_ask(c: &mut Criterion) {
    let limit = RateLimit {
        key: RateKey::Ip,
        requests: 1_000_000,
        per: Duration::from_millis(1),
        burst: 1_000_000,
        scope: Scope::Local,
        dry_run: false,
    };
    let (begun, fields) = (Instant::now(), HeaderMap::new());
    let mut group = c.benchmark_group("rate");
    for (name, clients) in [("one_client", 1), ("60000_clients", 60_000)] {
        let rate = Rate::new(&limit, 7, begun);
        let mut asked = 0_u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                asked = asked.wrapping_add(1);
                let client = IpAddr::V4(Ipv4Addr::from_bits(asked % clients));
                let now = begun + Duration::from_micros(asked.into());
                let told = rate.ask(black_box(client), &fields, now);
                assert!(told.is_ok());
            });
        });
    }
    group.finish();
}

// -- route match ------------------------------------------------------------------------------------------------------

fn route_match(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    let headers = HeaderMap::new();
    for n in [10, 100, 1000] {
        let hosts: Vec<Route> = (0..n)
            .map(|i| route(Some(HostPattern::Exact(host(i))), "/"))
            .collect();
        let suffixes: Vec<Route> = (0..n)
            .map(|i| route(Some(HostPattern::Suffix(format!(".{}", host(i)))), "/"))
            .collect();
        let paths: Vec<Route> = (0..n)
            .map(|i| route(None, &format!("/api/v1/service-{i}/")))
            .collect();
        // The last but one: a walk would have to pass nearly all others.
        let wanted = host(n - 2);
        let path = format!("/api/v1/service-{}/items/42", n - 2);
        let below = format!("eu.{wanted}");
        let capitals = format!("{}:8080", wanted.to_uppercase());
        for (kind, routes, host) in [
            ("host", &hosts, &wanted),
            ("host_in_capitals", &hosts, &capitals),
            ("suffix", &suffixes, &below),
            ("path", &paths, &wanted),
        ] {
            let table = Table::new(routes);
            let ask = RouteAsk {
                host,
                path: &path,
                method: &Method::GET,
                headers: &headers,
                by_tls: false,
            };
            assert_eq!(table.find(&ask), Some(n - 2), "{kind}");
            group.bench_function(BenchmarkId::new(kind, n), |b| {
                b.iter(|| table.find(black_box(&ask)));
            });
        }
    }
    group.finish();
}

fn host(i: usize) -> String {
    format!("shop-{i}.example.com")
}

fn route(host: Option<HostPattern>, prefix: &str) -> Route {
    Route {
        name: prefix.into(),
        matcher: Match {
            hosts: host.into_iter().collect(),
            path: PathPattern::Prefix(prefix.into()),
            ..Match::default()
        },
        access: Access::default(),
        rate_limit: None,
        slow: None,
        action: Action::Proxy(0),
        split: None,
        cache: None,
        compress: None,
        minify: Minify::default(),
    }
}

// -- snapshot load ----------------------------------------------------------------------------------------------------

/// What every request pays to see one generation: alone, and while another thread puts a new one in use all the time.
fn snapshot_load(c: &mut Criterion) {
    let text = "listen: [{ addr: \"127.0.0.1:0\" }]\naccess_log: { format: \"off\" }\nupstreams:\n  web: { nodes: [\"127.0.0.1:1\", \"127.0.0.1:2\"] }\nroutes:\n  - upstream: web\n";
    let source = Source::Text {
        name: "bench".into(),
        text: text.into(),
    };
    let loaded = source.load();
    let config = loaded
        .config
        .clone()
        .expect("the configuration of the bench is right");
    let metrics = Metrics::new("bench");
    let control = Control::start(source, config, &loaded, metrics, true, Instant::now())
        .expect("a log that is off opens");
    let mut group = c.benchmark_group("snapshot");
    group.bench_function("load", |b| b.iter(|| control.hold.load().generation));
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut weight = 1;
            while !stop.load(Relaxed) {
                weight = weight % 2 + 1;
                let changed = control.change("web", "127.0.0.1:1", Change::Weight(weight), None);
                changed.expect("the node exists");
            }
        });
        group.bench_function("load_while_swapping", |b| {
            b.iter(|| control.hold.load().generation);
        });
        stop.store(true, Relaxed);
    });
    group.finish();
}
