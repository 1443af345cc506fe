//! Requests that somebody might read in two ways, made up by the thousand from a seed.
//!
//! Half of them combine ways to write `Transfer-Encoding` with ways to write `Content-Length`, in both orders, with
//! bodies that fit the one or the other; half are good requests with a byte too many, too few or doubled where words
//! meet. The same seed makes the same requests. Whether one is good is not decided here: most are not.

use super::notation;

/// Ways to write the coding: every one known to have split two parsers, and the right ones.
const CODINGS: [&str; 40] = [
    "",
    "Transfer-Encoding: chunked",
    "transfer-encoding: Chunked",
    "Transfer-Encoding:chunked",
    r"Transfer-Encoding: \t chunked \t",
    "Transfer-Encoding : chunked",
    r"Transfer-Encoding\t: chunked",
    r" Transfer-Encoding: chunked",
    r"X: y\r\n Transfer-Encoding: chunked",
    r"Transfer-Encoding:\r\n chunked",
    r"Transfer-Encoding: chunked\r\n x",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: , chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding:",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: \"chunked\"",
    r"Transfer-Encoding: \x0bchunked",
    r"Transfer-Encoding: chunked\x0c",
    r"Transfer-Encoding: \0chunked",
    r"Transfer-Encoding: chunked\xa0",
    r"Transfer-Encoding: \x85chunked",
    r"Transfer-Encoding: chunked\r",
    r"X: y\nTransfer-Encoding: chunked",
    r"X: y\rTransfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "X-Transfer-Encoding: chunked",
    r"Transfer-Encoding\0: chunked",
    "Transfer Encoding: chunked",
    r"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    r"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    r"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked",
    r"Transfer-Encoding: chun\xe2\x84\xaaed",
];

/// Ways to write the length.
const LENGTHS: [&str; 30] = [
    "",
    "Content-Length: 5",
    "content-length:5",
    r"Content-Length: \t5\t\s",
    "Content-Length: 005",
    "Content-Length: 0",
    "Content-Length: 15",
    "Content-Length: 50",
    "Content-Length: 3",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5_0",
    "Content-Length: 5, 5",
    "Content-Length: 5,",
    "Content-Length: 5;a=b",
    "Content-Length: 5 0",
    "Content-Length: \"5\"",
    "Content-Length:",
    "Content-Length : 5",
    r"Content-Length:\r\n 5",
    r"Content-Length: 5\r\nContent-Length: 5",
    r"Content-Length: 5\r\nContent-Length: 0",
    r"Content-Length: 0\r\ncontent-length: 5",
    r"Content-Length: \x0b5",
    r"Content-Length: 5\0",
    "Content-Length: 36893488147419103237",
    "Content_Length: 5",
    r"X: y\nContent-Length: 5",
    r"X: y\rContent-Length: 5",
];

