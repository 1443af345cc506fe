//! The configuration as an operator meets it: whole files in, diagnostics or a checked configuration out.
//!
//! Diagnostics are kept as snapshots beside the broken files: a changed word is seen in review.

use std::fs;

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn rendered(loaded: &Loaded) -> String {
    let all: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    all.join("\n")
}

#[test]
fn every_broken_file_is_refused_with_all_its_mistakes_and_their_places() {
    let dir = Path::new("tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("tests run at the root of the package")
        .map(|entry| entry.expect("a folder of the repository").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 45, "only {} broken files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for file in files {
        let loaded = load(&file, &no_env);
        assert!(loaded.config.is_none(), "{} loads", file.display());
        assert!(loaded.errors().count() > 0, "{} has no error", file.display());
        for error in loaded.errors() {
            let readable = !error.message.contains(" is not ") || error.place.line > 0;
            assert!(error.place.line > 0 || !readable || error.message.contains("UTF-16"), "{error}");
        }
        let name = file.file_stem().expect("a file has a name").to_string_lossy();
        settings.bind(|| insta::assert_snapshot!(name.as_ref(), rendered(&loaded)));
    }
}
