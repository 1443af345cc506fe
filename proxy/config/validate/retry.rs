//! `retry:` of an upstream.
//!
//! When a request is sent again. Nothing here may let a method be repeated that must not be: that is
//! `upstream/classify`'s, whatever the file says.

use std::time::Duration;

use super::failure::{Said, no_section, said};
use super::{health, words};
use crate::config::checked::{Hedge, Retry, RetryOn};
use crate::config::defaults;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::failure::{self as schema, WordOr};

/// The most tries: more is a storm.
const MOST_TRIES: u32 = 10;

/// The longest first pause.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// After no failure at all.
const NOTHING: RetryOn = RetryOn {
    connect: false,
    reset: false,
    timeout: false,
    statuses: Vec::new(),
    grpc_unavailable: false,
};

/// Reads `retry:`. `read` is how long a node may take at all.
pub fn check(
    section: Option<&WordOr<schema::Retry>>,
    read: Option<Duration>,
    at: &At,
    problems: &mut Problems,
) -> Retry {
    let default = defaults::retry();
    let keys = match said(section) {
        Said::Nothing => return default,
        Said::Off => {
            return Retry {
                tries: 1,
                on: NOTHING,
                ..default
            };
        }
        Said::Word("on" | "true" | "yes") => return default,
        Said::Word(word) => {
            let example = "retry: { tries: 2, on: [connect, reset, 502, 503, 504] }";
            no_section("retry", word, example, at, problems);
            return default;
        }
        Said::Keys(keys) => keys,
    };
    let try_timeout = keys.try_timeout.as_deref().and_then(|word| {
        let limit = words::duration(Some(word), &at.key("try_timeout"), Duration::ZERO, problems);
        (!limit.is_zero()).then_some(limit)
    });
    if let (Some(limit), Some(read)) = (try_timeout, read)
        && limit >= read
    {
        let what = "`try_timeout` has no effect: `timeouts.read` ends a try sooner";
        let problem = Problem::warning(at.key("try_timeout").place(), what);
        problems.push(problem.help("make it shorter than `timeouts.read`, or remove it"));
    }
    if try_timeout.is_some() && keys.tries.as_deref() == Some("1") {
        let what = "`try_timeout` has no effect with `tries: 1`: there is no other try";
        let problem = Problem::warning(at.key("try_timeout").place(), what);
        problems.push(problem.help("allow two tries, or set `timeouts.read`"));
    }
    let retry = Retry {
        tries: words::whole(
            keys.tries.as_deref(),
            &at.key("tries"),
            1..=MOST_TRIES,
            default.tries,
            problems,
        ),
        on: keys
            .on
            .as_ref()
            .map_or(default.on, |list| on(list, &at.key("on"), problems)),
        budget: words::percent(
            keys.budget.as_deref(),
            &at.key("budget"),
            default.budget,
            problems,
        ),
        try_timeout,
        backoff: backoff(
            keys.backoff.as_deref(),
            &at.key("backoff"),
            default.backoff,
            problems,
        ),
        idempotency_key: words::flag(
            keys.idempotency_key.as_deref(),
            &at.key("idempotency_key"),
            default.idempotency_key,
            problems,
        ),
        hedge: keys
            .hedge
            .as_ref()
            .and_then(|hedge| hedge_after(hedge, &at.key("hedge"), problems)),
    };
    if retry.hedge.is_some() && retry.tries == 1 {
        let what = "`hedge` has no effect with `tries: 1`: a second node is a second try";
        let problem = Problem::warning(at.key("hedge").key_place(), what);
        problems.push(problem.help("allow two tries, or remove `hedge`"));
    }
    if retry.budget == 0 && (retry.tries > 1 || retry.hedge.is_some()) {
        let what = "with a budget of 0% nothing is sent again";
        let problem = Problem::warning(at.key("budget").place(), what);
        problems.push(problem.help("write a share like 20%, or `retry: off` if you mean it"));
    }
    retry
}

/// Reads `backoff:`. A client waits for it.
fn backoff(word: Option<&str>, at: &At, default: Duration, problems: &mut Problems) -> Duration {
    let pause = words::duration(word, at, default, problems);
    if pause > LONGEST_BACKOFF {
        let problem = Problem::error(
            at.place(),
            "a client would wait that long before a second try",
        );
        problems.push(problem.help("write a pause of at most 10s; 25ms is the default"));
        return default;
    }
    pause
}

/// Reads `on:`.
fn on(list: &[Option<String>], at: &At, problems: &mut Problems) -> RetryOn {
    let mut on = NOTHING;
    for (i, word) in list.iter().enumerate() {
        let Some(word) = word else { continue };
        match word.as_str() {
            "connect" => on.connect = true,
            "reset" => on.reset = true,
            "timeout" => on.timeout = true,
            "grpc_unavailable" => on.grpc_unavailable = true,
            code => match health::codes(code).filter(|(low, _)| *low >= 400) {
                Some((low, high)) => on.statuses.extend(low..=high),
                None => {
                    let what = format!("\"{}\" is nothing to try again after", shorten(code));
                    let help = "write connect, reset, timeout, grpc_unavailable, or statuses from 400 on: 503, \
                                502-504, 5xx";
                    problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
                }
            },
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on
}

/// Reads `hedge:`.
fn hedge_after(keys: &WordOr<schema::Hedge>, at: &At, problems: &mut Problems) -> Option<Hedge> {
    let keys = match keys {
        WordOr::Word(word) if words::is_off(word) => return None,
        WordOr::Word(word) => {
            no_section("hedge", word, "hedge: { after: p95 }", at, problems);
            return None;
        }
        WordOr::Keys(keys) => keys,
    };
    let Some(word) = keys.after.as_deref() else {
        let problem = Problem::error(at.key_place(), "a hedge without `after`");
        problems.push(problem.help("write `hedge: { after: p95 }`"));
        return None;
    };
    if let Some(share) = word.strip_prefix('p') {
        let share = share.parse::<u32>().ok();
        if let Some(share) = share.filter(|share| (50..=99).contains(share)) {
            return Some(Hedge::Percentile(share));
        }
        let what = format!("\"{}\" is not a percentile", shorten(word));
        let help = "write p50 to p99, or a duration like 100ms";
        problems.push(Problem::error(at.key("after").place(), what).help(help));
        return None;
    }
    let after = words::positive(
        Some(word),
        &at.key("after"),
        Duration::from_secs(1),
        problems,
    );
    Some(Hedge::After(after))
}

/// `on:` as it is written.
pub fn show_on(on: &RetryOn) -> String {
    let words = [
        ("connect", on.connect),
        ("reset", on.reset),
        ("timeout", on.timeout),
    ];
    let words = words.iter().filter(|(_, is)| *is).map(|(w, _)| (*w).into());
    let grpc = on.grpc_unavailable.then(|| "grpc_unavailable".into());
    let all: Vec<String> = words
        .chain(grpc)
        .chain(on.statuses.iter().map(u16::to_string))
        .collect();
    format!("[{}]", all.join(", "))
}

/// `hedge.after` as it is written.
pub fn show_hedge(hedge: &Hedge) -> String {
    match hedge {
        Hedge::After(after) => crate::base::units::show_duration(*after),
        Hedge::Percentile(share) => format!("p{share}"),
    }
}
