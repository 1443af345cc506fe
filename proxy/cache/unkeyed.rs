//! Request fields that applications read and no cache key knows: what one client sends there must not be in the answer
//! that the next one gets (web cache poisoning).
//!
//! They are taken out of what a fetch asks, so that an answer cannot depend on them. Of what a proxy that we trust says
//! of the client only that stays which is in the key; proxies pass on what they do not set.

use std::borrow::Cow;

use http::HeaderName;

use crate::base::fields::Fields;

/// Whole names.
const NAMES: &[&str] = &[
    "base-url",
    "cf-connecting-ip",
    "cf-visitor",
    "client-ip",
    "cloudfront-forwarded-proto",
    "cluster-client-ip",
    "destination-url",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "forwarded-for-ip",
    "forwarded-host",
    "forwarded-proto",
    "front-end-https",
    "host-override",
    "http-host",
    "http-referer",
    "http-url",
    "max-forwards",
    "method-override",
    "origin-host",
    "original-host",
    "original-url",
    "proxy",
    "proxy-host",
    "proxy-url",
    "real-ip",
    "redirect",
    "redirect-to",
    "request-uri",
    "rewrite-url",
    "true-client-ip",
    "uri",
    "url",
    "via",
    "x-accel-redirect",
    "x-alt-host",
    "x-api-host",
    "x-backend",
    "x-backend-host",
    "x-base-url",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-context-path",
    "x-custom-ip-authorization",
    "x-dest-host",
    "x-destination",
    "x-domain",
    "x-envoy-original-path",
    "x-gateway-host",
    "x-host",
    "x-host-name",
    "x-host-override",
    "x-hostname",
    "x-https",
    "x-ip",
    "x-location",
    "x-matched-path",
    "x-method",
    "x-method-override",
    "x-origin",
    "x-origin-host",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-path",
    "x-port",
    "x-prefix",
    "x-proto",
    "x-protocol",
    "x-real-host",
    "x-real-ip",
    "x-redirect",
    "x-redirect-to",
    "x-referer",
    "x-referrer",
    "x-remote-addr",
    "x-remote-host",
    "x-remote-ip",
    "x-request-uri",
    "x-scheme",
    "x-script-name",
    "x-sendfile",
    "x-server",
    "x-server-name",
    "x-site",
    "x-ssl",
    "x-target",
    "x-target-host",
    "x-uri",
    "x-url",
    "x-url-scheme",
    "x-vhost",
    "x-virtual-host",
    "x-wap-profile",
    "x-zuul-host",
];

/// Beginnings of names.
const BEGINNINGS: &[&str] = &[
    "x-forwarded",
    "x-forward-",
    "x-forwarder",
    "x-original-",
    "x-originating-",
    "x-rewrite",
    "x-http-",
    "x-proxy",
    "x-arr-",
    "x-waws-",
    "x-amz-website-",
    "x-middleware-",
    "x-invoke-",
    "x-nextjs-",
    "x-now-",
    "x-vercel-",
    "x-envoy-",
    "x-accel-",
    "x-azure-",
    "x-akamai-",
    "akamai-",
    "fastly-",
    "proxy-",
];

/// What a trusted proxy says of its client: kept as far as it is in the key, or written anew by who fetches.
const OF_TRUSTED: &[&str] = &["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Whether a fetch leaves out a request's field of this name.
pub fn is_stripped(name: &HeaderName, trusted: bool) -> bool {
    let name = &*hyphened(name.as_str());
    if trusted && OF_TRUSTED.contains(&name) {
        return false;
    }
    NAMES.binary_search(&name).is_ok() || BEGINNINGS.iter().any(|start| name.starts_with(start))
}

/// A name with `-` for `_`, as applications behind CGI read it.
fn hyphened(name: &str) -> Cow<'_, str> {
    match name.contains('_') {
        true => Cow::Owned(name.replace('_', "-")),
        false => Cow::Borrowed(name),
    }
}

/// Whether a request says that its method is another one, to applications that believe it.
pub fn overrides_method(request: &impl Fields) -> bool {
    const NAMES: [&str; 4] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "method-override",
    ];
    let is_one = |name: &str| NAMES.iter().any(|one| one.eq_ignore_ascii_case(name));
    // Few names are as long as these, and most have no `_`.
    request.any_name(|name| matches!(name.len(), 13..=22) && is_one(&hyphened(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn what_poisons_is_stripped_and_what_applications_need_is_not() {
        let stripped = |name: &'static str| is_stripped(&HeaderName::from_static(name), false);
        for name in [
            "x-forwarded-host",
            "x-forwarded-scheme",
            "x-original-url",
            "x-host",
        ] {
            assert!(stripped(name), "{name}");
        }
        for name in [
            "accept",
            "cookie",
            "user-agent",
            "x-requested-with",
            "x-api-key",
            "x-http",
        ] {
            assert!(!stripped(name), "{name}");
        }
        assert!(!is_stripped(
            &HeaderName::from_static("x-forwarded-proto"),
            true
        ));
    }
}
