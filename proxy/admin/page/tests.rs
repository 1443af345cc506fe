//! The files of the page as they are in the binary: complete, small, readable, and asking nobody else.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// All of it, as it is sent.
const MOST: usize = 150 * 1024;

fn text(asset: &Asset) -> &'static str {
    std::str::from_utf8(asset.bytes).expect("UTF-8")
}

fn scripts() -> impl Iterator<Item = &'static Asset> {
    ASSETS.iter().filter(|asset| asset.name.ends_with(".js"))
}

fn asked(if_none_match: &str) -> Response {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(if_none_match).expect("a field value");
    headers.insert(header::IF_NONE_MATCH, value);
    answer(0, &headers)
}

#[test]
fn the_whole_page_is_at_most_150_kilobytes() {
    let size: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
    assert!(size <= MOST, "{size} bytes are more than {MOST}");
}

#[test]
fn every_file_of_the_folder_is_served_and_every_file_that_is_named_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy/admin/page/assets");
    let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of the page")
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("a name in UTF-8"))
        .collect();
    let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(served, on_disk);
    for asset in scripts() {
        for part in text(asset).split("from \"./").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(served.contains(name), "{} imports {name}", asset.name);
        }
    }
    for part in text(&ASSETS[0]).split("\"assets/").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        assert!(served.contains(name), "the page names {name}");
    }
}

#[test]
fn data_never_becomes_markup_or_code_and_nothing_is_inline() {
    for asset in scripts() {
        for word in [
            ".innerHTML",
            "outerHTML",
            "insertAdjacent",
            "eval(",
            "document.write",
        ] {
            assert!(!text(asset).contains(word), "{}: {word}", asset.name);
        }
    }
    let page = text(&ASSETS[0]);
    for word in [" style=", "<style", " onclick=", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<script").count(), 1, "one, with a source");
}

#[test]
fn the_page_names_no_other_server() {
    for asset in ASSETS {
        // Names of XML and examples in the fields of forms are no addresses that are asked.
        let mut text = text(asset).replace("http://www.w3.org/2000/svg", "");
        text = text.replace("http://shop.example.com", "");
        for word in ["http:", "https:", "ws://", "wss:", "url(", "@import"] {
            assert!(!text.contains(word), "{}: {word}", asset.name);
        }
    }
}

#[test]
fn every_script_and_sheet_says_what_it_is_for() {
    for asset in ASSETS.iter().filter(|asset| !asset.name.ends_with(".svg")) {
        let begin = text(asset).lines().take(2).collect::<String>();
        let says = ["//", "/*", "<!--"].iter().any(|mark| begin.contains(mark));
        assert!(says, "{} begins with {begin:?}", asset.name);
        let lines = text(asset).lines().count();
        assert!(lines <= 400, "{} has {lines} lines", asset.name);
    }
}

#[test]
fn who_has_a_file_already_is_not_sent_it_again() {
    let tag = TAGS[0].to_str().expect("a tag");
    for same in [tag, "*", &format!("\"other\", W/{tag}")] {
        assert_eq!(asked(same).status(), StatusCode::NOT_MODIFIED, "{same}");
    }
    let whole = asked("\"other\"");
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.headers()[header::ETAG], tag);
    let all: BTreeSet<&[u8]> = TAGS.iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(all.len(), ASSETS.len(), "each has its own");
}

#[test]
fn every_file_says_its_kind_and_what_it_may_do() {
    for (at, asset) in ASSETS.iter().enumerate() {
        let response = answer(at, &HeaderMap::new());
        let headers = response.headers();
        let kind = headers[header::CONTENT_TYPE].to_str().expect("a kind");
        let ends = [".html", ".js", ".css", ".svg"].map(|end| asset.name.ends_with(end));
        let kinds = ["text/html", "text/javascript", "text/css", "image/svg"];
        for (is, wanted) in ends.into_iter().zip(kinds) {
            assert_eq!(is, kind.starts_with(wanted), "{}: {kind}", asset.name);
        }
    }
}
