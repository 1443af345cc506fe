//! The form in which a request head is handed on when it cannot go as it came.
//!
//! One line each, CRLF, origin-form, one `Connection` with nothing but what concerns this connection, no field that
//! nobody may send. Written only from a head that `head::check` found good; adds nothing the client did not say.

use bytes::{BufMut, BytesMut};

use super::fields::{Facts, Fate, fate};
use super::head::{Rules, Target, with_parsed};
use crate::base::path;
use crate::base::reason::Refusal;

/// The complete, good head in `bytes` in its canonical form.
///
/// # Errors
/// What [`super::head::check`] would say, when the head is not good.
pub fn write(bytes: &[u8], rules: &Rules, trusted: bool) -> Result<BytesMut, Refusal> {
    with_parsed(bytes, rules.max_fields, |request| {
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Refusal::BadRequest);
        };
        let target = Target::read(target, method).ok_or(Refusal::BadRequest)?;
        let facts = Facts::of(request.headers, rules, trusted)?;
        let upgrade = facts.may_upgrade(minor);
        let mut out = BytesMut::with_capacity(bytes.len() + 64);
        out.put_slice(method.as_bytes());
        out.put_u8(b' ');
        put_target(&mut out, &target, method, rules);
        out.put_slice(if minor == 1 {
            b" HTTP/1.1\r\n"
        } else {
            b" HTTP/1.0\r\n"
        });
        // RFC 9112 §3.2.2: the authority of an absolute target is the host.
        let authority = match target {
            Target::Absolute { authority, .. } => Some(authority),
            _ => None,
        };
        if let Some(authority) = authority.filter(|_| facts.host.is_none_or(<[u8]>::is_empty)) {
            put_field(&mut out, "Host", authority.as_bytes());
        }
        for field in request.headers.iter() {
            match fate(field.name, rules, trusted) {
                Fate::Drop | Fate::Connection => {}
                Fate::Expect if minor == 0 => {}
                Fate::Upgrade if !upgrade => {}
                Fate::Host if field.value.is_empty() && authority.is_some() => {}
                Fate::Length => put_field(&mut out, field.name, without_zeros(field.value)),
                _ => put_field(&mut out, field.name, field.value),
            }
        }
        if let Some(value) = facts.connection.value(upgrade) {
            put_field(&mut out, "Connection", value.as_bytes());
        }
        out.put_slice(b"\r\n");
        Ok(out)
    })
}

fn put_target(out: &mut BytesMut, target: &Target<'_>, method: &str, rules: &Rules) {
    let (path, query) = target.path_and_query();
    match target {
        Target::Asterisk => out.put_u8(b'*'),
        Target::Absolute { rest: "", .. } if method == "OPTIONS" => out.put_u8(b'*'),
        _ => out.put_slice(path::normal(path, rules.merge_slashes).as_bytes()),
    }
    if let Some(query) = query {
        out.put_u8(b'?');
        out.put_slice(query.as_bytes());
    }
}

fn put_field(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|d| **d == b'0').count();
    &digits[zeros.min(digits.len().saturating_sub(1))..]
}
