//! Made-up requests, as clients of a cache send them, and now and then as they should not.
//!
//! About half are plain, so that what is stored is used; the others carry one or two of all the fields that have a say in
//! what a cache does. Which request comes depends on the seed and on what was answered before, and on nothing else.

use fastrand::Rng;

use super::world::{BEGIN, PLACES, World, date, etag, kind, modified};
use crate::support::client::Request;

/// A request, and what it is for.
#[derive(Debug, Clone)]
pub struct Made {
    /// As it is sent.
    pub request: Request,
    /// What it asks for: its place among [`PLACES`].
    pub place: usize,
}

impl Made {
    /// As it is sent, for people.
    pub fn told(&self) -> String {
        let bytes = [self.request.head_bytes(), self.request.body_bytes()].concat();
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", " ⏎ ");
        text.trim_end_matches(" ⏎ ").to_owned()
    }

    /// Whether it may change what is stored, or goes to a node in any case.
    pub fn is_read(&self) -> bool {
        matches!(self.request.its_method(), "GET" | "HEAD")
    }
}

/// Any place; those at the front of the list more often.
pub fn place(rng: &mut Rng) -> usize {
    let any = |rng: &mut Rng| rng.usize(..PLACES.len());
    any(rng).min(any(rng))
}

/// A request for a place; `pinned` is the value of the cookie of a client that wrote a moment ago.
pub fn request(rng: &mut Rng, place: usize, world: &World, pinned: &str) -> Made {
    let (host, target) = PLACES[place];
    let method = match rng.u8(..100) {
        0..86 => "GET",
        86..94 => "HEAD",
        94..97 => "POST",
        n => ["OPTIONS", "DELETE", "BREW"][usize::from(n - 97)],
    };
    let target = &spelt(rng, host, target);
    let mut request = match method {
        "POST" => Request::post(target, "a=b"),
        other => Request::new(other, target),
    };
    if !host.is_empty() {
        request = request.host(host);
    } else if rng.u8(..12) == 0 {
        request = request.host(["TIDE.test", "tide.test:80", "Tide.Test:80"][rng.usize(..3)]);
    }
    if rng.u8(..3) > 0 {
        request = request.field("Accept-Encoding", one(rng, ENCODINGS));
    }
    if rng.u8(..2) == 0 {
        request = request.field("Accept-Language", one(rng, &["de", "de, en;q=0.5", "fr"]));
    }
    if rng.u8(..3) == 0 {
        request = request.field("X-Kind", one(rng, &["a", "b"]));
    }
    let odd = [0, 0, 0, 0, 1, 1, 1, 2][rng.usize(..8)];
    for _ in 0..odd {
        request = oddly(rng, request, (target, world), pinned);
    }
    Made { request, place }
}

/// The target as it is, or in another spelling of the same.
fn spelt(rng: &mut Rng, host: &str, target: &str) -> String {
    let host = if host.is_empty() { "tide.test" } else { host };
    match rng.u8(..24) {
        0 => target.replacen('~', "%7e", 1),
        1 => target.replacen("/f", "//f", 1),
        2 => target.replacen("/p", "/./p", 1),
        3 => target.replacen("/fresh", "/x/../fresh", 1),
        4 => format!("http://{host}{target}"),
        5 => format!("HTTP://{}{target}", host.to_uppercase()),
        6 if target.contains('?') => format!("{target}&utm_medium=y"),
        7 if target.contains('?') => target.replacen("?a=1&b=2", "?b=2&a=1", 1),
        8 => target.replacen("fresh", "%66resh", 1),
        9 => format!(
            "{target}{}q={}",
            if target.contains('?') { '&' } else { '?' },
            rng.u8(..2)
        ),
        _ => target.to_owned(),
    }
}

