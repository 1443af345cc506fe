//! Laws over thousands of cases: no text makes the reader panic, and what is in force loads again as it was.

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../conf/tidegate.example.yaml");

/// The example without the files it names.
fn example() -> String {
    EXAMPLE
        .replace("include: [example.d/apps/*.yaml]", "")
        .replace("nodes_file: example.d/nodes.yaml", "")
        .replace(", ca: example.d/ca.pem", "")
        .replace("      ca: example.d/ca.pem", "      # ca: example.d/ca.pem")
}

/// A configuration of parts that are all valid, in many combinations.
fn valid() -> impl Strategy<Value = String> {
    let node = (
        "[a-z]{1,8}",
        1..65_535_u16,
        0..=65_535_u32,
        "up|drain|down",
        any::<bool>(),
    )
        .prop_map(|(host, port, weight, state, backup)| {
            format!(
                "{{ addr: \"{host}:{port}\", weight: {weight}, state: {state}, backup: {backup} }}"
            )
        });
    let nodes = proptest::collection::btree_map("[a-z0-9]{1,6}", node, 1..5).prop_map(|nodes| {
        let entries = nodes.into_iter().enumerate().map(|(i, (id, node))| {
            let addr = format!("addr: \"n{i}-");
            node.replace("addr: \"", &addr)
                .replace("{ ", &format!("{{ id: \"{id}\", "))
        });
        entries.collect::<Vec<_>>().join(", ")
    });
    let health = "off|\\{\\}|\\{ type: tcp, rise: [1-9] \\}|\\{ type: grpc, service: [a-z]{1,5}, port: [1-9]{1,4} \\}|\\{ tls: true, verify: (true|false), headers: \\{ x-a: '[ -&(-z|~]{0,9}' \\}, method: OPTIONS, agent: true \\}|\\{ type: https, host: [a-z]{1,4}, body: '[ -&(-z|~]{1,9}', unhealthy_interval: [1-9]s \\}|\\{ body_regex: '[a-z$]{1,4}' \\}|\\{ path: /[a-z]{0,4}, expect: \\[204, [2-5]xx\\], interval: [1-9]m[1-5]s \\}";
    let matcher = "|host: \"(\\*\\.)?[a-z]{1,3}\\.com\"|path: /[a-z]{0,3}/|path_regex: '\\^/[a-z$]{0,3}'|methods: \\[GET, PUT\\]|headers: \\{ x-a: '[ -&(-z|~]{0,9}' \\}";
    let action = "upstream: web|upstream: web, cache: (true|false|\\{\\})|upstream: web, cache: \\{ (override_)?ttl: [1-9]m, stale_if_error: [0-9]h, set_cookie: (strip|store|refuse), wait: [0-9]s \\}|upstream: web, cache: \\{ surrogate_control: true, show_key: true, stale_while_revalidate: 1d, key: \\{ drop_query: \\['[!$%+-9;<>?@A-Z_a-z~]{0,3}\\*', fbclid\\], sort_query: (true|false) \\} \\}|upstream: web, split: \\{ reads: replicas(, pin_after_write: [0-9]s)?(, fallback: false)? \\}|upstream: web, compression: (on|\\{ encodings: \\[(br, gzip|zstd|deflate, brotli)\\], types: \\[text/[a-z]{1,3}, '\\*/\\*\\+[a-z]{1,3}', '[a-z!$&^_.-]{1,4}/\\*'\\], min_size: [0-9]{1,3}B, level: \\{ br: [0-9], zstd: 1[0-9], gzip: [1-9] \\}, dynamic: (true|false) \\})|upstream: web, cache: true, minify: (true|json|off|\\[json\\]), compress: (true|\\{ stored_level: \\{ brotli: 1[01], deflate: [1-9] \\}, decode: (true|false|\\{ max_size: [1-9]MB, max_ratio: [2-9] \\}), set_cookie: (true|false), max_cpu: [1-9]0%, accept_encoding: (auto|identity|client) \\})|redirect: \\{ to: '/[a-z]{0,3}\\{uri\\}', status: 30[12378] \\}";
    let more = "|, allow: 10\\.[0-9]\\.0\\.0/16|, deny: \\[\"::[1-9]\", 10\\.0\\.0\\.[1-9]{1,2}\\]|, rate_limit: \\{ rate: [1-9]{1,3}/[1-9]?[smh] \\}|, rate_limit: \\{ rate: 5/m, burst: [1-9]{1,4}, key: \"header:x-[a-z]\", scope: local, dry_run: true \\}";
    let routes = proptest::collection::vec((matcher, action, more), 1..6).prop_map(|routes| {
        let lines = routes
            .into_iter()
            .map(|(m, a, more)| format!("  - {{ match: {{ {m} }}, {a}{more} }}\n"));
        lines.collect::<String>()
    });
    let top = "|cache: \\{ memory: [1-9]MiB, recompress: (true|false|\\{ queue: [1-9], max_size: [1-9]{1,3}KiB, cpu: [1-9]0%, time: [1-9]s, threads: [1-4], after: [1-9] \\}) \\}|cache: \\{ memory: [1-9]{1,3}MiB, variants: [1-9] \\}|cache: \\{ max_object: [1-9]{1,3}KB, memory: 64MB \\}|dns: \\{ servers: \\[10\\.0\\.0\\.[1-9], '\\[::1\\]:5[1-9]'\\], family: (any|ipv4|ipv6), min_ttl: [1-9]s \\}|dns: \\{ ttl: true, max_ttl: [1-9]m \\}|dns: \\{ interval: [1-9]s, family: v6 \\}|limits: \\{ body: [0-9]{1,3}KiB, headers: [1-9], connections: [0-9]{1,5} \\}|requests: \\{ drop: \\[(x-[a-z], x-yes)?\\], underscores: (drop|keep), half_close: 0s \\}";
    let balance = "rr|least_conn|weighted_random|random|source";
    let sticky = "|sticky: [a-z]{2,9}_x|sticky: \\{ cookie: tg, ttl: ([1-9]h|0s), path: /[a-z]{0,3}, domain: [a-z]\\.example, secure: (auto|true), same_site: (lax|strict|none) \\}|sticky: \\{ learn: \\{ (cookie: [A-Z]{2,4}_X|header: X-[A-Z]), ttl: [1-9]m, max: [1-9]000, store: memory \\} \\}\n    drain: \\{ session_grace: [1-9]m \\}";
    (nodes, health, balance, routes, 0..500_u32, top, sticky).prop_map(|(nodes, health, balance, routes, ms, top, sticky)| {
        format!(
            "listen: [{{ addr: 127.0.0.1:8080 }}]\ntimeouts: {{ write: {ms}ms }}\n{top}\nupstreams:\n  web:\n    balance: {balance}\n    {sticky}\n    health: {health}\n    nodes: [{nodes}]\n  replicas: {{ nodes: [10.0.0.1:80] }}\nroutes:\n{routes}"
        )
    })
}

