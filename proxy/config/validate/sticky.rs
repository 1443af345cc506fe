//! `sticky:` of an upstream.
//!
//! A cookie that no browser would keep is refused here: with it every request would begin a new session, and nobody
//! would know why. Nothing here may tell what is in a key.

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderName;

use super::Origins;
use super::words::{self, Choices};
use crate::config::checked::{
    Config, HostPattern, Learn, LearnFrom, SameSite, Secret, Secure, Sticky, StickyCookie, Store,
};
use crate::config::defaults;
use crate::config::files::RawUpstream;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::sticky::{self as schema, StickyKeys};

/// `sticky.same_site`
pub const SAME_SITES: Choices<SameSite> = Choices {
    what: "value of SameSite",
    words: &[
        ("lax", SameSite::Lax),
        ("strict", SameSite::Strict),
        ("none", SameSite::None),
    ],
    aka: &[],
    later: &[],
};

/// `sticky.secure`
pub const SECURES: Choices<Secure> = Choices {
    what: "value of Secure",
    words: &[
        ("auto", Secure::Auto),
        ("true", Secure::Yes),
        ("false", Secure::No),
    ],
    aka: &[
        ("yes", "true"),
        ("on", "true"),
        ("no", "false"),
        ("off", "false"),
    ],
    later: &[],
};

/// `sticky.learn.store`
pub const STORES: Choices<Store> = Choices {
    what: "store of sessions",
    words: &[("memory", Store::Memory), ("redis", Store::Redis)],
    aka: &[],
    later: &[],
};

/// The longest name of a cookie.
const LONGEST_NAME: usize = 128;
/// How many sessions may be remembered: fewer are not worth it, more take gigabytes.
const SESSIONS: std::ops::RangeInclusive<u32> = 100..=10_000_000;

/// Reads `sticky:` beside this `drain.session_grace`. `None`: there is none, or it cannot be used, which is told.
pub fn check(raw: &RawUpstream, grace: Duration, problems: &mut Problems) -> Option<Sticky> {
    let at = raw.at.key("sticky");
    let is_off = match &raw.keys.sticky {
        None => !at.given(),
        Some(schema::Sticky::Word(word)) => words::is_off(word),
        Some(schema::Sticky::Keys(_)) => false,
    };
    if is_off && !grace.is_zero() {
        let what = "`session_grace` has no effect without `sticky`: there are no sessions to keep";
        let help = "add `sticky: { cookie: tg_node }`, or remove it";
        let here = raw.at.key("drain").key("session_grace");
        problems.push(Problem::warning(here.key_place(), what).help(help));
    }
    match &raw.keys.sticky {
        _ if is_off => None,
        Some(schema::Sticky::Word(word)) if matches!(word.as_str(), "on" | "true" | "yes") => {
            let what = "`sticky` wants the name of its cookie";
            let help = "write `sticky: { cookie: tg_node }`";
            problems.push(Problem::error(at.place(), what).help(help));
            None
        }
        Some(schema::Sticky::Word(word)) => {
            cookie(&StickyKeys::default(), Some(word), raw, &at, problems)
        }
        Some(schema::Sticky::Keys(keys)) => read(keys, raw, &at, problems),
        None => {
            if at.is_blank() {
                neither(&at, problems);
            }
            None
        }
    }
}

fn neither(at: &At, problems: &mut Problems) {
    let what = "`sticky` says neither `cookie` nor `learn`";
    let help = "write `cookie: tg_node` for a cookie of the proxy's own, or `learn: { cookie: JSESSIONID }` to follow that of your app";
    problems.missing("cookie", Problem::error(at.key_place(), what).help(help));
}

fn read(keys: &StickyKeys, raw: &RawUpstream, at: &At, problems: &mut Problems) -> Option<Sticky> {
    let (own, learned) = (at.key("cookie"), at.key("learn"));
    match (own.given(), learned.given()) {
        (true, true) => {
            let problem = Problem::error(
                learned.key_place(),
                "a session is known by one cookie: `cookie` is the proxy's own, `learn` follows that of your app",
            )
            .also(own.key_place(), "the proxy's own")
            .help("remove `cookie` or `learn`");
            problems.push(problem);
            None
        }
        (false, false) => {
            neither(at, problems);
            None
        }
        (true, false) => cookie(keys, keys.cookie.as_deref(), raw, at, problems),
        (false, true) => {
            for key in [
                "ttl",
                "key_file",
                "path",
                "domain",
                "same_site",
                "secure",
                "http_only",
            ] {
                let here = at.key(key);
                if here.given() {
                    let what = format!(
                        "`{key}` has no effect with `learn`: it is for a cookie of the proxy's own"
                    );
                    let help = match key {
                        "ttl" => "write it inside of `learn`",
                        _ => "remove it",
                    };
                    problems.push(Problem::warning(here.key_place(), what).help(help));
                }
            }
            learn(keys.learn.as_ref(), &learned, problems).map(Sticky::Learn)
        }
    }
}

