//! What a gRPC call says in its fields: that it is one, how long it may take, how it ended.
//!
//! By the words of "gRPC over HTTP2" (grpc/doc/PROTOCOL-HTTP2.md) and of "HTTP to gRPC Status Code Mapping". Messages are
//! never looked at: they are the service's.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// How a call ended, as a number.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The same in words, percent-encoded.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long a call may take.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What the media type of every call begins with; the format of its messages follows behind `+`.
const TYPE: &[u8] = b"application/grpc";
/// The most digits of a timeout.
const DIGITS: usize = 8;
const MOST: u128 = 99_999_999;

/// A call ended well.
pub const OK: u32 = 0;
/// For a reason that nobody knows.
pub const UNKNOWN: u32 = 2;
/// Its time is over.
pub const DEADLINE_EXCEEDED: u32 = 4;
/// Its client may not.
pub const PERMISSION_DENIED: u32 = 7;
/// There is too much of something.
pub const RESOURCE_EXHAUSTED: u32 = 8;
/// Nobody here knows the method.
pub const UNIMPLEMENTED: u32 = 12;
/// Something is broken.
pub const INTERNAL: u32 = 13;
/// Not now: it may go well the next time.
pub const UNAVAILABLE: u32 = 14;
/// Data is lost.
const DATA_LOSS: u32 = 15;
/// Nobody knows who its client is.
pub const UNAUTHENTICATED: u32 = 16;

/// Whether a request is a gRPC call, by its media type.
pub fn is_call(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(..TYPE.len()))
        .is_some_and(|begin| begin.eq_ignore_ascii_case(TYPE))
}

/// How a call ended, as these fields (of a head without a body, or of trailers) say it.
pub fn status(fields: &HeaderMap) -> Option<u32> {
    let text = fields.get(STATUS)?.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(UNKNOWN))
}

/// How long a call may take: up to eight digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`). `None` where it does not say, or
/// not in a way that anybody could read.
pub fn timeout(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let fits = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| fits)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A time as a timeout is written, in the finest unit it fits into; never more than it is.
pub fn written(time: Duration) -> String {
    let units = [(time.as_micros(), 'u'), (time.as_millis(), 'm')];
    let fitting = units.into_iter().find(|(number, _)| *number <= MOST);
    let whole = (u128::from(time.as_secs()).min(MOST), 'S');
    let (number, unit) = fitting.unwrap_or(whole);
    format!("{number}{unit}")
}

/// What a status of HTTP is to a call. Two of them are gRPC's own words for the same: a body that is too large is
/// RESOURCE_EXHAUSTED, and what ran out of time DEADLINE_EXCEEDED rather than UNAVAILABLE, which invites to try again what
/// perhaps still runs.
pub fn of_http(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The status of HTTP that says the same of a node, so that the file's `failure_statuses` hold for calls too.
pub fn as_http(status: u32) -> u16 {
    match status {
        UNKNOWN | INTERNAL | DATA_LOSS => 500,
        DEADLINE_EXCEEDED => 504,
        UNAVAILABLE => 503,
        // The rest is about the call, not about the node.
        _ => 200,
    }
}

/// Words as `grpc-message` carries them: percent-encoded but for what is printed as it is.
pub fn message(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for byte in words.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_call_is_known_by_its_media_type() {
        let is = |kind| is_call(&fields(header::CONTENT_TYPE, kind));
        assert!(is("application/grpc") && is("application/grpc+proto"));
        assert!(is("Application/GRPC") && is("application/grpc-web+proto"));
        assert!(!is("application/json") && !is("application/grp") && !is_call(&HeaderMap::new()));
    }

    #[test]
    fn times_are_read_as_they_are_written_and_nothing_else() {
        let read = |text| timeout(&fields(TIMEOUT, text));
        assert_eq!(read("1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        assert_eq!(
            read("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        for odd in [
            "",
            "5",
            "S",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1s",
            "1 S",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_left_is_written_without_a_gain() {
        for (time, text) in [
            (Duration::from_nanos(1_999), "1u"),
            (Duration::from_millis(250), "250000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(written(time), text);
        }
    }

    #[test]
    fn only_a_number_is_a_status() {
        let read = |text| status(&fields(STATUS, text));
        assert_eq!((read("0"), read("14")), (Some(OK), Some(UNAVAILABLE)));
        assert_eq!(read("99999999999999999999"), Some(UNKNOWN));
        assert_eq!((read(""), read("-1"), read("ok")), (None, None, None));
    }

    #[test]
    fn a_message_is_one_line_of_print() {
        assert_eq!(message("50% café\n"), "50%25 caf%C3%A9%0A");
    }
}
