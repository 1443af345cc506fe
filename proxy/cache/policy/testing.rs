//! Heads for the tests of the policy, in few words.

use http::{HeaderMap, HeaderName};

/// 21 November 2026, 00:00:00, in milliseconds.
pub(super) const NOW: u64 = 1_795_219_200_000;

/// These fields, in lower-case names, a name twice for two lines.
pub(super) fn fields(of: &[(&str, &str)]) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in of {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        all.append(name, value.parse().unwrap());
    }
    all
}

/// A date so many seconds from [`NOW`], as HTTP writes it.
pub(super) fn date(seconds: i64) -> String {
    let at = NOW / 1_000;
    let at = at.checked_add_signed(seconds).unwrap();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at))
}
