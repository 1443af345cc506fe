//! `acme:` whom certificates are got from, and how.
//!
//! Nothing here may ask the CA or touch the folder of the state: one that is away is no mistake of the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::Url;

use super::health::authorities;
use super::words::{self, Choices};
use crate::base::units::show_duration;
use crate::config::checked::{Acme, AcmeKey, Challenge, Config, Eab, KeyFile, Secret};
use crate::config::defaults;
use crate::config::files::{ASK_FOR_EAB, Gathered};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::acme as schema;

/// The most addresses that the CA writes to.
const MAX_EMAILS: usize = 8;
/// Sooner before its end no certificate need be renewed: even those for a week live twice as long.
const LEAST_BEFORE: Duration = Duration::from_secs(60);
/// Longer no public certificate lives (CA/Browser Forum, 398 days).
const MOST_BEFORE: Duration = Duration::from_secs(398 * 24 * 3_600);
/// Names in one certificate: what Let's Encrypt takes.
const MAX_NAMES: usize = 100;
/// Letters of the name of a key or a profile.
const LONGEST_NAME: usize = 256;
/// The fewest bytes of a key of an account: HMAC-SHA-256 with less is guessed.
const LEAST_KEY: usize = 16;

/// `acme.challenge`
pub const CHALLENGES: Choices<Challenge> = Choices {
    what: "challenge",
    words: &[
        ("http-01", Challenge::Http01),
        ("tls-alpn-01", Challenge::TlsAlpn01),
    ],
    aka: &[
        ("http_01", "http-01"),
        ("http", "http-01"),
        ("httpchallenge", "http-01"),
        ("tls_alpn_01", "tls-alpn-01"),
        ("tls_alpn", "tls-alpn-01"),
        ("tlschallenge", "tls-alpn-01"),
    ],
    later: &["dns_01", "dns"],
};

/// `acme.key`
pub const KEYS: Choices<AcmeKey> = Choices {
    what: "kind of key",
    words: &[
        ("ecdsa-p256", AcmeKey::EcdsaP256),
        ("ecdsa-p384", AcmeKey::EcdsaP384),
    ],
    aka: &[
        ("ecdsa_p256", "ecdsa-p256"),
        ("p256", "ecdsa-p256"),
        ("ec256", "ecdsa-p256"),
        ("ecdsa", "ecdsa-p256"),
        ("ecdsa_p384", "ecdsa-p384"),
        ("p384", "ecdsa-p384"),
        ("ec384", "ecdsa-p384"),
    ],
    // The cryptography we have signs with RSA, and makes no keys for it.
    later: &[
        "rsa", "rsa_2048", "rsa2048", "rsa_3072", "rsa_4096", "rsa4096",
    ],
};

/// Reads `acme:`; `None`: there is none.
pub fn check(all: &Gathered, problems: &mut Problems) -> Option<Acme> {
    let at = all.at.key("acme");
    let Some(keys) = all.file.acme.as_ref() else {
        if at.is_blank() {
            not_agreed(&at, problems);
        }
        return None;
    };
    if !words::flag(keys.agree.as_deref(), &at.key("agree"), false, problems) {
        not_agreed(&at, problems);
    }
    let profile = keys.profile.as_deref().and_then(|word| {
        name(word, "a profile", &at.key("profile"), problems);
        Some(word.to_owned()).filter(|word| !word.is_empty())
    });
    Some(Acme {
        emails: emails(keys, &at.key("email"), problems),
        directory: directory(keys, &at, problems),
        ca: (all.acme_ca.as_ref()).and_then(|file| authorities(file, &at.key("ca"), problems)),
        challenge: CHALLENGES.read(
            keys.challenge.as_deref(),
            &at.key("challenge"),
            defaults::ACME_CHALLENGE,
            problems,
        ),
        state: state(keys.state.as_deref(), &all.base, &at.key("state"), problems),
        renew_before: renew_before(
            keys.renew_before.as_deref(),
            &at.key("renew_before"),
            problems,
        ),
        key: KEYS.read(
            keys.key.as_deref(),
            &at.key("key"),
            defaults::ACME_KEY,
            problems,
        ),
        profile,
        eab: eab(
            keys.eab.as_ref(),
            all.acme_eab.as_ref(),
            &at.key("eab"),
            problems,
        ),
        share: share(keys.share.as_deref(), &all.at, problems),
    })
}

