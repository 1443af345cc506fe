//! What is written is what the prometheus crate would write.

use std::collections::BTreeSet;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder, histogram_opts,
};
use proptest::prelude::*;

use super::*;

const BOUNDS: [f64; 3] = [0.000_5, 1.0, 2.5];

/// The text of the crate's own encoder.
fn of_crate(family: &impl Collector) -> String {
    TextEncoder::new()
        .encode_to_string(&family.collect())
        .unwrap()
}

fn of_ours(family: &impl Tell) -> String {
    let mut text = String::new();
    family.write(&mut text);
    text
}

/// The lines, in any order, and the first two, which must come first.
#[track_caller]
fn alike(ours: &str, crates: &str) {
    let head = |text: &str| text.lines().take(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(head(ours), head(crates));
    let set = |text: &str| text.lines().map(String::from).collect::<BTreeSet<_>>();
    assert_eq!(set(ours), set(crates));
    assert_eq!(ours.lines().count(), crates.lines().count());
}

/// Values of labels as files may hold them, and worse.
fn values() -> impl Strategy<Value = Vec<(String, String)>> {
    let word = "[a-z\"\\\\\n{},= \u{e9}]{0,6}";
    // The crate finds a series by the hash of its values one behind the other: it takes ("a", "b") for ("ab", "").
    let apart = |mut pairs: Vec<(String, String)>| {
        let mut seen = BTreeSet::new();
        pairs.retain(|(a, b)| seen.insert([a.as_str(), b].concat()));
        pairs
    };
    prop::collection::vec((word, word), 1..6).prop_map(apart)
}

proptest! {
    #[test]
    fn counters_and_gauges_are_written_as_the_crate_writes_them(
        pairs in values(),
        counts in prop::collection::vec(0_u64..1 << 50, 6),
        floats in prop::collection::vec(-1e9_f64..1e9, 6),
    ) {
        let families = Families::default();
        let names = &["upstream", "node"];
        let counter = counters(&families, "a_total", "A counter.", names);
        let gauge = gauges(&families, "b", "A gauge.", names);
        let float = float_gauges(&families, "c", "A float.", names);
        let opts = |name: &str, help: &str| Opts::new(format!("tidegate_{name}"), help);
        let theirs = (
            IntCounterVec::new(opts("a_total", "A counter."), names).unwrap(),
            IntGaugeVec::new(opts("b", "A gauge."), names).unwrap(),
            GaugeVec::new(opts("c", "A float."), names).unwrap(),
        );
        for (at, (a, b)) in pairs.iter().enumerate() {
            let labels = [a.as_str(), b.as_str()];
            counter.with_label_values(&labels).inc_by(counts[at]);
            theirs.0.with_label_values(&labels).inc_by(counts[at]);
            gauge.with_label_values(&labels).set(-(counts[at] as i64));
            theirs.1.with_label_values(&labels).set(-(counts[at] as i64));
            float.with_label_values(&labels).set(floats[at]);
            theirs.2.with_label_values(&labels).set(floats[at]);
        }
        alike(&of_ours(&counter), &of_crate(&theirs.0));
        alike(&of_ours(&float), &of_crate(&theirs.2));
        // The crate has no zero below zero for whole numbers, and neither have we.
        alike(&of_ours(&gauge), &of_crate(&theirs.1));
    }

    #[test]
    fn histograms_are_written_as_the_crate_writes_them(
        pairs in values(),
        seen in prop::collection::vec(0.0_f64..5.0, 0..20),
    ) {
        let families = Families::default();
        let names = &["route", "cache"];
        let ours = histograms(&families, ("d_seconds", "A time."), &BOUNDS, names);
        let options = histogram_opts!("tidegate_d_seconds", "A time.", BOUNDS.to_vec());
        let theirs = HistogramVec::new(options, names).unwrap();
        for (a, b) in &pairs {
            let labels = [a.as_str(), b.as_str()];
            let (ours, theirs) = (ours.with_label_values(&labels), theirs.with_label_values(&labels));
            for took in &seen {
                ours.observe(*took);
                theirs.observe(*took);
            }
        }
        alike(&of_ours(&ours), &of_crate(&theirs));
    }

    #[test]
    fn what_mirrors_a_state_is_escaped_in_the_same_way(value in "[a-z\"\\\\\n\u{e9}]{0,9}", is in 0_u32..9) {
        let mirror = Mirror::gauge("e", "A state.");
        let mut ours = String::new();
        mirror.begin(&mut ours);
        let float = Sample::Float(f64::from(is) / 8.0);
        mirror.sample(&[&label("node", &value), &label("state", "up")], float, &mut ours);
        let theirs = GaugeVec::new(Opts::new("tidegate_e", "A state."), &["state", "node"]).unwrap();
        theirs.with_label_values(&["up", &value]).set(f64::from(is) / 8.0);
        alike(&ours, &of_crate(&theirs));
    }

    #[test]
    fn the_sum_of_a_family_never_goes_back(steps in prop::collection::vec((0_usize..3, 0_usize..3, any::<bool>()), 1..60)) {
        let families = Families::default();
        let family = counters(&families, "a_total", "A counter.", &["route", "result"]);
        let (routes, results) = (["x", "y", "z"], ["hit", "miss", "stale"]);
        let mut counted = [0_u64; 3];
        for (route, result, goes) in steps {
            if goes {
                family.remove_under(&[routes[route]]);
            } else {
                family.with_label_values(&[routes[route], results[result]]).inc();
                counted[result] += 1;
            }
            prop_assert_eq!(family.total(), counted.iter().sum::<u64>());
            for (at, result) in results.iter().enumerate() {
                prop_assert_eq!(family.total_of(result), counted[at]);
            }
        }
    }
}

#[test]
fn a_family_without_labels_is_written_as_the_crate_writes_it() {
    let families = Families::default();
    let count = counter(&families, "a_total", "A counter.");
    count.inc_by(7);
    let theirs = IntCounter::new("tidegate_a_total", "A counter.").unwrap();
    theirs.inc_by(7);
    let all = families.sorted();
    let mut text = String::new();
    all[0].write(&mut text);
    alike(&text, &of_crate(&theirs));
}

#[test]
fn removing_takes_the_series_below_it_and_no_other() {
    let families = Families::default();
    let family = counters(
        &families,
        "a_total",
        "A counter.",
        &["upstream", "node", "code"],
    );
    for (upstream, node) in [
        ("web", "a"),
        ("web", "ab"),
        ("web", ""),
        ("we", "a"),
        ("webs", "a"),
    ] {
        family.with_label_values(&[upstream, node, "200"]).inc();
        family.with_label_values(&[upstream, node, "404"]).inc();
    }
    family.remove_under(&["web", "a"]);
    let text = of_ours(&family);
    assert_eq!(text.lines().count(), 2 + 8, "{text}");
    assert!(!text.contains(r#"node="a",upstream="web"}"#), "{text}");
    family.remove_under(&["web"]);
    let text = of_ours(&family);
    assert_eq!(text.lines().count(), 2 + 4, "{text}");
    assert!(!text.contains(r#"upstream="web"}"#), "{text}");
}

#[test]
#[should_panic(expected = "is a name of its own")]
fn two_families_of_one_name_are_a_mistake() {
    let families = Families::default();
    let _ = counter(&families, "a_total", "A counter.");
    let _ = counter(&families, "a_total", "Another.");
}
