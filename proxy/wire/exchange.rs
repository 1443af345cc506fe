//! One request and its answer on one connection to a node: how far both are.
//!
//! Knows of every byte whether it belongs to the exchange, and that the exchange is over only when it is. Never lets
//! a byte of an answer pass that was not checked, nor one that lies beyond its end.

use super::answer::{self, Asked, Framing};
use super::chunks::{self, Chunks};
use super::head::{self, Body};

/// The largest head of an answer.
const HEAD_AT_MOST: usize = 64 * 1024;
/// Interim answers (100, 103) before the answer.
const INTERIMS_AT_MOST: u32 = 16;
/// Trailer fields of an answer, in bytes.
const TRAILERS_AT_MOST: u32 = 16 * 1024;

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Its head.
    Head(answer::Bad),
    /// Its chunks.
    Chunks(chunks::Bad),
    /// Its head has no end.
    HeadTooLong,
    /// Only interim answers come.
    TooManyInterims,
    /// It came before anything was asked.
    Unasked,
}

impl Bad {
    /// The same in words, for the operator.
    pub fn in_words(self) -> &'static str {
        match self {
            Bad::Head(bad) => bad.in_words(),
            Bad::Chunks(bad) => bad.in_words(),
            Bad::HeadTooLong => "a head of more than 64 KiB",
            Bad::TooManyInterims => "more than 16 interim answers",
            Bad::Unasked => "an answer before the request",
        }
    }
}

/// How far a request is.
#[derive(Debug)]
enum Sent {
    /// Nothing of it.
    Nothing,
    /// So many bytes of the head are missing.
    Head(usize),
    Sized(u64),
    Chunked(Box<Chunks>),
    Over,
    /// Not what it should be; it is never over.
    Odd,
}

/// How far an answer is.
#[derive(Debug)]
enum Got {
    /// A head is expected; so much of it was searched for its end.
    Head(usize),
    Sized(u64),
    Chunked(Chunks),
    UntilClose,
    Tunnel,
    Over,
}

/// What some bytes from the node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// So many of them belong to the answer and were checked.
    pub bytes: usize,
    /// What follows them begins a head: to be shown again with more behind it. Otherwise it is to be dropped.
    pub waits: bool,
    /// So many of those that may pass are no answer any more but the first of a tunnel.
    pub of_tunnel: usize,
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    asked: Option<Asked>,
    sent: Sent,
    got: Got,
    interims: u32,
    /// Nothing so far speaks against using the connection again.
    keep: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            asked: None,
            sent: Sent::Nothing,
            got: Got::Head(0),
            interims: 0,
            keep: true,
        }
    }
}

impl Exchange {
    /// Whether a request has begun.
    pub fn is_begun(&self) -> bool {
        self.asked.is_some()
    }

    /// The request begins with this head. `false`: it is none, and nothing of it may be sent.
    #[must_use]
    pub fn begin(&mut self, head: &[u8]) -> bool {
        self.asked = Asked::of(head);
        if self.is_begun() {
            self.sent = Sent::Head(head.len());
        }
        self.is_begun()
    }

    /// Whether a body follows the request's head.
    pub fn has_body(&self) -> bool {
        self.asked.is_some_and(|asked| asked.body != Body::Sized(0))
    }

    /// Whether the request has been sent to its end.
    pub fn is_sent(&self) -> bool {
        matches!(self.sent, Sent::Over)
    }

    /// Whether the head of the answer has come, what only precedes it (100, 103) aside.
    pub fn has_answer_begun(&self) -> bool {
        !matches!(self.got, Got::Head(_))
    }

    /// Whether the request asks for another protocol.
    pub fn asks_to_upgrade(&self) -> bool {
        self.asked.is_some_and(|asked| asked.upgrade)
    }

    /// These bytes of the request are on their way.
    pub fn sends(&mut self, mut bytes: &[u8]) {
        if let Sent::Head(left) = &mut self.sent {
            let of_head = bytes.len().min(*left);
            *left -= of_head;
            bytes = &bytes[of_head..];
            if *left > 0 {
                return;
            }
            self.sent = match self.asked.map(|asked| asked.body) {
                Some(Body::Chunked) => Sent::Chunked(Box::new(Chunks::new(TRAILERS_AT_MOST))),
                Some(Body::Sized(length)) if length > 0 => Sent::Sized(length),
                _ => Sent::Over,
            };
        }
        if bytes.is_empty() {
            return;
        }
        let next = match &mut self.sent {
            Sent::Sized(left) => match left.checked_sub(bytes.len() as u64) {
                Some(0) => Sent::Over,
                Some(less) => Sent::Sized(less),
                None => Sent::Odd,
            },
            Sent::Chunked(chunks) => match chunks.scan(bytes) {
                Ok(scanned) if scanned.used < bytes.len() => Sent::Odd,
                Ok(scanned) if scanned.over => Sent::Over,
                Ok(_) => return,
                Err(_) => Sent::Odd,
            },
            _ => Sent::Odd,
        };
        self.sent = next;
    }

