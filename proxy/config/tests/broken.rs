//! Files that must be refused. Their diagnostics are kept as snapshots beside them: a changed word is seen in review.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

/// Files that cannot be read as text have no line to point at.
const NO_TEXT: [&str; 3] = ["13-binary", "14-latin-1", "15-utf-16"];

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
            let text = !NO_TEXT.contains(&name.as_ref());
            assert_eq!(error.place.line > 0, text, "{name}: {error}");
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

#[test]
fn hostile_texts_are_refused_in_bounded_time() {
    let line = |text: &str, n: usize| text.repeat(n);
    let number = |each: fn(usize) -> String| (0..20_000).map(each).collect::<String>();
    for (what, text) in [
        ("brackets", line("[", 1 << 20)),
        ("braces", line("{", 1 << 20)),
        ("dashes", line("- ", 1 << 20)),
        ("question marks", line("? ", 1 << 20)),
        ("colons", line("a: ", 1 << 20)),
        ("anchors", line("&a ", 1 << 20)),
        (
            "unknown keys on one line",
            format!(
                "{{{}}}",
                (0..40_000)
                    .map(|i| format!("k{i}: é, "))
                    .collect::<String>()
            ),
        ),
        (
            "unknown keys",
            (0..40_000).map(|i| format!("k{i}: 1\n")).collect(),
        ),
        (
            "bad nodes",
            format!(
                "upstreams: {{ web: {{ nodes: [{}] }} }}",
                line("x, ", 90_000)
            ),
        ),
        ("one word", line("x", 4 << 20)),
        ("line ends", line("\n", 4 << 20)),
        ("quotes", format!("a: {}", line("''", 2 << 20))),
        (
            "listens",
            format!("listen: [{}]", line("{addr: '127.0.0.1:1'}, ", 40_000)),
        ),
        (
            "proxies",
            format!(
                "trusted_proxies: [{}]",
                number(|i| format!("10.{}.{}.0/24, ", i / 256 % 256, i % 256))
            ),
        ),
        (
            "hosts",
            format!(
                "routes: [{{ match: {{ host: [{}] }} }}]",
                number(|i| format!("h{i}, "))
            ),
        ),
        (
            "codes",
            format!(
                "upstreams: {{ a: {{ health: {{ expect: [{}] }} }} }}",
                number(|i| format!("{}-{}, ", 100 + i % 200, 300 + i / 200))
            ),
        ),
        (
            "fields",
            format!(
                "routes: [{{ match: {{ headers: {{ {} }} }} }}]",
                number(|i| format!("h{i}: 1, "))
            ),
        ),
        (
            "unknown upstreams",
            format!(
                "upstreams: {{ {} }}\nroutes: [{}]",
                number(|i| format!("u{i}: {{}}, ")),
                number(|i| format!("{{ upstream: v{i} }}, "))
            ),
        ),
        (
            "alike routes",
            format!(
                "upstreams: {{ u: {{ nodes: [a:1] }} }}\nroutes: [{}]",
                line("{ upstream: u }, ", 30_000)
            ),
        ),
        (
            "files of nodes",
            format!(
                "upstreams: {{ {} }}",
                number(|i| format!("u{i}: {{ nodes_file: none/{i} }}, "))
            ),
        ),
        (
            "merges",
            format!("a: &a {{ b: 1 }}\nc: {{ {} }}", line("<<: *a, ", 1000)),
        ),
    ] {
        let begun = Instant::now();
        let loaded = load_text(&text, "hostile.yaml", &no_env);
        assert!(
            loaded.config.is_none() && loaded.errors().count() > 0,
            "{what}"
        );
        // A build without optimisation on a busy machine; an optimised one takes well under a second.
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{what}: {:?}",
            begun.elapsed()
        );
        assert!(
            loaded.problems.len() < 250 && rendered(&loaded).len() < 200_000,
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
