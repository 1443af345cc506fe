//! What an upstream does about nodes that fail, are new, or are full.
//!
//! One section at a time. A value that would switch its section off without saying so is told of.

use std::time::Duration;

use super::{health, words};
use crate::config::checked::{Breaker, Outlier, Queue, SlowStart};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::failure::{self as schema, WordOr};

/// The most that may be asked for in a row or in a window.
const MOST: u32 = 1_000_000;
/// A window is at least so long: answers are counted in tenths of it.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// And at most: a tenth must not count more than it can.
const LONGEST_WINDOW: Duration = Duration::from_secs(600);
/// The longest line.
const LONGEST_QUEUE: u32 = 1_000_000;
/// The most requests that may try a node at a time.
const MOST_TRIALS: u32 = 1_000;
/// The steepest curve, in hundredths.
const STEEPEST: u32 = 1_000;

/// What a section that one word may stand for says.
pub(super) enum Said<'a, T> {
    /// Nothing.
    Nothing,
    /// That there is to be none.
    Off,
    /// A word.
    Word(&'a str),
    /// Its keys.
    Keys(&'a T),
}

/// What is said in a section.
pub(super) fn said<T>(section: Option<&WordOr<T>>) -> Said<'_, T> {
    match section {
        None => Said::Nothing,
        Some(WordOr::Word(word)) if words::is_off(word) => Said::Off,
        Some(WordOr::Word(word)) => Said::Word(word),
        Some(WordOr::Keys(keys)) => Said::Keys(keys),
    }
}

/// Tells of a word where a section was expected.
pub(super) fn no_section(name: &str, word: &str, example: &str, at: &At, problems: &mut Problems) {
    let what = format!(
        "`{name}` must be a mapping or `off`, not \"{}\"",
        shorten(word)
    );
    problems.push(Problem::error(at.place(), what).help(format!("write `{example}`")));
}

fn is_on(word: &str) -> bool {
    matches!(word, "on" | "true" | "yes")
}

fn positive(
    word: &Option<String>,
    at: &At,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    words::positive(word.as_deref(), at, default, problems)
}

/// How far back answers count.
fn window(word: &Option<String>, at: &At, default: Duration, problems: &mut Problems) -> Duration {
    let window = positive(word, at, default, problems);
    if !(SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&window) {
        let problem = Problem::error(at.place(), "this window is too short or too long");
        problems.push(problem.help("write a duration from 100ms to 10m"));
        return default;
    }
    window
}

/// `failure_statuses:` of an upstream.
pub fn statuses(
    list: Option<&Vec<Option<String>>>,
    at: &At,
    problems: &mut Problems,
) -> Vec<(u16, u16)> {
    match list {
        None => defaults::FAILURE_STATUSES.to_vec(),
        // None at all: only broken connections and timeouts are failures.
        Some(list) => {
            let codes = health::statuses(list, at, problems);
            if codes.iter().any(|(low, _)| *low < 400) {
                let what = "an answer below 400 is no failure";
                problems.push(Problem::error(at.place(), what).help("write codes from 400 to 599"));
            }
            codes
        }
    }
}