/// What ports ask for and the section must fit together: names need a CA, and a CA needs names.
pub fn fits(config: &Config, root: &At, problems: &mut Problems) {
    let section = root.key("acme");
    let mut asks = false;
    for (i, listen) in config.listen.iter().enumerate() {
        let names = listen.tls.as_ref().map_or(0, |tls| tls.acme.len());
        let at = root.key("listen").item(i).key("tls").key("acme");
        asks |= names > 0;
        if names > MAX_NAMES {
            let what = format!("{names} names in one certificate; a CA takes {MAX_NAMES}");
            let help = "give some of them to another port, or name a file in `certs`";
            problems.push(Problem::error(at.place(), what).help(help));
        }
        if names > 0 && !section.given() {
            let what = "certificates are asked for, and nothing says from whom";
            let help = "add `acme: { email: ops@example.com, agree: true }` at the top of the file";
            problems.push(Problem::error(at.key_place(), what).help(help));
        }
    }
    if config.acme.is_some() && !asks {
        let what = "`acme` gets no certificate: no port asks for one";
        let help = "write `listen: [{ addr: \"0.0.0.0:443\", tls: { acme: [example.com] } }]`, or remove `acme`";
        problems.push(Problem::warning(section.key_place(), what).help(help));
    }
}

fn not_agreed(at: &At, problems: &mut Problems) {
    let what = "nobody has agreed to the terms of the CA";
    let help = "read them (for Let's Encrypt: https://letsencrypt.org/repository/), and write `agree: true`";
    problems.push(Problem::error(at.key_place(), what).help(help));
}

fn emails(keys: &schema::Acme, at: &At, problems: &mut Problems) -> Vec<String> {
    let words = keys.email.as_deref().unwrap_or_default();
    if words.len() > MAX_EMAILS {
        let what = format!("more than {MAX_EMAILS} addresses");
        let help = "name one that several people read";
        problems.push(Problem::error(at.key_place(), what).help(help));
        return Vec::new();
    }
    let mut out: Vec<String> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let Some(word) = word else { continue };
        let address = word.strip_prefix("mailto:").unwrap_or(word);
        let is_one = address.split_once('@').is_some_and(|(who, host)| {
            let fine = |text: &str| {
                let mut bytes = text.bytes();
                !text.is_empty() && bytes.all(|b| b.is_ascii_graphic() && !b",;?<>@\"".contains(&b))
            };
            fine(who) && fine(host) && host.contains('.')
        });
        if is_one {
            out.push(address.to_owned());
            continue;
        }
        let what = format!("\"{}\" is not an e-mail address", shorten(word));
        let help = "write `email: ops@example.com`, or leave it out";
        problems.push(Problem::error(at.item_or_self(i).place(), what).help(help));
    }
    out
}

fn directory(keys: &schema::Acme, at: &At, problems: &mut Problems) -> String {
    let staging = words::flag(keys.staging.as_deref(), &at.key("staging"), false, problems);
    let Some(word) = keys.directory.as_deref() else {
        return match staging {
            true => defaults::ACME_STAGING.into(),
            false => defaults::ACME_DIRECTORY.into(),
        };
    };
    let place = at.key("directory");
    if staging {
        let what = "`staging` and `directory` name two CAs";
        let problem = Problem::error(at.key("staging").key_place(), what)
            .also(place.key_place(), "the other one");
        problems.push(problem.help("keep one of the two"));
    }
    let fine = Url::parse(word).is_ok_and(|url| {
        let no_login = url.username().is_empty() && url.password().is_none();
        url.scheme() == "https" && url.host_str().is_some() && no_login
    });
    if !fine {
        // Whatever it is, it may have a password in it.
        let shown = match word.contains('@') {
            true => "this".into(),
            false => format!("\"{}\"", shorten(word)),
        };
        let place = match word.contains('@') {
            true => place.place().without_text(),
            false => place.place(),
        };
        let what = format!("{shown} is not the address of a CA");
        let help = "write the `https://` address of its directory, as its documentation has it";
        problems.push(Problem::error(place, what).help(help));
    }
    word.into()
}

