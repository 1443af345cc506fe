//! One line of the access log, written straight into the memory that it waits in.
//!
//! By hand, since it is most of what telling costs: what never changes is one piece of text, and a value is looked at
//! once. It must say byte for byte what serde_json would (`tests` has that form), which writes all numbers and
//! whatever needs escapes. It never fails and allocates nothing where there is room.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use http::Version;
use serde::Serialize;

use super::super::finished::Finished;
use crate::base::cached::{Outcome, Why};
use crate::base::coding::Coding;
use crate::base::reason::Refusal;

/// What a line has besides texts of any length: keys, numbers, an address, and words of ours.
const FIXED: usize = 896;
/// A byte of a text becomes at most `\u00XX`.
const ESCAPED: usize = 6;
/// The quotes and the comma of a node's name.
const AROUND_NODE: usize = 3;

/// Bytes that the line of a request may have at most.
pub(super) fn most(f: &Finished<'_>) -> usize {
    let nodes: usize = f
        .nodes
        .iter()
        .map(|n| n.len() * ESCAPED + AROUND_NODE)
        .sum();
    let texts = [
        f.id,
        f.listener,
        f.route,
        f.method.as_str(),
        f.host,
        f.path,
        f.upstream,
    ];
    let texts: usize = texts.iter().map(|t| t.len()).sum();
    let rare = [f.query, f.sni].map(|t| t.map_or(0, str::len));
    FIXED + (texts + rare[0] + rare[1]) * ESCAPED + nodes
}

/// Writes the line of a request, its end included.
pub(super) fn write(to: &mut Vec<u8>, second: &mut Second, f: &Finished<'_>) {
    put(to, "{\"ts\":\"");
    second.write(to, f.at);
    put(to, "\",\"id\":");
    text(to, f.id);
    put(to, ",\"client\":");
    value(to, &f.client);
    put(to, ",\"listener\":");
    text(to, f.listener);
    if !f.route.is_empty() {
        put(to, ",\"route\":");
        text(to, f.route);
    }
    asked(to, f);
    answered(to, f);
    if !f.upstream.is_empty() {
        put(to, ",\"upstream\":");
        text(to, f.upstream);
    }
    nodes(to, f.nodes);
    word(to, ",\"cache\":\"", f.cache.map(Outcome::as_str));
    word(to, ",\"cache_reason\":\"", f.cache_reason.map(Why::as_str));
    let encoding = f.encoding.filter(|c| *c != Coding::Identity);
    word(to, ",\"encoding\":\"", encoding.map(Coding::as_str));
    if let Some(status) = f.grpc_status {
        put(to, ",\"grpc_status\":");
        value(to, &status);
    }
    word(to, ",\"dry_run\":\"", f.dry_run.map(Refusal::as_str));
    if let Some(trace) = f.trace {
        let (id, span) = trace.shown();
        for (key, digits) in [(",\"trace\":\"", &id[..]), (",\"span\":\"", &span[..])] {
            put(to, key);
            to.extend_from_slice(digits);
            put(to, "\"");
        }
    }
    word(to, ",\"end\":\"", Some(f.end.as_str()));
    put(to, "}\n");
}

/// What the client wanted.
fn asked(to: &mut Vec<u8>, f: &Finished<'_>) {
    put(to, ",\"method\":");
    text(to, f.method.as_str());
    put(to, ",\"host\":");
    text(to, f.host);
    put(to, ",\"path\":");
    text(to, f.path);
    if let Some(query) = f.query {
        put(to, ",\"query\":");
        text(to, query);
    }
    put(
        to,
        match f.version {
            Version::HTTP_10 => ",\"proto\":\"HTTP/1.0\"",
            Version::HTTP_2 => ",\"proto\":\"HTTP/2\"",
            _ => ",\"proto\":\"HTTP/1.1\"",
        },
    );
    word(to, ",\"tls\":\"", f.tls);
    if let Some(sni) = f.sni {
        put(to, ",\"sni\":");
        text(to, sni);
    }
}

