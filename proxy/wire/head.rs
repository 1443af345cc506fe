//! Where a request head ends, and whether it may come in.
//!
//! The data path's own parser repairs much of what it should refuse and answers the rest under its own name. What
//! passes here passes there, so every refusal has our words, is counted and is logged. Nothing is repaired: a head
//! is good or refused.

use bytes::{BufMut, BytesMut};
use http::Method;
use http::uri::Authority;
use memchr::memchr_iter;

/// Header fields of one request.
const MAX_FIELDS: usize = 100;

/// Why a head may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not the grammar of RFC 9112, or framed in more than one way.
    Syntax,
    /// More than 100 fields.
    TooManyFields,
    /// A method the proxy does not carry (CONNECT, TRACE).
    Method,
    /// A version other than 1.0 and 1.1.
    Version,
}

/// Position after the empty line that ends the head in `bytes`. `from` is how much was searched before.
///
/// Lines may end with LF alone here, so that a head written so is found and refused instead of waited for.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    memchr_iter(b'\n', &bytes[start..])
        .map(|at| start + at)
        .find(|at| {
            let line_end = |at: usize| bytes[..at].last() == Some(&b'\n');
            line_end(*at) || (bytes[..*at].last() == Some(&b'\r') && line_end(*at - 1))
        })
        .map(|at| at + 1)
}

/// Number of bytes before the request line: empty lines a client may send after a body (RFC 9112 §2.2).
pub fn empty_lines(bytes: &[u8]) -> usize {
    bytes
        .chunks(2)
        .take_while(|line| *line == b"\r\n")
        .map(<[u8]>::len)
        .sum()
}

/// What a good head says that the connection has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// How its body is framed.
    pub body: Body,
    /// Its target is in absolute-form (RFC 9112 §3.2.2): [`to_origin_form`] before it goes on.
    pub absolute: bool,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// This many bytes, perhaps none.
    Sized(usize),
    /// By chunks.
    Chunked,
}

/// Whether the complete head in `bytes` may come in.
///
/// # Errors
/// What is wrong with it.
pub fn check(bytes: &[u8]) -> Result<Good, Bad> {
    if memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Err(Bad::Syntax);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Bad::Syntax),
        Err(httparse::Error::TooManyHeaders) => return Err(Bad::TooManyFields),
        Err(httparse::Error::Version) => return Err(version_or_syntax(bytes)),
        Err(_) => return Err(Bad::Syntax),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Bad::Syntax);
    };
    if method == Method::CONNECT.as_str() || method == Method::TRACE.as_str() {
        return Err(Bad::Method);
    }
    let framing = Framing::of(request.headers)?;
    framing.check(minor, target, method)?;
    Ok(Good {
        body: framing.body(),
        absolute: !target.starts_with('/') && target != "*",
    })
}

/// The head in `bytes`, which [`check`] found to be good and in absolute-form, in origin-form: the node gets the path,
/// and the authority as `Host` where there was none (RFC 9112 §3.2.2).
pub fn to_origin_form(bytes: &[u8]) -> Option<BytesMut> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(bytes).ok()?;
    let (method, target) = (request.method?, request.path?);
    let (_, rest) = target.split_once("://")?;
    let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let has_host = request
        .headers
        .iter()
        .any(|f| f.name.eq_ignore_ascii_case("host"));
    let line_end = memchr::memchr(b'\n', bytes)?;
    let mut head = BytesMut::with_capacity(bytes.len() + authority.len() + 16);
    head.put_slice(method.as_bytes());
    head.put_u8(b' ');
    match path.as_bytes().first() {
        None if method == Method::OPTIONS.as_str() => head.put_u8(b'*'),
        Some(b'/') => {}
        _ => head.put_u8(b'/'),
    }
    head.put_slice(path.as_bytes());
    head.put_slice(if request.version? == 1 {
        b" HTTP/1.1\r\n"
    } else {
        b" HTTP/1.0\r\n"
    });
    if !has_host {
        head.put_slice(b"Host: ");
        head.put_slice(authority.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(&bytes[line_end + 1..]);
    Some(head)
}

/// A well-formed request line of another version, or one that is not well formed.
fn version_or_syntax(bytes: &[u8]) -> Bad {
    let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    match (words.nth(2), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Bad::Version
        }
        _ => Bad::Syntax,
    }
}

