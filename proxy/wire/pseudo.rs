//! What a request of HTTP/2 may say: the same as one of HTTP/1, in other words.
//!
//! A request that could not be written as HTTP/1 must not be turned into it: what is a harmless letter in a frame is a
//! line end on the wire behind us (RFC 9113 §8.2, §10.3). Refuses, never repairs.

use std::borrow::Cow;

use super::fields::{Fate, fate};
use super::head::{Rules, Target, is_host, too_long};
use crate::base::path;
use crate::base::reason::Refusal;

/// The pseudo-header fields of a request, and what `Host` fields it has.
#[derive(Debug)]
pub struct Pseudo<'a> {
    /// `:method`
    pub method: &'a str,
    /// `:scheme`, where it is known.
    pub scheme: Option<&'a str>,
    /// `:path`
    pub target: &'a str,
    /// `:authority`
    pub authority: Option<&'a str>,
    /// Values of `Host`.
    pub hosts: &'a [&'a [u8]],
}

/// The form in which a request goes on.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled<'a> {
    /// Its target in origin-form, or `*`.
    pub target: Cow<'a, str>,
    /// Its host.
    pub host: &'a str,
}

/// Checks what takes the place of a request line.
///
/// # Errors
/// What is wrong with it.
pub fn check<'a>(pseudo: &Pseudo<'a>, rules: &Rules) -> Result<Settled<'a>, Refusal> {
    too_long(pseudo.method, pseudo.target, rules)?;
    if pseudo
        .scheme
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return Err(Refusal::BadRequest);
    }
    let host = match (pseudo.authority, pseudo.hosts) {
        (Some(authority), []) => authority.as_bytes(),
        (Some(authority), [host]) if host.eq_ignore_ascii_case(authority.as_bytes()) => host,
        (None, [host]) => host,
        _ => return Err(Refusal::BadRequest),
    };
    if !is_host(host) {
        return Err(Refusal::BadRequest);
    }
    let target = match Target::read(pseudo.target, pseudo.method) {
        Some(target @ (Target::Origin(_) | Target::Asterisk)) => target,
        _ => return Err(Refusal::BadRequest),
    };
    let normal = target.is_normal(rules)?;
    let target = match (normal, target.path_and_query()) {
        (true, _) => pseudo.target.into(),
        (false, (path, None)) => path::normal(path, rules.merge_slashes).into(),
        (false, (path, Some(query))) => {
            let path = path::normal(path, rules.merge_slashes);
            format!("{path}?{query}").into()
        }
    };
    // What a host may be made of is text.
    let host = std::str::from_utf8(host).map_err(|_| Refusal::BadRequest)?;
    Ok(Settled { target, host })
}

