//! What of a request the cache has no business with, and the part of its query that counts.
//!
//! Pure: asked for every request of a route with a cache, and for whoever wants to know what would become of one.

use std::borrow::Cow;

use http::{Method, header};

use super::unkeyed::overrides_method;
use crate::base::cached::Why;
use crate::base::fields::Fields;
use crate::config::checked::CacheKey;

/// Why the cache has no business with a request of this method and these fields; `has_body`: it brings one. `None`: it
/// has.
pub fn no_business(method: &Method, has_body: bool, fields: &impl Fields) -> Option<Why> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(Why::Method);
    }
    // A hit must not leave a body behind that would be read as the next request.
    if has_body {
        return Some(Why::RequestBody);
    }
    if fields.has(&header::IF_MATCH) || fields.has(&header::IF_UNMODIFIED_SINCE) {
        return Some(Why::Precondition);
    }
    if fields.has(&header::UPGRADE) {
        return Some(Why::Upgrade);
    }
    overrides_method(fields).then_some(Why::MethodOverride)
}

/// Whether a request wants a part that does not begin where the whole does.
pub fn wants_part(fields: &impl Fields) -> bool {
    fields.first(&header::RANGE).is_some_and(|range| {
        let from_start = range.starts_with(b"bytes=0-");
        !from_start || range.contains(&b',')
    })
}

/// The query that is left; `None` where nothing is.
pub fn tidied<'a>(query: &'a str, rules: &CacheKey) -> Option<Cow<'a, str>> {
    let is_dropped = |pair: &str| -> bool {
        let name = pair.split('=').next().unwrap_or_default();
        rules
            .drop_query
            .iter()
            .any(|rule| match rule.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == rule,
            })
    };
    // Most queries stay as they are.
    let stays = rules.drop_query.is_empty() || !query.split('&').any(is_dropped);
    if stays && !rules.sort_query {
        return Some(Cow::Borrowed(query));
    }
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !is_dropped(pair)).collect();
    if rules.sort_query {
        // By name alone: the order of values under one name may mean something.
        pairs.sort_by_key(|pair| pair.split('=').next().unwrap_or_default());
    }
    let all_dropped = pairs.is_empty();
    (!all_dropped).then(|| Cow::Owned(pairs.join("&")))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_query_loses_what_is_dropped_and_keeps_the_order_of_values() {
        let rules = CacheKey {
            drop_query: vec!["utm_*".into(), "fbclid".into()],
            sort_query: true,
        };
        let tidy = |query| tidied(query, &rules);
        assert_eq!(
            tidy("b=2&utm_source=x&a=9&a=1&fbclid=1").as_deref(),
            Some("a=9&a=1&b=2")
        );
        assert_eq!(tidy("fbclid&utm_x"), None);
        assert_eq!(tidy("fbclids=1").as_deref(), Some("fbclids=1"));
        assert_eq!(tidy("").as_deref(), Some(""));
    }

    #[test]
    fn what_only_the_origin_can_judge_is_handed_on_with_a_reason() {
        let with = |name: &'static str| {
            HeaderMap::from_iter([(name.parse().unwrap(), "x".parse().unwrap())])
        };
        let none = HeaderMap::new();
        assert_eq!(no_business(&Method::HEAD, false, &none), None);
        for (method, has_body, fields, why) in [
            (Method::POST, false, none.clone(), Why::Method),
            (Method::GET, true, none.clone(), Why::RequestBody),
            (Method::GET, false, with("if-match"), Why::Precondition),
            (
                Method::GET,
                false,
                with("if-unmodified-since"),
                Why::Precondition,
            ),
            (Method::GET, false, with("upgrade"), Why::Upgrade),
            (
                Method::GET,
                false,
                with("x-http-method-override"),
                Why::MethodOverride,
            ),
        ] {
            assert_eq!(no_business(&method, has_body, &fields), Some(why));
        }
    }
}
