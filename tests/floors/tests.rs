//! The rules find what breaks them, and nothing else.

use super::*;

/// What is found in files of one line each, `//!` put before it.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let source = |(file, text): &(&str, &str)| ((*file).to_string(), format!("//! Why.\n{text}\n"));
    breaches(&files.iter().map(source).collect::<Vec<_>>(), &[], &[])
}

#[track_caller]
fn one(files: &[(&str, &str)], words: &[&str]) {
    let found = found(files);
    assert_eq!(found.len(), 1, "{found:#?}");
    for word in words {
        assert!(found[0].contains(word), "no {word:?} in: {}", found[0]);
    }
}

#[test]
fn a_file_knows_its_own_folder_and_lower_floors() {
    let fine = "use crate::{base::reason::End, config::checked}; use super::pool; use crate::balance::node; use pool::P;";
    assert_eq!(
        found(&[
            ("balance/pick/mod.rs", fine),
            ("app/server.rs", "use crate::admin; use pingora::Error;")
        ]),
        [""; 0]
    );
}

#[test]
fn a_sibling_is_refused_and_told_to_meet_below() {
    one(
        &[("route/table.rs", "use crate::{base, guard::client};")],
        &["proxy/route/table.rs:2", "guard::client", "base/"],
    );
    one(
        &[("jobs/watch.rs", "fn f() { crate::admin::g() }")],
        &["one floor"],
    );
    one(
        &[("kv/mod.rs", "use super::config::checked;")],
        &["`kv` (floor 1) imports `config::checked` (floor 1)"],
    );
}

#[test]
fn a_higher_floor_is_refused_and_told_to_return_facts() {
    one(
        &[("balance/node.rs", "use crate::live::control::Control;")],
        &["return values"],
    );
    one(
        &[(
            "telemetry/mod.rs",
            "mod tests { use super::super::gateway::ctx; }",
        )],
        &["gateway::ctx"],
    );
}

#[test]
fn a_folder_without_a_floor_is_refused() {
    one(&[("util/mod.rs", "")], &["`util` has no floor"]);
    one(
        &[("app/cli.rs", "use crate::Result;")],
        &["`crate::Result`"],
    );
}

#[test]
fn the_binary_may_use_the_library_and_the_library_may_name_its_folders() {
    assert_eq!(
        found(&[
            ("main.rs", "fn main() { tidegate::app::run() }"),
            ("lib.rs", "pub mod base;")
        ]),
        [""; 0]
    );
}

#[test]
fn outside_crates_stay_at_home() {
    one(
        &[("route/mod.rs", "use pingora::http::RequestHeader;")],
        &["`pingora`", "gateway"],
    );
    one(
        &[("route/mod.rs", "use pingora_http::RequestHeader;")],
        &["`pingora`"],
    );
    one(
        &[("gateway/ctx.rs", "struct C(prometheus::IntGauge);")],
        &["telemetry/metrics"],
    );
    one(
        &[("live/control.rs", "use arc_swap::ArcSwap;")],
        &["live/hold"],
    );
    one(
        &[("cache/entry.rs", "use pingora::cache::CacheMeta;")],
        &["cache/store"],
    );
    assert_eq!(
        found(&[("cache/store/codec.rs", "use pingora::cache::CacheMeta;")]),
        [""; 0]
    );
    assert_eq!(found(&[("main.rs", "use clap::Parser;")]), [""; 0]);
}

#[test]
fn the_files_shapes_stay_in_the_schema() {
    one(
        &[(
            "live/build.rs",
            "#[derive(Debug, serde::Deserialize)] struct S;",
        )],
        &["config/schema"],
    );
    assert_eq!(
        found(&[("config/schema/node.rs", "use serde::Deserialize;")]),
        [""; 0]
    );
}

#[test]
fn time_and_chance_are_passed_in() {
    one(
        &[(
            "balance/node.rs",
            "fn f() -> Instant { std::time::Instant::now() }",
        )],
        &["`now`", "argument"],
    );
    one(
        &[("balance/node.rs", "fn f(t: Instant) { t.elapsed(); }")],
        &["elapsed"],
    );
    one(
        &[(
            "balance/pick/random.rs",
            "fn f() -> u64 { fastrand::u64(..) }",
        )],
        &["fastrand::u64"],
    );
    let edges = "fn f() { Instant::now(); fastrand::u64(..); }";
    assert_eq!(
        found(&[
            ("live/build.rs", edges),
            ("kv/mod.rs", edges),
            ("jobs/probes.rs", edges)
        ]),
        [""; 0]
    );
}

#[test]
fn tests_may_read_the_clock_in_files_of_their_own_too() {
    let clock = "fn f() { Instant::now(); fastrand::u64(..); }";
    assert_eq!(
        found(&[
            ("balance/pick/mod.rs", "#[cfg(test)] mod laws;"),
            ("balance/pick/laws.rs", clock)
        ]),
        [""; 0]
    );
    one(
        &[
            ("balance/pick/mod.rs", "mod laws;"),
            ("balance/pick/laws.rs", "fn f() { Instant::now(); }"),
        ],
        &["now"],
    );
}

#[test]
fn a_file_says_why_it_exists_and_is_not_endless() {
    let silent = [("base/mod.rs".to_string(), "pub mod x;\n".to_string())];
    assert!(breaches(&silent, &[], &[])[0].contains("`//!`"));
    let endless = "\n".repeat(LONG);
    one(&[("base/mod.rs", &endless)], &["LONG_FILES"]);
}

#[test]
fn an_exception_holds_for_its_file_only_and_goes_when_it_is_not_needed() {
    let rows = [Exception {
        file: "route/a.rs",
        uses: "guard",
        why: "the test needs one",
    }];
    let text = "//! Why.\nuse crate::guard::client;\n".to_string();
    let both = [
        ("route/a.rs".to_string(), text.clone()),
        ("route/b.rs".to_string(), text),
    ];
    assert_eq!(breaches(&both[..1], &rows, &[]), [""; 0]);
    assert!(breaches(&both, &rows, &[])[0].starts_with("proxy/route/b.rs:2"));
    assert!(breaches(&[], &rows, &[])[0].contains("strike its row"));
    let long = [("base/mod.rs", 900, "no longer true")];
    assert!(breaches(&[], &[], &long)[0].contains("strike its row"));
}
