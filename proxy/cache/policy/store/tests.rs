//! What is stored and what is not, each for its reason.

use std::time::Duration;

use http::header::SET_COOKIE;

use super::super::testing::{NOW, date, fields};
use super::*;

/// A GET of `/a` without a word of its own, answered with these fields.
struct Case<'a> {
    method: Method,
    request: &'a [(&'a str, &'a str)],
    path: &'a str,
    status: u16,
    answer: &'a [(&'a str, &'a str)],
    rules: RouteCache,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Case {
            method: Method::GET,
            request: &[],
            path: "/a",
            status: 200,
            answer: &[],
            rules: RouteCache::default(),
        }
    }
}

impl Case<'_> {
    fn plan(&self) -> Result<Plan, Why> {
        let (request, headers) = (fields(self.request), fields(self.answer));
        let asked = Asked {
            method: &self.method,
            headers: &request,
            path: self.path,
            origin: "http://shop.example",
            target: self.path,
            selecting: &[],
        };
        let answer = Answer {
            status: StatusCode::from_u16(self.status).unwrap(),
            headers: &headers,
        };
        storable(&asked, &answer, &self.rules, NOW, NOW)
    }

    fn why(&self) -> Option<Why> {
        self.plan().err()
    }
}

fn answered(status: u16, answer: &[(&str, &str)]) -> Option<Why> {
    Case {
        status,
        answer,
        ..Case::default()
    }
    .why()
}

fn controlled(line: &str) -> Option<Why> {
    answered(200, &[("cache-control", line)])
}

fn asked(request: &[(&str, &str)], line: &str) -> Option<Why> {
    Case {
        request,
        answer: &[("cache-control", line)],
        ..Case::default()
    }
    .why()
}

#[test]
fn explicit_freshness_is_enough_whatever_the_status() {
    let expires = date(60);
    for of in [
        ("cache-control", "max-age=60"),
        ("cache-control", "s-maxage=60"),
        ("cdn-cache-control", "max-age=60"),
        ("expires", &expires),
    ] {
        for status in [
            200, 201, 202, 204, 299, 302, 307, 400, 403, 404, 429, 499, 500, 502, 503, 599, 999,
        ] {
            assert_eq!(answered(status, &[of]), None, "{status} {of:?}");
        }
        for status in [100, 103, 199, 206, 304] {
            assert_eq!(
                answered(status, &[of]),
                Some(Why::Status),
                "{status} {of:?}"
            );
        }
    }
}

#[test]
fn without_freshness_a_validator_is_needed_and_a_status_that_allows_it() {
    let modified = date(-1_000);
    assert_eq!(answered(200, &[]), Some(Why::NoFreshness));
    assert_eq!(
        answered(200, &[("cache-control", "public")]),
        Some(Why::NoFreshness)
    );
    for of in [("last-modified", &modified[..]), ("etag", "\"a\"")] {
        assert_eq!(answered(200, &[of]), None);
        assert_eq!(answered(404, &[of]), None);
        for status in [201, 302, 403, 500, 599] {
            assert_eq!(answered(status, &[of]), Some(Why::Status));
            assert_eq!(answered(status, &[of, ("cache-control", "public")]), None);
        }
    }
}

#[test]
fn what_is_stale_on_arrival_is_stored_only_to_be_validated_or_used_stale() {
    assert_eq!(controlled("max-age=0"), Some(Why::Stale));
    assert_eq!(controlled("max-age=x"), Some(Why::Stale));
    assert_eq!(answered(200, &[("expires", "0")]), Some(Why::Stale));
    assert_eq!(answered(200, &[("expires", "0"), ("etag", "\"a\"")]), None);
    assert_eq!(controlled("max-age=0, stale-while-revalidate=5"), None);
    assert_eq!(controlled("max-age=0, stale-if-error=5"), None);
    let never = "max-age=0, stale-if-error=5, must-revalidate";
    assert_eq!(controlled(never), Some(Why::Stale));
    let aged = |line| answered(200, &[("cache-control", line), ("age", "100")]);
    assert_eq!(aged("max-age=60"), None, "a client may take it (max-stale)");
    assert_eq!(aged("max-age=60, must-revalidate"), Some(Why::Stale));
    assert_eq!(aged("s-maxage=60"), Some(Why::Stale));
    assert_eq!(aged("s-maxage=101"), None);
}

#[test]
fn no_cache_is_stored_when_it_can_be_validated() {
    assert_eq!(controlled("no-cache, max-age=60"), Some(Why::NoCache));
    let of = [("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")];
    let case = Case {
        answer: &of,
        ..Case::default()
    };
    assert!(case.plan().unwrap().life.no_cache);
    assert_eq!(
        answered(200, &[("cache-control", "no-cache"), ("etag", "\"a\"")]),
        None
    );
    assert_eq!(controlled("no-cache=\"a\", max-age=60"), None);
}

