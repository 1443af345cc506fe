//! The configuration told again: what is in force with its origins, and what a change changes.

use super::*;

#[test]
fn every_value_in_force_says_where_it_came_from() {
    let loaded = with(
        "threads: 2\nupstreams:\n  web:\n    health: off\n    nodes:\n      - { addr: 10.0.0.1:80, weight: 3 }\n      - 10.0.0.2:80\n",
    );
    let text = effective::effective(&loaded).expect("it is usable");
    insta::assert_snapshot!(text);
}

#[test]
fn passwords_in_addresses_are_not_told() {
    let loaded = with("routes: [{ redirect: { to: \"https://me:s3cret@example.com/\" } }]");
    let text = effective::effective(&loaded).expect("it is usable");
    assert!(
        !text.contains("s3cret") && text.contains("REDACTED"),
        "{text}"
    );
}

#[test]
fn there_is_nothing_in_force_after_an_error() {
    assert_eq!(effective::effective(&with("threads: 0")), None);
}

#[test]
fn differences_read_as_an_operator_would_say_them() {
    let old = with(
        "upstreams:
  web:
    nodes: [10.0.0.1:80, { addr: 10.0.0.2:80, id: b }, { addr: 10.0.0.3:80, id: c }]
  old: { nodes: [10.0.9.1:80] }
routes: [{ upstream: web }, { match: { path: /old }, upstream: old }]
",
    );
    let new = load_text(
        "listen: [{ addr: 127.0.0.1:8081 }]
threads: 7
timeouts: { header: 5s, request: 1m }
upstreams:
  web:
    balance: least_conn
    health: { path: / }
    nodes: [{ addr: 10.0.0.2:80, id: b, weight: 3, state: drain }, { addr: 10.0.0.4:80, id: c }, { addr: 10.0.0.12:80, id: d, weight: 2 }]
  api: { nodes: [10.0.8.1:80] }
routes: [{ upstream: api }, { match: { path: /new }, redirect: { to: /, status: 301 } }]
",
        "new.yaml",
        &no_env,
    );
    let changes = diff::diff(good(&old), good(&new));
    let lines: Vec<String> = changes
        .iter()
        .map(ToString::to_string)
        // The default of threads is the machine's.
        .filter(|line| !line.starts_with("threads"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let restart: Vec<&str> = changes
        .iter()
        .filter(|c| c.needs_restart)
        .map(|c| c.what.split(' ').next().unwrap_or(""))
        .collect();
    assert!(restart.contains(&"listen") && !restart.contains(&"upstream"));
}

#[test]
fn differences_in_limits_and_access_read_as_an_operator_would_say_them() {
    let old = with(
        "limits: { body: 1MiB }
upstreams: { web: { nodes: [10.0.0.1:80] } }
routes: [{ upstream: web, deny: 10.0.0.13 }, { match: { path: /a }, upstream: web, rate_limit: { rate: 5/s } }]
",
    );
    let new = load_text(
        "listen: [{ addr: 127.0.0.1:8080, allow: [10.0.0.0/8, 192.0.2.1], h2c: true, proxy_protocol: { from: 10.0.0.1 } }]
limits: { body: 0, connections: 5, uri_bytes: 4KiB }
requests: { drop: [], half_close: 0s }
upstreams: { web: { nodes: [10.0.0.1:80] } }
routes: [{ upstream: web, rate_limit: { rate: 100/10s, key: \"header:x-key\", dry_run: true } }, { match: { path: /a }, upstream: web, rate_limit: { rate: 5/s, burst: 9 } }]
",
        "new.yaml",
        &no_env,
    );
    let changes = diff::diff(good(&old), good(&new));
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(diff::diff(good(&new), good(&new)), []);
}

#[test]
fn what_proxies_do_together_is_told_and_loads_again_as_it_was() {
    let of = |store: &str, scope: &str| {
        with(&format!(
            "cache: {{ redis: {{ url: \"redis://127.0.0.1:6379/0\" }} }}
upstreams: {{ web: {{ sticky: {{ learn: {{ cookie: sid, store: {store} }} }}, nodes: [10.0.0.1:80] }} }}
routes: [{{ upstream: web, rate_limit: {{ rate: 5/s, scope: {scope} }} }}]
"
        ))
    };
    let (own, all) = (of("memory", "local"), of("redis", "cluster"));
    for loaded in [&own, &all] {
        let told = effective::effective(loaded).expect("no error");
        let again = load_text(&told, "told.yaml", &no_env);
        assert_eq!(good(loaded), good(&again), "{told}");
    }
    let changes = diff::diff(good(&own), good(&all));
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_asked_of_nodes_is_told_without_secrets_and_its_changes_too() {
    let of = |health: &str| {
        with(&format!(
            "upstreams: {{ web: {{ health: {{ {health} }}, nodes: [10.0.0.1:80] }} }}\nroutes: [{{ upstream: web }}]\n"
        ))
    };
    let old = of("path: /a, headers: { Authorization: s3cret, X-Probe: \"1\" }, body: ok");
    let told = effective::effective(&old).expect("no error");
    assert!(!told.contains("s3cret"), "{told}");
    assert!(told.contains("authorization: REDACTED") && told.contains("x-probe: \"1\""));
    let told_of = |new: &str| {
        let changes = diff::diff(good(&old), good(&of(new)));
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let https = "type: https, path: /b, method: HEAD, expect: 204, headers: { Authorization: 0ther }, verify: false, ca: tests/broken/ca/good.pem, host: app, port: 81, interval: 2s, unhealthy_interval: 1s, rise: 5, agent: true, initial: healthy";
    let same_type = "path: /b, method: OPTIONS, expect: 204, body_regex: 'o.'";
    let all = [https, same_type, "type: grpc, service: s"].map(told_of);
    insta::assert_snapshot!(all.join("\n--\n"));
    let changes = diff::diff(good(&of("type: grpc, service: s")), good(&of("type: grpc")));
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn how_names_are_resolved_is_told_and_its_changes_too() {
    let of = |dns: &str| {
        with(&format!(
            "{dns}upstreams: {{ web: {{ nodes: [a.internal:80] }} }}"
        ))
    };
    let old = of("");
    let new = of("dns: { servers: [10.0.0.2, \"::1\"], family: v6, interval: 1s, max_ttl: 1m }\n");
    let told = effective::effective(&new).expect("no error");
    assert!(
        told.contains("servers: [10.0.0.2:53, \"[::1]:53\"]"),
        "{told}"
    );
    let changes = diff::diff(good(&old), good(&new));
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_hashed_is_told_and_its_changes_too() {
    let of = |hash: &str| {
        with(&format!(
            "upstreams: {{ web: {{ {hash}, nodes: [10.0.0.1:80] }} }}\nroutes: [{{ upstream: web }}]\n"
        ))
    };
    let old = of("balance: hash, hash: { key: \"header:X-User\", balance_factor: 1.2 }");
    let told = effective::effective(&old).expect("no error");
    assert!(told.contains("key: \"header:x-user\"") && told.contains("balance_factor: 1.20"));
    let again = load_text(&told, "told.yaml", &no_env);
    assert_eq!(good(&again).upstreams, good(&old).upstreams);
    let changes = diff::diff(good(&old), good(&of("balance: hash, hash: { key: uri }")));
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let changes = diff::diff(good(&old), good(&of("balance: p2c")));
    assert_eq!(changes.len(), 1, "the method says it all: {changes:?}");
}

#[test]
fn sessions_are_told_and_their_changes_too_but_never_a_key() {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let load = |sticky: &str, split: &str| {
        let path = dir.path().join("tidegate.yaml");
        let text = format!(
            "listen: [{{ addr: 127.0.0.1:8080 }}]
upstreams:
  web: {{ health: off, {sticky}, nodes: [10.0.0.1:80, 10.0.0.2:80] }}
  replicas: {{ health: off, nodes: [10.0.0.3:80, 10.0.0.4:80] }}
routes: [{{ upstream: web{split} }}]
"
        );
        std::fs::write(&path, text).expect("a file in it");
        let loaded = load(&path, &no_env);
        good(&loaded);
        loaded
    };
    let key = |text: &str| std::fs::write(dir.path().join("k"), text).expect("a file in it");
    key("0123456789abcdef0123456789abcdef");
    let old = load("sticky: { cookie: tg, key_file: k }", "");
    key("fedcba9876543210fedcba9876543210");
    let new = load(
        "sticky: { cookie: tg, key_file: k, ttl: 0s, domain: .Shop.example, same_site: strict, secure: yes }, drain: { session_grace: 5m }",
        ", split: { reads: replicas, pin_after_write: 1500ms }",
    );
    let learned = load(
        "sticky: { learn: { header: X-Session, max: 500 } }",
        ", split: { reads: replicas, pin_after_write: 0s, fallback: false }",
    );
    let off = load("sticky: off", ", split: { reads: replicas }");
    let mut lines = Vec::new();
    for (was, is) in [(&old, &new), (&new, &learned), (&learned, &off)] {
        lines.extend(
            diff::diff(good(was), good(is))
                .iter()
                .map(ToString::to_string),
        );
        lines.push("--".into());
    }
    insta::assert_snapshot!(lines.join("\n"));
    for loaded in [&old, &new, &learned, &off] {
        let told = effective::effective(loaded).expect("no error");
        let again = load_text(&told, "told.yaml", &no_env);
        // The first one's key is no longer in its file.
        let is_old = loaded.fingerprint == old.fingerprint;
        assert_eq!(good(&again) == good(loaded), !is_old, "{told}");
        let everything = format!("{told}{:?}{:?}{lines:?}", good(loaded), loaded.problems);
        assert!(
            !everything.contains("9876") && !everything.contains("6789"),
            "{everything}"
        );
    }
    assert_ne!(old.fingerprint, new.fingerprint);
    assert_eq!(old.watch.len(), 2, "the key is watched: {:?}", old.watch);
}

#[test]
fn problems_serialise_for_machines() {
    let loaded = with("threads: many\nupstreams: { web: { nodes: [a:80] } }");
    let error = loaded.errors().next().expect("`many` is no number");
    let json = serde_json::to_value(error).expect("plain data");
    assert_eq!(json["severity"], "error");
    assert_eq!(
        (&json["file"], &json["line"], &json["column"]),
        (&"tidegate.yaml".into(), &2.into(), &10.into())
    );
    assert!(
        json["help"][0]
            .as_str()
            .is_some_and(|h| h.contains("whole number"))
    );
}
