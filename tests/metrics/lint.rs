//! Names, units, labels and buckets, of a proxy that has something to tell of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::client::{Client, Request};
use crate::support::proxy::Tidegate;

use super::Busy;
use super::readme::{Row, rows};
use super::text::{Exposition, Family, Sample};

/// The labels there are; `le` belongs to histograms.
const LABELS: [&str; 26] = [
    "by",
    "cache",
    "code",
    "direction",
    "encoding",
    "file",
    "health",
    "kind",
    "le",
    "listener",
    "method",
    "mode",
    "name",
    "node",
    "op",
    "outcome",
    "protocol",
    "reason",
    "result",
    "resumed",
    "route",
    "state",
    "tier",
    "to",
    "upstream",
    "version",
];
const DURATIONS: [&str; 15] = [
    "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1",
    "2.5", "5", "10", "+Inf",
];
/// What takes so little or so much that it has bounds of its own.
const OTHER_BUCKETS: [&str; 3] = [
    "tidegate_cache_lookup_duration_seconds",
    "tidegate_cache_tier_operation_duration_seconds",
    "tidegate_compression_duration_seconds",
];
/// All that the README promises, told.
async fn told(busy: &Busy) -> Exposition {
    let rows = rows();
    let wanted: Vec<&str> = rows.keys().map(String::as_str).collect();
    busy.tells(&wanted).await
}

#[tokio::test]
async fn what_is_told_is_well_named_and_what_the_readme_says() {
    let busy = Busy::proxy().await;
    let told = told(&busy).await;
    let rows = rows();
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        names(told.families.keys().collect()),
        names(rows.keys().collect()),
        "the families told (left) and those of the README (right)"
    );
    for (name, family) in &told.families {
        is_well_named(name, family);
        has_its_labels(name, family, &rows[name]);
        if family.kind == "histogram" {
            is_a_histogram(name, family);
        }
    }
}

fn is_well_named(name: &str, family: &Family) {
    let rest = name
        .strip_prefix("tidegate_")
        .or(name.strip_prefix("process_"));
    let rest = rest.unwrap_or_else(|| panic!("{name}: no prefix of ours"));
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!rest.is_empty() && rest.chars().all(word), "{name}");
    for unit in [
        "_ms",
        "_milliseconds",
        "_micros",
        "_kb",
        "_mb",
        "_kilobytes",
        "_percent",
    ] {
        assert!(
            !name.contains(unit),
            "{name}: seconds, bytes and shares of one"
        );
    }
    let is_counter = family.kind == "counter";
    assert_eq!(
        name.ends_with("_total"),
        is_counter,
        "{name} is a {}",
        family.kind
    );
    let like_a_part = ["_count", "_sum", "_bucket"]
        .iter()
        .any(|end| name.ends_with(end));
    assert!(!like_a_part, "{name} reads like a part of a histogram");
    if family.kind == "histogram" {
        assert!(name.ends_with("_seconds"), "{name}: what is its unit?");
    }
    let help = &family.help;
    let is_sentence = help.ends_with('.')
        && help.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
    assert!(
        is_sentence && help.contains(' ') || name.starts_with("process_"),
        "{name}: {help:?}"
    );
}

fn has_its_labels(name: &str, family: &Family, row: &Row) {
    assert_eq!(
        family.kind, row.kind,
        "{name}, told (left) and README (right)"
    );
    for sample in &family.samples {
        let is_bucket = sample.name.ends_with("_bucket") && family.kind == "histogram";
        assert_eq!(sample.labels.contains_key("le"), is_bucket, "{sample:?}");
        let series = sample.series();
        let labels: Vec<_> = series.keys().collect();
        assert_eq!(labels, row.labels.keys().collect::<Vec<_>>(), "{name}");
        for (label, value) in &series {
            assert!(LABELS.contains(&label.as_str()), "{name}: {label}");
            let known = match (&row.labels[label], label.as_str()) {
                (Some(words), _) => words.contains(value),
                (None, "code") => matches!(value.parse(), Ok(100..=599)),
                (None, "upstream") => ["web", "alone", "named"].contains(&value.as_str()),
                (None, "route") => {
                    ["shop", "alone", "named", "other", "none"].contains(&value.as_str())
                }
                (None, "node") => value.starts_with("app"),
                // Of a node, a certificate, one that is still to come.
                (None, "name") => {
                    value.starts_with("app.internal:")
                        || ["site.test", "away.test"].contains(&value.as_str())
                }
                (None, "file") => value.ends_with("site.pem"),
                (None, "listener") => value.starts_with("127.0.0.1:"),
                (None, "version") => value == env!("CARGO_PKG_VERSION"),
                (None, other) => panic!("{name}: the README gives {other} no words"),
            };
            assert!(known, "{name}: {label}={value:?} is no word of the README");
        }
    }
}

