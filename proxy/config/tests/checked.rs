//! What a checked configuration looks like: defaults, names people know, order of routes.

use std::time::Duration;

use super::*;
use crate::base::node::Intent;
use crate::config::checked::{
    Action, Balance, NodeAddr, PathPattern, Probe, RateKey, RateLimit, Scope, Underscores,
};
use crate::config::schema::shape::{Key, Shape};

#[test]
fn the_quickstart_loads_without_a_warning_and_serves_one_upstream() {
    let loaded = load(Path::new("conf/quickstart.yaml"), &no_env);
    let config = good(&loaded);
    assert_eq!(loaded.warnings().count(), 0, "{}", rendered(&loaded));
    assert_eq!(config.upstreams[0].nodes.len(), 3);
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].name, "default");
}

#[test]
fn the_recipe_for_several_proxies_loads_without_a_warning_and_shares_the_cache() {
    let loaded = load(Path::new("conf/cluster.yaml"), &no_env);
    let config = good(&loaded);
    assert_eq!(loaded.warnings().count(), 0, "{}", rendered(&loaded));
    let redis = config.cache.redis.as_ref();
    assert!(redis.is_some_and(|redis| redis.entries), "{redis:?}");
    assert!(config.routes[0].cache.is_some());
}

#[test]
fn the_example_loads_without_a_warning_and_shows_every_key() {
    let loaded = load(Path::new("conf/tidegate.example.yaml"), &no_env);
    good(&loaded);
    assert_eq!(loaded.warnings().count(), 0, "{}", rendered(&loaded));
    let text = std::fs::read_to_string("conf/tidegate.example.yaml").expect("it was just loaded");
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "{}[],".contains(c))
        .collect();
    every_key(&schema::FILE, &mut |key| {
        let shown = words.contains(&format!("{}:", key.name).as_str());
        assert!(shown, "`{}` is not in the example", key.name);
    });
}

/// Visits every supported key.
fn every_key(shape: &Shape, visit: &mut impl FnMut(&Key)) {
    match shape {
        Shape::Map(keys) => keys.iter().filter(|k| k.supported()).for_each(|key| {
            visit(key);
            every_key(&key.shape, visit);
        }),
        Shape::Named(inner) | Shape::List(inner) | Shape::WordOr(inner) => every_key(inner, visit),
        Shape::Word | Shape::Words | Shape::Elsewhere(_) => {}
    }
}

#[test]
fn what_the_file_leaves_out_has_a_finite_default() {
    let loaded = with("upstreams: { web: { health: {}, nodes: [10.0.0.1:80] } }");
    let config = good(&loaded);
    assert_eq!(config.admin.as_ref().map(|a| a.addr), Some(defaults::ADMIN));
    assert!(config.threads >= 1);
    assert_eq!(config.timeouts.header, Some(Duration::from_secs(10)));
    assert_eq!(config.timeouts.request, None);
    let web = &config.upstreams[0];
    assert_eq!(web.balance, Balance::RoundRobin);
    assert_eq!(web.timeouts.connect, Some(Duration::from_secs(1)));
    assert_eq!(web.drain_timeout, Duration::from_secs(60));
    assert_eq!(web.nodes[0].weight, 1);
    let health = web.health.as_ref().expect("`health: {}` asks for checks");
    let Probe::Http(asked) = &health.asking.probe else {
        panic!("http is the default")
    };
    assert_eq!(
        (asked.path.as_str(), &asked.expect[..], &health.asking.host),
        ("/", &[(200, 399)][..], &None)
    );
    assert_eq!(asked.method, http::Method::GET);
    assert_eq!(health.asking.unhealthy_interval, health.asking.interval);
    assert!(health.asking.tls.is_none() && !health.agent);
}

#[test]
fn names_of_other_balancers_are_understood_and_the_canonical_one_is_told() {
    for (word, balance) in [
        ("leastconn", Balance::LeastConn),
        ("least_connections", Balance::LeastConn),
        ("Least-Conn", Balance::LeastConn),
        ("rr", Balance::RoundRobin),
        ("roundrobin", Balance::RoundRobin),
        ("wrr", Balance::RoundRobin),
        ("iphash", Balance::IpHash),
        ("source", Balance::IpHash),
        ("random_two", Balance::P2c),
        ("ewma", Balance::PeakEwma),
        ("uri", Balance::Hash),
    ] {
        let loaded = with(&format!(
            "upstreams: {{ web: {{ balance: {word}, servers: [10.0.0.1:80] }} }}"
        ));
        assert_eq!(good(&loaded).upstreams[0].balance, balance, "{word}");
        let told = rendered(&loaded);
        assert!(
            told.contains("is read as balance method") && told.contains("write `nodes`"),
            "{told}"
        );
    }
}

