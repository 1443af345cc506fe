//! `cache:` at the top of the file.
//!
//! Nothing here may leave the cache without bound, or tell what is in a token.

use super::{Origins, limits, token, words};
use crate::base::units::show_size;
use crate::config::checked::{Cache, Config, Route};
use crate::config::defaults;
use crate::config::files::Gathered;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::cache::Cache as Keys;

/// `recompress:`
mod recompress;
/// `cache:` of a route.
pub mod route;
/// `redis:`
mod tier;

/// The least memory: what holds a few pages.
const MIN_MEMORY: u64 = 64 * 1024;
/// An object may take this part of the memory: the store has parts, and an object must fit into one beside others.
const PART: u64 = 4;
/// The most variants under one key: each costs a comparison.
const VARIANTS: std::ops::RangeInclusive<u32> = 1..=256;
/// Why nobody may guess the token.
const TOKEN_OPENS: &str = "who knows or guesses it can empty the cache";

/// Reads `cache:` at the top of the file.
pub fn check(all: &Gathered, problems: &mut Problems) -> Cache {
    let (none, at) = (Keys::default(), all.at.key("cache"));
    let keys = all.file.cache.as_ref().unwrap_or(&none);
    let default = defaults::CACHE;
    let memory = memory(keys.memory.as_deref(), &at.key("memory"), problems);
    let max_object = match keys.max_object.as_deref() {
        Some(word) => max_object(word, memory, &at, problems),
        None => default
            .max_object
            .min(memory.unwrap_or(default.memory) / PART),
    };
    let variants = words::whole(
        keys.variants.as_deref(),
        &at.key("variants"),
        VARIANTS,
        default.variants as u32,
        problems,
    );
    let token = all.purge_token.as_ref();
    Cache {
        memory: memory.unwrap_or(default.memory),
        max_object,
        variants: variants as usize,
        recompress: recompress::check(
            keys.recompress.as_ref(),
            max_object,
            &at.key("recompress"),
            problems,
        ),
        redis: tier::check(
            keys.redis.as_ref(),
            (all.redis_password.as_ref(), all.redis_ca.as_ref()),
            max_object,
            &at.key("redis"),
            problems,
        ),
        purge_token: token
            .and_then(|file| token::read(file, TOKEN_OPENS, &at.key("purge_token_file"), problems)),
    }
}

/// Reads `memory`; `None`: it cannot be used, which is told, and says nothing of `max_object`.
fn memory(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<u64> {
    let Some(word) = word else {
        return Some(defaults::CACHE.memory);
    };
    let memory = limits::size(Some(word), at, problems)?;
    if memory < MIN_MEMORY {
        let what = match memory {
            0 => "a cache without memory stores nothing".into(),
            _ => format!("{} is too little for a cache", show_size(memory)),
        };
        let help = format!(
            "write {} or more; to store nothing, leave `cache` out of the routes",
            show_size(MIN_MEMORY)
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return None;
    }
    Some(memory)
}

/// Reads `max_object` beside this memory.
fn max_object(word: &str, memory: Option<u64>, at: &At, problems: &mut Problems) -> u64 {
    let (here, default) = (at.key("max_object"), defaults::CACHE.max_object);
    let Some(size) = limits::size(Some(word), &here, problems) else {
        return default;
    };
    if size == 0 {
        let what = "with this no answer with a body is stored";
        let help = "write the size of the largest body worth storing, as 16MiB; to store nothing, leave `cache` out of the routes";
        problems.push(Problem::error(here.place(), what).help(help));
        return default;
    }
    let Some(memory) = memory.filter(|memory| size > memory / PART) else {
        return size;
    };
    let what = format!(
        "`max_object` is more than a quarter of `memory`, which is {}",
        show_size(memory)
    );
    let help = format!(
        "the memory is used in parts, and an object must fit into one beside others: write `max_object: {}` or less, or `memory: {}` or more",
        show_size(memory / PART),
        show_size(size.saturating_mul(PART))
    );
    let mut problem = Problem::error(here.place(), what).help(help);
    if at.key("memory").given() {
        problem = problem.also(at.key("memory").place(), "the memory");
    }
    problems.push(problem);
    default
}

/// A cache that no route uses, or nothing in it to compress.
pub fn hints(config: &Config, origins: &Origins, problems: &mut Problems) {
    let at = origins.root.key("cache");
    let stores = config.routes.iter().any(|route| route.cache.is_some());
    if at.given() && !at.is_blank() && !stores && !config.is_shared() {
        let what = "`cache` has no effect: no route stores anything";
        let help = "add `cache: true` to the routes whose answers may be stored, or remove it";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    let at = at.key("recompress");
    if at.given()
        && config.cache.recompress.is_some()
        && !config.routes.iter().any(Route::stores_compressed)
    {
        let what = "`recompress` has no effect: no route both stores and compresses";
        let help = "add `compress: true` to a route with `cache`, or remove it";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
}
