//! `routes:` which request goes where.
//!
//! Names of upstreams become positions here, so that nothing after it can meet an upstream that does not exist.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use super::{addr, cache, compress, matcher, minify, nets, rate, split, words};
use crate::config::checked::{
    Access, Action, HostPattern, Match, Minify, PathPattern, Route, Upstream,
};
use crate::config::defaults;
use crate::config::files::{Gathered, RawUpstream};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Place, Problem, Problems, closest};
use crate::config::schema::route::{Redirect, Route as Keys};

/// What may stand in braces in a redirect's target.
const PLACEHOLDERS: [&str; 4] = ["host", "path", "query", "uri"];

/// Reads every route, in the order of the files.
pub fn check_all(
    all: &Gathered,
    upstreams: &[Upstream],
    problems: &mut Problems,
) -> Vec<(Route, At)> {
    let at = all.at.key("routes");
    if all.routes.is_empty() {
        let misfit = at.given() && !at.is_blank() && !at.is_list();
        return match &all.upstreams[..] {
            _ if misfit => Vec::new(),
            [only] => vec![catch_all(only, &at, problems)],
            several => {
                problems.extend(no_routes(all, several));
                Vec::new()
            }
        };
    }
    let upstreams = &Pools::new(upstreams);
    let mut names = Names::default();
    names.take_given(all, problems);
    let read = |(keys, at): &(Option<Keys>, At)| {
        let route = one(keys.as_ref()?, at, upstreams, &mut names, problems)?;
        Some((route, at.clone()))
    };
    all.routes.iter().filter_map(read).collect()
}

/// Reads a route; `None`: it goes nowhere, which is told.
fn one(
    keys: &Keys,
    at: &At,
    upstreams: &Pools<'_>,
    names: &mut Names,
    problems: &mut Problems,
) -> Option<Route> {
    let matcher = matcher::check(keys.r#match.as_ref(), &at.key("match"), problems);
    let access = nets::access(keys.allow.as_deref(), keys.deny.as_deref(), at, problems);
    let rate_limit = rate::check(keys.rate_limit.as_ref(), &at.key("rate_limit"), problems);
    let (word, here) = (keys.slow.as_deref(), at.key("slow"));
    let slow = words::duration(word, &here, defaults::SLOW, problems);
    let action = action(keys, at, upstreams, problems);
    let split = split::check(
        keys.split.as_ref(),
        (&matcher, action.as_ref()),
        &at.key("split"),
        upstreams,
        problems,
    );
    let cache = cache::route::check(
        keys.cache.as_ref(),
        (&matcher, action.as_ref()),
        &at.key("cache"),
        problems,
    );
    let here = at.either("compress", "compression");
    let compress = compress::check(keys.compress.as_ref(), action.as_ref(), &here, problems);
    let minify = minify::check(
        keys.minify.as_deref(),
        (action.as_ref(), cache.is_some()),
        &at.key("minify"),
        problems,
    );
    let action = action?;
    Some(Route {
        name: keys.name.clone().unwrap_or_else(|| names.make(&matcher)),
        matcher,
        action,
        split,
        cache,
        compress,
        minify,
        access,
        rate_limit,
        slow: (!slow.is_zero()).then_some(slow),
    })
}

/// The only upstream serves everything when there are no routes.
fn catch_all(only: &RawUpstream, at: &At, problems: &mut Problems) -> (Route, At) {
    let what = format!(
        "no `routes`: every request goes to `{}`, the only upstream",
        only.name
    );
    problems.push(Problem::note(only.at.key_place(), what));
    let route = Route {
        name: "default".into(),
        matcher: Match::default(),
        action: Action::Proxy(0),
        split: None,
        cache: None,
        compress: None,
        minify: Minify::default(),
        access: Access::default(),
        rate_limit: None,
        slow: Some(defaults::SLOW),
    };
    (route, at.clone())
}

/// What to say when there are no routes, unless it follows from a mistake that has been told.
fn no_routes(all: &Gathered, upstreams: &[RawUpstream]) -> Option<Problem> {
    let at = all.at.key("upstreams");
    let told = at.given() && !at.is_blank() && !at.is_mapping();
    match upstreams {
        [] if told => None,
        [] => Some(
            Problem::error(
                at.place(),
                "there is neither an upstream nor a route: nothing to serve",
            )
            .help("add `upstreams: { web: { nodes: [127.0.0.1:3000] } }`; with one upstream, `routes` can be left out"),
        ),
        [first, ..] => Some(
            Problem::error(
                at.place(),
                "`routes` is missing: several upstreams, and no rule which request goes where",
            )
            .help(format!(
                "add `routes: [{{ upstream: {} }}]` to send every request there",
                first.name
            )),
        ),
    }
}

/// What a route does: one of `upstream` and `redirect`.
fn action(keys: &Keys, at: &At, upstreams: &Pools<'_>, problems: &mut Problems) -> Option<Action> {
    let (proxy, redirect) = (at.key("upstream"), at.key("redirect"));
    match (proxy.given(), redirect.given()) {
        (true, true) => {
            let problem = Problem::error(
                redirect.key_place(),
                "a route either goes to an upstream or redirects",
            )
            .also(proxy.key_place(), "the upstream")
            .help("remove `redirect` or `upstream`");
            problems.push(problem);
            None
        }
        (false, false) => {
            let problem = Problem::error(at.place(), "this route goes nowhere");
            problems.missing(
                "upstream",
                problem.help("add `upstream: NAME` or `redirect: { to: /new/ }`"),
            );
            None
        }
        (true, false) => {
            let name = keys.upstream.as_deref()?;
            let found = upstreams.find(name);
            if found.is_none() {
                problems.push(unknown_upstream(name, &proxy, upstreams, problems));
            }
            found.map(Action::Proxy)
        }
        (false, true) => self::redirect(keys.redirect.as_ref()?, &redirect, problems),
    }
}

/// The upstreams by name: there may be as many as routes.
pub(super) struct Pools<'a>(HashMap<&'a str, usize>, &'a [Upstream]);

impl<'a> Pools<'a> {
    fn new(upstreams: &'a [Upstream]) -> Self {
        let names = upstreams.iter().map(|u| u.name.as_str());
        Pools(names.zip(0..).collect(), upstreams)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }

    /// The names, in the order of the files.
    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.1.iter().map(|u| u.name.as_str())
    }
}

