//! `hash:` of an upstream.
//!
//! What tells requests apart where the same ones are to meet the same node. Nothing here may let a section that has no
//! effect pass without a word.

use http::HeaderName;

use super::upstream::BALANCES;
use super::{addr, failure};
use crate::config::checked::{Balance, Hash, HashKey};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::upstream::Hash as Keys;

/// The most that a node may have of its share: beyond it a bound bounds nothing.
const MOST: u32 = 1_000;

/// Reads `hash:` beside this `balance:`.
pub fn check(keys: Option<&Keys>, balance: Balance, at: &At, problems: &mut Problems) -> Hash {
    if at.given() && balance != Balance::Hash {
        let what = format!(
            "`hash` has no effect with `balance: {}`",
            BALANCES.word(balance)
        );
        let help = "write `balance: hash`, or remove this section";
        problems.push(Problem::warning(at.key_place(), what).help(help));
    }
    let Some(keys) = keys else {
        return Hash::default();
    };
    let key = match keys.key.as_deref().map(key) {
        None => HashKey::default(),
        Some(Ok(key)) => key,
        Some(Err((what, help))) => {
            problems.push(Problem::error(at.key("key").place(), what).help(help));
            HashKey::default()
        }
    };
    let balance_factor = keys.balance_factor.as_deref().and_then(|word| {
        let read = factor(word);
        if read.is_none() {
            let what = format!("\"{}\" is not a balance factor", shorten(word));
            let help = "write how much of its share a node may have, from 1.01 to 10: 1.25 is a quarter more than all others";
            problems.push(Problem::error(at.key("balance_factor").place(), what).help(help));
        }
        read
    });
    Hash {
        key,
        balance_factor,
    }
}

/// Reads what is hashed.
fn key(word: &str) -> Result<HashKey, addr::Refusal> {
    let help =
        || "write `ip`, `uri` (path and query), `path`, `header:NAME` or `cookie:NAME`".to_owned();
    match word.split_once(':') {
        None => match word {
            "ip" => Ok(HashKey::Ip),
            "uri" => Ok(HashKey::Uri),
            "path" => Ok(HashKey::Path),
            _ => Err((
                format!("unknown key of a hash \"{}\"", shorten(word)),
                help(),
            )),
        },
        Some(("header", name)) => match HeaderName::from_bytes(name.trim().as_bytes()) {
            Ok(name) => Ok(HashKey::Header(name)),
            Err(_) => {
                let what = format!("\"{}\" is not the name of a header field", shorten(name));
                Err((
                    what,
                    "write it as header:X-User: letters, digits and -".into(),
                ))
            }
        },
        Some(("cookie", name)) => {
            let name = name.trim();
            // The same letters as those of a field name (RFC 6265 §4.1.1), but not the same case.
            match !name.is_empty() && HeaderName::from_bytes(name.as_bytes()).is_ok() {
                true => Ok(HashKey::Cookie(name.into())),
                false => {
                    let what = format!("\"{}\" is not the name of a cookie", shorten(name));
                    Err((
                        what,
                        "write it as cookie:session: letters, digits, - and _".into(),
                    ))
                }
            }
        }
        Some(_) => Err((
            format!("unknown key of a hash \"{}\"", shorten(word)),
            help(),
        )),
    }
}

/// Reads a balance factor, in hundredths.
fn factor(word: &str) -> Option<u32> {
    let value = failure::hundredths(word)?;
    (101..=MOST).contains(&value).then_some(value)
}

/// A key as it is written.
pub fn show_key(key: &HashKey) -> String {
    match key {
        HashKey::Ip => "ip".into(),
        HashKey::Uri => "uri".into(),
        HashKey::Path => "path".into(),
        HashKey::Header(name) => format!("header:{name}"),
        HashKey::Cookie(name) => format!("cookie:{name}"),
    }
}

/// A balance factor as it is written.
pub fn show_factor(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_read_as_they_are_shown() {
        for (word, value) in [
            ("1.25", 125),
            ("1.1", 110),
            ("2", 200),
            ("10", 1_000),
            ("1.01", 101),
        ] {
            assert_eq!(factor(word), Some(value), "{word}");
            assert_eq!(factor(&show_factor(value)), Some(value));
        }
        for wrong in [
            "1",
            "1.0",
            "0.5",
            "-2",
            "1.255",
            "11",
            "1,5",
            "",
            ".5",
            "2.",
            "x",
            "99999999999",
        ] {
            assert_eq!(factor(wrong).filter(|_| wrong != "2."), None, "{wrong}");
        }
    }

    #[test]
    fn keys_read_as_they_are_shown() {
        for word in ["ip", "uri", "path", "header:x-user", "cookie:JSESSIONID"] {
            assert_eq!(show_key(&key(word).unwrap()), word);
        }
        for wrong in [
            "url",
            "header",
            "header:",
            "header:x y",
            "cookie:",
            "cookie:a=b",
            "query:x",
            "IP ",
        ] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
