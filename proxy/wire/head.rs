//! Where a request head ends, and whether it may come in.
//!
//! The data path's own parser repairs much of what it should refuse and answers the rest under its own name. What
//! passes here passes there, so every refusal has our words, is counted and is logged. Nothing is repaired: a head
//! is good or refused.

use http::Method;
use memchr::memchr_iter;

/// Header fields of one request.
const MAX_FIELDS: usize = 100;

/// Why a head may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not the grammar of RFC 9112, or framed in more than one way.
    Syntax,
    /// More than [`MAX_FIELDS`] fields.
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

/// Whether the complete head in `bytes` may come in.
///
/// # Errors
/// What is wrong with it.
pub fn check(bytes: &[u8]) -> Result<(), Bad> {
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
    framing.check(minor, target, method)
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

/// A host with an optional port: what RFC 3986 allows in an authority, without user information.
fn is_host(value: &[u8]) -> bool {
    !value.is_empty()
        && value.iter().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b':'
                        | b'['
                        | b']'
                        | b'%'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b';'
                        | b'='
                )
        })
}

/// Origin-form, absolute-form for the same authority as `Host`, or `*` for OPTIONS (RFC 9112 §3.2).
fn target_is_fine(target: &str, method: &str, host: Option<&[u8]>) -> bool {
    let clean = target
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\');
    if !clean {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<(), Bad> {
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
            assert_eq!(verdict(head), Ok(()), "{head}");
        }
    }

    #[test]
    fn ambiguous_and_malformed_heads_are_refused() {
        for head in [
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\nHost: a\nHost: a\n\n",
            "GET / HTTP/1.1\nHost: a, b\n\n",
            "GET / HTTP/1.1\nHost: u@a\n\n",
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
}
