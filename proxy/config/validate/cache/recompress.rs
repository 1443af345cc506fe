//! `recompress:` of the cache.
//!
//! It works for nobody who waits: nothing here may let it take what requests need, in threads, memory or time.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::units::{show_duration, show_size};
use crate::config::checked::Recompress;
use crate::config::defaults;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::compress as schema;
use crate::config::schema::failure::WordOr;
use crate::config::validate::failure::{Said, said};
use crate::config::validate::{limits, words};

/// Threads: more only take from requests.
const THREADS: RangeInclusive<u32> = 1..=16;
/// Answers that wait: each holds its body.
const QUEUE: RangeInclusive<u32> = 1..=65_536;
/// How often an answer is asked for.
const AFTER: RangeInclusive<u32> = 1..=1_000_000;
/// The longest that one body may take: shutdown waits for nobody, but a thread should come back.
const LONGEST: Duration = Duration::from_secs(600);

/// Reads `recompress:` beside this `max_object`; `None`: nothing is compressed behind the answers.
pub(super) fn check(
    section: Option<&WordOr<schema::Recompress>>,
    max_object: u64,
    at: &At,
    problems: &mut Problems,
) -> Option<Recompress> {
    let usual = defaults::RECOMPRESS;
    if at.is_blank() {
        let what = "`recompress` has no value";
        let help =
            "write `recompress: true` (it is without this key), `recompress: false`, or its keys";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    match said(section) {
        Said::Nothing => Some(usual),
        Said::Off => None,
        Said::Word(word) => words::flag(Some(word), at, true, problems).then_some(usual),
        Said::Keys(keys) => Some(read(keys, &usual, max_object, at, problems)),
    }
}

fn read(
    keys: &schema::Recompress,
    usual: &Recompress,
    max_object: u64,
    at: &At,
    problems: &mut Problems,
) -> Recompress {
    let mut whole = |word: &Option<String>, key: &str, range, usual| {
        words::whole(word.as_deref(), &at.key(key), range, usual, problems)
    };
    let threads = whole(&keys.threads, "threads", THREADS, usual.threads as u32);
    let queue = whole(&keys.queue, "queue", QUEUE, usual.queue as u32);
    let after = whole(&keys.after, "after", AFTER, usual.after);
    Recompress {
        threads: threads as usize,
        queue: queue as usize,
        after,
        max_size: match keys.max_size.as_deref() {
            Some(word) => max_size(word, max_object, &at.key("max_size"), problems),
            None => usual.max_size,
        },
        cpu: cpu(keys.cpu.as_deref(), usual.cpu, &at.key("cpu"), problems),
        time: time(keys.time.as_deref(), usual.time, &at.key("time"), problems),
    }
}

/// Reads `max_size` beside this `max_object`. A default that is no limit is none to warn of.
fn max_size(word: &str, max_object: u64, at: &At, problems: &mut Problems) -> u64 {
    let Some(size) = limits::size(Some(word), at, problems) else {
        return defaults::RECOMPRESS.max_size;
    };
    if size == 0 {
        let what = "with this nothing is compressed behind the answers";
        let help = "write the size of the largest body worth it, as 2MiB, or `recompress: false`";
        problems.push(Problem::error(at.place(), what).help(help));
    } else if size > max_object && size != defaults::RECOMPRESS.max_size {
        let what = format!(
            "nothing larger than {} is stored, so that this is no limit",
            show_size(max_object)
        );
        let help = format!(
            "write `max_size: {}` or less, or raise `cache.max_object`",
            show_size(max_object)
        );
        problems.push(Problem::warning(at.place(), what).help(help));
    }
    size
}

/// Reads `cpu`.
fn cpu(word: Option<&str>, usual: u32, at: &At, problems: &mut Problems) -> u32 {
    let share = words::percent(word, at, usual, problems);
    if share == 0 {
        let what = "with 0% nothing is ever done";
        let help = "write a share of one core like 50%, or `recompress: false`";
        problems.push(Problem::error(at.place(), what).help(help));
        return usual;
    }
    share
}

/// Reads `time`.
fn time(word: Option<&str>, usual: Duration, at: &At, problems: &mut Problems) -> Duration {
    let time = words::positive(word, at, usual, problems);
    if time > LONGEST {
        let what = format!(
            "one body would hold a thread for up to {}",
            show_duration(time)
        );
        let help = format!(
            "write a time of at most {}; 20s is the default",
            show_duration(LONGEST)
        );
        problems.push(Problem::error(at.place(), what).help(help));
        return usual;
    }
    time
}
