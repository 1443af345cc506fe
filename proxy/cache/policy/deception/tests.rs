//! What a path claims, and what answers it.

use http::StatusCode;
use proptest::prelude::*;

use super::super::testing::fields;
use super::*;

fn is_stored(path: &str, status: u16, content_type: Option<&str>) -> bool {
    let headers = fields(content_type.map(|ty| ("content-type", ty)).as_slice());
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: &headers,
    };
    fits(path, &answer)
}

#[test]
fn a_page_under_the_name_of_a_file_is_seen_through() {
    for path in [
        "/account/x.css",
        "/account/x.CSS",
        "/account;x.css",
        "/account%3bx.css",
        "/account%0ax.css",
        "/account%00.css",
        "/account%3fx.css",
        "/account%23x.css",
        "/account%2fx.css",
        "/account%252fx.css",
        "/account%253Fx.css",
        "/account%5cx.css",
        "/account/.css",
        "/account/x.css;y",
        "/account/x.css%3fy=z",
        "/account/x.css%00.html",
        "/account$x.js",
        "/account/x.min.js",
        "/account/logo.png",
        "/account/f.woff2",
        "/account/favicon.ico",
        "/account/v.mp4",
        "/account/robots.txt",
        "/account/d.json",
        "/account/s.xml",
        "/account/paper.pdf",
        "/account/a.zip",
    ] {
        for page in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "",
        ] {
            assert!(!is_stored(path, 200, Some(page)), "{path} as {page}");
        }
        assert!(!is_stored(path, 200, None), "{path}");
    }
    let private = Some("application/json");
    assert!(
        !is_stored("/account/a.zip", 200, private) && !is_stored("/account/x.css", 200, private)
    );
}

#[test]
fn files_are_what_they_claim_to_be() {
    for (path, content_type) in [
        ("/x.css", "text/css; charset=utf-8"),
        ("/x.js", "text/javascript"),
        ("/x.mjs", "application/javascript"),
        ("/x.js", "application/x-javascript"),
        ("/x.js.map", "application/json"),
        ("/x.webmanifest", "application/manifest+json"),
        ("/x.PNG", "image/png"),
        ("/x.jpg", "image/webp"),
        ("/x.svg", "image/svg+xml"),
        ("/x.ico", "image/vnd.microsoft.icon"),
        ("/x.woff2", "font/woff2"),
        ("/x.ttf", "application/x-font-ttf"),
        ("/x.eot", "application/vnd.ms-fontobject"),
        ("/x.mp4", "video/mp4"),
        ("/x.ogg", "application/ogg"),
        ("/x.txt", "text/plain"),
        ("/x.xml", "application/xml"),
        ("/x.rss", "application/rss+xml"),
        ("/x.wasm", "application/wasm"),
        ("/x.pdf", "application/pdf"),
        ("/x.zip", "application/zip"),
        ("/x.css", "application/octet-stream"),
    ] {
        assert!(
            is_stored(path, 200, Some(content_type)),
            "{path} as {content_type}"
        );
    }
}

#[test]
fn a_path_that_claims_nothing_is_answered_with_anything() {
    for path in [
        "/",
        "/account",
        "/x.php",
        "/x.html",
        "/v1.2/list",
        "/x.css/",
        "/x.css/y",
        "/.",
    ] {
        assert!(is_stored(path, 200, Some("text/html")), "{path}");
        assert!(is_stored(path, 200, None), "{path}");
    }
}

#[test]
fn what_says_that_there_is_no_such_file_claims_nothing() {
    for status in [204, 301, 404, 410] {
        assert!(is_stored("/x.css", status, Some("text/html")), "{status}");
    }
}

proptest! {
    #[test]
    fn no_path_panics(path in "/[a-z%0-9./;]{0,40}", any in ".{0,40}") {
        is_stored(&path, 200, Some("text/html"));
        is_stored(&any, 200, None);
    }

    #[test]
    fn a_page_hides_behind_no_single_byte(byte in any::<u8>()) {
        let path = format!("/account%{byte:02x}x.css");
        prop_assert!(!is_stored(&path, 200, Some("text/html")), "{}", path);
    }
}
