//! What the two proxies of the differential have behind them: an origin whose answers are a function of the request, of
//! the version of what is asked for, and of the time, which stands still.
//!
//! The last part of a path says what kind of answer it has; every part before it belongs to a route.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::pattern;
use crate::support::reply::{Reply, Seen};

/// When it begins: the first of March 2026, in milliseconds.
pub const BEGIN: u64 = 1_772_323_200_000;

/// Everything that can be asked for: host (the usual one where it is empty) and target.
pub const PLACES: &[(&str, &str)] = &[
    ("", "/plain/fresh"),
    ("", "/zip/json"),
    ("", "/plain/lang"),
    ("", "/zip/page"),
    ("", "/plain/large"),
    ("", "/better/json"),
    ("", "/plain/silent"),
    ("", "/query/fresh?a=1&b=2"),
    ("", "/plain/pieces"),
    ("", "/swr/swr"),
    ("", "/plain/enc"),
    ("other.test", "/plain/fresh"),
    ("", "/plain/tagged"),
    ("", "/zip/gz"),
    ("", "/plain/~me/dated"),
    ("", "/split/fresh"),
    ("", "/plain/both"),
    ("", "/plain/weak"),
    ("", "/stuck/fresh"),
    ("", "/plain/moved"),
    ("", "/plain/missing"),
    ("", "/acl/fresh"),
    ("", "/zip/lang"),
    ("", "/method/fresh"),
    ("", "/plain/short"),
    ("", "/query/silent?utm_source=x&z=2&a=1"),
    ("", "/plain/empty"),
    ("", "/plain/gone"),
    ("", "/plain/nothing"),
    ("", "/plain/kind"),
    ("", "/rated/fresh"),
    ("", "/zip/br"),
    ("", "/swr/short"),
    ("", "/plain/public"),
    ("", "/plain/bare"),
    ("", "/zip/tiny"),
    ("", "/plain/smax"),
    ("", "/plain/expires"),
    ("", "/plain/sie"),
    ("", "/plain/must"),
    ("", "/plain/no-cache"),
    ("", "/plain/no-store"),
    ("", "/plain/private"),
    ("", "/plain/cookie"),
    ("", "/zip/image"),
    ("", "/zip/fixed"),
    ("other.test", "/zip/page"),
    ("tide.test:8080", "/plain/fresh"),
    ("", "/plain/star"),
    ("", "/none/fresh"),
];

