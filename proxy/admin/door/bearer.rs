//! Whose token it is (RFC 6750).
//!
//! Every token is compared with what is brought, each in a time that says nothing of it but its length. After some
//! wrong ones of an address further wrong ones are turned away with 429; a right one is let in all the same, or whoever
//! shares an address with the operator could lock the operator out. Finding one by trying is prevented by its length.
//! Without tokens in the configuration, callers on this machine are let in.

use std::net::SocketAddr;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Door, wait_for};
use crate::admin::caller::Caller;
use crate::admin::problem::Problem;
use crate::base::role::Role;
use crate::config::checked::AdminToken;

/// Why nobody is known.
pub struct No {
    /// For the caller.
    pub problem: Problem,
    /// A token was brought, and it was none of ours.
    pub wrong: bool,
}

impl Door {
    /// Who calls.
    pub(super) fn who(
        &self,
        peer: SocketAddr,
        fields: &HeaderMap,
        tokens: &[AdminToken],
        now: Instant,
    ) -> Result<Caller, No> {
        if tokens.is_empty() {
            return neighbour(peer, fields);
        }
        let Some(brought) = brought(fields) else {
            let detail = "a token is needed: `Authorization: Bearer TOKEN`; the commands take --token-file FILE or TIDEGATE_TOKEN";
            return Err(No::unknown(detail, false));
        };
        let Some(token) = owner(tokens, brought) else {
            self.wrong
                .ask(peer.ip(), &HeaderMap::new(), now)
                .map_err(|wait| No {
                    problem: wait_for(wait, "too many wrong tokens come from your address".into()),
                    wrong: true,
                })?;
            let detail =
                "this token is none of those that the configuration names; was it changed?";
            return Err(No::unknown(detail, true));
        };
        Ok(Caller {
            addr: peer,
            name: Some(token.name.clone()),
            role: token.role,
            key: Some(print_of(token)),
        })
    }
}

impl No {
    /// 401 (RFC 9110 §15.5.2).
    fn unknown(detail: &str, wrong: bool) -> No {
        let how = match wrong {
            true => "Bearer realm=\"tidegate\", error=\"invalid_token\"",
            false => "Bearer realm=\"tidegate\"",
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
        No {
            problem: problem.with_field(header::WWW_AUTHENTICATE, HeaderValue::from_static(how)),
            wrong,
        }
    }
}

/// Where there are no tokens: callers on this machine. One that came through a proxy here is none.
fn neighbour(peer: SocketAddr, fields: &HeaderMap) -> Result<Caller, No> {
    let came_through = [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    let through = came_through.iter().any(|name| fields.contains_key(*name));
    if !peer.ip().to_canonical().is_loopback() || through {
        let detail = "without tokens only callers on its own machine are let in: name tokens in the configuration (`admin.tokens`), or call from there, through an SSH tunnel for instance";
        return Err(No::unknown(detail, false));
    }
    Ok(Caller {
        addr: peer,
        name: None,
        role: Role::Ops,
        key: None,
    })
}

/// Whether the one who was let in before would still be: the token is still named, and is the same.
pub fn is_still_known(caller: &Caller, tokens: &[AdminToken]) -> bool {
    match caller.key {
        None => tokens.is_empty(),
        Some(key) => tokens.iter().any(|token| print_of(token) == key),
    }
}

/// What tells a token and its name from others without keeping it.
fn print_of(token: &AdminToken) -> u64 {
    xxh3_64_with_seed(token.file.key.bytes(), xxh3_64(token.name.as_bytes()))
}

/// The token that is brought; empty: something that is none. `None`: nothing.
fn brought(fields: &HeaderMap) -> Option<&[u8]> {
    let mut lines = fields.get_all(header::AUTHORIZATION).iter();
    let line = lines.next()?;
    let parts = line.as_bytes().split_at_checked("Bearer ".len());
    Some(match (parts, lines.next()) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
            token.trim_ascii()
        }
        _ => &[],
    })
}

/// Whose it is. All are compared, whichever it is.
fn owner<'a>(tokens: &'a [AdminToken], brought: &[u8]) -> Option<&'a AdminToken> {
    let mut found = None;
    for token in tokens {
        if bool::from(token.file.key.bytes().ct_eq(brought)) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::{KeyFile, Secret};

    fn with(values: &[&'static str]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn a_token_is_brought_in_one_way_only() {
        assert_eq!(brought(&with(&[])), None);
        assert_eq!(brought(&with(&["Bearer abc"])), Some(&b"abc"[..]));
        assert_eq!(brought(&with(&["bearer  abc "])), Some(&b"abc"[..]));
        for values in [
            &["abc"][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic YWJj"],
            &["Bearer abc", "Bearer abc"],
        ] {
            assert_eq!(brought(&with(values)), Some(&b""[..]), "{values:?}");
        }
    }

    #[test]
    fn a_token_is_its_owners_to_the_last_character() {
        let token = |name: &str, key: &'static str| AdminToken {
            name: name.into(),
            role: Role::Read,
            file: KeyFile {
                path: name.into(),
                key: Secret::new(key.as_bytes()),
            },
        };
        let tokens = [
            token("a", "0123456789abcdef"),
            token("b", "0123456789abcdeg"),
        ];
        let name = |brought: &str| owner(&tokens, brought.as_bytes()).map(|t| t.name.to_string());
        assert_eq!(name("0123456789abcdef"), Some("a".into()));
        assert_eq!(name("0123456789abcdeg"), Some("b".into()));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdeF",
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_came_through_a_proxy_on_this_machine_is_not_on_this_machine() {
        let here = "127.0.0.1:9".parse().expect("an address");
        let none = HeaderMap::new();
        assert!(neighbour(here, &none).is_ok());
        assert!(neighbour("[::1]:9".parse().expect("an address"), &none).is_ok());
        assert!(neighbour("10.0.0.1:9".parse().expect("an address"), &none).is_err());
        let mut fields = HeaderMap::new();
        fields.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        assert!(neighbour(here, &fields).is_err());
    }
}
