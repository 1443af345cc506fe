//! The keys of the cache: what they become, what is warned of, and that a token is never told.

use std::fs;
use std::time::Duration;

use super::*;
use crate::config::checked::{Cache, CacheKey, RouteCache, SetCookie};

const MIB: u64 = 1 << 20;

/// A configuration with this section at the top, and one route with this value of `cache`.
pub(super) fn cached(top: &str, route: &str) -> Loaded {
    with(&format!(
        "{top}\nupstreams: {{ web: {{ health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] }} }}
routes: [{{ upstream: web, cache: {route} }}]\n"
    ))
}

/// What a route does with the cache when it says so.
fn of_route(cache: &str) -> Option<RouteCache> {
    good(&cached("", cache)).routes[0].cache.clone()
}

fn seconds(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

/// Exactly this is warned of.
#[track_caller]
pub(super) fn warned(loaded: &Loaded, of: &[&str]) {
    good(loaded);
    let all: Vec<&str> = loaded.warnings().map(|w| w.message.as_str()).collect();
    let fits = all.len() == of.len() && all.iter().zip(of).all(|(is, of)| is.contains(of));
    assert!(fits, "{of:?} is not what is told:\n{}", rendered(loaded));
}

#[test]
fn nothing_is_stored_until_a_route_asks() {
    let loaded = with_routes("  - { upstream: web }\n");
    assert_eq!(good(&loaded).routes[0].cache, None);
    assert_eq!(good(&loaded).cache, defaults::CACHE);
    assert_eq!(of_route("false"), None);
    assert_eq!(of_route("off"), None);
}

#[test]
fn a_route_without_further_keys_stores_what_answers_allow() {
    for word in ["true", "on", "{}"] {
        assert_eq!(of_route(word), Some(RouteCache::default()), "{word}");
    }
}

#[test]
fn every_key_of_a_route_is_what_the_file_says() {
    let read = of_route(
        "{ ttl: 1h, stale_while_revalidate: 1d, stale_if_error: 2d, set_cookie: strip,
           ignore_client_cache_control: true, surrogate_control: true, wait: 0s, show_key: true,
           key: { drop_query: [\"utm_*\", fbclid, \"utm_*\"], sort_query: true } }",
    );
    let expected = RouteCache {
        ttl: seconds(3_600),
        override_ttl: None,
        stale_while_revalidate: seconds(86_400),
        stale_if_error: seconds(2 * 86_400),
        set_cookie: SetCookie::Strip,
        ignore_client_cache_control: true,
        surrogate_control: true,
        wait: Duration::ZERO,
        show_key: true,
        key: CacheKey {
            drop_query: vec!["utm_*".into(), "fbclid".into()],
            sort_query: true,
        },
    };
    assert_eq!(read, Some(expected));
    let whole_query = of_route("{ key: { drop_query: \"*\" } }").expect("it stores");
    assert_eq!(whole_query.key.drop_query, [CacheKey::ALL]);
}

#[test]
fn the_cache_is_as_large_as_the_file_says() {
    let cache = |keys: &str| {
        good(&cached(&format!("cache: {{ {keys} }}"), "true"))
            .cache
            .clone()
    };
    let all = cache("memory: 1GiB, max_object: 256MiB, variants: 256");
    let expected = Cache {
        memory: 1_024 * MIB,
        max_object: 256 * MIB,
        variants: 256,
        recompress: crate::config::defaults::CACHE.recompress,
        purge_token: None,
        redis: None,
    };
    assert_eq!(all, expected);
    assert_eq!(cache("memory: 1GiB").max_object, 16 * MIB);
    // A default never makes a smaller memory an error.
    assert_eq!(cache("memory: 8MiB").max_object, 2 * MIB);
    assert_eq!(cache("memory: 64KiB").max_object, 16 * 1024);
    assert_eq!(cache(""), defaults::CACHE);
}

#[test]
fn what_goes_over_the_word_of_an_answer_is_said_aloud() {
    let over = "goes over what answers say of their freshness: each counts as fresh for 10m";
    warned(&cached("", "{ override_ttl: 10m }"), &[over]);
    warned(
        &cached("", "{ ttl: 1h, override_ttl: 10m }"),
        &["`ttl` has no effect beside `override_ttl`", over],
    );
    let read = of_route("{ ttl: 1h, override_ttl: 10m }").expect("it stores");
    assert_eq!((read.ttl, read.override_ttl), (None, seconds(600)));
    warned(
        &cached("", "{ set_cookie: store }"),
        &["gives the cookie of one visitor to all others"],
    );
    warned(&cached("", "{ set_cookie: strip, ttl: 1h }"), &[]);
}

#[test]
fn what_has_no_effect_is_told_of() {
    warned(
        &cached(
            "",
            "{ ttl: 0s, stale_while_revalidate: 0, stale_if_error: 0s, wait: 0s }",
        ),
        &["0s has no effect"; 3],
    );
    assert_eq!(of_route("{ ttl: 0s }"), of_route("true"));
    warned(
        &cached("", "{ key: { drop_query: [\"*\"], sort_query: true } }"),
        &["`sort_query` has no effect"],
    );
    let unused = "`cache` has no effect: no route stores anything";
    warned(&cached("cache: { memory: 1MiB }", "false"), &[unused]);
    warned(&cached("cache:", "false"), &[]);
    let redis = "cache: { redis: { url: \"redis://127.0.0.1:6379/0\" } }";
    warned(&cached(redis, "false"), &[unused]);
    let limit = "false, rate_limit: { rate: 5/s, scope: cluster }";
    warned(&cached(redis, limit), &[]);
    let on = |methods: &str| {
        with_routes(&format!(
            "  - {{ match: {{ methods: {methods} }}, upstream: web, cache: true }}\n"
        ))
    };
    warned(&on("[POST, PUT]"), &["none of the methods of this route"]);
    warned(&on("[POST, HEAD]"), &[]);
}

#[test]
fn a_token_is_a_line_of_its_file_and_is_never_told() {
    let dir = tempfile::tempdir().expect("a folder for the test");
    let path = dir.path().join("tidegate.yaml");
    let with_token = |token: &str| {
        let text = "listen: [{ addr: 127.0.0.1:8080 }]
cache: { purge_token_file: t }
upstreams: { web: { health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] } }
routes: [{ upstream: web, cache: true }]\n";
        fs::write(&path, text).expect("a file");
        fs::write(dir.path().join("t"), token).expect("a file");
        load(&path, &no_env)
    };
    let plain = "abcdefghijklmn+/";
    for end in ["", "\n", "\r\n"] {
        let loaded = with_token(&format!("{plain}{end}"));
        let token = good(&loaded)
            .cache
            .purge_token
            .clone()
            .expect("it is given");
        assert_eq!(token.key.bytes(), plain.as_bytes());
        assert_eq!(token.path, dir.path().join("t"));
    }
    let old = with_token(plain);
    let again = effective::effective(&old).expect("no error");
    assert_eq!(good(&load_text(&again, "told.yaml", &no_env)), good(&old));
    let new = with_token("ABCDEFGHIJKLMNOP\n");
    let changes = diff::diff(good(&old), good(&new));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].what, "the token of PURGE changed");
    let refused = [
        with_token("abcdefghijk\n"),
        with_token("abcdefghijklmnop\nabcdefghijk\n"),
    ];
    assert!(refused.iter().all(|loaded| loaded.config.is_none()));
    let told = format!("{again}{old:?}{new:?}{changes:?}{refused:?}");
    assert!(!told.to_lowercase().contains("defghij"), "{told}");
    assert_ne!(old.fingerprint, new.fingerprint);
    assert!(old.watch.contains(&dir.path().join("t")), "it is watched");
}

#[test]
fn the_cache_is_told_and_its_changes_too() {
    let full = "{ ttl: 1h, stale_while_revalidate: 1d, stale_if_error: 1d, set_cookie: strip, key: { drop_query: [\"utm_*\", fbclid] } }";
    let sized = cached("cache: { memory: 512MiB, variants: 8 }", full);
    let told = effective::effective(&sized).expect("no error");
    let part = |from: &str, to: &str| {
        let rest = told.split_once(from).map(|(_, rest)| rest).expect(from);
        format!("{from}{}", rest.split(to).next().expect("its first part"))
    };
    let ours = part("cache:", "upstreams:") + &part("routes:", "slow:");
    insta::assert_snapshot!("in_force", ours);
    let steps = [
        cached("", "false"),
        sized,
        cached("", "{ override_ttl: 5m, wait: 0s, show_key: true }"),
        cached("cache: { max_object: 1MiB }", "true"),
    ];
    let mut lines = Vec::new();
    for pair in steps.windows(2) {
        let changes = diff::diff(good(&pair[0]), good(&pair[1]));
        lines.extend(changes.iter().map(ToString::to_string));
        lines.push("--".into());
    }
    insta::assert_snapshot!("changes", lines.join("\n"));
}
