//! Which name it is called by, and which page makes a browser call.
//!
//! A page of another site can make a browser send a POST to the stats port; it cannot keep the browser from saying
//! where the request comes from (`Origin`, `Sec-Fetch-Site`), nor under which name it called us (`Host`): a page whose
//! name was rebound to our address still has to say its own.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::admin::problem::Problem;

/// Says from where in relation to us a browser asks (Fetch Metadata).
const SITE: &str = "sec-fetch-site";

/// We are called by an address, as `localhost`, or by one of these names.
///
/// # Errors
/// 421 by another.
pub fn check_host(fields: &HeaderMap, names: &[String]) -> Result<(), Problem> {
    if is_our_name(fields, names) {
        return Ok(());
    }
    let detail = "call the stats port by its address, as localhost, or by a name that the configuration has for it (`admin.hosts`); another name could be a web page's trick";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
}

/// No page of another site asks.
///
/// # Errors
/// 403 when one does.
pub fn check_page(fields: &HeaderMap) -> Result<(), Problem> {
    if !is_foreign_page(fields) {
        return Ok(());
    }
    let detail = "a web page of another site may neither change nor read anything here";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn is_our_name(fields: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = fields.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return !fields.contains_key(header::HOST); // HTTP/1.0: no browser speaks it
    };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let plain = name.strip_suffix('.').unwrap_or(name);
    let is = |ours: &str| plain.eq_ignore_ascii_case(ours);
    is("localhost") || bare.parse::<IpAddr>().is_ok() || names.iter().any(|name| is(name))
}

fn is_foreign_page(fields: &HeaderMap) -> bool {
    let text = |name: &str| {
        let value = fields.get(name);
        value.map(|v: &HeaderValue| v.to_str().unwrap_or("?"))
    };
    // Our page, or nobody's: a bookmark, an address typed in.
    if text(SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = text("origin") else {
        return false;
    };
    let host = text("host").unwrap_or_default();
    // A proxy with TLS in front of us has our name too.
    let origin = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    origin.is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in all {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn a_name_rebound_to_our_address_is_not_ours() {
        let names = ["stats.example.com".to_string()];
        for (host, ours) in [
            ("127.0.0.1:9900", true),
            ("[::1]:9900", true),
            ("LocalHost:9900", true),
            ("10.0.0.5", true),
            ("Stats.example.com:443", true),
            ("stats.example.com.", true),
            ("evil.example:9900", false),
            ("localhost.evil.example", false),
            ("a.stats.example.com", false),
            ("", false),
        ] {
            assert_eq!(
                is_our_name(&fields(&[("host", host)]), &names),
                ours,
                "{host}"
            );
        }
        assert!(is_our_name(&fields(&[]), &names));
        let two = fields(&[("host", "127.0.0.1"), ("host", "evil.example")]);
        assert!(!is_our_name(&two, &names));
    }

    #[test]
    fn only_our_own_page_may_change_anything() {
        let host = ("host", "127.0.0.1:9900");
        for (field, foreign) in [
            (("accept", "*/*"), false), // a command has no origin
            (("origin", "http://127.0.0.1:9900"), false),
            (("origin", "https://127.0.0.1:9900"), false),
            (("origin", "http://127.0.0.1:3000"), true),
            (("origin", "http://evil.example"), true),
            (("origin", "null"), true),
            (("origin", ""), true),
            ((SITE, "same-origin"), false),
            ((SITE, "none"), false),
            ((SITE, "same-site"), true), // another port of this machine
            ((SITE, "cross-site"), true),
        ] {
            assert_eq!(
                is_foreign_page(&fields(&[host, field])),
                foreign,
                "{field:?}"
            );
        }
        let both = [
            host,
            ("origin", "http://127.0.0.1:9900"),
            (SITE, "cross-site"),
        ];
        assert!(is_foreign_page(&fields(&both)));
    }
}