const ENCODINGS: &[&str] = &[
    "gzip, deflate, br, zstd",
    "gzip, deflate, br",
    "gzip",
    "GZip",
    "x-gzip",
    "br;q=0.5, gzip;q=0.8",
    "br",
    "zstd",
    "deflate",
    "identity",
    "",
    "*",
    "*;q=0",
    "identity;q=0, gzip",
    "identity;q=0",
    "gzip;q=0, *",
    "gzip;q=0.001",
    "br;q=2, gzip",
    "none of these",
    ",, gzip ,",
];

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// The request with one more thing that a cache must mind.
fn oddly(rng: &mut Rng, request: Request, of: (&str, &World), pinned: &str) -> Request {
    let (target, world) = of;
    let own = etag(kind(target), world.version(target));
    let field = |name: &str, value: &str| request.clone().field(name, value);
    match rng.u8(..26) {
        0..6 => field("If-None-Match", &tags(rng, target, world)),
        6..9 => field("If-Modified-Since", &dates(rng, target, world)),
        9 => field("If-Match", one(rng, &[own.as_str(), "*", "\"other\""])),
        10 => field("If-Unmodified-Since", &dates(rng, target, world)),
        11 => field("Range", one(rng, RANGES)),
        12 => {
            let by = if rng.bool() {
                own
            } else {
                dates(rng, target, world)
            };
            field("Range", one(rng, RANGES)).field("If-Range", &by)
        }
        13..16 => field("Cache-Control", one(rng, WISHES)),
        16 => field("Pragma", "no-cache"),
        17 => field("Authorization", "Basic YTpi"),
        18 => match rng.u8(..3) {
            0 => field("Cookie", &format!("tg_pin={pinned}")),
            1 => field("Cookie", "a=b; tg_node=forged"),
            _ => field("Cookie", "session=1"),
        },
        19 => connection(rng, request),
        20 => match rng.u8(..4) {
            0 => field("Connection", "Upgrade").field("Upgrade", "websocket"),
            1 => field("Upgrade", "h2c"),
            2 => field("Expect", "100-continue"),
            _ => field("Expect", "nonsense"),
        },
        21 => field(
            "X-Forwarded-For",
            one(rng, &["203.0.113.7", "198.51.100.2", "nonsense"]),
        ),
        22 => {
            let (name, value) = [
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "evil.test"),
                ("X-HTTP-Method-Override", "DELETE"),
                ("X-Original-URL", "/none/fresh"),
                ("X_Kind", "b"),
                ("TE", "trailers"),
            ][rng.usize(..6)];
            field(name, value)
        }
        23 => field("X-Beta", one(rng, &["1", "2"])),
        24 => match rng.u8(..3) {
            _ if request.its_method() == "POST" => request,
            0 => field("Content-Length", "0"),
            1 => {
                let method = request.its_method().to_owned();
                Request::post(target, "a body").method(&method)
            }
            _ => field("Content-Type", "text/plain"),
        },
        _ => request.clone().http10(),
    }
}

fn connection(rng: &mut Rng, request: Request) -> Request {
    let words = [
        "close",
        "keep-alive",
        "x-kind",
        "nonsense, keep-alive",
        "close, te",
    ];
    let request = request.field("Connection", one(rng, &words));
    match rng.u8(..3) {
        0 => request.http10(),
        _ => request,
    }
}

const RANGES: &[&str] = &[
    "bytes=0-9",
    "bytes=5-",
    "bytes=-3",
    "bytes=0-0,2-3",
    "bytes=999999-",
    "lines=1-2",
    "nonsense",
];

const WISHES: &[&str] = &[
    "no-cache",
    "no-store",
    "max-age=0",
    "max-age=3",
    "max-age=100000",
    "min-fresh=5",
    "min-fresh=100000",
    "max-stale",
    "max-stale=60",
    "only-if-cached",
    "max-stale, only-if-cached",
    "no-transform",
    "max-age=nonsense",
    "x-unknown",
];

/// Tags that fit, that fit a form, an older version, or nothing.
fn tags(rng: &mut Rng, target: &str, world: &World) -> String {
    let (kind, version) = (kind(target), world.version(target));
    let (own, older) = (etag(kind, version), etag(kind, version - 1));
    let bare = own.trim_start_matches("W/");
    let form = |coding: &str| format!("{}-{coding}\"", &bare[..bare.len() - 1]);
    match rng.u8(..12) {
        0..4 => own,
        4 => format!("W/{bare}"),
        5 => format!("\"a\", {own}"),
        6 => "*".to_owned(),
        7 => form(one(rng, &["br", "gzip", "zstd"])),
        8 => format!("{}, {own}", form("gzip")),
        9 => older,
        10 => bare.trim_matches('"').to_owned(),
        _ => "\"other\"".to_owned(),
    }
}

/// Dates at, before and after a version's, and what is none.
fn dates(rng: &mut Rng, target: &str, world: &World) -> String {
    let version = world.version(target);
    match rng.u8(..6) {
        0 | 1 => modified(version),
        2 => modified(version - 1),
        3 => date(BEGIN),
        4 => date(BEGIN + 40 * 86_400_000),
        _ => "some day".to_owned(),
    }
}