/// `outlier:` of an upstream.
pub fn outlier(
    section: Option<&WordOr<schema::Outlier>>,
    at: &At,
    problems: &mut Problems,
) -> Option<Outlier> {
    let default = defaults::OUTLIER;
    let keys = match said(section) {
        Said::Off => return None,
        Said::Nothing => return Some(default),
        Said::Word(word) if is_on(word) => return Some(default),
        Said::Word(word) => {
            let example = "outlier: { consecutive_failures: 5, eject: 10s }";
            no_section("outlier", word, example, at, problems);
            return Some(default);
        }
        Said::Keys(keys) => keys,
    };
    let consecutive = words::whole(
        keys.consecutive_failures.as_deref(),
        &at.key("consecutive_failures"),
        0..=MOST,
        default.consecutive.unwrap_or(0),
        problems,
    );
    let rate = words::percent(
        keys.failure_rate.as_deref(),
        &at.key("failure_rate"),
        default.failure_rate.unwrap_or(0),
        problems,
    );
    let eject = positive(&keys.eject, &at.key("eject"), default.eject, problems);
    let max_eject = positive(
        &keys.max_eject,
        &at.key("max_eject"),
        default.max_eject.max(eject),
        problems,
    );
    if max_eject < eject {
        let what = "the longest rest is shorter than the first one";
        let problem = Problem::error(at.key("max_eject").place(), what);
        problems.push(problem.help("make `max_eject` at least as long as `eject`"));
    }
    let max_ejected = words::percent(
        keys.max_ejected.as_deref(),
        &at.key("max_ejected"),
        default.max_ejected,
        problems,
    );
    if (consecutive, rate) == (0, 0) || max_ejected == 0 {
        let what = "with these values no node is ever rested";
        let help = "write `outlier: off` if you mean it, else give `consecutive_failures` or `failure_rate`, and \
                    `max_ejected`, more than 0";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    Some(Outlier {
        consecutive: (consecutive > 0).then_some(consecutive),
        failure_rate: (rate > 0).then_some(rate),
        min_requests: words::whole(
            keys.min_requests.as_deref(),
            &at.key("min_requests"),
            1..=MOST,
            default.min_requests,
            problems,
        ),
        window: window(&keys.window, &at.key("window"), default.window, problems),
        eject,
        max_eject,
        max_ejected,
    })
}

/// `breaker:` of an upstream.
pub fn breaker(
    section: Option<&WordOr<schema::Breaker>>,
    at: &At,
    problems: &mut Problems,
) -> Option<Breaker> {
    let default = defaults::BREAKER;
    let keys = match said(section) {
        Said::Nothing | Said::Off => return None,
        Said::Word(word) if is_on(word) => return Some(default),
        Said::Word(word) => {
            let example = "breaker: { failure_rate: 50%, open: 5s }";
            no_section("breaker", word, example, at, problems);
            return None;
        }
        Said::Keys(keys) => keys,
    };
    let failure_rate = words::percent(
        keys.failure_rate.as_deref(),
        &at.key("failure_rate"),
        default.failure_rate,
        problems,
    );
    if failure_rate == 0 {
        let problem = Problem::error(
            at.key("failure_rate").place(),
            "a breaker that opens at 0 % of failures is always open",
        );
        problems.push(problem.help("write a share from 1% to 100%, or `breaker: off`"));
    }
    let whole = |word: &Option<String>, key: &str, most, default, problems: &mut Problems| {
        words::whole(word.as_deref(), &at.key(key), 1..=most, default, problems)
    };
    Some(Breaker {
        failure_rate,
        min_requests: whole(
            &keys.min_requests,
            "min_requests",
            MOST,
            default.min_requests,
            problems,
        ),
        window: window(&keys.window, &at.key("window"), default.window, problems),
        open: positive(&keys.open, &at.key("open"), default.open, problems),
        trials: whole(
            &keys.trials,
            "trials",
            MOST_TRIALS,
            default.trials,
            problems,
        ),
    })
}

/// `slow_start:` of an upstream.
pub fn slow_start(
    section: Option<&WordOr<schema::SlowStart>>,
    at: &At,
    problems: &mut Problems,
) -> Option<SlowStart> {
    let (time, floor, curve) = match said(section) {
        Said::Nothing | Said::Off => return None,
        Said::Word(word) => {
            let time = words::duration(Some(word), at, Duration::ZERO, problems);
            (time, None, None)
        }
        Said::Keys(keys) => {
            let here = at.key("time");
            let time = words::duration(keys.time.as_deref(), &here, Duration::ZERO, problems);
            if keys.time.is_none() {
                let problem = Problem::error(at.key_place(), "a slow start without a `time`");
                problems.push(problem.help("write `slow_start: { time: 30s }`"));
            }
            (time, keys.floor.as_deref(), keys.curve.as_deref())
        }
    };
    let floor = words::percent(
        floor,
        &at.key("floor"),
        defaults::SLOW_START_FLOOR,
        problems,
    );
    let curve = curve.map_or(defaults::SLOW_START_CURVE, |word| {
        hundredths(word)
            .filter(|curve| (1..=STEEPEST).contains(curve))
            .unwrap_or_else(|| {
                let what = format!("\"{}\" is not the curve of a slow start", shorten(word));
                let help = "write an exponent from 0.01 to 10: 1.0 is a straight line, 2.0 begins slower, 0.5 quicker";
                problems.push(Problem::error(at.key("curve").place(), what).help(help));
                defaults::SLOW_START_CURVE
            })
    });
    // Written as 0s it is as good as not written.
    (!time.is_zero()).then_some(SlowStart { time, floor, curve })
}

/// `queue:` of an upstream. `has_places`: whether any node has a `max_conns`.
pub fn queue(
    section: Option<&WordOr<schema::Queue>>,
    has_places: bool,
    at: &At,
    problems: &mut Problems,
) -> Queue {
    let default = defaults::QUEUE;
    let off = Queue { size: 0, ..default };
    let queue = match said(section) {
        Said::Nothing => return default,
        Said::Off => off,
        Said::Word(word) => {
            let example = "queue: { size: 100, timeout: 1s }";
            no_section("queue", word, example, at, problems);
            default
        }
        Said::Keys(keys) => Queue {
            size: words::whole(
                keys.size.as_deref(),
                &at.key("size"),
                0..=LONGEST_QUEUE,
                default.size,
                problems,
            ),
            timeout: words::positive(
                keys.timeout.as_deref(),
                &at.key("timeout"),
                default.timeout,
                problems,
            ),
        },
    };
    if !has_places {
        let what = "nobody ever waits here: no node of this upstream has a `max_conns`";
        let help =
            "write `{ addr: 10.0.0.12:3000, max_conns: 200 }` for its nodes, or remove `queue`";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    queue
}

/// A number with at most two digits behind the point, in hundredths.
pub(super) fn hundredths(word: &str) -> Option<u32> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let part = format!("{part:0<2}").parse::<u32>().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(part)
}
