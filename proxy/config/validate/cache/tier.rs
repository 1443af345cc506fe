//! `redis:` of the cache.
//!
//! Nothing here may let a password come into what is shown: it has a file of its own. Nothing may make a request wait
//! for longer than a node would.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use crate::base::units::{show_duration, show_size};
use crate::config::checked::{KeyFile, PemFile, Redis, Secret};
use crate::config::defaults;
use crate::config::files::{ASK_FOR_PASSWORD, TextFile};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::cache as schema;
use crate::config::validate::health::authorities;
use crate::config::validate::{limits, words};

/// The longest that an operation on a request's way may take.
const LONGEST: Duration = Duration::from_secs(1);
/// The longest that an answer may be kept there: what was purged is known for about as long.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Uses before an answer goes there.
const USES: RangeInclusive<u32> = 1..=1_000;
/// Purges that are kept there.
const HISTORY: RangeInclusive<u32> = 256..=262_144;
/// The least room for what waits: an answer or two.
const MIN_QUEUE: u64 = 64 * 1024;
/// Bytes of the prefix.
const PREFIX: usize = 64;
/// The largest body: Redis serves nobody else while it moves one.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Reads `redis:`, beside the files it names and the largest object of the cache. `None`: there is none, or what is
/// wrong was told.
pub(super) fn check(
    keys: Option<&schema::Redis>,
    (password, ca): (Option<&KeyFile>, Option<&TextFile>),
    most: u64,
    at: &At,
    problems: &mut Problems,
) -> Option<Redis> {
    let Some(keys) = keys else {
        if at.is_blank() {
            missing_url(at, problems);
        }
        return None;
    };
    let url = url(keys.url.as_deref(), at, problems);
    let tls = url.as_ref().is_some_and(|url| url.starts_with("rediss:"));
    let cluster = words::flag(keys.cluster.as_deref(), &at.key("cluster"), false, problems);
    built_in(tls, cluster, at, problems);
    if keys.ca.is_some() && url.is_some() && !tls {
        let what = "`ca` does nothing without TLS";
        let problem = Problem::warning(at.key("ca").key_place(), what);
        problems.push(problem.help("write `url: rediss://…`, or remove `ca`"));
    }
    let number = |word: &Option<String>, key: &str, range, default, problems: &mut Problems| {
        words::whole(word.as_deref(), &at.key(key), range, default, problems)
    };
    let rest = Redis {
        url: String::new(),
        cluster,
        password: password
            .and_then(|file| self::password(file, &at.key("password_file"), problems)),
        ca: ca.and_then(|file| {
            let ca = authorities(file, &at.key("ca"), problems)?;
            let text = file.text.as_str().into();
            Some(PemFile {
                path: ca.path,
                text,
            })
        }),
        prefix: prefix(keys.prefix.as_deref(), &at.key("prefix"), problems),
        timeout: timeout(keys.timeout.as_deref(), &at.key("timeout"), problems),
        ttl_max: ttl_max(keys.ttl_max.as_deref(), &at.key("ttl_max"), problems),
        entries: words::flag(keys.entries.as_deref(), &at.key("entries"), true, problems),
        max_object: max_object(
            keys.max_object.as_deref(),
            most,
            &at.key("max_object"),
            problems,
        ),
        min_uses: number(
            &keys.min_uses,
            "min_uses",
            USES,
            defaults::REDIS_MIN_USES,
            problems,
        ),
        queue: queue(keys.queue.as_deref(), &at.key("queue"), problems),
        purge_history: number(
            &keys.purge_history,
            "purge_history",
            HISTORY,
            defaults::REDIS_PURGE_HISTORY,
            problems,
        ),
    };
    Some(Redis { url: url?, ..rest })
}

fn missing_url(at: &At, problems: &mut Problems) {
    let what = "`redis` does not say where it is";
    let help = "write `redis: { url: \"redis://127.0.0.1:6379/0\" }`, or remove it";
    problems.missing("url", Problem::error(at.key_place(), what).help(help));
}

/// Reads the address, in its usual form.
fn url(word: Option<&str>, redis: &At, problems: &mut Problems) -> Option<String> {
    const HELP: &str = "write `redis://HOST:PORT/DATABASE`, or `rediss://…` for TLS; a user's name may stand before the host, as `redis://NAME@HOST:PORT/0`";
    let at = redis.key("url");
    let Some(word) = word else {
        if !at.given() || at.is_blank() {
            missing_url(redis, problems);
        }
        return None; // or it is of the wrong kind, which is told
    };
    // A password may be anywhere in what is not understood: neither its words nor its line are repeated then.
    let place = match word.contains(['@', '?']) {
        true => at.place().without_text(),
        false => at.place(),
    };
    let shown = match word.contains(['@', '?']) {
        true => "this".into(),
        false => format!("\"{}\"", shorten(word)),
    };
    let refuse = |what: String, help: &str, problems: &mut Problems| {
        problems.push(Problem::error(place.clone(), what).help(help));
        None
    };
    let Ok(url) = Url::parse(word) else {
        return refuse(
            format!("{shown} is not the address of a Redis"),
            HELP,
            problems,
        );
    };
    if url.password().is_some() {
        let what = "a password in the address is shown wherever the address is".into();
        let help = "write `password_file: FILE` in its place; the file holds the password alone, and is read again when it changes";
        return refuse(what, help, problems);
    }
    if !matches!(url.scheme(), "redis" | "rediss") {
        let what = format!("\"{}\" is not spoken with Redis", shorten(url.scheme()));
        return refuse(what, HELP, problems);
    }
    let database = url.path().trim_start_matches('/');
    let is_number = database.is_empty() || database.parse::<u16>().is_ok();
    if url.host_str().is_none_or(str::is_empty) || !is_number || url.query().is_some() {
        return refuse(
            format!("{shown} is not the address of a Redis"),
            HELP,
            problems,
        );
    }
    Some(word.into())
}

