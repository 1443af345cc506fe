//! `cache:` of a route.
//!
//! What is stored is given to others than who asked first: nothing here may let pass unsaid that more is stored than
//! the answers themselves allow.

use std::time::Duration;

use http::Method;

use crate::base::units::{self, show_duration};
use crate::config::checked::{Action, CacheKey, Match, RouteCache, SetCookie};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::cache::{self as schema, RouteCacheKeys};
use crate::config::validate::words::{self, Choices};

/// `set_cookie` of a route's cache.
pub const SET_COOKIES: Choices<SetCookie> = Choices {
    what: "treatment of cookies",
    words: &[
        ("refuse", SetCookie::Refuse),
        ("strip", SetCookie::Strip),
        ("store", SetCookie::Store),
    ],
    aka: &[("remove", "strip")],
    later: &[],
};

/// The most names in `drop_query`: every parameter of every request is compared with each.
const MAX_NAMES: usize = 64;

/// Reads `cache:` of a route with this match and action (`None`: it has none, which is told). `None`: it stores
/// nothing, or cannot be used, which is told.
pub fn check(
    keys: Option<&schema::RouteCache>,
    (matcher, action): (&Match, Option<&Action>),
    at: &At,
    problems: &mut Problems,
) -> Option<RouteCache> {
    if at.is_blank() {
        let what = "`cache` has no value";
        let help = "write `cache: true` to store what answers allow, `cache: false`, or its keys";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    let cache = match keys? {
        schema::RouteCache::Word(word) if yes(word, at, problems)? => RouteCache::default(),
        schema::RouteCache::Word(_) => return None,
        schema::RouteCache::Keys(keys) => read(keys, at, problems),
    };
    if let Action::Redirect { .. } = action? {
        let what = "a route that redirects has no answers of nodes to store";
        let help = "remove `cache`, or `redirect`";
        problems.push(Problem::error(at.key_place(), what).help(help));
        return None;
    }
    let stored = |m: &Method| *m == Method::GET || *m == Method::HEAD;
    if !matcher.methods.is_empty() && !matcher.methods.iter().any(stored) {
        let what = "`cache` has no effect: none of the methods of this route is answered from it";
        let help = "only GET and HEAD are: widen `match.methods`, or remove `cache`";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    Some(cache)
}

/// Reads `cache: true`; `None`: the word is something else, which is told.
fn yes(word: &str, at: &At, problems: &mut Problems) -> Option<bool> {
    if words::is_off(word) {
        return Some(false);
    }
    // Of a time it is clear what was meant.
    if let Ok(time) = units::duration(word) {
        let what = format!(
            "`cache` is true, false or a mapping, not \"{}\"",
            shorten(word)
        );
        let time = show_duration(time);
        let help = format!(
            "write `cache: {{ ttl: {time} }}` for answers that say nothing of their freshness, or `cache: {{ override_ttl: {time} }}` for all"
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return None;
    }
    Some(words::flag(Some(word), at, false, problems))
}

fn read(keys: &RouteCacheKeys, at: &At, problems: &mut Problems) -> RouteCache {
    let default = RouteCache::default();
    let mut stale =
        |word: &Option<String>, key: &str| span(word.as_deref(), &at.key(key), problems);
    let stale_while_revalidate = stale(&keys.stale_while_revalidate, "stale_while_revalidate");
    let stale_if_error = stale(&keys.stale_if_error, "stale_if_error");
    let (ttl, override_ttl) = freshness(keys, at, problems);
    let mut flag = |word: &Option<String>, key: &str, default| {
        words::flag(word.as_deref(), &at.key(key), default, problems)
    };
    let ignore_client_cache_control = flag(
        &keys.ignore_client_cache_control,
        "ignore_client_cache_control",
        default.ignore_client_cache_control,
    );
    let surrogate_control = flag(
        &keys.surrogate_control,
        "surrogate_control",
        default.surrogate_control,
    );
    let show_key = flag(&keys.show_key, "show_key", default.show_key);
    RouteCache {
        ttl,
        override_ttl,
        stale_while_revalidate,
        stale_if_error,
        set_cookie: set_cookie(keys.set_cookie.as_deref(), &at.key("set_cookie"), problems),
        ignore_client_cache_control,
        surrogate_control,
        wait: words::duration(
            keys.wait.as_deref(),
            &at.key("wait"),
            default.wait,
            problems,
        ),
        show_key,
        key: key(keys.key.as_ref(), &at.key("key"), problems),
    }
}

/// Reads a time, of which `0s` is as good as none; says so.
fn span(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<Duration> {
    // In place of what is no duration, which is told, something that is not 0.
    const ANY: Duration = Duration::from_secs(1);
    let value = words::duration(Some(word?), at, ANY, problems);
    if value.is_zero() {
        let what = "0s has no effect: it is as without this key";
        let problem = Problem::warning(at.place(), what);
        problems.push(problem.help("write a time like 1h, or remove the key"));
        return None;
    }
    Some(value)
}

/// Reads `ttl` and `override_ttl`.
fn freshness(
    keys: &RouteCacheKeys,
    at: &At,
    problems: &mut Problems,
) -> (Option<Duration>, Option<Duration>) {
    let (given, over) = (at.key("ttl"), at.key("override_ttl"));
    let ttl = span(keys.ttl.as_deref(), &given, problems);
    let Some(word) = keys.override_ttl.as_deref() else {
        return (ttl, None);
    };
    let forced = words::positive(Some(word), &over, Duration::ZERO, problems);
    if forced.is_zero() {
        return (ttl, None); // it cannot be used, which is told
    }
    let what = format!(
        "`override_ttl` goes over what answers say of their freshness: each counts as fresh for {}",
        show_duration(forced)
    );
    let help = "what an app wants fresh sooner is old until then (`no-store`, `private` and `no-cache` still hold); `ttl` is only for answers that say nothing";
    problems.push(Problem::warning(over.place(), what).help(help));
    if ttl.is_some() {
        let what = "`ttl` has no effect beside `override_ttl`, which is for all answers";
        let problem = Problem::warning(given.key_place(), what);
        problems.push(
            problem
                .also(over.key_place(), "this one holds")
                .help("remove one of them"),
        );
    }
    (None, Some(forced))
}

/// Reads `set_cookie`, and says what it means to store cookies.
fn set_cookie(word: Option<&str>, at: &At, problems: &mut Problems) -> SetCookie {
    let chosen = SET_COOKIES.read(word, at, SetCookie::default(), problems);
    if chosen == SetCookie::Store {
        let what = "`set_cookie: store` gives the cookie of one visitor to all others";
        let help = "where it is a session, they share it: write `strip` to store such answers without their cookies, or `refuse` not to store them";
        problems.push(Problem::warning(at.place(), what).help(help));
    }
    chosen
}

/// Reads `key`.
fn key(keys: Option<&schema::CacheKey>, at: &At, problems: &mut Problems) -> CacheKey {
    let Some(keys) = keys else {
        return CacheKey::default();
    };
    let names = keys.drop_query.as_deref().unwrap_or_default();
    let drop_query = drop_query(names, &at.key("drop_query"), problems);
    let sorted = at.key("sort_query");
    let mut sort_query = words::flag(keys.sort_query.as_deref(), &sorted, false, problems);
    if sort_query && drop_query.iter().any(|name| name == CacheKey::ALL) {
        let what = "`sort_query` has no effect: `drop_query` leaves nothing of the query";
        let problem = Problem::warning(sorted.key_place(), what);
        problems.push(problem.help("remove one of them"));
        sort_query = false;
    }
    CacheKey {
        drop_query,
        sort_query,
    }
}

/// Reads `drop_query`: names, each once.
fn drop_query(names: &[Option<String>], at: &At, problems: &mut Problems) -> Vec<String> {
    if names.len() > MAX_NAMES {
        let what = format!("more than {MAX_NAMES} names in `drop_query`");
        let help = "a `*` at the end stands for all names that begin so, as \"utm_*\"";
        problems.push(Problem::error(at.key_place(), what).help(help));
        return Vec::new();
    }
    let mut out: Vec<String> = Vec::new();
    for (i, word) in names.iter().enumerate() {
        let Some(word) = word else { continue };
        let plain = word.strip_suffix('*').unwrap_or(word);
        let fine = |b: u8| b.is_ascii_graphic() && !b"=&#*".contains(&b);
        if word.is_empty() || !plain.bytes().all(fine) {
            let what = format!("\"{}\" is not the name of a query parameter", shorten(word));
            let help = "write the name alone as it stands in addresses (`%20` for a blank), without `=` and `&`; one `*` at the end stands for any rest, \"*\" alone for the whole query";
            problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
        } else if !out.contains(word) {
            out.push(word.clone());
        }
    }
    out
}
