//! The keys of compression and minification: what they become, and what is warned of.

use std::time::Duration;

use super::cache::{cached, warned};
use super::*;
use crate::base::coding::{Coding, PerCoding};
use crate::config::checked::{AcceptEncoding, Compress, Decode, Minify, Recompress};

const MIB: u64 = 1 << 20;

/// A configuration with this section at the top, and one route with these keys.
fn route(top: &str, keys: &str) -> Loaded {
    with(&format!(
        "{top}\nupstreams: {{ web: {{ health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] }} }}
routes: [{{ upstream: web, {keys} }}]\n"
    ))
}

/// How a route with a cache compresses when it says so.
fn compress(value: &str) -> Option<Compress> {
    let loaded = route("", &format!("cache: true, compress: {value}"));
    good(&loaded).routes[0].compress.clone()
}

/// What a route with a cache minifies when it says so.
fn minify(value: &str) -> Minify {
    let loaded = route("", &format!("cache: true, minify: {value}"));
    good(&loaded).routes[0].minify
}

/// What is compressed behind the answers when the file says so.
fn recompress(value: &str) -> Option<Recompress> {
    let top = format!("cache: {{ recompress: {value} }}");
    let loaded = route(&top, "cache: true, compress: true");
    good(&loaded).cache.recompress
}

#[test]
fn nothing_is_compressed_until_a_route_asks() {
    let plain = route("", "cache: true");
    let (config, none) = (good(&plain), Minify::default());
    assert_eq!(
        (&config.routes[0].compress, config.routes[0].minify),
        (&None, none)
    );
    let without_routes = with("upstreams: { web: { nodes: [10.0.0.1:80] } }");
    assert_eq!(good(&without_routes).routes[0].compress, None);
    for word in ["false", "off", "no"] {
        assert_eq!(compress(word), None, "{word}");
        assert!(minify(word).is_off(), "{word}");
        assert_eq!(recompress(word), None, "{word}");
    }
}

#[test]
fn a_route_without_further_keys_compresses_what_gains_from_it() {
    for word in [
        "true",
        "on",
        "yes",
        "{}",
        "{ level: {}, stored_level: {}, decode: {} }",
    ] {
        let read = compress(word).expect(word);
        assert_eq!(read, Compress::default(), "{word}");
    }
    let usual = Compress::default();
    assert!(usual.dynamic && usual.set_cookie);
    assert_eq!(usual.encodings[0], Coding::Zstd);
    assert_eq!(recompress("true"), Some(defaults::RECOMPRESS));
    assert_eq!(recompress("{}"), Some(defaults::RECOMPRESS));
}

#[test]
fn every_key_of_compress_is_what_the_file_says() {
    let read = compress(
        "{ encodings: [gzip, br, zstd], types: [Text/HTML, \"*/*+JSON\", image/*, text/html],
           min_size: 200B, level: { zstd: 1, br: 0 }, stored_level: { gzip: 6, br: 9 },
           accept_encoding: client, dynamic: false, set_cookie: no,
           decode: { max_size: 1GiB, max_ratio: 20 }, max_cpu: 100% }",
    );
    let expected = Compress {
        encodings: vec![Coding::Gzip, Coding::Brotli, Coding::Zstd],
        types: ["text/html", "*/*+json", "image/*"]
            .map(String::from)
            .into(),
        min_size: 200,
        level: PerCoding {
            zstd: 1,
            br: 0,
            ..defaults::LEVEL
        },
        stored_level: PerCoding {
            gzip: 6,
            br: 9,
            ..defaults::STORED_LEVEL
        },
        accept_encoding: AcceptEncoding::Client,
        dynamic: false,
        set_cookie: false,
        decode: Some(Decode {
            max_size: 1024 * MIB,
            max_ratio: 20,
        }),
        max_cpu: 100,
    };
    assert_eq!(read, Some(expected));
    let of = |keys: &str| compress(&format!("{{ {keys} }}")).expect(keys);
    assert_eq!(of("decode: false").decode, None);
    assert_eq!(of("decode: true").decode, Some(Decode::default()));
    let told = of("accept_encoding: identity").accept_encoding;
    assert_eq!(told, AcceptEncoding::Identity);
    assert_eq!(of("encodings: br").encodings, [Coding::Brotli]);
    for everything in ["\"*\"", "\"*/*\""] {
        assert_eq!(of(&format!("types: {everything}")).types, ["*/*"]);
    }
}

