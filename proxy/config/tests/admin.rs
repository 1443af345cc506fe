//! The stats port's keys: what they become, what is warned of, and that a token is never told.

use std::fs;

use super::cache::warned;
use super::*;
use crate::base::role::Role;

const REST: &str = "listen: [{ addr: 127.0.0.1:8080 }]
upstreams: { web: { health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] } }
routes: [{ upstream: web }]\n";

/// A configuration with this `admin:`, in a folder with two files of tokens.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().expect("a folder for the test"));
        folder.write("one.token", "one-token-of-many-characters\n");
        folder.write("two.token", "two-token-of-many-characters\n");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    fn with(&self, admin: &str) -> Loaded {
        self.write("tidegate.yaml", &format!("{REST}admin: {admin}\n"));
        load(&self.0.path().join("tidegate.yaml"), &no_env)
    }
}

const ONE: &str = "{ name: grafana, role: read, token_file: one.token }";
const TWO: &str = "{ name: deploy, role: ops, token_file: two.token }";

fn words(old: &Loaded, new: &Loaded) -> Vec<String> {
    let changes = diff::diff(good(old), good(new));
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn tokens_and_hosts_are_what_the_file_says_and_load_again_as_they_are_told() {
    let folder = Folder::new();
    let loaded = folder.with(&format!(
        "{{ tokens: [{ONE}, {TWO}], hosts: [Stats.Example.com., stats.example.com] }}"
    ));
    let admin = good(&loaded).admin.clone().expect("it is on");
    let told: Vec<_> = (admin.tokens.iter())
        .map(|t| (&*t.name, t.role, t.file.key.bytes()))
        .collect();
    assert_eq!(
        told,
        [
            ("grafana", Role::Read, &b"one-token-of-many-characters"[..]),
            ("deploy", Role::Ops, b"two-token-of-many-characters"),
        ]
    );
    assert_eq!(admin.hosts, ["stats.example.com"]);
    let again = effective::effective(&loaded).expect("no error");
    assert_eq!(
        good(&load_text(&again, "told.yaml", &no_env)),
        good(&loaded),
        "{again}"
    );
    for file in ["one.token", "two.token"] {
        assert!(loaded.watch.contains(&folder.0.path().join(file)), "{file}");
    }
    let all = format!("{again}{loaded:?}");
    assert!(!all.contains("of-many-characters"), "{all}");
}

#[test]
fn every_change_of_who_may_come_in_is_told_and_never_a_token() {
    let folder = Folder::new();
    let none = folder.with("{}");
    let one = folder.with(&format!("{{ tokens: [{ONE}], hosts: a.example }}"));
    assert_eq!(
        words(&none, &one),
        [
            "admin: token `grafana` added, role read",
            "admin: everybody needs a token, callers on this machine too",
            "admin.hosts none → a.example",
        ]
    );
    folder.write("one.token", "another-of-many-characters\n");
    let other = folder.with(&format!(
        "{{ tokens: [{}, {TWO}], hosts: a.example }}",
        ONE.replace("read", "ops")
    ));
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_eq!(
        words(&one, &other),
        [
            "admin: token `grafana`: role read → ops",
            "admin: token `grafana` is another one",
            "admin: token `deploy` added, role ops",
        ]
    );
    assert_eq!(
        words(&other, &none),
        [
            "admin: token `grafana` removed",
            "admin: token `deploy` removed",
            "admin: without tokens, only callers on this machine are let in",
            "admin.hosts a.example → none",
        ]
    );
    let moved = folder.with("{ addr: 127.0.0.1:9901 }");
    assert_eq!(
        words(&none, &moved),
        ["admin 127.0.0.1:9900 → 127.0.0.1:9901: takes effect after a restart or an upgrade"]
    );
}

#[test]
fn a_stats_port_that_others_reach_is_spoken_of() {
    let folder = Folder::new();
    warned(&folder.with(&format!("{{ tokens: [{ONE}] }}")), &[]);
    let open = folder.with("{ addr: \":9900\" }");
    warned(&open, &["open to other machines, and lets nobody in"]);
    let with_tokens = folder.with(&format!("{{ addr: \":9900\", tokens: [{ONE}] }}"));
    warned(&with_tokens, &[]);
    assert!(
        rendered(&with_tokens).contains("tokens are readable on their way"),
        "{}",
        rendered(&with_tokens)
    );
    warned(
        &folder.with("{ hosts: stats.example.com }"),
        &["`hosts` without `tokens`"],
    );
}
