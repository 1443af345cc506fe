//! The table against a walk over all routes, and the cases people ask about.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::config::checked::{Access, Action, Minify};

fn route(hosts: &[&str], path: PathPattern) -> Route {
    Route {
        name: String::new(),
        matcher: Match {
            hosts: hosts.iter().map(|h| host_pattern(h)).collect(),
            path,
            ..Match::default()
        },
        action: Action::Proxy(0),
        split: None,
        cache: None,
        compress: None,
        minify: Minify::default(),
        access: Access::default(),
        rate_limit: None,
        slow: None,
    }
}

fn host_pattern(text: &str) -> HostPattern {
    match text.strip_prefix('*') {
        Some(end) => HostPattern::Suffix(end.into()),
        None => HostPattern::Exact(text.into()),
    }
}

fn prefix(text: &str) -> PathPattern {
    PathPattern::Prefix(text.into())
}

fn get(table: &Table, host: &str, path: &str) -> Option<usize> {
    table.find(&RouteAsk {
        host,
        path,
        method: &Method::GET,
        headers: &HeaderMap::new(),
        by_tls: false,
    })
}

#[test]
fn exact_hosts_come_before_suffixes_and_suffixes_before_every_host() {
    let table = Table::new(&[
        route(&["*.example.com"], prefix("/a/")),
        route(&[], prefix("/a/")),
        route(&["*.shop.example.com"], PathPattern::Any),
        route(&["eu.shop.example.com"], PathPattern::Any),
    ]);
    assert_eq!(get(&table, "EU.shop.example.com:8080", "/a/"), Some(3));
    assert_eq!(get(&table, "us.shop.example.com", "/a/"), Some(2));
    assert_eq!(get(&table, "shop.example.com.", "/a/"), Some(0));
    assert_eq!(
        get(&table, "example.com", "/a/"),
        Some(1),
        "no label before the suffix"
    );
    assert_eq!(get(&table, "", "/a/"), Some(1), "no host at all");
    assert_eq!(get(&table, "badexample.com", "/b"), None);
}

#[test]
fn a_host_without_a_route_for_the_path_falls_through_to_the_next_class() {
    let table = Table::new(&[
        route(&["a.example.com"], prefix("/only/")),
        route(&["*.example.com"], prefix("/wide/")),
        route(&[], PathPattern::Any),
    ]);
    assert_eq!(get(&table, "a.example.com", "/only/x"), Some(0));
    assert_eq!(get(&table, "a.example.com", "/wide/x"), Some(1));
    assert_eq!(get(&table, "a.example.com", "/"), Some(2));
}

#[test]
fn a_field_sent_twice_counts_with_either_value() {
    let mut beta = route(&[], PathPattern::Any);
    let name = HeaderName::from_static("x-beta");
    beta.matcher.headers = vec![(name.clone(), HeaderValue::from_static("1"))];
    let table = Table::new(&[beta]);
    let mut headers = HeaderMap::new();
    let found = |headers: &HeaderMap| {
        table.find(&RouteAsk {
            host: "h",
            path: "/",
            method: &Method::GET,
            headers,
            by_tls: false,
        })
    };
    assert_eq!(found(&headers), None);
    headers.append(name.clone(), HeaderValue::from_static("0"));
    assert_eq!(found(&headers), None);
    headers.append(name, HeaderValue::from_static("1"));
    assert_eq!(found(&headers), Some(0));
}

#[test]
fn a_host_of_nothing_but_dots_and_one_beyond_ascii_are_harmless() {
    let table = Table::new(&[route(&["*.example.com"], PathPattern::Any)]);
    assert_eq!(get(&table, &".".repeat(8000), "/"), None);
    assert_eq!(get(&table, "é.example.com", "/"), Some(0));
    assert_eq!(get(&table, "日本.日本.日本", "/"), None);
}

