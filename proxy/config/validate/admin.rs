//! `admin:` the stats port, and who may come in.
//!
//! Nothing here may let a token pass that is no better than none, or tell what is in one.

use super::{addr, matcher, token, top, words};
use crate::base::role::Role;
use crate::config::checked::{Admin, AdminToken, Config, HostPattern, KeyFile, Listen};
use crate::config::defaults;
use crate::config::files::Gathered;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::admin::{Admin as Section, AdminKeys, Token};

/// The longest name of a token: it is in every line of the audit.
const LONGEST_NAME: usize = 64;
/// Why nobody may guess a token.
const OPENS: &str = "who knows or guesses it is let into the stats port";
/// What a role is.
const ROLES: words::Choices<Role> = words::Choices {
    what: "role",
    words: &[
        ("read", Role::Read),
        ("ops", Role::Ops),
        ("admin", Role::Admin),
    ],
    aka: &[
        ("readonly", "read"),
        ("read_only", "read"),
        ("viewer", "read"),
        ("operator", "ops"),
    ],
    later: &[],
};

/// Reads `admin:`.
pub fn check(all: &Gathered, listen: &[Listen], problems: &mut Problems) -> Option<Admin> {
    let (none, at) = (AdminKeys::default(), all.at.key("admin"));
    let keys = match &all.file.admin {
        None => &none,
        Some(Section::Word(word)) if words::is_off(word) => return None,
        Some(Section::Word(word)) => {
            let what = format!(
                "`admin` must be a mapping or `off`, not \"{}\"",
                shorten(word)
            );
            let help = "write `admin: { addr: 127.0.0.1:9900 }`";
            problems.push(Problem::error(at.place(), what).help(help));
            return None;
        }
        Some(Section::Keys(keys)) => keys,
    };
    let tokens = tokens(keys, &all.admin_tokens, &at.key("tokens"), problems);
    let hosts = hosts(keys, &at.key("hosts"), problems);
    let here = at.key("addr");
    let addr = match keys.addr.as_deref() {
        Some(word) => top::bind(word, &here, problems)?,
        None => defaults::ADMIN,
    };
    let place = if here.given() { &here } else { &at };
    let others = listen.iter().map(|l| l.addr);
    top::clash(addr, others, place, "`listen`", problems);
    Some(Admin {
        addr,
        tokens,
        hosts,
    })
}

/// Reads `tokens:`, beside what is in their files.
fn tokens(
    keys: &AdminKeys,
    files: &[Option<KeyFile>],
    list: &At,
    problems: &mut Problems,
) -> Vec<AdminToken> {
    let mut tokens: Vec<(AdminToken, At)> = Vec::new();
    let entries = keys.tokens.iter().flatten().zip(files);
    for (i, (entry, file)) in entries.enumerate() {
        // One that did not fit has been told.
        let Some(entry) = entry else { continue };
        let at = list.item(i);
        if let Some(token) = one(entry, file.as_ref(), &at, problems) {
            doubles(&token, &at, &tokens, problems);
            tokens.push((token, at));
        }
    }
    tokens.into_iter().map(|(token, _)| token).collect()
}

/// Reads an entry of `tokens:`; `None`: something of it is missing or wrong, which is told.
fn one(
    entry: &Token,
    file: Option<&KeyFile>,
    at: &At,
    problems: &mut Problems,
) -> Option<AdminToken> {
    for (key, missing, help) in [
        ("name", entry.name.is_none(), "whose it is: `name: deploy`"),
        (
            "role",
            entry.role.is_none(),
            "what it is good for: `role: read`, `ops` or `admin`",
        ),
        (
            "token_file",
            entry.token_file.is_none(),
            "the file it is in: `token_file: deploy.token`",
        ),
    ] {
        if missing && !at.key(key).given() {
            let what = format!("this entry of `tokens` has no `{key}`");
            problems.missing(
                key,
                Problem::error(at.place(), what).help(format!("say {help}")),
            );
        }
    }
    let name = entry.name.as_deref();
    let name = name.and_then(|name| read_name(name, &at.key("name"), problems));
    let role = entry.role.as_deref();
    let role = role.map(|word| ROLES.read(Some(word), &at.key("role"), Role::Read, problems));
    let file = file.and_then(|file| token::read(file, OPENS, &at.key("token_file"), problems));
    Some(AdminToken {
        name: name?.into(),
        role: role?,
        file: file?,
    })
}