/// What it got, and how long that took.
fn answered(to: &mut Vec<u8>, f: &Finished<'_>) {
    put(to, ",\"status\":");
    value(to, &f.status);
    put(to, ",\"bytes_in\":");
    value(to, &f.bytes_in);
    put(to, ",\"bytes_out\":");
    value(to, &f.bytes_out);
    put(to, ",\"t\":{");
    for (key, time) in [
        ("\"queue\":", f.queue),
        ("\"connect\":", f.connect),
        ("\"ttfb\":", f.ttfb),
    ] {
        if let Some(time) = time {
            put(to, key);
            value(to, &seconds(time));
            put(to, ",");
        }
    }
    put(to, "\"total\":");
    value(to, &seconds(f.total));
    put(to, "}");
}

fn nodes(to: &mut Vec<u8>, nodes: &[&str]) {
    put(to, ",\"nodes\":[");
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            put(to, ",");
        }
        text(to, node);
    }
    put(to, "]");
}

/// Seconds, to the microsecond.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// A piece of the line, as it is.
fn put(to: &mut Vec<u8>, piece: &str) {
    to.extend_from_slice(piece.as_bytes());
}

/// A word of ours, which needs no escapes. `key` ends with its opening quote.
fn word(to: &mut Vec<u8>, key: &str, word: Option<&str>) {
    if let Some(word) = word {
        put(to, key);
        put(to, word);
        put(to, "\"");
    }
}

/// A text of somebody else, with its quotes.
fn text(to: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        put(to, "\"");
        put(to, text);
        put(to, "\"");
    } else {
        value(to, text);
    }
}

/// Whether a text is shown and taken by JSON as it is. Looks at every byte, without a way out in the middle: that is
/// a vector of them at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| {
        plain & matches!(b, b' '..=b'~') & (b != b'"') & (b != b'\\')
    })
}

/// Any other value, as serde_json has it.
fn value<T: ?Sized + Serialize>(to: &mut Vec<u8>, value: &T) {
    let mut serializer = serde_json::Serializer::with_formatter(to, Shown);
    // Writing into memory fails only for maps with odd keys, of which there are none here.
    let _ = value.serialize(&mut serializer);
}

/// Compact JSON that a terminal shows as it is.
pub(super) struct Shown;

impl serde_json::ser::Formatter for Shown {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if text.bytes().all(|b| b.is_ascii() && b != 0x7f) {
            return to.write_all(text.as_bytes());
        }
        let mut written = 0;
        for (at, odd) in text.char_indices().filter(|(_, c)| is_unseen(*c)) {
            to.write_all(&text.as_bytes()[written..at])?;
            write!(to, "\\u{:04x}", u32::from(odd))?;
            written = at + odd.len_utf8();
        }
        to.write_all(&text.as_bytes()[written..])
    }
}

/// DEL and the C1 controls, which some terminals obey, and what turns the direction of text or breaks a line of it
/// (Unicode TR 36 §2.10).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The end of the year 9999, in seconds since 1970: RFC 3339 has no later one.
const LAST_SECOND: u64 = 253_402_300_799;
/// `2026-01-31T12:00:00`.
const SECOND_LEN: usize = 19;

/// The second of the line before, in words: most lines have the same.
#[derive(Debug)]
pub(super) struct Second {
    unix: u64,
    /// With the `Z`, which is not wanted before milliseconds.
    words: [u8; SECOND_LEN + 1],
}

impl Default for Second {
    fn default() -> Self {
        Second {
            unix: 0,
            words: *b"1970-01-01T00:00:00Z",
        }
    }
}

impl Second {
    /// Writes a time to the millisecond (RFC 3339). One that RFC 3339 or Unix cannot tell is the nearest that they can.
    fn write(&mut self, to: &mut Vec<u8>, at: SystemTime) {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let unix = since.as_secs().min(LAST_SECOND);
        if unix != self.unix {
            self.unix = unix;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(unix);
            // It has exactly this length in the years that there are.
            let _ = write!(
                &mut self.words[..],
                "{}",
                humantime::format_rfc3339_seconds(at)
            );
        }
        to.extend_from_slice(&self.words[..SECOND_LEN]);
        let millis = since.subsec_millis();
        // A remainder of a division by ten is a digit.
        let digit = |n: u32| b'0' + (n % 10) as u8;
        to.extend_from_slice(&[
            b'.',
            digit(millis / 100),
            digit(millis / 10),
            digit(millis),
            b'Z',
        ]);
    }
}

#[cfg(test)]
mod tests;
