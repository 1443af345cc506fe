//! `tls` and `proxy_protocol` of an upstream: what they mean, what checks make of them, how they are told.

use super::*;
use crate::config::checked::{NodeTls, NodeTlsVersion, ProxyProtocol, Upstream};

/// The upstream with these keys.
fn upstream(keys: &str) -> Upstream {
    let loaded = with(&format!(
        "upstreams: {{ web: {{ nodes: [10.0.0.1:80, 10.0.0.2:80], {keys} }} }}"
    ));
    good(&loaded).upstreams[0].clone()
}

/// What checks speak.
fn checks(keys: &str) -> (Option<NodeTls>, Option<ProxyProtocol>) {
    let asking = upstream(keys).health.unwrap().asking;
    (asking.tls, asking.proxy_protocol)
}

#[test]
fn a_word_is_enough_and_safe() {
    for (word, on) in [
        ("true", true),
        ("on", true),
        ("false", false),
        ("off", false),
    ] {
        let tls = upstream(&format!("health: off, tls: {word}")).tls;
        assert_eq!(tls, on.then(NodeTls::default), "{word}");
    }
    let usual = NodeTls::default();
    assert!(usual.verify && usual.ca.is_none() && usual.identity.is_none());
    assert_eq!(usual.min_version, NodeTlsVersion::V1_2);
    assert_eq!(upstream("health: off").proxy_protocol, None);
}

#[test]
fn checks_follow_requests_unless_they_say_otherwise_or_ask_another_port() {
    let tls = "tls: { sni: app.internal, ca: tests/broken/ca/good.pem, min_version: 1.3 }, proxy_protocol: v2";
    let (as_requests, told) = checks(&format!("{tls}, health: {{ path: / }}"));
    let requests = upstream(&format!("{tls}, health: off")).tls;
    assert_eq!(
        (as_requests, told),
        (requests.clone(), Some(ProxyProtocol::V2))
    );
    assert_eq!(checks(&format!("{tls}, health: {{ tls: false }}")).0, None);
    let blind = checks(&format!("{tls}, health: {{ verify: false }}"))
        .0
        .unwrap();
    let requests = requests.unwrap();
    assert_eq!((blind.verify, blind.sni), (false, requests.sni));
    assert_eq!(
        checks(&format!("{tls}, health: {{ port: 81 }}")),
        (None, None)
    );
    let apart = checks(&format!("{tls}, health: {{ port: 81, tls: true }}")).0;
    assert_eq!(apart, Some(NodeTls::default()));
}

#[test]
fn what_is_in_force_is_told_and_loads_again() {
    let keys = "health: { path: / }, proxy_protocol: v1, tls: { sni: app.internal, ca: tests/broken/ca/good.pem, verify: true, min_version: \"1.3\" }";
    let loaded = with(&format!(
        "upstreams: {{ web: {{ nodes: [10.0.0.1:80], {keys} }} }}"
    ));
    let told = effective::effective(&loaded).unwrap();
    for line in [
        "proxy_protocol: v1",
        "sni: app.internal",
        "min_version: \"1.3\"",
    ] {
        assert!(told.contains(line), "{line} in:\n{told}");
    }
    let again = load_text(&told, "effective.yaml", &no_env);
    assert_eq!(good(&loaded), good(&again));
    let plain = with("upstreams: { web: { nodes: [10.0.0.1:80], health: { path: / } } }");
    let changes = diff::diff(good(&plain), good(&loaded));
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    for change in [
        "upstream web: tls off → on",
        "upstream web: proxy_protocol off → v1",
    ] {
        assert!(words.iter().any(|w| w.starts_with(change)), "{words:?}");
    }
}

#[test]
fn a_node_that_is_believed_whoever_it_is_is_warned_of() {
    let loaded =
        with("upstreams: { web: { nodes: [10.0.0.1:80], health: off, tls: { verify: false } } }");
    good(&loaded);
    let all = rendered(&loaded);
    assert!(all.contains("are believed whoever they are"), "{all}");
}