fn is_a_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        series.entry(sample.series()).or_default().push(sample);
    }
    for (labels, samples) in series {
        let of = |end: &'static str| {
            samples
                .iter()
                .filter(move |s| s.name == format!("{name}{end}"))
        };
        let bounds: Vec<&str> = of("_bucket").map(|s| s.labels["le"].as_str()).collect();
        if !OTHER_BUCKETS.contains(&name) {
            assert_eq!(bounds, DURATIONS, "{name} {labels:?}");
        }
        let counts: Vec<f64> = of("_bucket").map(|s| s.value).collect();
        assert!(counts.is_sorted(), "{name} {labels:?}: {counts:?}");
        assert_eq!(bounds.last(), Some(&"+Inf"), "{name} {labels:?}");
        let (sum, count): (Vec<_>, Vec<_>) = (of("_sum").collect(), of("_count").collect());
        assert_eq!((sum.len(), count.len()), (1, 1), "{name} {labels:?}");
        assert_eq!(counts.last(), Some(&count[0].value), "{name} {labels:?}");
        assert!(sum[0].value >= 0.0, "{name} {labels:?}");
    }
}

/// Every series, without its value.
fn series(told: &Exposition) -> BTreeSet<(String, BTreeMap<String, String>)> {
    let pair = |sample: &Sample| (sample.name.clone(), sample.labels.clone());
    told.samples().map(pair).collect()
}

async fn scrape(tide: &Tidegate) -> Exposition {
    Exposition::parse(&tide.api("GET", "/metrics", "").await.text()).unwrap()
}

#[tokio::test]
async fn no_client_makes_a_series() {
    let busy = Busy::proxy().await;
    told(&busy).await;
    busy.tide.is_empty().await;
    // What each of these may add at most: a code of an answer, once.
    let round = async |n: usize| {
        let made_up = format!("X{n}X");
        for request in [
            Request::new(&made_up, "/other"),
            Request::get(&format!("/shop/{made_up}?{made_up}={made_up}")),
            Request::get("/other").host(&format!("{made_up}.test")),
            Request::get("/other").field(&made_up, &made_up),
            Request::get("/other").field("Cookie", &format!("tg_node={made_up}")),
            Request::get("/other").field("X-Forwarded-For", &format!("10.0.0.{n}")),
            Request::get("/shop/a").field("Accept-Encoding", &made_up),
        ] {
            let _ = busy.tide.try_ask(&request).await;
        }
        let mut raw = Client::connect(busy.tide.addr()).await.unwrap();
        let broken = format!("{made_up} / HTTP/9.{n}\r\n\r\n");
        raw.send_bytes(broken.as_bytes()).await.unwrap();
        let _ = raw.answer("GET").await;
        drop(raw);
        busy.tide.is_empty().await;
        series(&scrape(&busy.tide).await)
    };
    let first = round(0).await;
    for n in 1..40 {
        let now = round(n).await;
        let new: Vec<_> = now.difference(&first).collect();
        // A node that comes back or rests meanwhile changes in words of ours.
        let of_clients = new
            .iter()
            .filter(|(name, _)| !name.starts_with("tidegate_node_"));
        let of_clients = of_clients.filter(|(name, _)| !name.starts_with("tidegate_upstream_"));
        assert_eq!(of_clients.count(), 0, "round {n}: {new:?}");
        let text = format!("{new:?}");
        assert!(!text.contains(&format!("X{n}X")), "{text}");
    }
}

#[tokio::test]
async fn counters_never_go_back_whatever_is_reloaded() {
    let busy = Busy::proxy().await;
    let mut before = told(&busy).await;
    let more = "  - { name: late, match: { path: /late }, upstream: web }\n";
    let files = [
        busy.with_routes(more),
        busy.with_routes(""),
        busy.with_routes(more),
    ];
    for file in files {
        busy.tide.apply(&file).await;
        busy.tide.get("/late").await;
        let after = scrape(&busy.tide).await;
        never_went_back(&before, &after);
        before = after;
    }
}

fn never_went_back(before: &Exposition, after: &Exposition) {
    for (name, family) in &before.families {
        if family.kind == "gauge" {
            continue;
        }
        let now = &after.families[name];
        for sample in &family.samples {
            let same = |s: &&Sample| s.name == sample.name && s.labels == sample.labels;
            let now = now.samples.iter().find(same);
            let now = now.unwrap_or_else(|| panic!("{sample:?} is gone"));
            assert!(now.value >= sample.value, "{sample:?} went back to {now:?}");
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_the_health_does_not_wait_for_scrapes() {
    let busy = Busy::proxy().await;
    let scrapes = (0..8).map(|_| busy.tide.api("GET", "/metrics", ""));
    let scrapes = async {
        let mut all = Vec::new();
        for scrape in scrapes {
            all.push(scrape.await);
        }
        all
    };
    let (scrapes, health) = tokio::join!(scrapes, busy.tide.api("GET", "/healthz", ""));
    assert_eq!(health.status, 200);
    for scrape in scrapes {
        let kind = scrape.head.get("content-type").unwrap();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Exposition::parse(&scrape.text()).unwrap();
    }
}
