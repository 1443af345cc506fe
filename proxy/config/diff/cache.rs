//! Differences of the cache, and of what routes do with it.
//!
//! A token that changed is told to have changed, and no more of it.

use std::time::Duration;

use super::{Changes, compress};
use crate::base::units::{show_duration, show_size};
use crate::config::checked::{Cache, Redis, RouteCache};
use crate::config::validate::cache::route::SET_COOKIES;

/// Tells what is different in `cache:` at the top.
pub(super) fn cache(out: &mut Changes, was: &Cache, is: &Cache) {
    let told = |cache: &Cache| {
        let token = cache.purge_token.as_ref();
        let token = token.map(|file| file.path.display().to_string());
        [
            ("memory", show_size(cache.memory)),
            ("max_object", show_size(cache.max_object)),
            ("variants", cache.variants.to_string()),
            ("purge_token_file", token.unwrap_or_else(|| "none".into())),
        ]
    };
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&format!("cache.{key}"), &was, &is);
    }
    if let (Some(was), Some(is)) = (&was.purge_token, &is.purge_token)
        && was.key != is.key
    {
        out.say("the token of PURGE changed".into());
    }
    compress::recompress(out, was.recompress.as_ref(), is.recompress.as_ref());
    redis(out, was.redis.as_ref(), is.redis.as_ref());
}

/// Tells what is different in `redis:`; of a password that it is another one.
fn redis(out: &mut Changes, was: Option<&Redis>, is: Option<&Redis>) {
    let (Some(was), Some(is)) = (was, is) else {
        let url = |redis: Option<&Redis>| redis.map_or("none".into(), |redis| redis.url.clone());
        return out.shown("cache.redis", &url(was), &url(is));
    };
    for ((key, was), (_, is)) in told_redis(was).into_iter().zip(told_redis(is)) {
        out.shown(&format!("cache.redis.{key}"), &was, &is);
    }
    let secret = |redis: &Redis| redis.password.as_ref().map(|file| file.key.clone());
    if let (Some(was), Some(is)) = (secret(was), secret(is))
        && was != is
    {
        out.say("the password of Redis changed".into());
    }
    if let (Some(was), Some(is)) = (&was.ca, &is.ca)
        && was.text != is.text
    {
        out.say("the authorities for Redis changed".into());
    }
}

/// Every key of `redis:` with its value in words.
fn told_redis(redis: &Redis) -> [(&'static str, String); 12] {
    let path = |path: Option<&std::path::PathBuf>| {
        path.map_or("none".into(), |path| path.display().to_string())
    };
    [
        ("url", redis.url.clone()),
        (
            "password_file",
            path(redis.password.as_ref().map(|file| &file.path)),
        ),
        ("ca", path(redis.ca.as_ref().map(|file| &file.path))),
        ("cluster", redis.cluster.to_string()),
        ("prefix", redis.prefix.clone()),
        ("timeout", show_duration(redis.timeout)),
        ("ttl_max", show_duration(redis.ttl_max)),
        ("entries", redis.entries.to_string()),
        ("max_object", show_size(redis.max_object)),
        ("min_uses", redis.min_uses.to_string()),
        ("queue", show_size(redis.queue)),
        ("purge_history", redis.purge_history.to_string()),
    ]
}

/// Tells what is different in `cache:` of a route.
pub(super) fn route(
    out: &mut Changes,
    what: impl Fn(&str) -> String,
    was: Option<&RouteCache>,
    is: Option<&RouteCache>,
) {
    let (Some(was), Some(is)) = (was, is) else {
        return out.shown(&what("cache"), &summary(was), &summary(is));
    };
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&what(&format!("cache.{key}")), &was, &is);
    }
}

/// What a route does with the cache, in a few words: what is not as by default.
fn summary(cache: Option<&RouteCache>) -> String {
    let Some(cache) = cache else {
        return "off".into();
    };
    let usual = told(&RouteCache::default());
    let said = told(cache).into_iter().zip(usual);
    let said = said.filter(|((_, is), (_, usual))| is != usual);
    let said = said.map(|((key, is), _)| format!(", {key} {is}"));
    format!("on{}", said.collect::<String>())
}

/// Every key with its value in words.
fn told(cache: &RouteCache) -> [(&'static str, String); 11] {
    let time = |time: Option<Duration>| time.map_or_else(|| "none".into(), show_duration);
    let dropped = match cache.key.drop_query.is_empty() {
        true => "nothing".into(),
        false => cache.key.drop_query.join(" "),
    };
    [
        ("ttl", time(cache.ttl)),
        ("override_ttl", time(cache.override_ttl)),
        ("stale_while_revalidate", time(cache.stale_while_revalidate)),
        ("stale_if_error", time(cache.stale_if_error)),
        ("set_cookie", SET_COOKIES.word(cache.set_cookie).into()),
        (
            "ignore_client_cache_control",
            cache.ignore_client_cache_control.to_string(),
        ),
        ("surrogate_control", cache.surrogate_control.to_string()),
        ("wait", show_duration(cache.wait)),
        ("show_key", cache.show_key.to_string()),
        ("key.drop_query", dropped),
        ("key.sort_query", cache.key.sort_query.to_string()),
    ]
}
