//! `Cache-Control`: whatever stands there, one more directive is heard, and never makes an answer more usable.
//!
//! The bytes are lines of the field.

use http::{HeaderMap, HeaderValue};
use tidegate::cache::policy::directives::{AnswerDirectives, Wish};
use tidegate::cache::policy::life::FOR_EVER;
use tidegate::cache::policy::targeted::governing;

/// Lines.
pub fn run(bytes: &[u8]) {
    let mut fields = HeaderMap::new();
    let lines = bytes.split(|b| *b == b'\n');
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        for name in ["cache-control", "cdn-cache-control", "surrogate-control"] {
            fields.append(name, value.clone());
        }
    }
    governing(&fields, true);
    let (said, wish) = (AnswerDirectives::of(&fields), Wish::of(&fields, false));
    for span in [
        said.max_age,
        said.s_maxage,
        wish.max_age,
        wish.min_fresh,
        wish.max_stale,
    ] {
        assert!(span.unwrap_or(0) <= FOR_EVER, "{span:?}");
    }
    let more = "no-store, private, no-cache, must-revalidate, max-age=7, s-maxage=7";
    fields.append("cache-control", HeaderValue::from_static(more));
    let now = AnswerDirectives::of(&fields);
    assert!(now.no_store && now.private && now.no_cache && now.must_revalidate);
    assert_eq!(
        now.max_age,
        Some(said.max_age.map_or(7, |before| before.min(7)))
    );
    assert_eq!(
        now.s_maxage,
        Some(said.s_maxage.map_or(7, |before| before.min(7)))
    );
    let unchanged = (now.public, now.must_understand, &now.fields);
    assert_eq!(unchanged, (said.public, said.must_understand, &said.fields));
    assert!(Wish::of(&fields, false).no_cache && Wish::of(&fields, false).no_store);
}