#[test]
fn levels_reach_from_the_least_to_the_most_that_an_encoder_has() {
    for (level, is_fine) in [
        ("zstd: 1", true),
        ("zstd: 19", true),
        ("zstd: 20", false),
        ("zstd: 0", false),
        ("br: 0", true),
        ("br: 11", true),
        ("br: 12", false),
        ("gzip: 1", true),
        ("gzip: 9", true),
        ("gzip: 0", false),
        ("deflate: 9", true),
        ("deflate: 10", false),
    ] {
        for key in ["level", "stored_level"] {
            let keys = format!("cache: true, compress: {{ {key}: {{ {level} }} }}");
            let loaded = route("", &keys);
            assert_eq!(loaded.config.is_some(), is_fine, "{key} {level}");
        }
    }
}

#[test]
fn names_of_others_are_understood_and_the_canonical_one_is_told() {
    let loaded = route(
        "",
        "compression: { encodings: [brotli, Zstandard, x-gzip], level: { brotli: 6 }, accept_encoding: none }",
    );
    let read = good(&loaded).routes[0]
        .compress
        .clone()
        .expect("it compresses");
    let expected = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
    assert_eq!((&read.encodings[..], read.level.br), (&expected[..], 6));
    assert_eq!(read.accept_encoding, AcceptEncoding::Identity);
    let told = rendered(&loaded);
    for note in [
        "`compression` is taken for `compress`",
        "\"brotli\" is read as encoding \"br\"",
        "\"Zstandard\" is read as encoding \"zstd\"",
        "`brotli` is taken for `br`",
    ] {
        assert!(told.contains(note), "{note} is not told:\n{told}");
    }
    let force = effective::effective(&loaded).expect("no error");
    assert!(force.contains("br: 6 # tidegate.yaml:4"), "{force}");
}

#[test]
fn what_gains_nothing_from_compression_is_told_of() {
    let types = |types: &str| route("", &format!("compress: {{ types: [{types}] }}"));
    for one in [
        "image/png",
        "Image/JPEG",
        "video/mp4",
        "audio/mpeg",
        "application/zip",
        "font/woff2",
    ] {
        warned(&types(one), &["is compressed already"]);
    }
    warned(
        &types("video/*"),
        &["nearly all of `video/*` is compressed already"],
    );
    warned(
        &types("text/event-stream"),
        &["event streams are never compressed"],
    );
    warned(
        &types("application/grpc+proto"),
        &["gRPC is never compressed"],
    );
    warned(&types("\"*\", text/css"), &["the others have no effect"]);
    assert_eq!(
        compress("{ types: [text/css, \"*\"] }")
            .expect("it does")
            .types,
        ["*/*"]
    );
    warned(&types("text/*, image/svg+xml, font/ttf, \"*/*+json\""), &[]);
    warned(&types("\"*\""), &[]);
}

#[test]
fn compression_that_has_no_effect_is_told_of() {
    let dynamic = "this route compresses nothing";
    warned(&route("", "compress: { dynamic: false }"), &[dynamic]);
    warned(&route("", "cache: true, compress: { dynamic: false }"), &[]);
    let stored = "`stored_level` has no effect";
    let best = "compress: { stored_level: { br: 10 } }";
    warned(&route("", best), &[stored]);
    warned(&route("", &format!("cache: true, {best}")), &[]);
    let off = "cache: { recompress: false }";
    warned(&route(off, &format!("cache: true, {best}")), &[stored]);
    let of_none = route(
        "",
        "compress: { encodings: [gzip], level: { gzip: 6, br: 2 } }",
    );
    warned(&of_none, &["`br` is not among `encodings`"]);
    let read = good(&of_none).routes[0]
        .compress
        .clone()
        .expect("it compresses");
    assert_eq!(
        read.level,
        PerCoding {
            gzip: 6,
            ..defaults::LEVEL
        }
    );
    let idle = "`recompress` has no effect";
    warned(&cached("cache: { recompress: true }", "true"), &[idle]);
    warned(&cached("cache: { recompress: false }", "true"), &[]);
    let small = "cache: { max_object: 64KiB, recompress: { max_size: 65KiB } }";
    warned(
        &route(small, "cache: true, compress: true"),
        &["so that this is no limit"],
    );
}