/// The configuration in front of it. `nodes` are the same origin.
pub fn yaml(node: &str) -> String {
    let up = "health: off, outlier: off, retry: off";
    // The levels of `zip` are as good as it gets, so that nothing is made behind them; `better` is made better.
    let zip = "compress: { max_cpu: 100%, level: { gzip: 5, br: 4, zstd: 3 }, \
               stored_level: { gzip: 5, br: 4, zstd: 3 } }";
    let better = "compress: { max_cpu: 100%, encodings: [gzip], level: { gzip: 1 } }";
    format!(
        "trusted_proxies: [127.0.0.0/8]
limits: {{ requests_per_connection: 150 }}
access_log: {{ format: off }}
cache: {{ memory: 64MiB, recompress: {{ after: 3, cpu: 100% }} }}
upstreams:
  web: {{ {up}, nodes: [{{ addr: \"{node}\", id: web-1 }}] }}
  reads: {{ {up}, nodes: [{{ addr: \"{node}\", id: reads-1 }}] }}
  stuck: {{ {up}, sticky: tg_node, nodes: [{{ addr: \"{node}\", id: stuck-1 }}] }}
routes:
  - {{ name: clock, match: {{ path: /clock }}, redirect: {{ to: / }} }}
  - {{ name: none, match: {{ path: /none/ }}, upstream: web }}
  - {{ name: plain, match: {{ path: /plain/ }}, upstream: web, cache: {{ ttl: 5m, stale_if_error: 1h }} }}
  - {{ name: beta, match: {{ path: /plain/, headers: {{ X-Beta: \"1\" }} }}, upstream: web, cache: {{ override_ttl: 40s, show_key: true }} }}
  - {{ name: other, match: {{ host: other.test, path: /plain/ }}, upstream: web, cache: {{ ignore_client_cache_control: true }} }}
  - {{ name: swr, match: {{ path: /swr/ }}, upstream: web, cache: {{ stale_while_revalidate: 1d, stale_if_error: 1d }} }}
  - {{ name: zip, match: {{ path: /zip/ }}, upstream: web, cache: {{ ttl: 5m }}, {zip} }}
  - {{ name: better, match: {{ path: /better/ }}, upstream: web, cache: true, {better}, minify: [json] }}
  - {{ name: query, match: {{ path: /query/ }}, upstream: web, cache: {{ ttl: 5m, show_key: true, key: {{ drop_query: [\"utm_*\"], sort_query: true }} }} }}
  - {{ name: acl, match: {{ path: /acl/ }}, upstream: web, cache: true, deny: 203.0.113.0/24 }}
  - {{ name: rated, match: {{ path: /rated/ }}, upstream: web, cache: true, rate_limit: {{ rate: 60/d, burst: 60 }} }}
  - {{ name: split, match: {{ path: /split/ }}, upstream: web, cache: true, split: {{ reads: reads, pin_after_write: 1h }} }}
  - {{ name: stuck, match: {{ path: /stuck/ }}, upstream: stuck, cache: true }}
  - {{ name: method, match: {{ path: /method/, methods: [GET] }}, upstream: web, cache: {{ set_cookie: strip }} }}
  - {{ name: method-else, match: {{ path: /method/ }}, upstream: web }}
"
    )
}

/// What the origin's answers depend on besides the request.
#[derive(Debug)]
pub struct World {
    /// The time, in milliseconds since 1970.
    pub now: u64,
    /// It answers 503 to everything.
    pub fails: bool,
    versions: BTreeMap<String, u32>,
}

impl World {
    /// At its beginning.
    pub fn new() -> Self {
        World {
            now: BEGIN,
            fails: false,
            versions: BTreeMap::new(),
        }
    }

    /// The version of what this target names.
    pub fn version(&self, target: &str) -> u32 {
        self.versions.get(path(target)).copied().unwrap_or(1)
    }

    /// What this target names has a new version.
    pub fn changes(&mut self, target: &str) {
        *self.versions.entry(path(target).to_owned()).or_insert(1) += 1;
    }

    /// The answer to a request.
    pub fn answers(&self, seen: &Seen) -> Reply {
        let date = date(self.now);
        if self.fails {
            return raw(seen, 503, &[("Date", &date)], b"not now".to_vec(), false);
        }
        let target = seen.target();
        let (kind, version) = (kind(target), self.version(target));
        let method = seen.method();
        if !matches!(method, "GET" | "HEAD") {
            let body = format!("{method} {target} {}", seen.body.len());
            return raw(seen, 200, &[("Date", &date)], body.into_bytes(), false);
        }
        let (etag, modified) = (etag(kind, version), modified(version));
        let mut fields = vec![("Date", date.as_str()), ("X-Kind-Of", kind)];
        let validates = !matches!(kind, "bare" | "nothing");
        if validates && kind != "dated" {
            fields.push(("ETag", &etag));
        }
        if validates {
            fields.push(("Last-Modified", &modified));
        }
        let until = self::date(BEGIN + 3_600_000);
        let (status, more) = says(kind);
        fields.extend(more.iter().copied());
        if kind == "expires" {
            fields.push(("Expires", &until));
        }
        if validates && status == 200 && self.has_it(seen, &etag, &modified) {
            fields.retain(|(name, _)| !name.starts_with("Content-"));
            return raw(seen, 304, &fields, Vec::new(), false);
        }
        raw(
            seen,
            status,
            &fields,
            body(kind, seen, version),
            kind == "pieces",
        )
    }

    /// Whether the client has it already, by its own word.
    fn has_it(&self, seen: &Seen, etag: &str, modified: &str) -> bool {
        let listed = seen.head.all("if-none-match");
        if !listed.is_empty() {
            let tag = etag.trim_start_matches("W/");
            return listed.iter().any(|l| *l == "*" || l.contains(tag));
        }
        seen.head.all("if-modified-since") == [modified]
    }
}

/// The tag of a version.
pub fn etag(kind: &str, version: u32) -> String {
    let weak = if kind == "weak" { "W/" } else { "" };
    format!("{weak}\"{kind}{version}\"")
}

/// When a version was made.
pub fn modified(version: u32) -> String {
    date(BEGIN - 86_400_000 + u64::from(version) * 60_000)
}

/// A moment as fields have it.
pub fn date(millis: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(millis))
}

/// What kind of answer a target has.
pub fn kind(target: &str) -> &str {
    path(target).rsplit('/').next().unwrap_or_default()
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// Status and fields of a kind.
fn says(kind: &str) -> (u16, &'static [(&'static str, &'static str)]) {
    const KEPT: (&str, &str) = ("Cache-Control", "max-age=600");
    const JSON: (&str, &str) = ("Content-Type", "application/json");
    const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");
    match kind {
        "silent" => (200, &[]),
        "short" => (200, &[("Cache-Control", "max-age=5")]),
        "swr" => (
            200,
            &[("Cache-Control", "max-age=10, stale-while-revalidate=86400")],
        ),
        "sie" => (
            200,
            &[("Cache-Control", "max-age=10, stale-if-error=86400")],
        ),
        "must" => (200, &[("Cache-Control", "max-age=10, must-revalidate")]),
        "no-cache" => (200, &[("Cache-Control", "no-cache")]),
        "no-store" => (200, &[("Cache-Control", "no-store")]),
        "private" => (200, &[("Cache-Control", "private, max-age=600")]),
        "public" => (200, &[("Cache-Control", "public, max-age=600")]),
        "smax" => (200, &[("Cache-Control", "s-maxage=60, max-age=1")]),
        "expires" => (200, &[]),
        "cookie" => (200, &[KEPT, ("Set-Cookie", "a=b; Path=/")]),
        "star" => (200, &[KEPT, ("Vary", "*")]),
        "lang" => (
            200,
            &[
                KEPT,
                ("Content-Type", "text/plain"),
                ("Vary", "Accept-Language"),
            ],
        ),
        "enc" => (200, &[KEPT, ("Vary", "Accept-Encoding")]),
        "kind" => (200, &[KEPT, ("Vary", "X-Kind")]),
        "both" => (200, &[KEPT, ("Vary", "Accept-Language, X-Kind")]),
        "tagged" => (200, &[KEPT, ("Cache-Tag", "shop, all-of-it")]),
        "moved" => (301, &[KEPT, ("Location", "/plain/fresh")]),
        "missing" => (404, &[KEPT]),
        "gone" => (410, &[KEPT]),
        "nothing" => (204, &[KEPT]),
        "json" | "tiny" => (200, &[KEPT, JSON]),
        "fixed" => (200, &[JSON, ("Cache-Control", "max-age=600, no-transform")]),
        "page" => (200, &[KEPT, HTML]),
        "image" => (200, &[KEPT, ("Content-Type", "image/png")]),
        "gz" => (
            200,
            &[
                KEPT,
                JSON,
                ("Content-Encoding", "gzip"),
                ("Vary", "Accept-Encoding"),
            ],
        ),
        "br" => (200, &[KEPT, HTML, ("Content-Encoding", "br")]),
        _ => (200, &[KEPT]),
    }
}

fn body(kind: &str, seen: &Seen, version: u32) -> Vec<u8> {
    let said = |name: &str| seen.head.all(name).join(",");
    let mut text = format!("{} {version}", seen.target());
    match kind {
        "nothing" | "empty" => Vec::new(),
        "large" => pattern((300 << 10) + version as usize),
        "image" => pattern(5_000 + version as usize),
        "json" | "fixed" => json(120, version),
        "page" => json(700, version),
        "gz" => {
            let mut out = Vec::new();
            let plain = json(200, version);
            let mut read = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
            read.read_to_end(&mut out).expect("gzip");
            out
        }
        "br" => {
            let mut out = Vec::new();
            let plain = json(200, version);
            let mut read = brotli::CompressorReader::new(&plain[..], 4_096, 3, 20);
            read.read_to_end(&mut out).expect("br");
            out
        }
        "lang" => {
            text += &said("accept-language");
            text.repeat(120).into_bytes()
        }
        "enc" => (text + &said("accept-encoding")).into_bytes(),
        "kind" => (text + &said("x-kind")).into_bytes(),
        "both" => (text + &said("accept-language") + &said("x-kind")).into_bytes(),
        _ => (text + "\n").into_bytes(),
    }
}

/// So many lines of JSON, with blanks.
fn json(lines: u32, version: u32) -> Vec<u8> {
    let mut text = String::from("[\n");
    for n in 0..lines {
        let price = n.wrapping_mul(2_654_435_761) % 10_000;
        text += &format!("  {{ \"id\": {n}, \"version\": {version}, \"price\": {price} }},\n");
    }
    (text + "  {}\n]\n").into_bytes()
}

/// These fields and this body, and nothing that differs from one origin to another.
fn raw(seen: &Seen, status: u16, fields: &[(&str, &str)], body: Vec<u8>, pieces: bool) -> Reply {
    let mut bytes = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in fields {
        bytes += &format!("{name}: {value}\r\n");
    }
    let none = matches!(status, 204 | 304);
    if pieces {
        bytes += "Transfer-Encoding: chunked\r\n";
    } else if !none {
        bytes += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (bytes + "\r\n").into_bytes();
    if seen.method() == "HEAD" || none {
        return Reply::raw(bytes);
    }
    match pieces {
        false => bytes.extend(body),
        true => {
            for piece in body.chunks(3).chain([&[][..]]) {
                bytes.extend(crate::support::reply::chunk(piece));
            }
        }
    }
    Reply::raw(bytes)
}
