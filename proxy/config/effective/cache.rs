//! The cache and what routes do with it, as they are in force.
//!
//! Of a token only its file is told. Keys that do nothing are left out: they would be warned of when the text is
//! loaded.

use super::{Writer, compress, list, quoted, yes_no};
use crate::base::units::{show_duration, show_size};
use crate::config::checked::{CacheKey, Config, Redis, Route, RouteCache};
use crate::config::index::At;
use crate::config::validate::cache::route::SET_COOKIES;

/// Writes `cache:` at the top, if a route uses it or the file has it.
pub(super) fn cache(out: &mut Writer, config: &Config, at: &At) {
    if !at.given() && config.routes.iter().all(|route| route.cache.is_none()) {
        return;
    }
    let cache = &config.cache;
    out.section("cache", false);
    out.value(at, "memory", &show_size(cache.memory));
    out.value(at, "max_object", &show_size(cache.max_object));
    out.value(at, "variants", &cache.variants.to_string());
    if let Some(file) = &cache.purge_token {
        let path = quoted(&file.path.to_string_lossy());
        out.value(at, "purge_token_file", &path);
    }
    let recompress = at.key("recompress");
    if recompress.given() || config.routes.iter().any(Route::stores_compressed) {
        compress::recompress(out, cache.recompress.as_ref(), at);
    }
    if let Some(redis) = &cache.redis {
        self::redis(out, redis, &at.key("redis"));
    }
    out.close();
}

/// Writes `redis:`; of its password only the file.
fn redis(out: &mut Writer, redis: &Redis, at: &At) {
    out.section("redis", false);
    out.value(at, "url", &quoted(&redis.url));
    let files = [
        (
            "password_file",
            redis.password.as_ref().map(|file| &file.path),
        ),
        ("ca", redis.ca.as_ref().map(|file| &file.path)),
    ];
    for (key, path) in files {
        if let Some(path) = path {
            out.value(at, key, &quoted(&path.to_string_lossy()));
        }
    }
    for (key, value) in [
        ("cluster", yes_no(redis.cluster).into()),
        ("prefix", quoted(&redis.prefix)),
        ("timeout", show_duration(redis.timeout)),
        ("ttl_max", show_duration(redis.ttl_max)),
        ("entries", yes_no(redis.entries).into()),
        ("max_object", show_size(redis.max_object)),
        ("min_uses", redis.min_uses.to_string()),
        ("queue", show_size(redis.queue)),
        ("purge_history", redis.purge_history.to_string()),
    ] {
        out.value(at, key, &value);
    }
    out.close();
}

/// Writes `cache:` of a route that hands requests to an upstream.
pub(super) fn route(out: &mut Writer, cache: Option<&RouteCache>, at: &At) {
    let Some(cache) = cache else {
        return out.value(at, "cache", "false");
    };
    let at = at.key("cache");
    out.section("cache", false);
    for (key, value) in [
        ("ttl", cache.ttl),
        ("override_ttl", cache.override_ttl),
        ("stale_while_revalidate", cache.stale_while_revalidate),
        ("stale_if_error", cache.stale_if_error),
    ] {
        if let Some(value) = value {
            out.value(&at, key, &show_duration(value));
        }
    }
    out.value(&at, "set_cookie", SET_COOKIES.word(cache.set_cookie));
    let ignored = yes_no(cache.ignore_client_cache_control);
    out.value(&at, "ignore_client_cache_control", ignored);
    out.value(&at, "surrogate_control", yes_no(cache.surrogate_control));
    out.value(&at, "wait", &show_duration(cache.wait));
    out.value(&at, "show_key", yes_no(cache.show_key));
    key(out, &cache.key, &at.key("key"));
    out.close();
}

fn key(out: &mut Writer, key: &CacheKey, at: &At) {
    out.section("key", false);
    let names = key.drop_query.iter().map(|name| quoted(name));
    out.value(at, "drop_query", &list(names));
    if !key.drop_query.iter().any(|name| name == CacheKey::ALL) {
        out.value(at, "sort_query", yes_no(key.sort_query));
    }
    out.close();
}
