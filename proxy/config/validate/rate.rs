//! `rate_limit:` of a route.
//!
//! A rate reads as it is said: so many requests in a time. Nothing here may let a rate pass with which nobody, or
//! everybody, would be limited.

use std::time::Duration;

use http::HeaderName;

use super::addr;
use super::words::{self, Choices};
use crate::base::units::{self, Rate};
use crate::config::checked::{RateKey, RateLimit, Scope};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::route::RateLimit as Keys;

/// `rate_limit.scope`
pub const SCOPES: Choices<Scope> = Choices {
    what: "scope of a rate limit",
    words: &[("local", Scope::Local), ("cluster", Scope::Cluster)],
    aka: &[("redis", "cluster"), ("global", "cluster")],
    later: &[],
};

/// The most requests of a rate and of a burst: a million a second is none.
const MAX_REQUESTS: u32 = 1_000_000;

/// The longest time that a whole burst may take to come back.
const MAX_REFILL: Duration = units::MAX_DURATION;

/// The shortest time of a rate.
const MIN_PER: Duration = Duration::from_millis(1);

/// How a rate is written.
const FORMS: &str =
    "a number, a slash and a time: 100/s, 300/m, 1000/h, 5000/d, or a longer time as in 100/10s";

/// Fields in which a client writes addresses as it likes.
const CLAIMS: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip"];

/// Reads `rate_limit:`. `None`: there is none, or it cannot be used, which is told.
pub fn check(keys: Option<&Keys>, at: &At, problems: &mut Problems) -> Option<RateLimit> {
    if keys.is_none() && at.is_blank() {
        no_rate(at, problems);
    }
    let keys = keys?;
    let key = match keys.key.as_deref().map(key) {
        None => RateKey::Ip,
        Some(Ok(key)) => key,
        Some(Err((what, help))) => {
            let here = at.key("key").place();
            problems.push(Problem::error(here, what).help(help));
            RateKey::Ip
        }
    };
    if let RateKey::Header(name) = &key
        && CLAIMS.contains(&name.as_str())
    {
        let what = format!("clients write `{name}` themselves, and a new value is a new client");
        let help = "write `key: ip`: with `trusted_proxies` it is the address that the proxies in front saw";
        problems.push(Problem::warning(at.key("key").place(), what).help(help));
    }
    let scope = SCOPES.read(
        keys.scope.as_deref(),
        &at.key("scope"),
        Scope::Local,
        problems,
    );
    let dry_run = words::flag(keys.dry_run.as_deref(), &at.key("dry_run"), false, problems);
    let here = at.key("rate");
    let Some(word) = &keys.rate else {
        // A rate of the wrong kind has told so already.
        if !here.given() {
            no_rate(at, problems);
        }
        return None;
    };
    let (requests, per) = match rate(word) {
        Ok(rate) => rate,
        Err((what, label)) => {
            problems.push(not_a_rate(&here, what, label));
            return None;
        }
    };
    let burst = words::whole(
        keys.burst.as_deref(),
        &at.key("burst"),
        1..=MAX_REQUESTS,
        requests,
        problems,
    );
    if per.as_nanos() * u128::from(burst) / u128::from(requests) > MAX_REFILL.as_nanos() {
        let what = format!("at this rate a burst of {burst} takes more than a year to come back");
        let help = "write a smaller `burst` or a higher `rate`";
        problems.push(Problem::error(at.key("burst").place(), what).help(help));
        return None;
    }
    Some(RateLimit {
        key,
        requests,
        per,
        burst,
        scope,
        dry_run,
    })
}

/// Reads a rate alone. `None`: it is none, which is told.
pub fn plain(word: &str, at: &At, problems: &mut Problems) -> Option<Rate> {
    match rate(word) {
        Ok((count, per)) => Some(Rate { count, per }),
        Err((what, label)) => {
            problems.push(not_a_rate(at, what, label));
            None
        }
    }
}

/// What is wrong with a rate, and how one is written.
fn not_a_rate(at: &At, what: String, meant: Option<String>) -> Problem {
    let mut problem = Problem::error(at.place(), what);
    problem.label = meant.map(|meant| format!("did you mean \"{meant}\"?"));
    problem.help(format!("write {FORMS}"))
}

fn no_rate(at: &At, problems: &mut Problems) {
    let problem = Problem::error(at.place(), "this `rate_limit` has no `rate`");
    problems.missing(
        "rate",
        problem.help("add `rate: 100/s`, with what one client may ask for"),
    );
}