pub(super) fn unknown_upstream(
    name: &str,
    at: &At,
    upstreams: &Pools<'_>,
    problems: &Problems,
) -> Problem {
    const SHOWN: usize = 20;
    let all: Vec<&str> = upstreams.names().take(SHOWN).collect();
    let more = if upstreams.1.len() > SHOWN {
        ", ..."
    } else {
        ""
    };
    let help = match all.is_empty() {
        true => format!(
            "add it: `upstreams: {{ {}: {{ nodes: [127.0.0.1:3000] }} }}`",
            shorten(name)
        ),
        false => format!("there is {}{more}", all.join(", ")),
    };
    // Comparing with every name is work that nobody sees once enough has been told.
    let guess = match problems.enough() {
        true => None,
        false => closest(name, upstreams.names()),
    };
    let what = format!("unknown upstream \"{}\"", shorten(name));
    Problem::error(at.place(), what)
        .did_you_mean(guess)
        .help(help)
}

/// Reads `redirect:`.
fn redirect(keys: &Redirect, at: &At, problems: &mut Problems) -> Option<Action> {
    let status = status(keys.status.as_deref(), &at.key("status"), problems);
    let here = at.key("to");
    let Some(to) = &keys.to else {
        if !here.given() {
            let problem = Problem::error(at.place(), "this redirect has no target");
            problems.missing(
                "to",
                problem.help("add `to: /new/` or `to: https://{host}{uri}`"),
            );
        }
        return None;
    };
    match target(to) {
        Ok(()) => Some(Action::Redirect {
            to: to.clone(),
            status,
        }),
        Err((what, help)) => {
            problems.push(Problem::error(here.place(), what).help(help));
            None
        }
    }
}