/// A cookie of our own, `named` so.
fn cookie(
    keys: &StickyKeys,
    named: Option<&str>,
    raw: &RawUpstream,
    at: &At,
    problems: &mut Problems,
) -> Option<Sticky> {
    // In short form the value of `sticky` itself is the name.
    let here = match at.is_mapping() {
        true => at.key("cookie"),
        false => at.clone(),
    };
    let name = cookie_name(named?, &here, problems);
    let cookie = StickyCookie {
        ttl: ttl(keys.ttl.as_deref(), &at.key("ttl"), problems),
        key: raw.sticky_key.clone(),
        path: path(keys.path.as_deref(), &at.key("path"), problems),
        domain: domain(keys.domain.as_deref(), &at.key("domain"), problems),
        same_site: SAME_SITES.read(
            keys.same_site.as_deref(),
            &at.key("same_site"),
            defaults::STICKY_SAME_SITE,
            problems,
        ),
        secure: SECURES.read(
            keys.secure.as_deref(),
            &at.key("secure"),
            defaults::STICKY_SECURE,
            problems,
        ),
        http_only: words::flag(
            keys.http_only.as_deref(),
            &at.key("http_only"),
            defaults::STICKY_HTTP_ONLY,
            problems,
        ),
        name,
    };
    key(&cookie, at, problems);
    kept_by_browsers(&cookie, at, &here, problems);
    Some(Sticky::Cookie(cookie))
}

