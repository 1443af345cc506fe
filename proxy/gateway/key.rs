//! What a request is hashed by, where the same ones are to meet the same node.
//!
//! Computed once a request, and only where somebody asks. Never believes more of the client's address than `guard` does.

use std::net::IpAddr;

use http::{HeaderMap, header};
use xxhash_rust::xxh3::xxh3_64;

use super::ctx::Ctx;
use crate::config::checked::{Balance, HashKey};

/// The hash of what tells the request with these `fields` from others; the same on every machine.
pub fn of(fields: &HeaderMap, ctx: &Ctx) -> u64 {
    let Some(at) = ctx.upstream else {
        return 0;
    };
    let upstream = &ctx.snapshot.config.upstreams[at];
    match upstream.balance {
        Balance::IpHash => address(ctx.client),
        Balance::Hash => hash(&upstream.hash.key, fields, ctx),
        _ => 0,
    }
}

fn hash(key: &HashKey, fields: &HeaderMap, ctx: &Ctx) -> u64 {
    let uri = &ctx.head.uri;
    let found = match key {
        HashKey::Ip => None,
        HashKey::Uri => uri.path_and_query().map(|t| xxh3_64(t.as_str().as_bytes())),
        HashKey::Path => Some(xxh3_64(uri.path().as_bytes())),
        HashKey::Header(name) => fields.get(name).map(|v| xxh3_64(v.as_bytes())),
        HashKey::Cookie(name) => cookie(fields, name).map(|v| xxh3_64(v.as_bytes())),
    };
    found.unwrap_or_else(|| address(ctx.client))
}

/// The value of the first cookie of this name.
fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = fields.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(n, value)| (n == name).then_some(value))
}

fn address(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(addr) => xxh3_64(&addr.octets()),
        IpAddr::V6(addr) => xxh3_64(&addr.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_not_by_half_its_name() {
        let mut fields = HeaderMap::new();
        for line in ["a=1; session=x=y ;b", "session=2"] {
            fields.append(header::COOKIE, line.parse().unwrap());
        }
        assert_eq!(cookie(&fields, "session"), Some("x=y"));
        assert_eq!(cookie(&fields, "a"), Some("1"));
        for none in ["b", "sess", "Session", ""] {
            assert_eq!(cookie(&fields, none), None, "{none}");
        }
    }
}