/// Checks the fields; the names of those that are to be left out.
///
/// # Errors
/// What is wrong with them.
pub fn fields<'a>(
    fields: &[(&'a str, &[u8])],
    rules: &Rules,
    trusted: bool,
) -> Result<Vec<&'a str>, Refusal> {
    if fields.len() > rules.max_fields {
        return Err(Refusal::HeaderTooLarge);
    }
    let size: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    if size > rules.max_head {
        return Err(Refusal::HeaderTooLarge);
    }
    let mut dropped = Vec::new();
    let (mut lengths, mut expects) = (0, 0);
    for (name, value) in fields {
        // RFC 9113 §8.2.2: these belong to connections of another kind.
        if matches!(
            *name,
            "connection" | "proxy-connection" | "keep-alive" | "transfer-encoding" | "upgrade"
        ) {
            return Err(Refusal::BadRequest);
        }
        if *name == "te" && !value.eq_ignore_ascii_case(b"trailers") {
            return Err(Refusal::BadRequest);
        }
        match fate(name, rules, trusted) {
            Fate::Drop => dropped.push(*name),
            Fate::Length => {
                lengths += 1;
                super::fields::sized(value, rules)?;
                // Octal to some. `canon` writes it without zeros; here nothing is written anew.
                if value.len() > 1 && value[0] == b'0' {
                    return Err(Refusal::BadRequest);
                }
            }
            Fate::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Refusal::Expectation);
            }
            Fate::Expect => expects += 1,
            _ => {}
        }
    }
    if lengths > 1 || expects > 1 {
        return Err(Refusal::BadRequest);
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            max_head: 1_000,
            max_fields: 10,
            max_target: 100,
            max_body: Some(1_000),
            merge_slashes: true,
            keep_underscores: false,
            drop: vec!["x-original-url".into()],
        }
    }

    fn settled(
        method: &str,
        target: &str,
        authority: Option<&str>,
        hosts: &[&[u8]],
    ) -> Result<(String, String), Refusal> {
        let pseudo = Pseudo {
            method,
            scheme: Some("https"),
            target,
            authority,
            hosts,
        };
        let Settled { target, host } = check(&pseudo, &rules())?;
        Ok((target.into_owned(), host.to_owned()))
    }

    #[test]
    fn an_ordinary_request_goes_on_in_the_form_of_http_1() {
        let got = settled("GET", "/a//b?x//y", Some("a.test"), &[]).unwrap();
        assert_eq!((&*got.0, &*got.1), ("/a/b?x//y", "a.test"));
        let got = settled("OPTIONS", "*", None, &[b"a.test:80"]).unwrap();
        assert_eq!((&*got.0, &*got.1), ("*", "a.test:80"));
        assert!(settled("GET", "/", Some("a.test"), &[b"A.test"]).is_ok());
    }

    #[test]
    fn what_could_not_be_written_as_http_1_is_refused() {
        for (method, target, authority, hosts, why) in [
            ("GET", "/", None, &[][..], Refusal::BadRequest),
            ("GET", "/", Some("a"), &[&b"b"[..]], Refusal::BadRequest),
            ("GET", "/", None, &[&b"a"[..], b"a"], Refusal::BadRequest),
            ("GET", "/", Some("u@a"), &[], Refusal::BadRequest),
            ("GET", "http://a/", Some("a"), &[], Refusal::BadRequest),
            ("GET", "*", Some("a"), &[], Refusal::BadRequest),
            ("GET", "/a b", Some("a"), &[], Refusal::BadRequest),
            ("GET", "/a\r\nx: y", Some("a"), &[], Refusal::BadRequest),
            ("GET", "/%2e%2e/", Some("a"), &[], Refusal::Path),
            ("TRACE", "/", Some("a"), &[], Refusal::Method),
            ("CONNECT", "/", Some("a"), &[], Refusal::Method),
        ] {
            let got = settled(method, target, authority, hosts);
            assert_eq!(got, Err(why), "{method} {target} {authority:?} {hosts:?}");
        }
    }

    #[test]
    fn only_requests_for_the_web_are_taken() {
        let of = |scheme| Pseudo {
            method: "GET",
            scheme,
            target: "/",
            authority: Some("a.test"),
            hosts: &[],
        };
        for known in [None, Some("http"), Some("https")] {
            assert!(check(&of(known), &rules()).is_ok());
        }
        for odd in ["ftp", "file", "HTTP", ""] {
            assert_eq!(
                check(&of(Some(odd)), &rules()),
                Err(Refusal::BadRequest),
                "{odd}"
            );
        }
    }

    #[test]
    fn fields_of_another_kind_of_connection_are_refused_and_others_dropped() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(
                fields(&[(name, b"x")], &rules(), false),
                Err(Refusal::BadRequest)
            );
        }
        assert_eq!(
            fields(&[("te", b"gzip")], &rules(), false),
            Err(Refusal::BadRequest)
        );
        let length: &[u8] = b"5";
        let twice = [("content-length", length), ("content-length", length)];
        assert_eq!(fields(&twice, &rules(), false), Err(Refusal::BadRequest));
        let twice = [("expect", &b"100-continue"[..]); 2];
        assert_eq!(fields(&twice, &rules(), false), Err(Refusal::BadRequest));
        assert_eq!(
            fields(&[("content-length", b"1001")], &rules(), false),
            Err(Refusal::BodyTooLarge)
        );
        assert_eq!(
            fields(&[("content-length", b"05")], &rules(), false),
            Err(Refusal::BadRequest)
        );
        let got = fields(
            &[
                ("te", b"trailers"),
                ("x-original-url", b"/"),
                ("x_y", b"z"),
                ("forwarded", b"for=1"),
            ],
            &rules(),
            false,
        );
        assert_eq!(got.unwrap(), ["x-original-url", "x_y", "forwarded"]);
    }
}
