//! What compressing costs: who takes what, what is compressed, and a body of JSON at the levels that clients wait for.
//!
//! Bodies are whole and their length is known, unless the name says that they stream.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use http::{HeaderMap, HeaderValue};
use tidegate::base::coding::Coding;
use tidegate::config::checked::Decode;
use tidegate::config::defaults;
use tidegate::transform::compress::decode::decoder;
use tidegate::transform::compress::encoder;
use tidegate::transform::eligible::Types;
use tidegate::transform::guard::least;
use tidegate::transform::negotiate::Accepted;

const CODINGS: [Coding; 4] = defaults::ENCODINGS;

/// From the field of a request to what it is sent, and from a media type to whether it is compressed.
pub fn negotiation(c: &mut Criterion) {
    let mut group = c.benchmark_group("accept_encoding");
    for (name, value) in [
        ("none", None),
        ("browser", Some("gzip, deflate, br, zstd")),
        (
            "weights",
            Some("gzip;q=1.0, br;q=0.9, *;q=0.001, identity;q=0.5"),
        ),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.append("accept-encoding", HeaderValue::from_static(value));
        }
        group.bench_function(name, |b| {
            b.iter(|| Accepted::of(black_box(&headers)).choose(&CODINGS));
        });
    }
    group.finish();
    let types = Types::new(&defaults::COMPRESSED_TYPES.map(String::from));
    let mut group = c.benchmark_group("media_type");
    for (name, value) in [
        ("html", "text/html; charset=utf-8"),
        ("json", "application/json"),
        ("other", "image/webp"),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| types.has(black_box(value.as_bytes())));
        });
    }
    group.finish();
}

/// A list of things with names and prices, as shops answer.
fn json(bytes: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut body = String::from("[");
    while body.len() < bytes {
        let name: String = (0..8).map(|_| rng.lowercase()).collect();
        let (id, price) = (rng.u32(..1_000_000), rng.u32(..100_000));
        let kind = ["book", "lamp", "chair", "garden hose"][rng.usize(..4)];
        body += &format!(r#"{{"id":{id},"name":"{name}","kind":"{kind}","price":{price}}},"#);
    }
    body.into_bytes()[..bytes].to_vec()
}

fn coded(coding: Coding, level: u32, length: Option<u64>, body: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(coding, level, length);
    let mut out = Vec::new();
    encoder.write(body, &mut out);
    if length.is_none() {
        encoder.flush(&mut out);
    }
    encoder.finish(&mut out);
    out
}

/// A body there.
pub fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for bytes in [2 * 1024, 64 * 1024] {
        let body = json(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        for coding in CODINGS {
            let live = *defaults::LEVEL.get(coding).expect("a level for each");
            let length = Some(bytes as u64);
            for (name, level, length) in [
                ("live", live, length),
                ("least", least(coding), length),
                ("stream", live, None),
            ] {
                let size = coded(coding, level, length, &body).len();
                let name = format!("{}-{level}_{name}_{size}", coding.as_str());
                group.bench_function(BenchmarkId::new(name, bytes), |b| {
                    b.iter(|| coded(coding, level, length, black_box(&body)));
                });
            }
        }
    }
    group.finish();
}

/// And back, as browsers and clients that take no coding have it done.
pub fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for bytes in [2 * 1024, 64 * 1024] {
        let body = json(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        for coding in CODINGS {
            let coded = coded(coding, 5, Some(bytes as u64), &body);
            let mut out = Vec::with_capacity(bytes + 64 * 1024);
            group.bench_function(BenchmarkId::new(coding.as_str(), bytes), |b| {
                b.iter(|| {
                    out.clear();
                    let mut decoder = decoder(coding, Decode::default());
                    let mut input = black_box(&coded[..]);
                    while !input.is_empty() {
                        decoder
                            .decode(&mut input, &mut out, 64 * 1024)
                            .expect("ours");
                    }
                    decoder.finish()
                });
            });
            assert!(out.is_empty() || out == body);
        }
    }
    group.finish();
}
