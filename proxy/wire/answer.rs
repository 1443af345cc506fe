//! Whether the head of a node's answer is one, and where the answer ends.
//!
//! The data path's own parser repairs what a node sends: two lengths, a length beside chunks, a coding it does not
//! know, a space before a colon. Two parsers that repair differently see different answers. What passes here reads
//! the same to every parser; the rest is refused, never repaired.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};
use memchr::memchr_iter;

use super::head::Body;

/// Header fields of one answer.
const MAX_FIELDS: usize = 250;
/// Header fields of a request as we send it: what a client may send and what we add.
const MAX_ASKED: usize = super::head::MAX_FIELDS + 16;

/// What is wrong with the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not the grammar of RFC 9112.
    Syntax,
    /// More than 250 fields.
    TooManyFields,
    /// A status no answer can have.
    Status,
    /// More than one length, or one that is no number.
    Length,
    /// A transfer coding that is not `chunked` alone, or stands beside a length.
    Coding,
    /// A length or a coding where there can be no body.
    Body,
    /// 101 or 304, which nobody asked for.
    Unasked,
}

impl Bad {
    /// The same in words, for the operator.
    pub fn in_words(self) -> &'static str {
        match self {
            Bad::Syntax => "a head that is not HTTP/1",
            Bad::TooManyFields => "more than 250 header fields",
            Bad::Status => "a status outside 100 to 599",
            Bad::Length => "a Content-Length that is not one number",
            Bad::Coding => "a Transfer-Encoding that is not `chunked` alone",
            Bad::Body => "a body announced where there is none",
            Bad::Unasked => "a 101 or 304 that was not asked for",
        }
    }
}

/// What of a request decides how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// HEAD: the answer has no body, whatever its head says.
    pub head_only: bool,
    /// It offers another protocol: the answer may be 101.
    pub upgrade: bool,
    /// It is conditional: the answer may be 304.
    pub conditional: bool,
    /// How its own body is framed.
    pub body: Body,
}

impl Asked {
    /// What the head in `bytes` asks for: one that we send, so it is well-formed. `None`: it is not all the same.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_ASKED];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut fields).ok()?;
        if parsed != Status::Complete(bytes.len()) {
            return None;
        }
        let mut asked = Asked {
            head_only: request.method == Some("HEAD"),
            upgrade: false,
            conditional: false,
            body: Body::Sized(0),
        };
        for field in request.headers.iter() {
            let name = field.name;
            match name.len() {
                7 if name.eq_ignore_ascii_case("upgrade") => asked.upgrade = true,
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let digits = std::str::from_utf8(field.value).ok()?;
                    asked.body = Body::Sized(digits.parse().ok()?);
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => asked.body = Body::Chunked,
                8.. if name.as_bytes()[..3].eq_ignore_ascii_case(b"if-") => {
                    asked.conditional = true;
                }
                _ => {}
            }
        }
        Some(asked)
    }
}

/// What a good head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Where the answer ends.
    pub framing: Framing,
    /// Whether the node lets the connection be used again.
    pub keep: bool,
}

/// Where an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It was interim: the answer is still to come.
    Interim,
    /// With its head.
    None,
    /// After so many bytes.
    Sized(u64),
    /// By chunks.
    Chunked,
    /// With the connection.
    UntilClose,
    /// Never: from here on another protocol is spoken.
    Tunnel,
}

/// Whether the complete head in `bytes` may begin an answer to what was `asked`.
///
/// # Errors
/// What is wrong with it.
pub fn check(bytes: &[u8], asked: &Asked) -> Result<Answer, Bad> {
    let bare = |at: usize| at == 0 || bytes[at - 1] != b'\r';
    if !bytes.starts_with(b"HTTP/1.") || memchr_iter(b'\n', bytes).any(bare) {
        return Err(Bad::Syntax);
    }
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut answer = Response::new(&mut []);
    // Without options the parser has no leniency but the one caught above.
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut fields);
    match parsed {
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Bad::TooManyFields),
        Err(httparse::Error::Status) => return Err(Bad::Status),
        Ok(Status::Partial) | Err(_) => return Err(Bad::Syntax),
    }
    let (Some(status), Some(minor)) = (answer.code, answer.version) else {
        return Err(Bad::Syntax);
    };
    if !(100..=599).contains(&status) {
        return Err(Bad::Status);
    }
    let said = Said::in_fields(answer.headers, minor)?;
    let framing = said.framing(status, minor, asked)?;
    Ok(Answer {
        status,
        keep: !said.close
            && (minor == 1 || said.keep)
            && !matches!(framing, Framing::UntilClose | Framing::Tunnel),
        framing,
    })
}

/// What the fields of an answer say of the connection.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep: bool,
    upgrade: bool,
}