/// The definition, spelled out: walk all routes once a class, ask every condition.
fn walk(routes: &[Route], ask: &RouteAsk<'_>) -> Option<usize> {
    let host = ask.host.to_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    let first = |in_class: &dyn Fn(&Match) -> bool| {
        routes
            .iter()
            .position(|r| in_class(&r.matcher) && conditions_hold(&r.matcher, ask))
    };
    let by_exact = first(&|m| m.hosts.contains(&HostPattern::Exact(host.into())));
    let by_suffix = || {
        let mut ends: Vec<&String> = routes
            .iter()
            .flat_map(|r| &r.matcher.hosts)
            .filter_map(|h| match h {
                HostPattern::Suffix(end) => Some(end),
                HostPattern::Exact(_) => None,
            })
            .filter(|end| host.ends_with(end.as_str()) && host.len() > end.len())
            .collect();
        ends.sort_by_key(|end| std::cmp::Reverse(end.len()));
        ends.into_iter()
            .find_map(|end| first(&|m| m.hosts.contains(&HostPattern::Suffix(end.clone()))))
    };
    by_exact
        .or_else(by_suffix)
        .or_else(|| first(&|m| m.hosts.is_empty()))
}

fn conditions_hold(m: &Match, ask: &RouteAsk<'_>) -> bool {
    let path = match &m.path {
        PathPattern::Any => true,
        PathPattern::Prefix(p) => ask.path.find(p.as_str()) == Some(0),
        PathPattern::Exact(p) => ask.path == p,
        PathPattern::Regex(r) => r.find(ask.path).is_some(),
    };
    let method = m.methods.is_empty() || m.methods.iter().any(|x| x == ask.method);
    let headers = m.headers.iter().all(|(n, v)| ask.headers.get(n) == Some(v));
    let scheme = match m.scheme {
        None => true,
        Some(Scheme::Http) => !ask.by_tls,
        Some(Scheme::Https) => ask.by_tls,
    };
    path && method && headers && scheme
}

#[test]
fn a_scheme_tells_apart_who_came_by_tls() {
    let mut plain = route(&[], prefix("/"));
    plain.matcher.scheme = Some(Scheme::Http);
    let table = Table::new(&[plain, route(&[], PathPattern::Any)]);
    let found = |by_tls| {
        table.find(&RouteAsk {
            host: "h",
            path: "/a",
            method: &Method::GET,
            headers: &HeaderMap::new(),
            by_tls,
        })
    };
    assert_eq!([found(false), found(true)], [Some(0), Some(1)]);
}

fn any_path() -> impl Strategy<Value = PathPattern> {
    let text = "/([ab]/?){0,3}";
    prop_oneof![
        1 => Just(PathPattern::Any),
        4 => text.prop_map(PathPattern::Prefix),
        1 => text.prop_map(PathPattern::Exact),
        1 => prop_oneof![Just("^/a"), Just("b/$")]
            .prop_map(|e| PathPattern::Regex(Regex::new(e).expect("a literal"))),
    ]
}

fn any_route() -> impl Strategy<Value = Route> {
    let host = prop::sample::select(vec![
        "x.io", "a.x.io", "b.a.x.io", "*.io", "*.x.io", "*.a.x.io",
    ]);
    let hosts = prop::collection::vec(host, 0..=2);
    let methods = prop::sample::select(vec![vec![], vec![], vec![Method::GET, Method::HEAD]]);
    let flag = prop::sample::select(vec![None, None, Some("0"), Some("1")]);
    let scheme = prop::sample::select(vec![None, None, Some(Scheme::Http), Some(Scheme::Https)]);
    (hosts, any_path(), methods, flag, scheme).prop_map(|(hosts, path, methods, flag, scheme)| {
        let mut route = route(&hosts, path);
        route.matcher.scheme = scheme;
        route.matcher.methods = methods;
        route.matcher.headers = flag.into_iter().map(flag_field).collect();
        route
    })
}

fn flag_field(value: &'static str) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static("x-flag"),
        HeaderValue::from_static(value),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_finds_what_a_walk_over_all_routes_finds(
        routes in prop::collection::vec(any_route(), 0..24),
        host in prop::sample::select(vec![
            "x.io", "A.x.io", "b.a.x.io:80", "c.b.a.X.io", "q.io", "io", ".x.io", "other.org", "",
        ]),
        path in "/([ab]/?){0,4}",
        method in prop::sample::select(vec![Method::GET, Method::POST]),
        flag in prop::sample::select(vec![None, Some("0"), Some("1")]),
        by_tls in any::<bool>(),
    ) {
        let headers: HeaderMap = flag.into_iter().map(flag_field).collect();
        let ask = RouteAsk { host, path: &path, method: &method, headers: &headers, by_tls };
        prop_assert_eq!(Table::new(&routes).find(&ask), walk(&routes, &ask));
    }
}