/// What decides where a request ends and whom it is for.
#[derive(Default)]
struct Framing<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Framing<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Result<Self, Bad> {
        let mut framing = Framing::default();
        for field in fields {
            let slot = match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => &mut framing.host,
                14 if field.name.eq_ignore_ascii_case("content-length") => &mut framing.length,
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => &mut framing.coding,
                _ => continue,
            };
            if slot.replace(field.value).is_some() {
                return Err(Bad::Syntax);
            }
        }
        Ok(framing)
    }

    /// Only after [`Self::check`].
    fn body(&self) -> Body {
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
        match (self.coding, self.length) {
            (Some(_), _) => Body::Chunked,
            (None, length) => Body::Sized(length.and_then(number).unwrap_or(0)),
        }
    }

    fn check(&self, minor: u8, target: &str, method: &str) -> Result<(), Bad> {
        let host_is_fine = match self.host {
            None => minor == 0,
            Some(host) => is_host(host) || (minor == 0 && host.is_empty()),
        };
        let length_is_fine = self
            .length
            .is_none_or(|l| (1..=18).contains(&l.len()) && l.iter().all(u8::is_ascii_digit));
        let coding_is_fine = self.coding.is_none_or(|c| {
            minor == 1 && self.length.is_none() && c.eq_ignore_ascii_case(b"chunked")
        });
        let fine = host_is_fine
            && length_is_fine
            && coding_is_fine
            && target_is_fine(target, method, self.host);
        if fine { Ok(()) } else { Err(Bad::Syntax) }
    }
}

/// A host with an optional port: an authority of RFC 3986 §3.2 without user information.
fn is_host(value: &[u8]) -> bool {
    let plain = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']')
    };
    // The common case is decided by a look at the letters; brackets and colons need the whole grammar.
    !value.is_empty()
        && value.iter().all(plain)
        && (memchr::memchr3(b':', b'[', b']', value).is_none() || is_authority(value))
}

fn is_authority(value: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(value) else {
        return false;
    };
    let after_host = &authority.as_str()[authority.host().len()..];
    let port = after_host.strip_prefix(':');
    after_host.is_empty() || port.is_some_and(|p| p.is_empty() || p.parse::<u16>().is_ok())
}

/// Origin-form, absolute-form for the same authority as `Host`, or `*` for OPTIONS (RFC 9112 §3.2).
fn target_is_fine(target: &str, method: &str, host: Option<&[u8]>) -> bool {
    if !is_clean(target.as_bytes()) {
        return false;
    }
    if target.starts_with('/') {
        return true;
    }
    if target == "*" {
        return method == Method::OPTIONS.as_str();
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            target
                .get(..scheme.len())
                .filter(|s| s.eq_ignore_ascii_case(scheme))
        })
        .map(|scheme| &target[scheme.len()..]);
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        is_host(authority.as_bytes()) && host.is_none_or(|h| h == authority.as_bytes())
    })
}