/// What was not built in cannot be asked for.
fn built_in(tls: bool, cluster: bool, at: &At, problems: &mut Problems) {
    let mut lacks = |key: &str, what: &str, feature: &str| {
        let what = format!("this program was built without {what}");
        let help = format!("build it with `cargo build --release --features {feature}`");
        problems.push(Problem::error(at.key(key).place(), what).help(help));
    };
    if tls && !cfg!(feature = "redis-tls") {
        lacks("url", "TLS to Redis", "redis-tls");
    }
    if cluster && !cfg!(feature = "redis-cluster") {
        lacks("cluster", "Redis Cluster", "redis-cluster");
    }
}

/// The password in a file, without the end of its line.
fn password(file: &KeyFile, at: &At, problems: &mut Problems) -> Option<KeyFile> {
    let bytes = file.key.bytes();
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let path = file.path.display();
    let what = if line.is_empty() {
        format!("{path} is empty: there is no password in it")
    } else if std::str::from_utf8(line).is_err() || line.contains(&b'\n') {
        format!("the password in {path} must be one line of text")
    } else {
        return Some(KeyFile {
            path: file.path.clone(),
            key: Secret::new(line),
        });
    };
    problems.push(Problem::error(at.place(), what).help(ASK_FOR_PASSWORD));
    None
}

fn prefix(word: Option<&str>, at: &At, problems: &mut Problems) -> String {
    let word = word.unwrap_or(defaults::REDIS_PREFIX);
    let fine = |b: u8| b.is_ascii_graphic() && !matches!(b, b'{' | b'}' | b':');
    if word.is_empty() || word.len() > PREFIX || !word.bytes().all(fine) {
        let what = format!("\"{}\" cannot be what keys begin with", shorten(word));
        let help =
            format!("use 1 to {PREFIX} letters, digits and . _ -; no blanks, braces or colons");
        problems.push(Problem::error(at.place(), what).help(help));
        return defaults::REDIS_PREFIX.into();
    }
    word.into()
}

fn timeout(word: Option<&str>, at: &At, problems: &mut Problems) -> Duration {
    let timeout = words::positive(word, at, defaults::REDIS_TIMEOUT, problems);
    if timeout > LONGEST {
        let what = format!("a request would wait {} for Redis", show_duration(timeout));
        let help =
            "a tier that is slower than the nodes is of no use: write 1s or less, 20ms is usual";
        problems.push(Problem::error(at.place(), what).help(help));
        return defaults::REDIS_TIMEOUT;
    }
    timeout
}

fn ttl_max(word: Option<&str>, at: &At, problems: &mut Problems) -> Duration {
    let ttl = words::positive(word, at, defaults::REDIS_TTL_MAX, problems);
    if ttl > OLDEST {
        let what = format!("{} is too long", show_duration(ttl));
        let help = format!(
            "write {} or less: which purges concern an answer is not known for ever",
            show_duration(OLDEST)
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return defaults::REDIS_TTL_MAX;
    }
    ttl
}

fn max_object(word: Option<&str>, most: u64, at: &At, problems: &mut Problems) -> u64 {
    let default = defaults::REDIS_MAX_OBJECT.min(most);
    let Some(size) = word.and_then(|word| limits::size(Some(word), at, problems)) else {
        return default;
    };
    if size == 0 || size > LARGEST {
        let what = format!("{} is no size of an answer in Redis", show_size(size));
        let help = format!(
            "write up to {}, 1MiB is usual; to keep no answers there, write `entries: false`",
            show_size(LARGEST)
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return default;
    }
    if size > most {
        let what = format!(
            "nothing as large is stored at all: `max_object` of the cache is {}",
            show_size(most)
        );
        let help = "make that larger, or this smaller";
        problems.push(Problem::warning(at.place(), what).help(help));
    }
    size
}

fn queue(word: Option<&str>, at: &At, problems: &mut Problems) -> u64 {
    let Some(size) = word.and_then(|word| limits::size(Some(word), at, problems)) else {
        return defaults::REDIS_QUEUE;
    };
    if size < MIN_QUEUE {
        let what = format!("in {} hardly an answer can wait", show_size(size));
        let help = format!(
            "write {} or more; to keep no answers there, write `entries: false`",
            show_size(MIN_QUEUE)
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return defaults::REDIS_QUEUE;
    }
    size
}