/// Checks the target of a redirect.
fn target(to: &str) -> Result<(), addr::Refusal> {
    let begins = ["/", "http://", "https://", "{scheme}://", "{uri}", "{path}"]
        .iter()
        .any(|b| to.starts_with(b));
    if !begins
        || !to
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`|".contains(&b))
    {
        let what = format!("\"{}\" is not the target of a redirect", shorten(to));
        return Err((
            what,
            "write a path as /new/, or an address as https://example.com{uri}; no blanks".into(),
        ));
    }
    let mut rest = to.strip_prefix("{scheme}").unwrap_or(to);
    while let Some(at) = rest.find(['{', '}']) {
        let inner = rest[at..].strip_prefix('{').and_then(|r| r.split_once('}'));
        match inner {
            Some((name, after)) if PLACEHOLDERS.contains(&name) => rest = after,
            Some(("scheme", _)) => {
                return Err((
                    "{scheme} does not stand at the beginning".into(),
                    "write {scheme}://{host}{uri}".into(),
                ));
            }
            Some((name, _)) => {
                let guess = closest(name, PLACEHOLDERS).map(|g| format!("did you mean {{{g}}}? "));
                let what = format!("unknown placeholder {{{}}}", shorten(name));
                return Err((
                    what,
                    format!(
                        "{}there is {{scheme}}, {{host}}, {{path}}, {{query}}, {{uri}}",
                        guess.unwrap_or_default()
                    ),
                ));
            }
            None => {
                return Err((
                    "a brace has no partner".into(),
                    "placeholders are {scheme}, {host}, {path}, {query}, {uri}".into(),
                ));
            }
        }
    }
    Ok(())
}

/// Reads the status of a redirect.
fn status(word: Option<&str>, at: &At, problems: &mut Problems) -> StatusCode {
    let Some(word) = word else {
        return defaults::REDIRECT_STATUS;
    };
    match word {
        "301" => StatusCode::MOVED_PERMANENTLY,
        "302" => StatusCode::FOUND,
        "303" => StatusCode::SEE_OTHER,
        "307" => StatusCode::TEMPORARY_REDIRECT,
        "308" => StatusCode::PERMANENT_REDIRECT,
        _ => {
            let problem = Problem::error(
                at.place(),
                format!("\"{}\" is not the status of a redirect", shorten(word)),
            );
            problems.push(problem.help("one of 301, 302, 303, 307, 308; 308 is for ever and keeps the method, 302 is for now"));
            defaults::REDIRECT_STATUS
        }
    }
}

/// Names of routes: given ones first, made ones around them. Metrics tell routes apart by it.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// How often a made name was wanted: keeps thousands of alike routes from counting up from 2 each.
    wanted: HashMap<String, usize>,
}

impl Names {
    fn take_given(&mut self, all: &Gathered, problems: &mut Problems) {
        let mut places: HashMap<&str, Place> = HashMap::new();
        for (keys, at) in &all.routes {
            let Some(name) = keys.as_ref().and_then(|k| k.name.as_deref()) else {
                continue;
            };
            let here = at.key("name");
            label(name, &here, problems);
            if let Some(first) = places.insert(name, here.place()) {
                let problem = Problem::error(
                    here.place(),
                    format!("two routes are called \"{}\"", shorten(name)),
                )
                .also(first, "first given here")
                .help("metrics and the log tell routes apart by name: change one");
                problems.push(problem);
            }
            self.taken.insert(name.into());
        }
    }

    /// A name made of what the route matches.
    fn make(&mut self, matcher: &Match) -> String {
        let host = match matcher.hosts.first() {
            Some(HostPattern::Exact(host)) => host.clone(),
            Some(HostPattern::Suffix(suffix)) => format!("*{suffix}"),
            None => String::new(),
        };
        let path = match &matcher.path {
            PathPattern::Any => String::new(),
            PathPattern::Prefix(path) | PathPattern::Exact(path) => path.clone(),
            PathPattern::Regex(regex) => format!("~{regex}"),
        };
        let plain = match shorten(&format!("{host}{path}")).trim() {
            "" => "default".to_string(),
            made => made.to_string(),
        };
        let count = self.wanted.entry(plain.clone()).or_default();
        loop {
            *count += 1;
            let name = match *count {
                1 => plain.clone(),
                n => format!("{plain} #{n}"),
            };
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Checks the name of a route. Made names come back from `config --effective`, so that blanks inside are fine.
fn label(name: &str, at: &At, problems: &mut Problems) {
    let odd = name.trim() != name || name.chars().any(char::is_control);
    if name.is_empty() || odd || name.chars().count() > 128 {
        let what = format!("\"{}\" cannot be the name of a route", shorten(name));
        let help = "use at most 128 characters on one line, without blanks at its ends";
        problems.push(Problem::error(at.place(), what).help(help));
    }
}
