//! Files that must be refused. Their diagnostics are kept as snapshots beside them: a changed word is seen in review.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

#[test]
fn every_broken_file_is_refused_with_all_its_mistakes_and_their_places() {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/broken")
        .expect("tests run at the root of the package")
        .map(|entry| entry.expect("a folder of the repository").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 45, "only {} broken files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/broken/snapshots"
    ));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for file in files {
        let name = file
            .file_stem()
            .expect("it was found by its extension")
            .to_string_lossy();
        let loaded = load(&file, &no_env);
        assert!(
            loaded.config.is_none() && loaded.errors().count() > 0,
            "{name} loads"
        );
        for error in loaded.errors() {
            assert!(error.place.line > 0, "{name}: {error}");
        }
        settings.bind(|| insta::assert_snapshot!(name.as_ref(), rendered(&loaded)));
    }
}

#[test]
fn a_file_that_is_not_there_or_is_a_directory_is_a_problem_and_is_watched() {
    let missing = load(Path::new("tests/broken/none.yaml"), &no_env);
    assert!(rendered(&missing).contains("there is no such file"));
    assert_eq!(missing.watch, [Path::new("tests/broken/none.yaml")]);
    let directory = load(Path::new("tests/broken"), &no_env);
    assert!(rendered(&directory).contains("it is a directory"));
}

#[test]
fn a_file_of_50_megabytes_is_refused_without_being_read() {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let path = dir.path().join("huge.yaml");
    let file = fs::File::create(&path).expect("a file in it");
    file.set_len(50 * 1024 * 1024).expect("a sparse file");
    let loaded = load(&path, &no_env);
    assert!(rendered(&loaded).contains("larger than 4MiB"));
}

/// Texts that look for the slow way through the reader.
fn hostile() -> Vec<(&'static str, String)> {
    let line = |text: &str, n: usize| text.repeat(n);
    let each = |text: fn(usize) -> String| (0..20_000).map(text).collect::<String>();
    let route =
        |matcher: &str, many: String| format!("routes: [{{ match: {{ {matcher}{many}] }} }}]");
    let upstream = |keys: &str, many: String| format!("upstreams: {{ web: {{ {keys}{many}] }} }}");
    let pools = each(|i| format!("u{i}: {{}}, "));
    let strays = each(|i| format!("{{ upstream: v{i} }}, "));
    let alike = line("{ upstream: web }, ", 30_000);
    let elsewhere = each(|i| format!("u{i}: {{ nodes_file: none/{i} }}, "));
    let codes = each(|i| format!("{}-{}, ", 100 + i % 200, 300 + i / 200));
    vec![
        ("brackets", line("[", 1 << 20)),
        ("braces", line("{", 1 << 20)),
        ("dashes", line("- ", 1 << 20)),
        ("question marks", line("? ", 1 << 20)),
        ("colons", line("a: ", 1 << 20)),
        ("anchors", line("&a ", 1 << 20)),
        ("one word", line("x", 4 << 20)),
        ("line ends", line("\n", 4 << 20)),
        ("quotes", line("''", (2 << 20) - 8)),
        ("unknown keys", each(|i| format!("k{i}: 1\n"))),
        (
            "one long line",
            format!("{{{}}}", each(|i| format!("k{i}: é, "))),
        ),
        ("bad nodes", upstream("nodes: [", line("x, ", 90_000))),
        (
            "codes",
            format!("upstreams: {{ web: {{ health: {{ expect: [{codes}] }} }} }}"),
        ),
        (
            "ports",
            format!("listen: [{}]", line("{addr: ':1'}, ", 40_000)),
        ),
        (
            "proxies",
            format!(
                "trusted_proxies: [{}]",
                each(|i| format!("10.{}.{}.1, ", i / 256, i % 256))
            ),
        ),
        ("hosts", route("host: [", each(|i| format!("h{i}, ")))),
        ("methods", route("methods: [", each(|i| format!("M{i}, ")))),
        (
            "fields",
            format!(
                "routes: [{{ match: {{ headers: {{ {} }} }} }}]",
                each(|i| format!("h{i}: 1, "))
            ),
        ),
        (
            "stray routes",
            format!("upstreams: {{ {pools} }}\nroutes: [{strays}]"),
        ),
        (
            "alike routes",
            format!("upstreams: {{ web: {{ nodes: [a:1] }} }}\nroutes: [{alike}]"),
        ),
        ("files of nodes", format!("upstreams: {{ {elsewhere} }}")),
        (
            "merges",
            format!("a: &a {{ b: 1 }}\nc: {{ {} }}", line("<<: *a, ", 1000)),
        ),
    ]
}

#[test]
fn hostile_texts_are_refused_in_bounded_time() {
    for (what, text) in hostile() {
        let begun = Instant::now();
        let loaded = load_text(&text, "hostile.yaml", &no_env);
        let (took, told) = (begun.elapsed(), rendered(&loaded));
        assert!(
            loaded.config.is_none() && loaded.errors().count() > 0,
            "{what}"
        );
        // A build without optimisation on a busy machine; an optimised one takes well under a second.
        assert!(took < Duration::from_secs(10), "{what}: {took:?}");
        assert!(
            loaded.problems.len() < 250 && told.len() < 200_000,
            "{what}"
        );
    }
}

#[test]
fn places_are_right_with_windows_line_ends_and_other_letters() {
    let text =
        "# größe\r\nlisten: [{ addr: 127.0.0.1:8080 }]\r\nupstreams: { wéb: { nodes: [a] } }\r\n";
    let loaded = load_text(text, "t.yaml", &no_env);
    let places: Vec<_> = loaded
        .errors()
        .map(|e| (e.place.line, e.place.column, e.place.length))
        .collect();
    assert_eq!(places, [(3, 14, 3), (3, 29, 1)], "{}", rendered(&loaded));
}
