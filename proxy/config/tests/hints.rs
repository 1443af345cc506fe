//! Hints: told when something was probably not meant, silent when it was.

use super::*;

#[track_caller]
fn warns(loaded: &Loaded, of: &str) {
    good(loaded);
    let all = rendered(loaded);
    assert!(
        loaded.warnings().any(|w| w.message.contains(of)),
        "no \"{of}\" in:\n{all}"
    );
}

#[track_caller]
fn silent(loaded: &Loaded) {
    good(loaded);
    assert_eq!(loaded.warnings().count(), 0, "{}", rendered(loaded));
}

#[test]
fn cookies_of_one_name_on_one_site_are_told_of() {
    let two = |a: &str, b: &str, hosts: [&str; 2]| {
        with(&format!(
            "upstreams:
  a: {{ health: off, sticky: {a}, nodes: [10.0.0.1:80, 10.0.0.2:80] }}
  b: {{ health: off, sticky: {b}, nodes: [10.0.0.3:80, 10.0.0.4:80] }}
routes: [{{ match: {{ path: /a{} }}, upstream: a }}, {{ match: {{ path: /b{} }}, upstream: b }}]
",
            hosts[0], hosts[1]
        ))
    };
    let (here, there) = (", host: here.example", ", host: there.example");
    warns(&two("tg", "tg", ["", ""]), "have one name");
    warns(
        &two("tg", "{ cookie: tg, ttl: 5m }", [here, ""]),
        "have one name",
    );
    silent(&two("tg", "tg", [here, there]));
    silent(&two("tg", "tg2", ["", ""]));
    silent(&two("tg", "{ cookie: tg, path: /b }", ["", ""]));
    silent(&two("tg", "{ learn: { cookie: tg } }", ["", ""]));
    let one = "upstreams: { a: { health: off, sticky: off, drain: { session_grace: 1m }, nodes: [10.0.0.1:80, 10.0.0.2:80] } }";
    warns(&with(one), "`session_grace` has no effect");
}

#[test]
fn a_split_that_splits_nothing_is_told_of() {
    let split = |more: &str| {
        with(&format!(
            "upstreams:
  a: {{ health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] }}
  b: {{ health: off, nodes: [10.0.0.3:80, 10.0.0.4:80] }}
routes: [{{ upstream: a, {more} }}]
"
        ))
    };
    silent(&split("split: { reads: b }"));
    warns(
        &split("match: { methods: [POST, PUT] }, split: { reads: b }"),
        "none of the methods",
    );
    warns(
        &split("split: { reads: b, pin_after_write: 0s, cookie: x }"),
        "nothing is remembered",
    );
}

#[test]
fn an_upstream_that_will_fail_soon_is_told_of() {
    warns(
        &with("upstreams: { web: { nodes: [10.0.0.1:80] } }"),
        "one node only",
    );
    warns(
        &with("upstreams: { web: { nodes: [10.0.0.1:80] } }"),
        "no health check",
    );
    warns(
        &with(
            "upstreams: { web: { nodes: [{ addr: 10.0.0.1:80, weight: 0 }, { addr: 10.0.0.2:80, state: drain }] } }",
        ),
        "takes new requests",
    );
    silent(&with(
        "upstreams: { web: { health: off, nodes: [app.internal:80] } }",
    ));
}

#[test]
fn a_stats_port_that_others_can_reach_is_told_of() {
    let up = "upstreams: { web: { health: off, nodes: [a:80] } }\n";
    warns(
        &with(&format!("{up}admin: {{ addr: \":9900\" }}")),
        "open to other machines",
    );
    silent(&with(&format!("{up}admin: {{ addr: \"[::1]:9900\" }}")));
    silent(&with(&format!("{up}admin: off")));
}

#[test]
fn a_limit_that_is_none_is_told_of() {
    let up =
        "upstreams: { web: { health: off, timeouts: { read: 0s, idle: 0s }, nodes: [a:80] } }\n";
    let loaded = with(&format!("{up}timeouts: {{ header: 0, request: 0s }}"));
    warns(&loaded, "no limit");
    let lines: Vec<usize> = loaded.warnings().map(|w| w.place.line).collect();
    // `idle: 0s` keeps no connections and `request: 0s` is the default.
    assert_eq!(lines, [2, 3], "{}", rendered(&loaded));
}

#[test]
fn an_upstream_without_a_route_is_told_of() {
    let loaded = with(
        "upstreams: { a: { health: off, nodes: [a:80] }, b: { health: off, nodes: [b:80] } }\nroutes: [{ upstream: a }]",
    );
    warns(&loaded, "no route leads to upstream `b`");
}