#[test]
fn what_is_not_for_a_shared_cache_is_not_stored() {
    assert_eq!(controlled("max-age=60, No-Store"), Some(Why::NoStore));
    assert_eq!(controlled("max-age=60, PRIVATE"), Some(Why::Private));
    assert_eq!(controlled("max-age=60, private=\"x\""), None);
    let vary = |value| answered(200, &[("cache-control", "max-age=60"), ("vary", value)]);
    assert_eq!(vary("a, *"), Some(Why::VaryAny));
    assert_eq!(vary("a"), None);
    assert_eq!(
        answered(
            200,
            &[("cache-control", "max-age=60"), ("pragma", "no-cache")]
        ),
        None
    );
}

#[test]
fn no_route_overrides_what_forbids_storing() {
    for (line, why) in [
        ("no-store", Why::NoStore),
        ("private", Why::Private),
        ("no-cache", Why::NoCache),
    ] {
        let case = Case {
            answer: &[("cache-control", line)],
            rules: RouteCache {
                ttl: Some(Duration::from_secs(60)),
                override_ttl: Some(Duration::from_secs(60)),
                ..RouteCache::default()
            },
            ..Case::default()
        };
        assert_eq!(case.why(), Some(why));
    }
}

#[test]
fn must_understand_overrides_no_store_for_a_status_that_is_known() {
    let line = "must-understand, no-store, max-age=60";
    for status in [200, 203, 204, 301, 302, 404, 410, 451, 500, 503] {
        assert_eq!(
            answered(status, &[("cache-control", line)]),
            None,
            "{status}"
        );
    }
    for status in [299, 306, 399, 418, 499, 509, 599, 999] {
        let why = Some(Why::NotUnderstood);
        assert_eq!(
            answered(status, &[("cache-control", line)]),
            why,
            "{status}"
        );
        assert_eq!(
            answered(status, &[("cache-control", "must-understand, max-age=60")]),
            why
        );
    }
    for status in [206, 304] {
        assert!(!is_understood(StatusCode::from_u16(status).unwrap()));
    }
    assert_eq!(
        controlled("must-understand, private, max-age=60"),
        Some(Why::Private)
    );
}

#[test]
fn an_answer_to_credentials_is_stored_when_it_says_that_others_may_have_it() {
    let with = |line: &str| asked(&[("authorization", "Basic eA==")], line);
    for allowed in ["public", "must-revalidate", "s-maxage=60"] {
        assert_eq!(with(&format!("max-age=60, {allowed}")), None, "{allowed}");
    }
    for not in [
        "",
        "proxy-revalidate",
        "immutable",
        "public=x",
        "no-transform",
    ] {
        assert_eq!(
            with(&format!("max-age=60, {not}")),
            Some(Why::Authorization),
            "{not}"
        );
    }
    assert_eq!(asked(&[("cookie", "a=b")], "max-age=60"), None);
}

#[test]
fn a_request_may_forbid_storing_unless_the_route_does_not_listen() {
    let no_store = [("cache-control", "no-store")];
    assert_eq!(asked(&no_store, "max-age=60"), Some(Why::RequestNoStore));
    let deaf = Case {
        request: &no_store,
        answer: &[("cache-control", "max-age=60")],
        rules: RouteCache {
            ignore_client_cache_control: true,
            ..RouteCache::default()
        },
        ..Case::default()
    };
    assert_eq!(deaf.why(), None);
    assert_eq!(
        asked(&[("cache-control", "no-cache, max-age=0")], "max-age=60"),
        None
    );
}

#[test]
fn a_request_that_is_really_another_one_fills_nothing() {
    for name in [
        "x-http-method-override",
        "X-HTTP-Method",
        "x-method-override",
    ] {
        assert_eq!(
            asked(&[(name, "DELETE")], "max-age=60"),
            Some(Why::MethodOverride)
        );
    }
    for method in ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "FROBNICATE"] {
        let case = Case {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            answer: &[("cache-control", "max-age=60")],
            ..Case::default()
        };
        assert_eq!(case.why(), Some(Why::Method), "{method}");
    }
}

