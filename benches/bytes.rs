//! What reading bytes from outside costs: heads of requests, chunks, paths, preludes.
//!
//! Each input is checked to be what its name says before it is measured. Nothing here may measure the network or wait.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tidegate::base::path;
use tidegate::wire::chunks::Chunks;
use tidegate::wire::head::{self, Rules};
use tidegate::wire::{canon, prelude};

/// 16 fields.
pub const BROWSER: &str = "GET /shop/items/42?ref=home&page=2 HTTP/1.1\n\
    Host: shop.example.com\n\
    Connection: keep-alive\n\
    Cache-Control: max-age=0\n\
    sec-ch-ua: \"Chromium\";v=\"126\", \"Google Chrome\";v=\"126\", \"Not-A.Brand\";v=\"8\"\n\
    sec-ch-ua-mobile: ?0\n\
    sec-ch-ua-platform: \"Linux\"\n\
    Upgrade-Insecure-Requests: 1\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\n\
    Sec-Fetch-Site: same-origin\n\
    Sec-Fetch-Mode: navigate\n\
    Sec-Fetch-Dest: document\n\
    Referer: https://shop.example.com/\n\
    Accept-Encoding: gzip, deflate, br, zstd\n\
    Accept-Language: en-US,en;q=0.9\n\
    Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark\n\n";
pub const CURL: &str =
    "GET /a/b HTTP/1.1\nHost: 127.0.0.1:8080\nUser-Agent: curl/8.5.0\nAccept: */*\n\n";

/// The rules of a configuration that says nothing about them.
pub fn rules() -> Rules {
    let drop = [
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    Rules {
        max_head: 32 * 1024,
        max_fields: 100,
        max_target: 8 * 1024,
        max_body: Some(100 << 20),
        merge_slashes: true,
        keep_underscores: false,
        drop: drop.map(Into::into).into(),
    }
}

/// From the bytes of a connection to the head that goes on.
pub fn heads(c: &mut Criterion) {
    let rules = rules();
    let curl = CURL.replace('\n', "\r\n");
    let browser = BROWSER.replace('\n', "\r\n");
    let more: String = (0..44)
        .map(|n| format!("X-Field-{n}: value {n}\r\n"))
        .collect();
    let sixty = browser.replace("Cookie", &(more + "Cookie"));
    let odd = browser
        .replace("/shop/", "/./shop//")
        .replace("keep-alive", "keep-alive, TE")
        .replace("Referer", "X-Forwarded-For: 10.0.0.1\r\nX_Y: z\r\nReferer");
    let mut group = c.benchmark_group("head");
    for (name, text, rewrite) in [
        ("curl", &curl, false),
        ("browser", &browser, false),
        ("sixty_fields", &sixty, false),
        ("rewritten", &odd, true),
    ] {
        let bytes = text.as_bytes();
        let good = head::check(bytes, &rules, false);
        assert_eq!(good.map(|g| g.rewrite), Ok(rewrite), "{name}");
        assert_eq!(head::end(bytes, 0), Some(bytes.len()), "{name}");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let end = head::end(black_box(bytes), 0).expect("a whole head");
                let good = head::check(&bytes[..end], &rules, false).expect("a good head");
                good.rewrite
                    .then(|| canon::write(&bytes[..end], &rules, false))
            });
        });
    }
    // The parts of it.
    let bytes = browser.as_bytes();
    group.bench_function("browser_end", |b| b.iter(|| head::end(black_box(bytes), 0)));
    group.bench_function("browser_check", |b| {
        b.iter(|| head::check(black_box(bytes), &rules, false));
    });
    group.bench_function("browser_httparse", |b| {
        b.iter(|| {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut request = httparse::Request::new(&mut fields);
            request.parse(black_box(bytes)).map(|s| s.is_complete())
        });
    });
    group.finish();
}

/// One KiB of a chunked body.
pub fn chunks(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunks");
    for (name, size) in [("of_16_kib", 16 * 1024), ("of_100_bytes", 100)] {
        let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
        let body = chunk.repeat(64 * 1024 / size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let scanned = Chunks::new(0).scan(black_box(body.as_bytes()));
                assert_eq!(scanned.map(|s| s.used), Ok(body.len()));
            });
        });
    }
    group.finish();
}

/// A path as it mostly is, one that needs a look behind its escapes, and one that is written anew.
pub fn paths(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    for (name, text, normal) in [
        ("plain", "/api/v1/shops/42/items/4711", true),
        ("escaped", "/api/v1/caf%C3%A9/items;v=2/4%2F7", true),
        ("not_normal", "/api/./v1//shops/../items/4711", false),
    ] {
        assert_eq!(path::is_normal(text.as_bytes(), true), Ok(normal), "{name}");
        group.bench_function(name, |b| {
            b.iter(|| {
                let is_normal = path::is_normal(black_box(text.as_bytes()), true);
                (is_normal == Ok(false)).then(|| path::normal(text, true))
            });
        });
    }
    group.finish();
}

/// What a balancer in front sends first.
pub fn preludes(c: &mut Criterion) {
    let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    two.extend([203, 0, 113, 9, 10, 0, 0, 1, 0xc8, 0x22, 1, 0xbb]);
    let one = b"PROXY TCP4 203.0.113.9 10.0.0.1 51234 443\r\n";
    let mut group = c.benchmark_group("prelude");
    for (name, bytes) in [("version_1", &one[..]), ("version_2", &two)] {
        let read = prelude::read(bytes);
        assert!(read.is_ok_and(|p| p.is_some_and(|p| p.client.is_some())));
        group.bench_function(name, |b| b.iter(|| prelude::read(black_box(bytes))));
    }
    group.finish();
}