#[test]
fn nodes_come_in_short_and_long_form_and_names_are_not_resolved() {
    let loaded = with(
        "upstreams:
  web:
    nodes:
      - 10.0.0.1:80
      - { addr: \"[::1]:3000\", id: six, weight: 0, state: maint }
      - App.internal:3000
      - { addr: 10.0.0.9:1, backup: true }
",
    );
    let nodes = &good(&loaded).upstreams[0].nodes;
    assert_eq!(nodes[0].id, "10.0.0.1:80");
    assert_eq!(
        (nodes[1].id.as_str(), nodes[1].weight, nodes[1].state),
        ("six", 0, Intent::Down)
    );
    assert_eq!(
        nodes[1].addr,
        NodeAddr::Socket("[::1]:3000".parse().expect("an address"))
    );
    let name = NodeAddr::Name {
        host: "app.internal".into(),
        port: 3000,
    };
    assert_eq!(
        (&nodes[2].addr, nodes[2].id.as_str()),
        (&name, "App.internal:3000")
    );
    assert!(nodes[3].backup);
}

#[test]
fn numbers_stay_words_where_words_are_wanted() {
    let loaded =
        with_routes("  - { name: 007, match: { headers: { X-V: 1.10 } }, upstream: web }\n");
    let route = &good(&loaded).routes[0];
    assert_eq!(route.name, "007");
    assert_eq!(route.matcher.headers[0].1, "1.10");
}

#[test]
fn routes_come_most_specific_first() {
    let loaded = with_routes(
        "  - { name: any, upstream: web }
  - { name: api, match: { path: /api/ }, upstream: web }
  - { name: api-v1, match: { path: /api/v1/ }, upstream: web }
  - { name: regex, match: { path_regex: ^/x }, upstream: web }
  - { name: exact, match: { path_exact: /a }, upstream: web }
  - { name: api-post, match: { path: /api/, methods: [POST] }, upstream: web }
  - { name: api-beta, match: { path: /api/, headers: { X-Beta: 1 } }, upstream: web }
  - { name: wild, match: { host: '*.example.com' }, upstream: web }
  - { name: wilder, match: { host: '*.b.example.com' }, upstream: web }
  - { name: host, match: { host: A.example.com. }, upstream: web }
",
    );
    let names: Vec<&str> = good(&loaded)
        .routes
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "host", "wilder", "wild", "exact", "regex", "api-v1", "api-beta", "api-post", "api",
            "any"
        ]
    );
}

#[test]
fn routes_without_a_name_are_called_by_what_they_match() {
    let loaded = with_routes(
        "  - { match: { host: shop.example.com, path: /assets/ }, upstream: web }
  - { match: { host: shop.example.com, path: /assets/, methods: [PUT] }, upstream: web }
  - { upstream: web }
",
    );
    let mut names: Vec<&str> = good(&loaded)
        .routes
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "default",
            "shop.example.com/assets/",
            "shop.example.com/assets/ #2"
        ]
    );
}

