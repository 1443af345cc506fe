//! Answers of nodes: no byte passes that was not checked, none beyond the end, and the end is where the head says.

use tidegate::wire::answer::{self, Asked, Framing};
use tidegate::wire::exchange::{Bad, Exchange};
use tidegate::wire::head;

use super::cuts;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The head of a request, then all that its node sends.
pub fn run(bytes: &[u8]) {
    let end = head::end(bytes, 0).unwrap_or(0);
    let (request, rest) = bytes.split_at(end);
    let (request, asked, rest) = match Asked::of(request) {
        Some(asked) => (request, asked, rest),
        None => (GET, Asked::of(GET).expect("a good head"), bytes),
    };
    if let Some(end) = head::end(rest, 0) {
        reads_alike(&rest[..end], &asked);
    }
    let [whole, single, odd] = cuts(rest).map(|pieces| passes(request, &pieces));
    assert_eq!(whole, single, "whole and byte by byte");
    assert_eq!(whole, odd, "whole and in pieces");
}

/// How many bytes of the answer pass, whether it was answered, and whether another exchange may follow.
fn passes(request: &[u8], pieces: &[&[u8]]) -> Result<(usize, bool, bool), Bad> {
    let mut exchange = Exchange::default();
    assert!(exchange.begin(request));
    exchange.sends(request);
    let (mut passed, mut held) = (0, Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let over = exchange.is_answered();
        let got = exchange.gets(&held)?;
        assert!(got.bytes <= held.len());
        assert!(!over || got.bytes == 0, "beyond its end");
        passed += got.bytes;
        if got.waits {
            held.drain(..got.bytes);
        } else {
            held.clear();
        }
    }
    assert!(!exchange.may_be_followed() || exchange.is_answered());
    let follows = exchange.may_be_followed();
    let answered = exchange.is_answered();
    let _ = exchange.closes();
    assert!(!exchange.may_be_followed());
    Ok((passed, answered, follows))
}

/// What the head says as httparse and its plain lines tell it.
fn reads_alike(head: &[u8], asked: &Asked) {
    let Ok(answer) = answer::check(head, asked) else {
        return;
    };
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut parsed = httparse::Response::new(&mut fields);
    assert_eq!(
        parsed.parse(head),
        Ok(httparse::Status::Complete(head.len()))
    );
    assert_eq!(parsed.code, Some(answer.status));
    // Line by line, as a parser does that knows nothing of leniency.
    let text = head
        .strip_suffix(b"\r\n\r\n")
        .expect("ends with an empty line");
    let mut lines = text
        .split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().expect("a status line");
    assert!(first.starts_with(b"HTTP/1."));
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in lines {
        assert!(!line.contains(&b'\r') && !line.contains(&0));
        let colon = line.iter().position(|b| *b == b':').expect("a colon");
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        assert!(!name.is_empty() && !name.iter().any(|b| b.is_ascii_whitespace()));
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(std::str::from_utf8(value).expect("digits"));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    assert!(lengths.len() + codings.len() <= 1, "ends in two places");
    assert!(codings.iter().all(|c| c.eq_ignore_ascii_case(b"chunked")));
    let due = match (answer.status, lengths.first()) {
        (101, _) => Framing::Tunnel,
        (100..200, _) => Framing::Interim,
        (204 | 304, _) => Framing::None,
        _ if asked.head_only => Framing::None,
        (_, Some(length)) => Framing::Sized(length.parse().expect("digits")),
        _ if !codings.is_empty() => Framing::Chunked,
        _ => Framing::UntilClose,
    };
    assert_eq!(answer.framing, due);
    assert!(answer.status != 101 || asked.upgrade);
    assert!(answer.status != 304 || asked.conditional);
    assert!(!answer.keep || !matches!(due, Framing::UntilClose | Framing::Tunnel));
}