/// Reads the name of a token.
fn read_name<'a>(name: &'a str, at: &At, problems: &mut Problems) -> Option<&'a str> {
    let plain = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    if !name.is_empty() && name.chars().all(plain) && name.chars().count() <= LONGEST_NAME {
        return Some(name);
    }
    let what = format!("\"{}\" is no name for a token", shorten(name));
    let help = format!(
        "write up to {LONGEST_NAME} letters, digits and any of `-_.@`: whoever it belongs to, as `deploy`"
    );
    problems.push(Problem::error(at.place(), what).help(help));
    None
}

/// Tells of a token that is there already, by its name or by itself.
fn doubles(token: &AdminToken, at: &At, others: &[(AdminToken, At)], problems: &mut Problems) {
    if let Some((_, first)) = others.iter().find(|(other, _)| other.name == token.name) {
        let what = format!("two tokens have the name `{}`", token.name);
        let problem = Problem::error(at.key("name").place(), what)
            .also(first.key("name").place(), "first given here")
            .help("name each by whom it belongs to: the audit says who changed what");
        problems.push(problem);
    }
    if let Some((other, first)) =
        (others.iter()).find(|(other, _)| other.file.key == token.file.key)
    {
        let what = format!("`{}` and `{}` have the same token", other.name, token.name);
        let problem = Problem::error(at.key("token_file").place(), what)
            .also(first.key("token_file").place(), "the other one")
            .help(format!(
                "nobody could tell the two apart; {}",
                crate::config::files::MAKE_TOKEN
            ));
        problems.push(problem);
    }
}

/// Reads `hosts:`.
fn hosts(keys: &AdminKeys, list: &At, problems: &mut Problems) -> Vec<String> {
    let words = keys.hosts.iter().flatten().enumerate();
    let read = words.filter_map(|(i, word)| Some((i, host(word.as_deref()?))));
    let mut hosts = Vec::new();
    for (i, host) in read {
        match host {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err((what, help)) => {
                problems.push(Problem::error(list.item_or_self(i).place(), what).help(help));
            }
        }
    }
    hosts
}

/// Reads one.
fn host(word: &str) -> Result<String, addr::Refusal> {
    let alone = "write the name alone, as stats.example.com";
    if word.trim() == "*" {
        let what = "\"*\" would let every web page in";
        return Err((what.into(), alone.into()));
    }
    match matcher::host(word)? {
        HostPattern::Exact(name) => Ok(name),
        HostPattern::Suffix(suffix) => {
            let what = format!("\"*{suffix}\" stands for many names");
            Err((what, "name each that the stats port is called by".into()))
        }
    }
}

/// A stats port that other machines reach.
pub fn hints(config: &Config, root: &At, problems: &mut Problems) {
    let Some(admin) = &config.admin else { return };
    let at = root.key("admin");
    let (addr, open) = (admin.addr, !admin.addr.ip().is_loopback());
    let place = at.key("addr").place();
    if open && admin.tokens.is_empty() {
        let what = format!(
            "the stats port {addr} is open to other machines, and lets nobody in who calls from there"
        );
        let help = "give those who may a token, `admin: { tokens: [{ name: deploy, role: ops, token_file: deploy.token }] }`, or keep it on 127.0.0.1";
        problems.push(Problem::warning(place, what).help(help));
    } else if open {
        let what = format!("the stats port {addr} speaks HTTP: tokens are readable on their way");
        let help = "fine in a network you trust; else keep it on 127.0.0.1 behind a tunnel or a proxy with TLS";
        problems.push(Problem::note(place, what).help(help));
    }
    if admin.tokens.is_empty() && !admin.hosts.is_empty() {
        let what = "`hosts` without `tokens`: whoever comes by those names may change what runs";
        let help = "a proxy on this machine looks like a caller on this machine: add `tokens`";
        problems.push(Problem::warning(at.key("hosts").key_place(), what).help(help));
    }
}