#[test]
fn a_probe_longer_than_its_interval_is_told_of() {
    warns(
        &with("upstreams: { web: { health: { interval: 1s, timeout: 2s }, nodes: [a:80] } }"),
        "longer than its interval",
    );
    let fitting = with("upstreams: { web: { health: { interval: 1s }, nodes: [a:80, b:80] } }");
    assert_eq!(fitting.warnings().count(), 0, "{}", rendered(&fitting));
    warns(
        &with("upstreams: { web: { health: { type: tcp, path: /x }, nodes: [a:80] } }"),
        "does nothing",
    );
}

#[test]
fn a_route_out_of_reach_is_told_of_with_the_one_before_it() {
    for routes in [
        "  - { upstream: web }\n  - { upstream: web }\n",
        "  - { match: { path: /a }, upstream: web }\n  - { match: { path: /a }, upstream: web }\n",
        "  - { match: { path: /a, methods: [GET, PUT] }, upstream: web }\n  - { match: { path: /a, methods: [GET] }, upstream: web }\n",
        // Ranked by its exact host, the first comes before the second also for *.example.com.
        "  - { match: { host: [a.com, '*.example.com'] }, upstream: web }\n  - { match: { host: '*.example.com', path: /a }, upstream: web }\n",
    ] {
        let loaded = with_routes(routes);
        warns(&loaded, "can never match");
        let warning = loaded.warnings().next().expect("it warned");
        assert!(warning.also.is_some());
    }
}

#[test]
fn routes_that_can_all_be_reached_are_left_alone() {
    silent(&with_routes(
        "  - { upstream: web }
  - { match: { path: /a }, upstream: web }
  - { match: { path: /a, methods: [GET] }, upstream: web }
  - { match: { path: /a, headers: { X-A: 1 } }, upstream: web }
  - { match: { path: /a, headers: { X-A: 2 } }, upstream: web }
  - { match: { path_exact: /a }, upstream: web }
  - { match: { host: a.com }, upstream: web }
  - { match: { host: [a.com, b.com], path: /a }, upstream: web }
",
    ));
}

#[test]
fn a_limit_of_0_is_told_of_where_a_client_could_hold_without_bound() {
    let up = "upstreams: { web: { health: off, nodes: [a:80] } }\n";
    for key in [
        "body",
        "connections",
        "pipeline",
        "requests_per_connection",
        "body_rate",
        "send_rate",
    ] {
        let loaded = with(&format!("{up}limits: {{ {key}: 0 }}"));
        warns(&loaded, "0 means no limit at all");
        let help = loaded.warnings().next().map(|w| w.help.join(" "));
        assert!(help.is_some_and(|h| h.contains("the default is")), "{key}");
    }
    for key in ["frames", "resets"] {
        let loaded = with(&format!("{up}limits: {{ h2: {{ {key}: 0 }} }}"));
        warns(&loaded, "0 means no limit at all");
    }
    silent(&with(&format!("{up}limits: {{ connections_per_ip: 0 }}")));
}

#[test]
fn clients_let_in_and_shut_out_in_one_breath_are_told_of() {
    for access in [
        "allow: 10.0.0.0/8, deny: 10.0.0.0/8",
        "allow: [192.0.2.1, 10.1.0.0/16], deny: [10.0.0.0/8]",
        "allow: \"::ffff:10.1.1.1\", deny: 10.0.0.0/8",
    ] {
        let loaded = with_routes(&format!("  - {{ upstream: web, {access} }}\n"));
        warns(&loaded, "can come in");
        assert_eq!(loaded.warnings().count(), 1, "{}", rendered(&loaded));
    }
    let both = "upstreams: { web: { health: off, nodes: [a:80] } }";
    let port = "listen: [{ addr: 127.0.0.1:80, allow: 10.0.0.1, deny: 10.0.0.1 }]";
    warns(
        &load_text(&format!("{port}\n{both}"), "t.yaml", &no_env),
        "can come in",
    );
    silent(&with_routes(
        "  - { upstream: web, allow: 10.0.0.0/8, deny: [10.0.0.13, 192.0.2.0/24, \"::/0\"] }\n",
    ));
}

#[test]
fn a_rate_limit_that_clients_can_dodge_is_told_of() {
    let limit = |key: &str| {
        let limit = format!("rate_limit: {{ rate: 5/s, key: \"{key}\" }}");
        with_routes(&format!("  - {{ upstream: web, {limit} }}\n"))
    };
    warns(
        &limit("header:X-Forwarded-For"),
        "a new value is a new client",
    );
    silent(&limit("header:X-Api-Key"));
    silent(&limit("ip"));
}