/// Reads the name of a cookie.
pub fn cookie_name(word: &str, at: &At, problems: &mut Problems) -> String {
    // The same letters as those of a field name (RFC 6265 §4.1.1), but not the same case.
    let fine = word.len() <= LONGEST_NAME && HeaderName::from_bytes(word.as_bytes()).is_ok();
    if !fine {
        let what = format!("\"{}\" is not the name of a cookie", shorten(word));
        let help = "write letters, digits, - and _ (at most 128), as tg_node";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    word.to_owned()
}

fn ttl(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<Duration> {
    let ttl = words::duration(word, at, defaults::STICKY_TTL, problems);
    if !ttl.is_zero() && ttl < Duration::from_secs(1) {
        let what = "a cookie holds for a second at the least";
        let help =
            "write whole seconds, or `0s` for a cookie that the browser forgets when it ends";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    (!ttl.is_zero()).then_some(ttl)
}

/// Judges the key, and says what it means to have none.
fn key(cookie: &StickyCookie, at: &At, problems: &mut Problems) {
    let here = at.key("key_file");
    match &cookie.key {
        Some(file) if file.key.bytes().len() < Secret::LEAST => {
            let (path, n) = (file.path.display(), file.key.bytes().len());
            let what = format!(
                "the key in {path} has {n} bytes; it needs {} or more",
                Secret::LEAST
            );
            let help = "who guesses it can send anybody to any node; make one with `head -c 32 /dev/urandom > FILE`";
            problems.push(Problem::error(here.place(), what).help(help));
        }
        Some(_) => {}
        None if here.given() => {} // it cannot be read, which is told
        None => {
            let what = "without `key_file` sessions are lost on a restart, and another proxy does not know them";
            let help = "add `key_file: FILE` with 32 random bytes or more, the same for every proxy, to keep them";
            problems.push(Problem::note(at.key_place(), what).help(help));
        }
    }
}

fn path(word: Option<&str>, at: &At, problems: &mut Problems) -> String {
    let path = word.unwrap_or(defaults::STICKY_PATH);
    let fine = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b';');
    if !fine {
        let what = format!("\"{}\" is not the path of a cookie", shorten(path));
        let help = "write a path that begins with `/`, without blanks and `;`";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    path.into()
}

fn domain(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<String> {
    let word = word?;
    // A dot in front means nothing (RFC 6265 §5.2.3).
    let domain = word.strip_prefix('.').unwrap_or(word).to_ascii_lowercase();
    let label =
        |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !domain.split('.').all(label) {
        let what = format!("\"{}\" is not the domain of a cookie", shorten(word));
        let help = "write a host whose subdomains share the session, as example.com; without it the cookie is for its host alone";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    Some(domain)
}

/// What browsers ask of a cookie, or they drop it without a word.
fn kept_by_browsers(cookie: &StickyCookie, at: &At, named: &At, problems: &mut Problems) {
    let never_secure = cookie.secure == Secure::No;
    if cookie.same_site == SameSite::None && never_secure {
        let what = "browsers drop a cookie with `same_site: none` that is not secure";
        let help = "write `secure: true`, or `secure: auto` behind a trusted proxy that speaks TLS";
        problems.push(Problem::error(at.key("same_site").place(), what).help(help));
    }
    let (host, secure) = ("__Host-", "__Secure-");
    let at_root = cookie.path == "/" && cookie.domain.is_none();
    let begins = |prefix: &str| cookie.name.starts_with(prefix);
    if (begins(host) && (never_secure || !at_root)) || (begins(secure) && never_secure) {
        let what = format!(
            "browsers drop a cookie of the name \"{}\" with these keys",
            shorten(&cookie.name)
        );
        let help = "`__Secure-` wants `secure`, `__Host-` wants `path: /` and no `domain` too: change them, or the name";
        problems.push(Problem::error(named.place(), what).help(help));
    }
}

/// Reads `learn:`.
fn learn(keys: Option<&schema::Learn>, at: &At, problems: &mut Problems) -> Option<Learn> {
    if keys.is_none() && !at.is_blank() {
        return None; // of the wrong kind, which is told
    }
    let (cookie, header) = (at.key("cookie"), at.key("header"));
    if cookie.given() == header.given() {
        let what = match cookie.given() {
            true => "a session's id is either in a cookie or in a field",
            false => "`learn` does not say where your app has the id of a session",
        };
        let help = "write `learn: { cookie: JSESSIONID }` or `learn: { header: X-Session-Id }`";
        problems.missing("cookie", Problem::error(at.key_place(), what).help(help));
        return None;
    }
    let keys = keys?;
    let store = STORES.read(
        keys.store.as_deref(),
        &at.key("store"),
        Store::Memory,
        problems,
    );
    let ttl = words::positive(
        keys.ttl.as_deref(),
        &at.key("ttl"),
        defaults::LEARN_TTL,
        problems,
    );
    let max = words::whole(
        keys.max.as_deref(),
        &at.key("max"),
        SESSIONS,
        defaults::LEARN_MAX,
        problems,
    );
    let from = match (&keys.cookie, &keys.header) {
        (Some(word), _) => LearnFrom::Cookie(cookie_name(word, &cookie, problems)),
        (None, Some(word)) => {
            let Ok(name) = HeaderName::from_bytes(word.as_bytes()) else {
                let what = format!("\"{}\" is not the name of a header field", shorten(word));
                let help = "write it as X-Session-Id: letters, digits and -";
                problems.push(Problem::error(header.place(), what).help(help));
                return None;
            };
            LearnFrom::Header(name)
        }
        (None, None) => return None, // of the wrong kind, which is told
    };
    Some(Learn {
        from,
        ttl,
        max: max as usize,
        store,
    })
}

/// Upstreams of one site whose cookies have the same name: each overwrites that of the other.
pub fn hints(config: &Config, origins: &Origins, problems: &mut Problems) {
    let mut earlier = Earlier::default();
    for (route, route_at) in config.routes.iter().zip(&origins.routes) {
        for at in route.upstreams() {
            let Some(Sticky::Cookie(cookie)) = &config.upstreams[at].sticky else {
                continue;
            };
            let split = route.split.as_ref();
            if split.is_some_and(|s| s.cookie == cookie.name && !s.pin_after_write.is_zero()) {
                let what = format!(
                    "the cookie \"{}\" is that of the sessions of upstream `{}` too: each overwrites the other",
                    cookie.name, config.upstreams[at].name
                );
                let place = route_at.key("split").key_place();
                let problem = Problem::warning(place, what);
                problems.push(problem.help("give the split a `cookie` name of its own"));
            }
            let Some(first) = earlier.add(cookie, &route.matcher.hosts, at) else {
                continue;
            };
            let name = |at: usize| &config.upstreams[at].name;
            let place = |at: usize| origins.upstreams[at].0.key("sticky");
            let what = format!(
                "the cookies of upstreams `{}` and `{}` have one name: each overwrites the other's, and a client of both keeps no session",
                name(first),
                name(at)
            );
            let problem = Problem::warning(place(at).key_place(), what)
                .also(place(first).key_place(), "the other one")
                .help("give each a `cookie` name of its own");
            problems.push(problem);
        }
    }
}

/// What browsers tell the cookies of one host apart by.
type Identity<'a> = (&'a str, &'a str, Option<&'a str>);

/// The first upstream with a cookie, on a host and at all.
#[derive(Default)]
struct Earlier<'a> {
    on_host: HashMap<(Identity<'a>, Option<&'a HostPattern>), usize>,
    anywhere: HashMap<Identity<'a>, usize>,
}

impl<'a> Earlier<'a> {
    /// Notes the cookie of an upstream on these hosts (none: every host). Another upstream that has it there, if any.
    fn add(
        &mut self,
        cookie: &'a StickyCookie,
        hosts: &'a [HostPattern],
        upstream: usize,
    ) -> Option<usize> {
        let it: Identity<'a> = (&cookie.name, &cookie.path, cookie.domain.as_deref());
        let of_another = |found: Option<&usize>| found.copied().filter(|at| *at != upstream);
        let every = hosts.is_empty().then_some(None);
        let mut found = match hosts {
            [] => of_another(self.anywhere.get(&it)),
            _ => of_another(self.on_host.get(&(it, None))),
        };
        for host in every.into_iter().chain(hosts.iter().map(Some)) {
            found = found.or(of_another(self.on_host.get(&(it, host))));
            self.on_host.entry((it, host)).or_insert(upstream);
        }
        self.anywhere.entry(it).or_insert(upstream);
        found
    }
}