impl Said {
    fn in_fields(fields: &[Header<'_>], minor: u8) -> Result<Self, Bad> {
        let mut said = Said::default();
        for field in fields {
            let (name, value) = (field.name, field.value);
            match name.len() {
                7 if name.eq_ignore_ascii_case("upgrade") => said.upgrade = true,
                10 if name.eq_ignore_ascii_case("connection") => {
                    for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                        said.close |= token.eq_ignore_ascii_case(b"close");
                        said.keep |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length = number(value).ok_or(Bad::Length)?;
                    if said.length.replace(length).is_some() {
                        return Err(Bad::Length);
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let fine = minor == 1 && value.eq_ignore_ascii_case(b"chunked");
                    if !fine || std::mem::replace(&mut said.chunked, true) {
                        return Err(Bad::Coding);
                    }
                }
                _ => {}
            }
        }
        if said.chunked && said.length.is_some() {
            return Err(Bad::Coding);
        }
        Ok(said)
    }

    fn framing(&self, status: u16, minor: u8, asked: &Asked) -> Result<Framing, Bad> {
        // A length of 0 beside 1xx and 204 is forbidden (RFC 9110 §8.6), common, and read by everybody as what it says.
        let announced = self.chunked || self.length.is_some_and(|n| n > 0);
        match status {
            // Another protocol takes the place of HTTP/1.1 only (RFC 9110 §7.8).
            101 if !asked.upgrade || !self.upgrade || minor == 0 => Err(Bad::Unasked),
            100..200 | 204 if announced => Err(Bad::Body),
            101 => Ok(Framing::Tunnel),
            100..200 => Ok(Framing::Interim),
            304 if !asked.conditional => Err(Bad::Unasked),
            204 | 304 => Ok(Framing::None),
            _ if asked.head_only => Ok(Framing::None),
            _ if self.chunked => Ok(Framing::Chunked),
            _ => Ok(self.length.map_or(Framing::UntilClose, Framing::Sized)),
        }
    }
}

/// Up to eighteen digits, so that nothing overflows anywhere.
fn number(digits: &[u8]) -> Option<u64> {
    let fine = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let value = |n: u64, digit: &u8| n * 10 + u64::from(digit - b'0');
    fine.then(|| digits.iter().fold(0, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: &str) -> Asked {
        Asked::of(request.replace('\n', "\r\n").as_bytes()).unwrap()
    }

    fn get() -> Asked {
        asked("GET / HTTP/1.1\nHost: a\n\n")
    }

    fn verdict(head: &str) -> Result<Answer, Bad> {
        check(head.replace('\n', "\r\n").as_bytes(), &get())
    }

    #[test]
    fn what_a_request_asks_for_is_told() {
        let plain = get();
        assert!(!plain.head_only && !plain.upgrade && !plain.conditional);
        assert_eq!(plain.body, Body::Sized(0));
        assert!(asked("HEAD / HTTP/1.1\n\n").head_only);
        assert!(asked("GET / HTTP/1.1\nupgrade: websocket\n\n").upgrade);
        assert!(asked("GET / HTTP/1.1\nif-none-match: \"a\"\n\n").conditional);
        assert!(asked("GET / HTTP/1.1\nIf-Modified-Since: x\n\n").conditional);
        let body = |fields: &str| asked(&format!("POST / HTTP/1.1\n{fields}\n\n")).body;
        assert_eq!(body("Content-Length: 7"), Body::Sized(7));
        assert_eq!(body("transfer-encoding: chunked"), Body::Chunked);
        assert_eq!(Asked::of(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(Asked::of(b"GET / HTTP/1.1\r\n\r\nbody"), None);
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        for (head, framing, keep) in [
            (
                "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
                Framing::Sized(5),
                true,
            ),
            (
                "HTTP/1.1 200\nContent-Length: 0\n\n",
                Framing::Sized(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n",
                Framing::Chunked,
                true,
            ),
            ("HTTP/1.1 200 OK\n\n", Framing::UntilClose, false),
            ("HTTP/1.1 204 No\n\n", Framing::None, true),
            (
                "HTTP/1.1 204 No\nContent-Length: 0\n\n",
                Framing::None,
                true,
            ),
            ("HTTP/1.1 103 Early\nLink: </a>\n\n", Framing::Interim, true),
            (
                "HTTP/1.0 200 OK\nContent-Length: 5\n\n",
                Framing::Sized(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\nContent-Length: 5\nConnection: Keep-Alive\n\n",
                Framing::Sized(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: a, Close\n\n",
                Framing::Sized(5),
                false,
            ),
            (
                "HTTP/1.1 200 OK\nConnection: keep-alive\nConnection: close\nContent-Length: 1\n\n",
                Framing::Sized(1),
                false,
            ),
        ] {
            let answer = verdict(head).unwrap();
            assert_eq!((answer.framing, answer.keep), (framing, keep), "{head}");
        }
    }

    #[test]
    fn what_was_asked_decides_too() {
        let said = |head: &str, request: &str| {
            let head = head.replace('\n', "\r\n");
            check(head.as_bytes(), &asked(request)).map(|a| a.framing)
        };
        let (head, conditional) = (
            "HEAD / HTTP/1.1\n\n",
            "GET / HTTP/1.1\nIf-None-Match: *\n\n",
        );
        let upgrade = "GET / HTTP/1.1\nConnection: upgrade\nUpgrade: websocket\n\n";
        let sized = "HTTP/1.1 200 OK\nContent-Length: 5\n\n";
        let switched = "HTTP/1.1 101 S\nConnection: upgrade\nUpgrade: websocket\n\n";
        assert_eq!(said(sized, head), Ok(Framing::None));
        assert_eq!(
            said("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", head),
            Ok(Framing::None)
        );
        assert_eq!(
            said("HTTP/1.1 304 N\nContent-Length: 5\n\n", conditional),
            Ok(Framing::None)
        );
        assert_eq!(said(switched, upgrade), Ok(Framing::Tunnel));
        assert_eq!(said(sized, upgrade), Ok(Framing::Sized(5)));
        assert_eq!(said("HTTP/1.1 101 S\n\n", upgrade), Err(Bad::Unasked));
        assert_eq!(
            said(&switched.replace("1.1", "1.0"), upgrade),
            Err(Bad::Unasked)
        );
        assert_eq!(verdict(switched), Err(Bad::Unasked));
        assert_eq!(verdict("HTTP/1.1 304 N\n\n"), Err(Bad::Unasked));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (rest, bad) in [
            ("200 OK\nContent-Length: 5\nContent-Length: 6", Bad::Length),
            ("200 OK\nContent-Length: 5\nContent-Length: 5", Bad::Length),
            ("200 OK\nContent-Length: 5, 5", Bad::Length),
            ("200 OK\nContent-Length: +5", Bad::Length),
            ("200 OK\nContent-Length: -5", Bad::Length),
            ("200 OK\nContent-Length: 0x5", Bad::Length),
            ("200 OK\nContent-Length: 5 5", Bad::Length),
            ("200 OK\nContent-Length:", Bad::Length),
            ("200 OK\nContent-Length: 1000000000000000000", Bad::Length),
            (
                "200 OK\nContent-Length: 5\nTransfer-Encoding: chunked",
                Bad::Coding,
            ),
            (
                "200 OK\nTransfer-Encoding: chunked\nContent-Length: 5",
                Bad::Coding,
            ),
            (
                "200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
                Bad::Coding,
            ),
            ("200 OK\nTransfer-Encoding: chunked, chunked", Bad::Coding),
            ("200 OK\nTransfer-Encoding: gzip, chunked", Bad::Coding),
            ("200 OK\nTransfer-Encoding: chunked, gzip", Bad::Coding),
            ("200 OK\nTransfer-Encoding: identity", Bad::Coding),
            ("200 OK\nTransfer-Encoding: xchunked", Bad::Coding),
            ("200 OK\nTransfer-Encoding:", Bad::Coding),
            ("100 C\nContent-Length: 5", Bad::Body),
            ("103 E\nTransfer-Encoding: chunked", Bad::Body),
            ("204 N\nContent-Length: 5", Bad::Body),
            ("204 N\nTransfer-Encoding: chunked", Bad::Body),
            ("000 OK\nA: b", Bad::Status),
            ("099 OK\nA: b", Bad::Status),
            ("600 OK\nA: b", Bad::Status),
            ("99 OK\nA: b", Bad::Status),
            ("1000 OK\nA: b", Bad::Status),
            ("2x0 OK\nA: b", Bad::Status),
            ("-20 OK\nA: b", Bad::Status),
            (" 200 OK\nA: b", Bad::Status),
            ("200 O\0K\nA: b", Bad::Status),
            ("200 OK\nA : b", Bad::Syntax),
            ("200 OK\n A: b", Bad::Syntax),
            ("200 OK\nA: b\n c", Bad::Syntax),
            ("200 OK\nA: b\0", Bad::Syntax),
            ("200 OK\nA: b\rc", Bad::Syntax),
            ("200 OK\nA: b\x0bc", Bad::Syntax),
            ("200 OK\n: b", Bad::Syntax),
            ("200 OK\nA b", Bad::Syntax),
            ("200 OK\nA(: b", Bad::Syntax),
        ] {
            let refused = verdict(&format!("HTTP/1.1 {rest}\n\n")).map(|a| a.framing);
            assert_eq!(refused, Err(bad), "{rest:?}");
        }
        for head in [
            "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n",
            "HTTP/2.0 200 OK\n\n",
            "HTTP/1.2 200 OK\n\n",
            "HTTP/0.9 200 OK\n\n",
            "http/1.1 200 OK\n\n",
            "HTTP/1.1\n\n",
            "\nHTTP/1.1 200 OK\n\n",
            "ICY 200 OK\n\n",
        ] {
            assert!(verdict(head).is_err(), "{head:?}");
        }
        assert_eq!(
            check(b"HTTP/1.1 200 OK\nA: b\n\n", &get()),
            Err(Bad::Syntax)
        );
        let fields = |n| format!("HTTP/1.1 200 OK\n{}\n", "Set-Cookie: a=b\n".repeat(n));
        assert!(verdict(&fields(MAX_FIELDS)).is_ok());
        assert_eq!(verdict(&fields(MAX_FIELDS + 1)), Err(Bad::TooManyFields));
    }
}