    /// These bytes came from the node.
    ///
    /// # Errors
    /// When they do not continue the answer. None of them may pass then.
    pub fn gets(&mut self, bytes: &[u8]) -> Result<Passed, Bad> {
        let (mut passed, mut of_tunnel) = (0, 0);
        loop {
            let rest = &bytes[passed..];
            match &mut self.got {
                Got::Head(searched) => {
                    let Some(end) = head_end(rest, searched)? else {
                        let waits = true;
                        return Ok(Passed {
                            bytes: passed,
                            waits,
                            of_tunnel: 0,
                        });
                    };
                    self.got = self.begins(&rest[..end])?;
                    passed += end;
                    continue;
                }
                Got::Sized(left) => {
                    let here = (rest.len() as u64).min(*left);
                    *left -= here;
                    passed += here as usize;
                    if *left == 0 {
                        self.got = Got::Over;
                        continue;
                    }
                }
                Got::Chunked(chunks) => {
                    let scanned = chunks.scan(rest).map_err(Bad::Chunks)?;
                    passed += scanned.used;
                    if scanned.over {
                        self.got = Got::Over;
                        continue;
                    }
                }
                Got::UntilClose => passed = bytes.len(),
                Got::Tunnel => {
                    of_tunnel = rest.len();
                    passed = bytes.len();
                }
                // Who sends more than an answer has lost count; what comes next cannot be believed.
                Got::Over => self.keep &= rest.is_empty(),
            }
            return Ok(Passed {
                bytes: passed,
                waits: false,
                of_tunnel,
            });
        }
    }

    /// What follows a whole head.
    fn begins(&mut self, head: &[u8]) -> Result<Got, Bad> {
        let asked = self.asked.ok_or(Bad::Unasked)?;
        let answer = answer::check(head, &asked).map_err(Bad::Head)?;
        self.keep &= answer.keep;
        Ok(match answer.framing {
            Framing::Interim => {
                self.interims += 1;
                if self.interims > INTERIMS_AT_MOST {
                    return Err(Bad::TooManyInterims);
                }
                Got::Head(0)
            }
            Framing::None | Framing::Sized(0) => Got::Over,
            Framing::Sized(length) => Got::Sized(length),
            Framing::Chunked => Got::Chunked(Chunks::new(TRAILERS_AT_MOST)),
            Framing::UntilClose => Got::UntilClose,
            Framing::Tunnel => Got::Tunnel,
        })
    }

    /// The node closed. `false`: in the middle of a body.
    #[must_use]
    pub fn closes(&mut self) -> bool {
        self.keep = false;
        if matches!(self.got, Got::UntilClose) {
            self.got = Got::Over;
        }
        !matches!(self.got, Got::Sized(_) | Got::Chunked(_))
    }

    /// Whether the answer has ended.
    pub fn is_answered(&self) -> bool {
        matches!(self.got, Got::Over)
    }

    /// Whether another protocol is spoken by now.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.got, Got::Tunnel)
    }

    /// Whether all of it is over and nothing speaks against another exchange on the same connection.
    pub fn may_be_followed(&self) -> bool {
        self.keep && self.is_answered() && matches!(self.sent, Sent::Over)
    }
}