#[test]
fn a_post_that_names_its_own_url_and_its_freshness_answers_later_gets() {
    let posted = |status, answer: &[(&str, &str)], ttl| {
        Case {
            method: Method::POST,
            status,
            answer,
            rules: RouteCache {
                ttl,
                ..RouteCache::default()
            },
            ..Case::default()
        }
        .why()
    };
    let fresh = ("cache-control", "max-age=60");
    assert_eq!(
        posted(200, &[fresh, ("content-location", "/a")], None),
        None
    );
    assert_eq!(
        posted(
            200,
            &[fresh, ("content-location", "http://shop.example/a")],
            None
        ),
        None
    );
    let no = Some(Why::Method);
    assert_eq!(posted(200, &[fresh], None), no);
    assert_eq!(posted(200, &[fresh, ("content-location", "/b")], None), no);
    assert_eq!(
        posted(
            200,
            &[fresh, ("content-location", "http://other.example/a")],
            None
        ),
        no
    );
    assert_eq!(posted(201, &[fresh, ("content-location", "/a")], None), no);
    let modified = date(-1_000);
    let heuristic = [("content-location", "/a"), ("last-modified", &modified[..])];
    assert_eq!(posted(200, &heuristic, None), no);
    let validated = [
        ("content-location", "/a"),
        ("cache-control", "max-age=0"),
        ("etag", "\"a\""),
    ];
    assert_eq!(posted(200, &validated, None), no);
    let route = Some(Duration::from_secs(60));
    assert_eq!(posted(200, &[("content-location", "/a")], route), no);
}

#[test]
fn cookies_are_refused_stripped_or_stored_as_the_route_says() {
    let case = |set_cookie, line| {
        Case {
            answer: &[("cache-control", line), ("set-cookie", "a=b"), ("x", "1")],
            rules: RouteCache {
                set_cookie,
                ..RouteCache::default()
            },
            ..Case::default()
        }
        .plan()
        .map(|plan| plan.leave_out)
    };
    let line = "max-age=60, public";
    assert_eq!(case(SetCookie::Refuse, line).unwrap_err(), Why::SetCookie);
    assert_eq!(
        case(SetCookie::Strip, line).unwrap().as_slice(),
        [SET_COOKIE]
    );
    assert!(case(SetCookie::Store, line).unwrap().is_empty());
    let named = "max-age=60, no-cache=\"Set-Cookie\"";
    assert_eq!(
        case(SetCookie::Refuse, named).unwrap().as_slice(),
        [SET_COOKIE]
    );
}

#[test]
fn fields_of_one_connection_and_those_that_are_named_are_left_out() {
    let of = [
        (
            "cache-control",
            "max-age=60, no-cache=\"b\", private=\"c, gone\"",
        ),
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "x"),
        ("proxy-connection", "close"),
        ("te", "x"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("age", "1"),
        ("b", "1"),
        ("c", "1"),
        ("content-encoding", "gzip"),
        ("x-kept", "1"),
    ];
    let case = Case {
        answer: &of,
        ..Case::default()
    };
    let plan = case.plan().unwrap();
    let mut names: Vec<&str> = plan.leave_out.iter().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = "age b c connection keep-alive proxy-authenticate proxy-connection te trailer \
                    transfer-encoding upgrade x-hop";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn a_targeted_field_is_heard_in_place_of_what_others_are_told() {
    let of = |cdn, own| answered(200, &[("cdn-cache-control", cdn), ("cache-control", own)]);
    assert_eq!(of("max-age=60", "no-store"), None);
    assert_eq!(of("max-age=60", "private"), None);
    assert_eq!(of("no-store", "max-age=60"), Some(Why::NoStore));
    assert_eq!(of("private", "max-age=60"), Some(Why::Private));
    assert_eq!(of("no-cache", "max-age=60"), Some(Why::NoFreshness));
    assert_eq!(of("max-age=\"60\"", "no-store"), Some(Why::NoStore));
}

#[test]
fn where_the_route_says_how_long_a_path_must_be_what_it_claims() {
    let page = [("content-type", "text/html; charset=utf-8")];
    let routed = |path, answer| Case {
        path,
        answer,
        rules: RouteCache {
            ttl: Some(Duration::from_secs(60)),
            ..RouteCache::default()
        },
        ..Case::default()
    };
    assert_eq!(routed("/account", &page).why(), None);
    assert_eq!(
        routed("/account/x.css", &page).why(),
        Some(Why::ContentType)
    );
    assert_eq!(
        routed("/x.css", &[("content-type", "text/css")]).why(),
        None
    );
    let forced = Case {
        rules: RouteCache {
            override_ttl: Some(Duration::from_secs(60)),
            ..RouteCache::default()
        },
        ..routed("/account/x.css", &page)
    };
    assert_eq!(forced.why(), Some(Why::ContentType));
    let own = [page[0], ("cache-control", "max-age=60")];
    assert_eq!(
        routed("/account/x.css", &own).why(),
        None,
        "the origin said so"
    );
}