#[test]
fn what_is_stored_is_minified_as_far_as_this_build_can() {
    assert_eq!(minify("true"), Minify::AVAILABLE);
    let json = Minify {
        json: true,
        ..Minify::default()
    };
    assert_eq!(minify("[json]"), json);
    assert_eq!(minify("json"), json);
    let can = Minify::AVAILABLE;
    for (kind, feature, can) in [
        ("html", "minify-html", can.html),
        ("css", "minify-css", can.css),
        ("js", "minify-js", can.js),
        ("javascript", "minify-js", can.js),
    ] {
        let loaded = route("", &format!("cache: true, minify: [json, {kind}]"));
        assert_eq!(loaded.config.is_some(), can, "{kind}");
        let told = rendered(&loaded);
        let remedy = format!("cargo build --release --features {feature}`");
        assert_eq!(told.contains(&remedy), !can, "{told}");
    }
    let nothing = route("", "minify: json");
    warned(
        &nothing,
        &["`minify` has no effect: this route stores nothing"],
    );
    assert!(good(&nothing).routes[0].minify.is_off());
}

#[test]
fn what_is_done_behind_the_answers_is_what_the_file_says() {
    let read = recompress(
        "{ threads: 2, queue: 10, after: 1, max_size: 512KiB, cpu: 100%, time: 1500ms }",
    );
    let expected = Recompress {
        threads: 2,
        queue: 10,
        after: 1,
        max_size: 512 * 1024,
        cpu: 100,
        time: Duration::from_millis(1_500),
    };
    assert_eq!(read, Some(expected));
    let one = recompress("{ cpu: 10% }").expect("it is on");
    assert_eq!(
        one,
        Recompress {
            cpu: 10,
            ..defaults::RECOMPRESS
        }
    );
}

#[test]
fn compression_is_told_and_its_changes_too() {
    let full = "cache: true, minify: [json], compress: { encodings: [br, gzip], types: [\"text/*\", \"*/*+json\"], min_size: 512B, level: { br: 5 }, accept_encoding: identity, decode: false, max_cpu: 60% }";
    let sized = route("cache: { recompress: { queue: 8 } }", full);
    let told = effective::effective(&sized).expect("no error");
    let part = |from: &str, to: &str| {
        let rest = told.split_once(from).map(|(_, rest)| rest).expect(from);
        format!("{from}{}", rest.split(to).next().expect("its first part"))
    };
    let ours = part("  recompress:", "upstreams:") + &part("    compress:", "    slow:");
    insta::assert_snapshot!("in_force", ours);
    let steps = [
        route("", "cache: false"),
        sized,
        route(
            "cache: { recompress: { threads: 2, cpu: 10% } }",
            "cache: true, compress: { types: \"*\", level: { br: 6 }, stored_level: { zstd: 12 }, dynamic: false, set_cookie: false, decode: { max_ratio: 20 } }",
        ),
        route("cache: { recompress: off }", "cache: true, compress: true"),
        route("cache: { recompress: { time: 5s } }", "cache: true"),
    ];
    let mut lines = Vec::new();
    for pair in steps.windows(2) {
        let changes = diff::diff(good(&pair[0]), good(&pair[1]));
        lines.extend(changes.iter().map(ToString::to_string));
        lines.push("--".into());
    }
    insta::assert_snapshot!("changes", lines.join("\n"));
    for loaded in &steps {
        let told = effective::effective(loaded).expect("no error");
        let again = load_text(&told, "told.yaml", &no_env);
        assert_eq!(good(&again), good(loaded), "{told}");
    }
}

#[test]
fn a_level_that_keeps_a_client_waiting_is_warned_of() {
    let level = |level: &str| route("", &format!("cache: true, compress: {{ {level} }}"));
    warned(&level("level: { br: 11 }"), &["level 11 takes tens of"]);
    warned(&level("level: { zstd: 15, br: 5 }"), &["level 15 takes"]);
    warned(&level("level: { br: 7, zstd: 11, gzip: 9 }"), &[]);
    warned(&level("stored_level: { br: 10 }"), &[]);
}