/// Bytes that may stand in a path or a query (RFC 3986 §3.3, §3.4), and the brackets that forms put there. A `%`
/// stands before two digits.
fn is_clean(target: &[u8]) -> bool {
    let allowed = |b: u8| {
        b.is_ascii_graphic()
            && !matches!(
                b,
                b'#' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    };
    let escape = |at: usize| {
        let digits = target.get(at + 1..at + 3);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    target.iter().all(|b| allowed(*b)) && memchr_iter(b'%', target).all(escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<Good, Bad> {
        check(head.replace('\n', "\r\n").as_bytes())
    }

    #[test]
    fn the_end_is_found_wherever_the_search_begins() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let at = head.len() - 4;
        for from in 0..at {
            assert_eq!(end(head, from), Some(at), "from {from}");
        }
        assert_eq!(end(&head[..at - 1], 0), None);
        assert_eq!(end(b"GET / HTTP/1.1\nHost: a\n\n", 0), Some(24));
        assert_eq!(end(b"", 0), None);
        assert_eq!(end(b"\n", 0), None);
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(empty_lines(b"GET"), 0);
        assert_eq!(empty_lines(b"\n\nGET"), 0);
    }

    #[test]
    fn ordinary_requests_come_in() {
        for head in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET /a?b=c%20d HTTP/1.0\n\n",
            "OPTIONS * HTTP/1.1\nHost: a:80\n\n",
            "POST / HTTP/1.1\nHost: [::1]:80\nContent-Length: 5\n\n",
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: ChUnKeD\n\n",
            "GET http://a.b/x HTTP/1.1\nHost: a.b\n\n",
            "BREW / HTTP/1.1\nHost: a\n\n",
        ] {
            assert!(verdict(head).is_ok(), "{head}");
        }
    }

    #[test]
    fn ambiguous_and_malformed_heads_are_refused() {
        for head in [
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\nHost: a\nHost: a\n\n",
            "GET / HTTP/1.1\nHost: a, b\n\n",
            "GET / HTTP/1.1\nHost: u@a\n\n",
            "GET / HTTP/1.1\nHost: [::1\n\n",
            "GET / HTTP/1.1\nHost: a:b\n\n",
            "GET / HTTP/1.1\nHost: a:65536\n\n",
            "GET / HTTP/1.1\nHost: a:1:2\n\n",
            "GET http://[/ HTTP/1.0\n\n",
            "GET http://a[b/ HTTP/1.0\n\n",
            "GET /<x> HTTP/1.1\nHost: a\n\n",
            "GET /?a=\"b\" HTTP/1.1\nHost: a\n\n",
            "GET /` HTTP/1.1\nHost: a\n\n",
            "GET /%zz HTTP/1.1\nHost: a\n\n",
            "GET /%4 HTTP/1.1\nHost: a\n\n",
            "GET /a b HTTP/1.1\nHost: a\n\n",
            "GET /#f HTTP/1.1\nHost: a\n\n",
            "GET * HTTP/1.1\nHost: a\n\n",
            "GET x HTTP/1.1\nHost: a\n\n",
            "GET http://b/ HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\nHost: a\nX : y\n\n",
            "GET / HTTP/1.1\nHost: a\n folded\n\n",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 5\n\n",
            "POST / HTTP/1.1\nHost: a\nContent-Length: +5\n\n",
            "POST / HTTP/1.1\nHost: a\nContent-Length: \n\n",
            "POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
            "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n\n",
            "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n",
        ] {
            assert_eq!(verdict(head), Err(Bad::Syntax), "{head}");
        }
        assert_eq!(check(b"GET / HTTP/1.1\nHost: a\n\n"), Err(Bad::Syntax));
        assert_eq!(verdict("GET / HTTP/2.0\nHost: a\n\n"), Err(Bad::Version));
        assert_eq!(
            verdict("CONNECT a:1 HTTP/1.1\nHost: a\n\n"),
            Err(Bad::Method)
        );
    }

    #[test]
    fn the_framing_of_the_body_is_told() {
        let body = |fields: &str| {
            let head = format!("POST / HTTP/1.1\nHost: a\n{fields}\n");
            verdict(&head).map(|good| good.body)
        };
        assert_eq!(body(""), Ok(Body::Sized(0)));
        assert_eq!(body("Content-Length: 17\n"), Ok(Body::Sized(17)));
        assert_eq!(body("Transfer-Encoding: chunked\n"), Ok(Body::Chunked));
    }

    #[test]
    fn absolute_form_becomes_origin_form() {
        for (from, to) in [
            (
                "GET http://a.b/x?y HTTP/1.1\nHost: a.b\n\n",
                "GET /x?y HTTP/1.1\nHost: a.b\n\n",
            ),
            (
                "GET HTTP://a.b HTTP/1.0\nX: y\n\n",
                "GET / HTTP/1.0\nHost: a.b\nX: y\n\n",
            ),
            (
                "GET http://a.b?q HTTP/1.0\n\n",
                "GET /?q HTTP/1.0\nHost: a.b\n\n",
            ),
            (
                "OPTIONS http://a.b:80 HTTP/1.1\nHost: a.b:80\n\n",
                "OPTIONS * HTTP/1.1\nHost: a.b:80\n\n",
            ),
        ] {
            assert!(verdict(from).unwrap().absolute);
            let from = from.replace('\n', "\r\n");
            let got = to_origin_form(from.as_bytes()).unwrap();
            assert_eq!(got, to.replace('\n', "\r\n").as_bytes());
            assert!(!check(&got).unwrap().absolute);
        }
    }
}
