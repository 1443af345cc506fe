//! Web cache deception: `/account/x.css` is the account page to the application and a style sheet to who keeps style
//! sheets.
//!
//! Where the route says how long answers are kept, the origin did not ask for it. Then a path that claims to be a file
//! must be answered as one, or it is not stored. Never trusts the path's form: what an application may take for an end
//! of the path (`;`, an escaped `?`, a line end) ends a claim here.

use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use smallvec::SmallVec;

use super::store::Answer;

/// Letters of the longest extension that claims something.
const EXTENSION_AT_MOST: usize = 12;
/// Bytes at the end of a path that are looked at.
const TAIL_AT_MOST: usize = 2_048;

/// Whether an answer is what its path claims it to be; a path may claim nothing.
pub(super) fn fits(path: &str, answer: &Answer<'_>) -> bool {
    if !answer.status.is_success() || answer.status == http::StatusCode::NO_CONTENT {
        return true;
    }
    let claims = claims(path);
    if claims.is_empty() {
        return true;
    }
    let value = answer.headers.get(CONTENT_TYPE).map(|v| v.as_bytes());
    let essence = value.and_then(|v| v.split(|b| *b == b';').next());
    let Some(essence) = essence.and_then(|e| std::str::from_utf8(e).ok()) else {
        return false;
    };
    let essence = essence.trim().to_ascii_lowercase();
    claims.iter().all(|claim| is_of(&essence, *claim))
}

/// What an extension claims its content to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Css,
    Script,
    Json,
    Image,
    Font,
    Media,
    Text,
    Xml,
    Wasm,
    /// Programs, archives and documents: nothing that a browser shows as a page, and no data of an API.
    Binary,
}

fn is_of(essence: &str, claim: Claim) -> bool {
    let begins = |with: &[&str]| with.iter().any(|b| essence.starts_with(b));
    let has = |part: &str| essence.contains(part);
    // What a server says of files that it does not know; no page is sent so.
    if matches!(essence, "application/octet-stream" | "binary/octet-stream") {
        return true;
    }
    match claim {
        Claim::Css => essence == "text/css",
        Claim::Script => has("javascript") || has("ecmascript"),
        Claim::Json => has("json"),
        Claim::Image => begins(&["image/"]),
        Claim::Font => has("font"),
        Claim::Media => begins(&["video/", "audio/"]) || essence == "application/ogg",
        Claim::Text => matches!(essence, "text/plain" | "text/csv" | "text/markdown"),
        Claim::Xml => has("xml") && !has("html"),
        Claim::Wasm => essence == "application/wasm",
        Claim::Binary => begins(&["application/"]) && !(has("json") || has("xml") || has("html")),
    }
}

/// What an extension in lower case claims.
fn claim(extension: &str) -> Option<Claim> {
    Some(match extension {
        "css" => Claim::Css,
        "js" | "mjs" | "cjs" => Claim::Script,
        "json" | "map" | "webmanifest" | "geojson" => Claim::Json,
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "ico" | "bmp" | "tif" | "tiff"
        | "svg" | "svgz" | "apng" | "cur" | "jxl" | "heic" => Claim::Image,
        "woff" | "woff2" | "ttf" | "otf" | "eot" => Claim::Font,
        "mp4" | "m4v" | "webm" | "mov" | "avi" | "mkv" | "ogv" | "mpg" | "mpeg" | "mp3" | "m4a"
        | "ogg" | "oga" | "opus" | "wav" | "flac" | "aac" | "mid" | "midi" => Claim::Media,
        "txt" | "csv" | "md" => Claim::Text,
        "xml" | "rss" | "atom" | "xsl" => Claim::Xml,
        "wasm" => Claim::Wasm,
        "pdf" | "doc" | "docx" | "xls" | "xlsx" | "ppt" | "pptx" | "ps" | "eps" | "zip" | "gz"
        | "tgz" | "bz2" | "xz" | "zst" | "7z" | "rar" | "tar" | "jar" | "apk" | "dmg" | "exe"
        | "msi" | "bin" | "iso" | "swf" => Claim::Binary,
        _ => return None,
    })
}

/// What the last segment of a path claims, each part of it that an application may see alone.
fn claims(path: &str) -> SmallVec<[Claim; 2]> {
    // Decoded twice: what is decoded once here may be decoded again behind us.
    let tail = &path.as_bytes()[path.len().saturating_sub(TAIL_AT_MOST)..];
    let once: Vec<u8> = percent_decode(tail).collect();
    let decoded: Vec<u8> = percent_decode(&once).collect();
    let segment = decoded.rsplit(|b| matches!(b, b'/' | b'\\')).next();
    let parts = segment
        .unwrap_or_default()
        .split(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~')));
    parts
        .filter_map(extension)
        .filter_map(|e| claim(&e))
        .collect()
}

fn extension(part: &[u8]) -> Option<String> {
    let extension = &part[memchr::memrchr(b'.', part)? + 1..];
    let text = std::str::from_utf8(extension).ok()?;
    (text.len() <= EXTENSION_AT_MOST).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
