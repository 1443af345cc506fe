//! What operators write, what strangers send, and that the latter never choose the site.

use proptest::prelude::*;

use super::*;

fn to(target: &str, path: &str, query: Option<&str>) -> String {
    on_host("shop.example.com", target, path, query)
}

fn on_host(host: &str, target: &str, path: &str, query: Option<&str>) -> String {
    location(
        target,
        &Parts {
            scheme: "https",
            host,
            path,
            query,
        },
        Some("/old/"),
    )
}

#[test]
fn a_trailing_slash_keeps_the_rest_and_the_query() {
    assert_eq!(to("/new/", "/old/a/b", Some("x=1")), "/new/a/b?x=1");
    assert_eq!(to("/new/", "/old/", None), "/new/");
    assert_eq!(to("https://n.io/", "/old/a", None), "https://n.io/a");
    assert_eq!(to("/new", "/old/a", Some("x=1")), "/new", "not asked for");
}

#[test]
fn without_a_prefix_that_ends_with_a_slash_nothing_is_kept() {
    let parts = Parts {
        scheme: "http",
        host: "h",
        path: "/old/a",
        query: None,
    };
    assert_eq!(location("/new/", &parts, Some("/old")), "/new/");
    assert_eq!(location("/new/", &parts, None), "/new/");
}

#[test]
fn placeholders_stand_for_the_request() {
    let https = |host| on_host(host, "https://{host}{uri}", "/a", Some("b=c"));
    assert_eq!(
        https("Shop.example.com:8080"),
        "https://shop.example.com/a?b=c"
    );
    assert_eq!(https("[::1]:80"), "https://[::1]/a?b=c");
    assert_eq!(
        to(
            "https://{host}:8443/x{path}?from={query}#top",
            "/a",
            Some("q")
        ),
        "https://shop.example.com:8443/x/a?from=q#top"
    );
    assert_eq!(
        to("https://www.{host}", "/a", None),
        "https://www.shop.example.com"
    );
    assert_eq!(
        to("{scheme}://www.{host}{uri}", "/a", Some("b")),
        "https://www.shop.example.com/a?b"
    );
    assert_eq!(to("//cdn.io{path}", "/a", None), "//cdn.io/a");
    assert_eq!(to("/{unknown}/{", "/a", None), "/{unknown}/{");
}

#[test]
fn what_is_filled_in_is_not_filled_in_again() {
    assert_eq!(to("{path}", "/{query}", Some("q")), "/%7Bquery%7D");
}

#[test]
fn a_request_cannot_choose_the_site() {
    for (target, path, query, expected) in [
        ("/", "/old//evil.com", None, "/evil.com"),
        ("/", "/old/\\evil.com", None, "/evil.com"),
        ("/", "/old/\\/\\evil.com", None, "/evil.com"),
        ("/", "/old/\t/evil.com", None, "/%09/evil.com"),
        ("{path}", "//evil.com", None, "/evil.com"),
        ("/{path}", "/evil.com", None, "/evil.com"),
        ("{uri}", "/\\evil.com", Some("q"), "/%5Cevil.com?q"),
        (
            "{query}",
            "/",
            Some("https://evil.com"),
            "/https://evil.com",
        ),
        ("{query}", "/", Some("//evil.com"), "/evil.com"),
        (
            "https://a.io{query}",
            "/",
            Some(".evil.com"),
            "https://a.io/.evil.com",
        ),
        (
            "https://a.io{path}",
            "@evil.com",
            None,
            "https://a.io/@evil.com",
        ),
        ("https://{path}", "/evil.com", None, "/https:///evil.com"),
        ("https:///{path}", "/evil.com", None, "/https:////evil.com"),
        (
            "javascript{query}",
            "/",
            Some(":alert(1)"),
            "/javascript:alert(1)",
        ),
    ] {
        assert_eq!(to(target, path, query), expected, "{target:?} {path:?}");
    }
}

#[test]
fn a_request_without_a_host_is_sent_to_a_path_of_the_same_site() {
    for host in ["", ":80", "."] {
        assert_eq!(
            on_host(host, "https://{host}{path}", "/evil.com", None),
            "/evil.com"
        );
        assert_eq!(
            on_host(host, "{scheme}://{host}{path}", "/evil.com", None),
            "/evil.com"
        );
        assert_eq!(
            on_host(host, "https://{host}:8443{path}", "/evil.com", None),
            "/evil.com"
        );
    }
}

#[test]
fn a_host_cannot_smuggle_a_path_or_a_user() {
    assert_eq!(
        on_host("evil.com/", "https://{host}.example.com/", "/", None),
        "https://evil.com%2F.example.com/"
    );
    assert_eq!(
        on_host("a@evil.com", "https://{host}/", "/", None),
        "https://a%40evil.com/"
    );
}

#[test]
fn nothing_ends_the_header_line() {
    assert_eq!(
        to("/new/", "/old/\r\nSet-Cookie: a=b", Some("\n\0é")),
        "/new/%0D%0ASet-Cookie:%20a=b?%0A%00%C3%A9"
    );
    assert_eq!(to("/n\r\n/", "/", None), "/n%0D%0A/", "not even the target");
}

/// Text made of what attacks are made of.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[/\\\\@:.?#%{}a\r\n\t ]{0,12}",
        "(/|\\\\|//)?(\\{path\\}|https?:)?(//|/\\\\)?evil.com.*",
        ".*",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_target_without_a_site_never_leaves_it(
        target in prop::sample::select(vec![
            "/", "/new/", "{path}", "{uri}", "/{path}", "/{uri}", "{query}", "/{query}", "{host}{path}",
            "{path}/", "x{query}", "https://{path}", "https://{query}", "https:{uri}", "//{path}", "/\\{path}",
        ]),
        host in hostile(),
        path in hostile(),
        query in prop::option::of(hostile()),
        follows_prefix: bool,
    ) {
        let path = if follows_prefix { format!("/old/{path}") } else { path };
        let parts = Parts { scheme: "https", host: &host, path: &path, query: query.as_deref() };
        let location = location(target, &parts, Some("/old/"));
        prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location:?}");
        prop_assert!(location.starts_with('/'), "{location:?}");
        prop_assert!(!location[1..].starts_with(SLASHES), "{location:?}");
    }

    #[test]
    fn a_target_with_a_site_never_leaves_it(
        rest in prop::sample::select(vec![
            "", "/", "{path}", "{uri}", "{query}", "?{query}", "/a/{host}/", "\\{path}", "{path}/",
        ]),
        host in hostile(),
        path in hostile(),
        query in prop::option::of(hostile()),
    ) {
        let parts = Parts { scheme: "https", host: &host, path: &path, query: query.as_deref() };
        let location = location(&format!("https://shop.io:8443{rest}"), &parts, Some("/old/"));
        prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location:?}");
        let after = location.strip_prefix("https://shop.io:8443");
        prop_assert!(
            after.is_some_and(|a| a.is_empty() || a.starts_with(['/', '?', '#'])),
            "{location:?}"
        );
    }
}