/// A folder; what is not absolute is beside the file.
fn state(word: Option<&str>, base: &Path, at: &At, problems: &mut Problems) -> PathBuf {
    let word = word.unwrap_or(defaults::ACME_STATE);
    if word.is_empty() || word.contains('\0') {
        let what = format!("\"{}\" is not a folder", shorten(word));
        let help = format!(
            "write `state: {}`, or another folder for it alone",
            defaults::ACME_STATE
        );
        problems.push(Problem::error(at.place(), what).help(help));
    }
    base.join(word)
}

fn renew_before(word: Option<&str>, at: &At, problems: &mut Problems) -> Option<Duration> {
    let before = words::positive(Some(word?), at, MOST_BEFORE, problems);
    if !(LEAST_BEFORE..=MOST_BEFORE).contains(&before) {
        let what = format!(
            "{} before its end no certificate is renewed",
            show_duration(before)
        );
        let help = "write something from 1m to 398d, 30d is usual; without the key it is renewed after two thirds of its life";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    Some(before)
}

fn name(word: &str, what: &str, at: &At, problems: &mut Problems) {
    if word.is_empty() || word.len() > LONGEST_NAME || !word.bytes().all(|b| b.is_ascii_graphic()) {
        let what = format!("\"{}\" is not the name of {what}", shorten(word));
        problems.push(Problem::error(at.place(), what).help("write it as the CA gave it to you"));
    }
}

fn eab(
    keys: Option<&schema::Eab>,
    file: Option<&KeyFile>,
    at: &At,
    problems: &mut Problems,
) -> Option<Eab> {
    let Some(keys) = keys else {
        if at.is_blank() {
            eab_lacks("kid", at, problems);
        }
        return None;
    };
    if keys.key_file.is_none() && !at.key("key_file").given() {
        eab_lacks("key_file", at, problems);
    }
    let Some(kid) = keys.kid.clone() else {
        if !at.key("kid").given() {
            eab_lacks("kid", at, problems);
        }
        return None;
    };
    name(&kid, "a key", &at.key("kid"), problems);
    let file = file?;
    let line = file.key.bytes().trim_ascii();
    let unpadded = line.trim_ascii_end().strip_suffix(b"=").unwrap_or(line);
    let unpadded = unpadded.strip_suffix(b"=").unwrap_or(unpadded);
    let decoded = URL_SAFE_NO_PAD
        .decode(unpadded)
        .or_else(|_| STANDARD.decode(line));
    let what = match decoded {
        Ok(key) if key.len() >= LEAST_KEY => {
            let key = Secret::new(key);
            let path = file.path.clone();
            return Some(Eab {
                kid,
                key: KeyFile { path, key },
            });
        }
        Ok(_) => format!("the key in {} is too short", file.path.display()),
        Err(_) => format!("{} does not hold a key in base64url", file.path.display()),
    };
    problems.push(Problem::error(at.key("key_file").place(), what).help(ASK_FOR_EAB));
    None
}

fn eab_lacks(key: &'static str, at: &At, problems: &mut Problems) {
    let what = format!("`eab` lacks `{key}`");
    let help =
        "write `eab: { kid: NAME, key_file: FILE }`, with what the CA gave you; or remove it";
    problems.missing(key, Problem::error(at.key_place(), what).help(help));
}

/// Keys are given away only where all proxies read them, and only at the operator's word.
fn share(word: Option<&str>, root: &At, problems: &mut Problems) -> bool {
    let at = root.key("acme").key("share");
    let share = words::flag(word, &at, defaults::ACME_SHARE, problems);
    if share && !root.key("cache").key("redis").given() {
        let what = "certificates cannot be shared: the file names no Redis";
        let help =
            "add `cache: { redis: { url: \"redis://127.0.0.1:6379/0\" } }`, or remove `share`";
        problems.push(Problem::error(at.place(), what).help(help));
    }
    share
}
