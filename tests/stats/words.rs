//! What the program says of itself, read by those it is said to: shells, man, editors.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::finish;
use crate::support::proxy::{BINARY, tidegate};

/// What a program thinks of a text; `None`: this machine has no such program.
async fn judged(program: &str, args: &[&str], text: &str) -> Option<String> {
    Command::new(program).arg("--version").output().ok()?;
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("text");
    fs::write(&file, text).unwrap();
    let done = finish(Command::new(program).args(args).arg(&file)).await;
    assert_eq!(done.code, 0, "{program}: {}", done.all());
    Some(done.err)
}

#[tokio::test]
async fn completions_are_scripts_that_shells_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = tidegate(&["completions", shell]).await;
        assert_eq!(script.code, 0, "{}", script.all());
        for word in ["explain", "min-time", "TIDEGATE"] {
            let there = script.out.to_uppercase().contains(&word.to_uppercase());
            assert!(there, "{shell} does not know {word}");
        }
        if ["bash", "zsh", "fish"].contains(&shell) {
            let said = judged(shell, &["-n"], &script.out).await;
            assert_eq!(said.unwrap_or_default(), "", "{shell}");
        }
    }
    assert_eq!(tidegate(&["completions", "dos"]).await.code, 2);
}

#[tokio::test]
async fn the_manual_is_a_page_that_man_can_show() {
    let page = tidegate(&["man"]).await;
    assert_eq!(page.code, 0, "{}", page.all());
    for section in [
        ".SH NAME",
        ".SH \"TIDEGATE DRAIN\"",
        ".SH \"TIDEGATE CACHE EXPLAIN\"",
    ] {
        assert!(page.out.contains(section), "{section} is missing");
    }
    let warnings = judged("groff", &["-k", "-man", "-Tutf8", "-ww", "-z"], &page.out).await;
    assert_eq!(warnings.unwrap_or_default(), "", "groff warns");

    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let pages = tidegate(&["man", "--dir", path]).await;
    assert_eq!(pages.code, 0, "{}", pages.all());
    for name in ["tidegate.1", "tidegate-log.1", "tidegate-cache-explain.1"] {
        assert!(dir.path().join(name).is_file(), "{name} is missing");
    }
    let nowhere = tidegate(&["man", "--dir", "/nowhere/at/all"]).await;
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.err.contains("/nowhere/at/all"), "{}", nowhere.err);
}

#[tokio::test]
async fn the_schema_is_json_that_knows_the_file() {
    let schema = tidegate(&["schema"]).await;
    assert_eq!(schema.code, 0, "{}", schema.all());
    let schema = schema.json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let node = serde_json::json!({ "upstreams": { "web": { "nodes": ["10.0.0.1:80"] } } });
    assert!(jsonschema::is_valid(&schema, &node));
    let slip = serde_json::json!({ "upstreams": { "web": { "nodse": [] } } });
    assert!(!jsonschema::is_valid(&schema, &slip));
}

#[tokio::test]
async fn what_cannot_be_written_is_no_success() {
    for command in ["schema", "man", "completions bash"] {
        let line = format!("exec \"$0\" {command} >/dev/full");
        let done = finish(Command::new("sh").args(["-c", &line, BINARY])).await;
        assert_eq!(done.code, 1, "{command}: {}", done.all());
        assert!(done.err.contains("cannot be written"), "{}", done.all());
    }
}