/// Bodies.
const BODIES: [&str; 8] = [
    "",
    "hello",
    r"5\r\nhello\r\n0\r\n\r\n",
    r"0\r\n\r\n",
    r"0\r\n\r\nGET /\i/inner HTTP/1.1\r\nHost: tide.test\r\n\r\n",
    r"5;a\nb\r\nhello\r\n0\r\n\r\n",
    r"5\nhello\n0\n\n",
    r"\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// Ends of the two lines in question.
const ENDS: [&str; 3] = ["\r\n", "\n", "\r"];

/// Good requests to be spoiled.
const SEEDS: [&str; 20] = [
    r"GET /\i HTTP/1.1\r\nHost: tide.test\r\n\r\n",
    r"GET /\i?a=b&c HTTP/1.1\r\nHost: tide.test:8080\r\nAccept: */*\r\n\r\n",
    r"GET http://tide.test/\i HTTP/1.1\r\nHost: tide.test\r\n\r\n",
    r"GET /a/../b/./c//\i HTTP/1.1\r\nHost: tide.test\r\n\r\n",
    r"GET /%2f%20/\i HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    r"HEAD /\i HTTP/1.1\r\nHost: tide.test\r\nX-A: b\r\n\r\n",
    r"\r\nGET /\i HTTP/1.1\r\nHost: tide.test\r\n\r\n",
    r"GET /\i HTTP/1.1\r\nHost: tide.test\r\nConnection: close\r\n\r\n",
    r"GET /\i HTTP/1.0\r\nHost: tide.test\r\n\r\n",
    r"DELETE /\i HTTP/1.1\r\nHost: tide.test\r\nAuthorization: Basic QQ==\r\nCookie: a=b; c=d\r\n\r\n",
    r"POST /\i HTTP/1.1\r\nHost: tide.test\r\nContent-Length: 5\r\n\r\nhello",
    r"POST /\i HTTP/1.1\r\nContent-Length: 0\r\nHost: tide.test\r\n\r\n",
    r"PUT /\i HTTP/1.1\r\nHost: tide.test\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello\r\nworld",
    r"POST /\i HTTP/1.1\r\nHost: tide.test\r\nContent-Length: 44\r\n\r\nGET /\i/in HTTP/1.1\r\nHost: tide.test\r\nX: \r\n\r\n",
    r"POST /\i HTTP/1.1\r\nHost: tide.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    r"POST /\i HTTP/1.1\r\nHost: tide.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "POST /\\i HTTP/1.1\\r\\nHost: tide.test\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n5;a=b;c=\"d e\"\\r\\nhello\\r\\n0;e\\r\\n\\r\\n",
    r"POST /\i HTTP/1.1\r\nHost: tide.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: b\r\nX-B: c d\r\n\r\n",
    r"GET /\i HTTP/1.1\r\nHost: tide.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    r"OPTIONS /\i HTTP/1.1\r\nHost: tide.test\r\nUser-Agent: a/1 (b; c)\r\nX-A: \x80\r\nX-A:\r\n\r\n",
];

/// Bytes that parsers disagree about.
const SPICE: [u8; 12] = [
    b'\r', b'\n', b' ', b'\t', 0, 0x0b, 0x0c, 0x85, 0xa0, b',', b';', b'_',
];

/// One request with this mark in it.
pub fn make(rng: &mut fastrand::Rng, mark: &str) -> Vec<u8> {
    if rng.bool() {
        framed(rng, mark)
    } else {
        spoiled(rng, mark)
    }
}

fn read(text: &str, mark: &str) -> Vec<u8> {
    notation::bytes(text, mark).expect("a text of this file")
}

fn pick<'a>(rng: &mut fastrand::Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A coding, a length, a body.
fn framed(rng: &mut fastrand::Rng, mark: &str) -> Vec<u8> {
    // One of both is often right, so that the other decides; the line ends mostly are.
    let coding = if rng.u8(..3) == 0 {
        CODINGS[rng.usize(..2)]
    } else {
        pick(rng, &CODINGS)
    };
    let length = if rng.u8(..3) == 0 {
        LENGTHS[rng.usize(..2)]
    } else {
        pick(rng, &LENGTHS)
    };
    let mut lines = [coding, length];
    if rng.bool() {
        lines.reverse();
    }
    let end = if rng.u8(..4) == 0 {
        pick(rng, &ENDS)
    } else {
        ENDS[0]
    };
    let method = pick(rng, &["POST", "POST", "GET", "PUT", "DELETE"]);
    let mut out = read(
        &format!(r"{method} /\i HTTP/1.1\r\nHost: tide.test\r\n"),
        mark,
    );
    for line in lines.iter().filter(|l| !l.is_empty()) {
        out.extend(read(line, mark));
        out.extend(end.as_bytes());
    }
    out.extend(b"\r\n");
    out.extend(read(pick(rng, &BODIES), mark));
    out
}

/// A good request with up to two bytes wrong where words meet.
fn spoiled(rng: &mut fastrand::Rng, mark: &str) -> Vec<u8> {
    let mut out = read(pick(rng, &SEEDS), mark);
    for _ in 0..rng.usize(..=2) {
        let places = places(&out, mark.as_bytes());
        let at = places[rng.usize(..places.len())];
        let spice = SPICE[rng.usize(..SPICE.len())];
        match rng.u8(..5) {
            0 | 1 => out.insert(at, spice),
            2 => out[at] = spice,
            3 => drop(out.remove(at)),
            _ => out.insert(at, out[at]),
        }
    }
    out
}

/// Positions where the kind of byte changes, none of them in a mark.
fn places(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    let kind = |b: u8| match b {
        b if b.is_ascii_alphanumeric() => 0,
        b'\r' | b'\n' => 1,
        b' ' | b'\t' => 2,
        _ => 3,
    };
    let in_mark = |at: usize| {
        let from = (at + 1).saturating_sub(mark.len());
        (from..=at).any(|from| bytes[from..].starts_with(mark))
    };
    let mut out: Vec<usize> = (1..bytes.len())
        .filter(|at| kind(bytes[*at]) != kind(bytes[at - 1]) || kind(bytes[*at]) == 1)
        .filter(|at| !in_mark(*at))
        .collect();
    out.push(0);
    out
}
