//! The host of a request in the one form that routes are written in.
//!
//! `Shop.Example.COM:8080` and `shop.example.com.` ask for the same site; whoever compares them as bytes serves the
//! wrong one. This must never judge a host (a malformed one is refused when the head is parsed): what it does not
//! understand it hands back as it came, and that matches no exact host.

use std::borrow::Cow;

/// `raw` (the value of `Host` or `:authority`) in lower case, without port and without one trailing dot.
///
/// Ports may be empty (RFC 3986 §3.2.3); the brackets of an IPv6 literal stay. A host already in this form is borrowed.
pub fn normal(raw: &str) -> Cow<'_, str> {
    let host = without_port(raw);
    let host = host.strip_suffix('.').unwrap_or(host);
    // Names are ASCII on the wire (RFC 3986 §3.2.2); other letters have no agreed lower case and stay.
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn without_port(raw: &str) -> &str {
    let Some((host, port)) = raw.rsplit_once(':') else {
        return raw;
    };
    // The colons of an IPv6 literal are not a port's: bracketed they come before `]`, bare there are several.
    let is_whole = if host.starts_with('[') {
        host.ends_with(']')
    } else {
        !host.contains(':')
    };
    if is_whole && port.bytes().all(|b| b.is_ascii_digit()) {
        host
    } else {
        raw
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_site_has_one_form() {
        for (raw, expected) in [
            ("example.com", "example.com"),
            ("Example.COM", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com:", "example.com"),
            ("example.com.", "example.com"),
            ("EXAMPLE.com.:443", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::A]:", "[2001:db8::a]"),
            ("", ""),
            (".", ""),
            (":80", ""),
        ] {
            assert_eq!(normal(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn what_is_not_understood_stays() {
        for raw in [
            "::1",
            "a:b:80",
            "example.com:http",
            "[::1",
            "[::1]x:80",
            "example.com..:8x",
        ] {
            assert_eq!(normal(raw), raw);
        }
        assert_eq!(normal("example.com.."), "example.com.", "one dot only");
    }

    #[test]
    fn a_host_already_normal_is_not_copied() {
        for raw in [
            "shop.example.com",
            "shop.example.com:8080",
            "[::1]:80",
            "a.",
        ] {
            assert!(matches!(normal(raw), Cow::Borrowed(_)), "{raw:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn case_port_and_trailing_dot_never_matter(
            host in "[a-z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,3}",
            port in "(:[0-9]{0,5})?",
            dot in "\\.?",
        ) {
            let raw = format!("{}{dot}{port}", host.to_uppercase());
            prop_assert_eq!(normal(&raw), &*host);
        }

        #[test]
        fn any_text_comes_back_without_capitals(raw in ".*") {
            prop_assert!(!normal(&raw).bytes().any(|b| b.is_ascii_uppercase()));
        }
    }
}
