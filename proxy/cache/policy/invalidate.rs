//! What a write makes untrue (RFC 9111 §4.4), and whether an answer says which URL it is of.
//!
//! Never another origin's: an answer that names one would let a site empty its neighbour's cache.

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use smallvec::{SmallVec, smallvec};
use url::Url;

/// Whether an answer to such a request removes what is stored under its [`targets`]: any method that is not known to
/// change nothing, unless it failed.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// Which targets, as path and query: the request's own first, then those of `Location` and `Content-Location` on the
/// same origin. `origin` is `http://host[:port]`.
pub fn targets(origin: &str, target: &str, answer: &HeaderMap) -> SmallVec<[String; 3]> {
    let mut all: SmallVec<[String; 3]> = smallvec![target.to_owned()];
    // Most answers name none; then there is nothing to parse.
    let names = [LOCATION, CONTENT_LOCATION];
    if !names.iter().any(|name| answer.contains_key(name)) {
        return all;
    }
    let Some(base) = base(origin, target) else {
        return all;
    };
    for url in names
        .iter()
        .filter_map(|name| reference(&base, name, answer))
    {
        let there = path_and_query(&url);
        if url.origin() == base.origin() && !all.contains(&there) {
            all.push(there);
        }
    }
    all
}

/// Whether `Content-Location` is the URL that was asked for (RFC 9110 §8.7).
pub(super) fn names_itself(origin: &str, target: &str, answer: &HeaderMap) -> bool {
    let named = |base: Url| {
        let url = reference(&base, &CONTENT_LOCATION, answer)?;
        Some(url.origin() == base.origin() && path_and_query(&url) == path_and_query(&base))
    };
    base(origin, target).and_then(named).unwrap_or(false)
}

fn base(origin: &str, target: &str) -> Option<Url> {
    let mut base = Url::parse(origin).ok()?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    // Set, not joined: a path that begins with two slashes is a path.
    base.set_path(path);
    base.set_query(query);
    Some(base)
}

/// Where a field that is there once leads.
fn reference(base: &Url, name: &HeaderName, answer: &HeaderMap) -> Option<Url> {
    let mut lines = answer.get_all(name).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    base.join(std::str::from_utf8(line.as_bytes()).ok()?).ok()
}

fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::fields as answer;
    use super::*;

    #[test]
    fn what_may_have_changed_something_and_did_not_fail_invalidates() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "MOVE", "FROBNICATE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for status in [200, 201, 204, 299, 301, 303, 304, 399] {
                assert!(invalidates(&method, StatusCode::from_u16(status).unwrap()));
            }
            for status in [100, 400, 404, 409, 500, 503, 599] {
                assert!(!invalidates(&method, StatusCode::from_u16(status).unwrap()));
            }
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(!invalidates(&method, StatusCode::OK));
        }
    }

    #[test]
    fn a_write_names_its_own_target_and_what_it_points_at_on_the_same_origin() {
        let own = "/a/b?x=1";
        for (fields, expected) in [
            (vec![], vec![]),
            (vec![("location", "/c?d")], vec!["/c?d"]),
            (vec![("location", "c")], vec!["/a/c"]),
            (vec![("content-location", "../e#f")], vec!["/e"]),
            (vec![("location", "http://shop.example/g")], vec!["/g"]),
            (vec![("location", "http://SHOP.example:80/g")], vec!["/g"]),
            (vec![("location", "//shop.example/g")], vec!["/g"]),
            (vec![("location", "http://shop.example")], vec!["/"]),
            (
                vec![("location", "/c"), ("content-location", "/d")],
                vec!["/c", "/d"],
            ),
            (
                vec![("location", "/c"), ("content-location", "/c")],
                vec!["/c"],
            ),
            (vec![("location", "/a/b?x=1")], vec![]),
            (vec![("location", "https://shop.example/g")], vec![]),
            (vec![("location", "http://shop.example:81/g")], vec![]),
            (vec![("location", "http://other.example/g")], vec![]),
            (vec![("location", "//other.example/g")], vec![]),
            (vec![("location", "\\\\other.example/g")], vec![]),
            (vec![("location", "http://[")], vec![]),
            (vec![("location", "/c"), ("location", "/d")], vec![]),
        ] {
            let found = targets("http://shop.example", own, &answer(&fields));
            let expected: Vec<&str> = [own].into_iter().chain(expected).collect();
            assert_eq!(found.as_slice(), expected, "{fields:?}");
        }
    }

    #[test]
    fn an_origin_that_is_none_leaves_the_requests_own_target() {
        let found = targets("http://", "/a", &answer(&[("location", "/b")]));
        assert_eq!(found.as_slice(), ["/a"]);
    }

    #[test]
    fn a_target_that_begins_with_two_slashes_is_on_its_own_origin() {
        let here = answer(&[("location", "http://shop.example/b")]);
        let found = targets("http://shop.example", "//other.example/a", &here);
        assert_eq!(found.as_slice(), ["//other.example/a", "/b"]);
        let there = answer(&[("location", "http://other.example/b")]);
        assert_eq!(
            targets("http://shop.example", "//other.example/a", &there).len(),
            1
        );
    }

    #[test]
    fn a_content_location_names_the_url_itself_however_it_is_written() {
        let names = |location: &str| {
            let answer = answer(&[("content-location", location)]);
            names_itself("http://shop.example", "/a/b?x", &answer)
        };
        assert!(names("/a/b?x") && names("b?x") && names("http://shop.example/a/b?x"));
        assert!(names("//shop.example:80/a/b?x#f"));
        assert!(!names("/a/b") && !names("https://shop.example/a/b?x") && !names("/a/b?y"));
        assert!(!names("http://other.example/a/b?x"));
        assert!(!names_itself(
            "http://shop.example",
            "/a",
            &HeaderMap::new()
        ));
    }
}