fn reload(loaded: &Loaded) -> Loaded {
    let text = effective::effective(loaded).expect("it is usable");
    load_text(&text, "effective.yaml", &no_env)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = rendered(&load_text(&text, "t.yaml", &no_env));
        prop_assert!(source::text(bytes).map_or(true, |t| t.len() < 1 << 20));
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(text in "([a-z]{1,3}: |- |[\\[\\]{},:?&*!|>'\"#%@`$~-]|\n {0,4}|[é☃\t]|<<: |\\$\\{){0,60}") {
        let _ = rendered(&load_text(&text, "t.yaml", &no_env));
    }

    #[test]
    fn no_slip_of_the_editor_makes_the_reader_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_usize, "\\PC{0,6}|\n|\t|[0-9-]{1,12}"), 1..4)
    ) {
        let mut text = example();
        for (at, length, instead) in cuts {
            let whole: Vec<usize> = (0..=text.len()).filter(|i| text.is_char_boundary(*i)).collect();
            let from = at.index(whole.len());
            let (from, to) = (whole[from], whole[(from + length).min(whole.len() - 1)]);
            text.replace_range(from..to, &instead);
        }
        let loaded = load_text(&text, "t.yaml", &no_env);
        prop_assert!(loaded.config.is_some() || loaded.errors().count() > 0);
        prop_assert!(loaded.problems.iter().all(|p| p.to_string().lines().count() >= 2));
    }

    #[test]
    fn what_is_in_force_loads_again_as_it_was(text in valid()) {
        let loaded = load_text(&text, "t.yaml", &no_env);
        let config = good(&loaded);
        let again = reload(&loaded);
        prop_assert_eq!(config, good(&again));
        prop_assert_eq!(diff::diff(config, good(&again)), vec![]);
    }
}

#[test]
fn the_example_in_force_loads_again_as_it_was() {
    let loaded = load(Path::new("conf/tidegate.example.yaml"), &no_env);
    assert_eq!(good(&loaded), good(&reload(&loaded)));
}