#[test]
fn variables_fill_values_of_every_kind_but_never_become_structure() {
    let env = |name: &str| match name {
        "N" => Some("3".to_string()),
        "EVIL" => Some("x, upstream: none".to_string()),
        _ => None,
    };
    let text = "listen: [{ addr: \"127.0.0.1:${PORT:-8080}\" }]
threads: ${N}
upstreams: { web: { nodes: [\"10.0.0.${N}:80\"] } }
routes: [{ name: \"${EVIL}\", match: { path_regex: '^/$$' }, upstream: web }]
";
    let loaded = load_text(text, "t.yaml", &env);
    let config = good(&loaded);
    assert_eq!((config.threads, config.listen[0].addr.port()), (3, 8080));
    assert_eq!(config.routes[0].name, "x, upstream: none");
    assert!(matches!(&config.routes[0].matcher.path, PathPattern::Regex(r) if r.as_str() == "^/$"));
}

#[test]
fn anchors_and_merges_work_and_mistakes_in_them_point_at_their_own_line() {
    let text = "upstreams:
  web: &base
    health: { path: / }
    timeouts: { read: 5 }
    nodes: [10.0.0.1:80, 10.0.0.2:80]
  api:
    <<: *base
    balance: rr
routes: [{ upstream: web }, { match: { path: /api }, upstream: api }]
";
    let loaded = with(text);
    let lines: Vec<usize> = loaded.errors().map(|e| e.place.line).collect();
    assert_eq!(lines, [5], "{}", rendered(&loaded));
    let loaded = with(&text.replace("read: 5", "read: 5s"));
    assert_eq!(good(&loaded).upstreams[1].nodes.len(), 2);
}

#[test]
fn a_redirect_needs_no_upstream_at_all() {
    let loaded = with("routes: [{ redirect: { to: \"https://{host}{uri}\" } }]");
    let config = good(&loaded);
    assert!(config.upstreams.is_empty());
    let Action::Redirect { status, .. } = &config.routes[0].action else {
        panic!("it redirects")
    };
    assert_eq!(status.as_u16(), 302);
}

#[test]
fn limits_are_what_the_file_says_and_what_it_leaves_out_has_its_default() {
    let up = "upstreams: { web: { nodes: [a:80] } }\n";
    let config = |text: &str| good(&with(&format!("{up}{text}"))).clone();
    assert_eq!(config("").limits, defaults::LIMITS);
    assert_eq!(config("").requests, defaults::requests());
    let limits = config("limits: { body: 2GiB, connections: 7, pipeline: 0, send_rate: 0 }").limits;
    assert_eq!(limits.body, Some(2 << 30));
    assert_eq!(limits.connections, Some(7));
    assert_eq!((limits.pipeline, limits.send_rate), (None, None));
    assert_eq!(limits.headers, defaults::LIMITS.headers);
    // A smaller head has room for a shorter target only.
    let limits = config("limits: { header_bytes: 4KiB }").limits;
    assert_eq!((limits.header_bytes, limits.uri_bytes), (4096, 4096));
}

#[test]
fn what_is_done_to_requests_first_is_what_the_file_says() {
    let up = "upstreams: { web: { nodes: [a:80] } }\n";
    let requests = |text: &str| {
        good(&with(&format!("{up}requests: {{ {text} }}")))
            .requests
            .clone()
    };
    let read =
        requests("merge_slashes: false, underscores: keep, half_close: 0s, drop: [X-A, x-a, X-B]");
    assert!(!read.merge_slashes);
    assert_eq!(
        (read.underscores, read.half_close),
        (Underscores::Keep, Duration::ZERO)
    );
    assert_eq!(read.drop, ["x-a", "x-b"]);
    assert!(requests("drop: []").drop.is_empty());
    assert_eq!(requests("drop: X-A").drop, ["x-a"]);
    assert_eq!(
        requests("merge_slashes: on").drop,
        defaults::requests().drop
    );
}

#[test]
fn who_may_come_in_is_read_as_ranges_with_mapped_addresses_as_ipv4() {
    let text = "listen:
  - { addr: 127.0.0.1:1, allow: 10.0.0.0/8, deny: [10.0.0.13, \"::ffff:10.0.0.14\", 10.0.0.13/32], proxy_protocol: { from: \"::ffff:10.2.0.0/112\" }, h2c: true }
  - { addr: 127.0.0.1:2 }
upstreams: { web: { nodes: [a:80] } }
routes: [{ upstream: web, deny: [\"2001:db8::1\", 192.0.2.7/24] }]
";
    let loaded = load_text(text, "t.yaml", &no_env);
    let config = good(&loaded);
    let shown = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    let port = &config.listen[0];
    assert_eq!(shown(&port.access.allow), ["10.0.0.0/8"]);
    assert_eq!(shown(&port.access.deny), ["10.0.0.13/32", "10.0.0.14/32"]);
    assert_eq!(shown(&port.proxy_protocol), ["10.2.0.0/16"]);
    assert!(port.h2c && !config.listen[1].h2c && config.listen[1].proxy_protocol.is_empty());
    assert_eq!(config.listen[1].access, Default::default());
    let deny = &config.routes[0].access.deny;
    assert_eq!(shown(deny), ["2001:db8::1/128", "192.0.2.0/24"]);
    assert!(rendered(&loaded).contains("\"192.0.2.7/24\" is read as 192.0.2.0/24"));
}

#[test]
fn a_rate_limit_needs_its_rate_only() {
    let limit = |keys: &str| {
        let route = format!("  - {{ upstream: web, rate_limit: {{ {keys} }} }}\n");
        good(&with_routes(&route)).routes[0].rate_limit.clone()
    };
    let plain = RateLimit {
        key: RateKey::Ip,
        requests: 100,
        per: Duration::from_secs(1),
        burst: 100,
        scope: Scope::Local,
        dry_run: false,
    };
    assert_eq!(limit("rate: 100/s"), Some(plain.clone()));
    let all = limit("rate: 30/10s, burst: 5, key: \"header:X-Api-Key\", dry_run: true");
    let expected = RateLimit {
        key: RateKey::Header(http::HeaderName::from_static("x-api-key")),
        requests: 30,
        per: Duration::from_secs(10),
        burst: 5,
        scope: Scope::Local,
        dry_run: true,
    };
    assert_eq!(all, Some(expected));
}
