//! The fields that decide where a request ends and how its connection goes on, and those that nobody may send.
//!
//! Looked at once, in one walk over the fields. Never repairs: a field is good, refused, or named for `canon` to
//! leave out.

use super::head::{Body, Rules};
use crate::base::reason::Refusal;

/// The longest name that every reader behind takes.
const MAX_NAME: usize = u16::MAX as usize;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    expect: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    pub connection: Connection,
    /// Some field is to be left out or written in another way.
    pub rewrite: bool,
}

/// What all `Connection` fields together say.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Connection {
    fields: u32,
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
}

impl Connection {
    /// Reads one field; whether it is the only one and in its plainest form.
    fn read(&mut self, value: &[u8]) -> bool {
        self.fields += 1;
        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= token.eq_ignore_ascii_case(b"upgrade");
        }
        let plain = [&b"keep-alive"[..], b"close", b"upgrade"];
        self.fields == 1 && plain.iter().any(|p| value.eq_ignore_ascii_case(p))
    }

    /// The one field that says the same. `upgrade`: it may ask for that.
    pub fn value(self, upgrade: bool) -> Option<&'static str> {
        match self {
            Connection { close: true, .. } => Some("close"),
            Connection { upgrade: true, .. } if upgrade => Some("upgrade"),
            Connection {
                keep_alive: true, ..
            } => Some("keep-alive"),
            _ => None,
        }
    }
}

/// What is to become of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Host,
    Length,
    Coding,
    Expect,
    Connection,
    Upgrade,
    /// Nobody may send it, or this peer may not.
    Drop,
    Pass,
}

/// Judges a field by its name. `trusted`: the peer may say who its client is.
pub(super) fn fate(name: &str, rules: &Rules, trusted: bool) -> Fate {
    let fate = fate_as_written(name, rules, trusted);
    // To an app that reads its fields from the environment, `X_Real_IP` is `X-Real-IP`.
    if fate == Fate::Pass
        && rules.keep_underscores
        && name.contains('_')
        && fate_as_written(&name.replace('_', "-"), rules, trusted) != Fate::Pass
    {
        return Fate::Drop;
    }
    fate
}

fn fate_as_written(name: &str, rules: &Rules, trusted: bool) -> Fate {
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    let fate = match name.len() {
        4 if is("host") => Fate::Host,
        6 if is("expect") => Fate::Expect,
        7 if is("upgrade") => Fate::Upgrade,
        10 if is("connection") => Fate::Connection,
        14 if is("content-length") => Fate::Length,
        17 if is("transfer-encoding") => Fate::Coding,
        _ => Fate::Pass,
    };
    let dropped =
        |fate| fate == Fate::Pass && (rules.drops(name) || (!trusted && tells_client(name)));
    if dropped(fate) { Fate::Drop } else { fate }
}

/// Whether a field says who the client is: only proxies we trust may.
fn tells_client(name: &str) -> bool {
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    match name.len() {
        9 => is("forwarded") || is("x-real-ip") || is("client-ip"),
        11 => is("x-client-ip") || is("x-forwarded"),
        13 if is("forwarded-for") => true,
        14 if is("true-client-ip") => true,
        19 if is("x-cluster-client-ip") => true,
        n => {
            n > 12
                && name
                    .get(..12)
                    .is_some_and(|p| p.eq_ignore_ascii_case("x-forwarded-"))
        }
    }
}

impl Rules {
    fn drops(&self, name: &str) -> bool {
        let underscore = |any, byte| any | (byte == b'_');
        (!self.keep_underscores && name.bytes().fold(false, underscore))
            || self.drop.iter().any(|d| d.eq_ignore_ascii_case(name))
    }
}

impl<'a> Facts<'a> {
    /// Walks over the fields.
    pub fn of(
        fields: &[httparse::Header<'a>],
        rules: &Rules,
        trusted: bool,
    ) -> Result<Self, Refusal> {
        let mut facts = Facts::default();
        for field in fields {
            if field.name.len() > MAX_NAME {
                return Err(Refusal::HeaderTooLarge);
            }
            let slot = match fate(field.name, rules, trusted) {
                Fate::Host => &mut facts.host,
                Fate::Length => &mut facts.length,
                Fate::Coding => &mut facts.coding,
                Fate::Expect => &mut facts.expect,
                Fate::Upgrade => &mut facts.upgrade,
                Fate::Connection => {
                    facts.rewrite |= !facts.connection.read(field.value);
                    continue;
                }
                Fate::Drop => {
                    facts.rewrite = true;
                    continue;
                }
                Fate::Pass => continue,
            };
            if slot.replace(field.value).is_some() {
                return Err(Refusal::BadRequest);
            }
        }
        Ok(facts)
    }

    /// Whether the client may be spoken to in another protocol after this request: it asks for WebSocket (RFC 6455
    /// §4.1) in both fields, and nothing stands between the request and what follows.
    pub fn may_upgrade(&self, minor: u8) -> bool {
        let websocket = |u: &[u8]| u.eq_ignore_ascii_case(b"websocket");
        let bodiless = self.coding.is_none() && self.length.is_none_or(|l| l == b"0");
        minor == 1 && bodiless && self.connection.upgrade && self.upgrade.is_some_and(websocket)
    }

    /// Whether the client sends its body only once it is told to go on.
    pub fn asks_first(&self, minor: u8) -> bool {
        minor == 1 && self.expect.is_some()
    }

    /// How the body is framed, in exactly one way (RFC 9112 §6).
    pub fn body(&mut self, minor: u8, rules: &Rules) -> Result<Body, Refusal> {
        if let Some(expect) = self.expect {
            if minor == 0 {
                self.rewrite = true; // RFC 9110 §10.1.1: ignored
            } else if !expect.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation);
            }
        }
        self.rewrite |= self.upgrade.is_some() && !self.may_upgrade(minor);
        match (self.coding, self.length) {
            (None, None) => Ok(Body::Sized(0)),
            (None, Some(digits)) => {
                self.rewrite |= digits.len() > 1 && digits[0] == b'0';
                sized(digits, rules)
            }
            (Some(coding), None) if minor == 1 => match coding.eq_ignore_ascii_case(b"chunked") {
                true => Ok(Body::Chunked),
                false => Err(unknown(coding)),
            },
            (Some(_), _) => Err(Refusal::BadRequest),
        }
    }
}

/// Reads a Content-Length.
pub(super) fn sized(digits: &[u8], rules: &Rules) -> Result<Body, Refusal> {
    if !(1..=18).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadRequest);
    }
    let length = digits
        .iter()
        .fold(0, |sum, d| sum * 10 + u64::from(d - b'0'));
    if rules.max_body.is_some_and(|most| length > most) {
        return Err(Refusal::BodyTooLarge);
    }
    Ok(Body::Sized(length))
}

/// A well-formed list of codings that we do not do, or nonsense.
fn unknown(coding: &[u8]) -> Refusal {
    let known = [
        &b"gzip"[..],
        b"x-gzip",
        b"deflate",
        b"compress",
        b"x-compress",
        b"identity",
    ];
    let mut tokens = coding.split(|b| *b == b',').map(<[u8]>::trim_ascii).rev();
    let last_may_be_chunked = tokens.next().is_some_and(|last| {
        last.eq_ignore_ascii_case(b"chunked") || known.iter().any(|k| last.eq_ignore_ascii_case(k))
    });
    let rest = tokens.all(|t| known.iter().any(|k| t.eq_ignore_ascii_case(k)));
    match last_may_be_chunked && rest {
        true => Refusal::Coding,
        false => Refusal::BadRequest,
    }
}