/// Where the head in `bytes` ends, if its end is there.
fn head_end(bytes: &[u8], searched: &mut usize) -> Result<Option<usize>, Bad> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let seen = bytes.len().min(BEGIN.len());
    if bytes[..seen] != BEGIN[..seen] {
        return Err(Bad::Head(answer::Bad::Syntax));
    }
    let end = head::end(bytes, *searched);
    if end.unwrap_or(bytes.len()) > HEAD_AT_MOST {
        return Err(Bad::HeadTooLong);
    }
    *searched = if end.is_some() { 0 } else { bytes.len() };
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";

    fn after(request: &str) -> Exchange {
        let mut exchange = Exchange::default();
        let head = head::end(request.as_bytes(), 0).unwrap();
        assert!(exchange.begin(&request.as_bytes()[..head]));
        exchange.sends(request.as_bytes());
        exchange
    }

    /// What passes of `answer` in pieces of these sizes, and whether another exchange may follow.
    fn outcome(answer: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, bool), Bad> {
        let mut exchange = after(GET);
        let (mut passed, mut held) = (Vec::new(), Vec::new());
        let mut rest = answer;
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*size));
            held.extend_from_slice(piece);
            rest = later;
            let got = exchange.gets(&held)?;
            passed.extend(held.drain(..got.bytes));
            if !got.waits {
                held.clear();
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok((passed, exchange.may_be_followed()))
    }

    #[test]
    fn a_good_answer_passes_whole_and_another_request_may_follow() {
        for answer in [
            SIZED,
            CHUNKED,
            "HTTP/1.1 204 No\r\n\r\n",
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ] {
            let all = answer.as_bytes().to_vec();
            assert_eq!(outcome(&all, &[1_000]), Ok((all.clone(), true)), "{answer}");
            assert_eq!(outcome(&all, &[1]), Ok((all, true)), "{answer}");
        }
    }

    #[test]
    fn nothing_beyond_the_end_passes_and_nothing_follows_it() {
        for answer in [SIZED, CHUNKED, "HTTP/1.1 204 No\r\n\r\n"] {
            let longer = format!("{answer}HTTP/1.1 200 OK\r\n");
            let kept_back = Ok((answer.as_bytes().to_vec(), false));
            assert_eq!(outcome(longer.as_bytes(), &[1_000]), kept_back);
            assert_eq!(outcome(longer.as_bytes(), &[1]), kept_back);
        }
    }

    #[test]
    fn no_byte_of_a_bad_head_passes() {
        let interims = "HTTP/1.1 100 C\r\n\r\n".repeat(17);
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(HEAD_AT_MOST));
        for (answer, bad) in [
            (
                "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                Bad::Head(answer::Bad::Syntax),
            ),
            ("220 smtp", Bad::Head(answer::Bad::Syntax)),
            ("HTTP/1.1 200 OK\nA: b\n\n", Bad::Head(answer::Bad::Syntax)),
            (&interims, Bad::TooManyInterims),
            (&long, Bad::HeadTooLong),
            (&long[..HEAD_AT_MOST + 1], Bad::HeadTooLong),
        ] {
            assert_eq!(outcome(answer.as_bytes(), &[answer.len()]), Err(bad));
            assert_eq!(outcome(answer.as_bytes(), &[999]), Err(bad));
        }
        let early = Exchange::default().gets(SIZED.as_bytes());
        assert_eq!(early, Err(Bad::Unasked));
    }

    #[test]
    fn only_a_whole_request_may_be_followed_by_another() {
        let post = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (request, whole) in [
            (format!("{post}abc"), true),
            (format!("{post}ab"), false),
            (format!("{post}abcd"), false),
            (format!("{GET}x"), false),
            (format!("{chunked}1\r\na\r\n0\r\n\r\n"), true),
            (format!("{chunked}1\r\na\r\n"), false),
            (format!("{chunked}0\r\n\r\nx"), false),
        ] {
            let mut exchange = after(&request);
            assert!(exchange.gets(SIZED.as_bytes()).is_ok());
            assert!(exchange.is_answered());
            assert_eq!(exchange.may_be_followed(), whole, "{request}");
        }
    }

    #[test]
    fn what_comes_behind_the_head_of_a_101_is_the_first_of_a_tunnel() {
        let mut exchange = after("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
        let head = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n";
        let passed = exchange.gets(format!("{head}abc").as_bytes()).unwrap();
        assert_eq!((passed.bytes, passed.of_tunnel), (head.len() + 3, 3));
        assert!(exchange.is_tunnel());
    }

    #[test]
    fn an_end_in_the_middle_of_a_body_is_none() {
        for (part, fine) in [
            (&SIZED[..SIZED.len() - 1], false),
            (&CHUNKED[..CHUNKED.len() - 1], false),
            (SIZED, true),
            ("HTTP/1.1 200 OK\r\n\r\nabc", true),
            ("HTTP/1.1 200", true), // the data path knows that this is no head
        ] {
            let mut exchange = after(GET);
            assert!(exchange.gets(part.as_bytes()).is_ok());
            assert_eq!(exchange.closes(), fine, "{part}");
            assert!(!exchange.may_be_followed());
        }
    }

    proptest! {
        #[test]
        fn how_it_is_cut_into_pieces_does_not_matter(
            which in 0..4usize,
            extra in "[A-Z/0-9 ]{0,3}",
            sizes in prop::collection::vec(1..40usize, 1..6),
        ) {
            let interim = "HTTP/1.1 100 C\r\n\r\n";
            let answers = [
                SIZED.to_string(),
                CHUNKED.to_string(),
                format!("{interim}{interim}{CHUNKED}"),
                CHUNKED.replace("2\r\n", "2 \r\n"),
            ];
            let answer = format!("{}{extra}", answers[which]);
            let whole = outcome(answer.as_bytes(), &[1_000]);
            prop_assert_eq!(outcome(answer.as_bytes(), &sizes), whole);
        }
    }
}