/// Reads what tells clients apart.
fn key(word: &str) -> Result<RateKey, addr::Refusal> {
    if word == "ip" {
        return Ok(RateKey::Ip);
    }
    let Some(name) = word.strip_prefix("header:") else {
        let what = format!("unknown key of a rate limit \"{}\"", shorten(word));
        let help = "write `ip` for the client's address, or `header:NAME` for the value of a field, as header:X-Api-Key";
        return Err((what, help.into()));
    };
    HeaderName::from_bytes(name.trim().as_bytes())
        .map(RateKey::Header)
        .map_err(|_| {
            let what = format!("\"{}\" is not the name of a header field", shorten(name));
            (
                what,
                "write it as header:X-Api-Key: letters, digits and -".into(),
            )
        })
}

/// Reads a rate. The error says what is wrong, and what was probably meant.
fn rate(word: &str) -> Result<(u32, Duration), (String, Option<String>)> {
    let refuse = |why: &str, meant: Option<String>| {
        Err((format!("\"{}\" is not a rate: {why}", shorten(word)), meant))
    };
    let (count, time) = word.split_once('/').unwrap_or((word, ""));
    let (count, time) = (count.trim(), time.trim());
    let digits = count.len() - count.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, after) = count.split_at(digits);
    let Ok(requests) = number.parse::<u32>() else {
        let why = match digits {
            0 => "it does not begin with a whole number",
            _ => "its number is too large",
        };
        return refuse(why, None);
    };
    // Words for the same times that people know, `100r/s` and `100/minute`.
    let plain = match time {
        "sec" | "second" | "1s" => "s",
        "min" | "minute" | "1m" => "m",
        "hour" | "1h" => "h",
        "day" | "1d" => "d",
        "" => "s",
        time => time,
    };
    let meant =
        || Some(format!("{requests}/{plain}")).filter(|m| per(plain).is_some() && m != word);
    if after.starts_with('.') {
        let help = "fractions are not accepted; use a longer time";
        return refuse(help, None);
    }
    if !after.is_empty() {
        return refuse(&format!("`{}` follows its number", shorten(after)), meant());
    }
    if time.is_empty() {
        return refuse("it has no time", meant());
    }
    if !(1..=MAX_REQUESTS).contains(&requests) {
        let why = format!("its number must be from 1 to {MAX_REQUESTS}");
        return refuse(&why, None);
    }
    match per(time) {
        Some(per) if per < MIN_PER => refuse("its time is shorter than 1ms", None),
        Some(per) => Ok((requests, per)),
        None => refuse(&format!("\"{}\" is not a time", shorten(time)), meant()),
    }
}

/// The time of a rate: a unit, or a duration.
fn per(word: &str) -> Option<Duration> {
    let duration = match word {
        "s" | "m" | "h" | "d" => units::duration(&format!("1{word}")),
        "0" => return None,
        word => units::duration(word),
    };
    duration.ok()
}

/// A rate as it is written.
pub fn show(requests: u32, per: Duration) -> String {
    let time = units::show_duration(per);
    let unit = ["1s", "1m", "1h", "1d"].contains(&time.as_str());
    format!("{requests}/{}", if unit { &time[1..] } else { &time })
}

/// What tells clients apart, as it is written.
pub fn show_key(key: &RateKey) -> String {
    match key {
        RateKey::Ip => "ip".into(),
        RateKey::Header(name) => format!("header:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them_and_printed_as_they_are_read() {
        for (text, requests, millis) in [
            ("100/s", 100, 1_000),
            ("30/m", 30, 60_000),
            ("1000/h", 1000, 3_600_000),
            ("5/d", 5, 86_400_000),
            ("100/10s", 100, 10_000),
            ("1/250ms", 1, 250),
            ("5/1m30s", 5, 90_000),
        ] {
            let per = Duration::from_millis(millis);
            assert_eq!(rate(text), Ok((requests, per)), "{text}");
            assert_eq!(show(requests, per), text);
        }
        assert_eq!(rate("7/1s"), rate("7/s"));
    }

    #[test]
    fn a_rate_that_could_be_misread_is_refused_with_what_was_meant() {
        for (text, why, meant) in [
            ("100", "no time", Some("100/s")),
            ("100/", "no time", Some("100/s")),
            ("100r/s", "`r` follows", Some("100/s")),
            ("100/minute", "not a time", Some("100/m")),
            ("0.5/s", "fractions", None),
            ("0/s", "from 1", None),
            ("2000000/s", "from 1", None),
            ("5/0s", "shorter", None),
            ("5/1us", "shorter", None),
            ("5/week", "not a time", None),
            ("-1/s", "whole number", None),
            ("99999999999/s", "too large", None),
            ("", "whole number", None),
        ] {
            let (what, label) = rate(text).expect_err(text);
            assert!(what.contains(why), "{text}: {what}");
            assert_eq!(label.as_deref(), meant, "{text}");
        }
    }
}
