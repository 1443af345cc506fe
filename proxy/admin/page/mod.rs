//! The page: what a person looks at first. Static files in the binary; everything on them comes by the API.
//!
//! No data is in them, so they are served to anybody who may reach the port, without a token. They ask nobody but this
//! port, and the browser is told to see to that.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use xxhash_rust::xxh3::xxh3_64;

use super::problem;

/// What the page may do: run and show what this port serves, and ask this port. Nothing inline, nobody else, no frame
/// around it, and no form that leads elsewhere.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    name: &'static str,
    bytes: &'static [u8],
}

/// Files under `assets/`, by name.
macro_rules! assets {
    ($($name:literal),+ $(,)?) => {
        &[$(Asset { name: $name, bytes: include_bytes!(concat!("assets/", $name)) }),+]
    };
}

/// Every file of the page, the page itself first.
const ASSETS: &[Asset] = assets![
    "index.html",
    "api.js",
    "app.css",
    "app.js",
    "ask.js",
    "banners.js",
    "cache.js",
    "certificates.js",
    "chart.js",
    "config.js",
    "dom.js",
    "icon.svg",
    "live.js",
    "noderow.js",
    "overview.js",
    "routes.js",
    "shared.js",
    "slow.js",
    "units.js",
    "upstreams.js",
    "verbs.js",
];

/// The validator of each, in the same order: another content has another one, whatever its version.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        let tag = format!("\"{:016x}\"", xxh3_64(asset.bytes));
        HeaderValue::try_from(tag).expect("invariant: quotes and hexadecimal digits")
    };
    ASSETS.iter().map(tag).collect()
});

impl Asset {
    fn kind(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        }
    }
}

/// The page and its files. They are no part of the API and of its document.
pub fn routes<S: Clone + Send + Sync + 'static>() -> axum::Router<S> {
    let page = async |headers: HeaderMap| answer(0, &headers);
    axum::Router::new()
        .route("/", get(page))
        .route("/assets/{name}", get(file))
}

/// `GET /assets/{name}`
async fn file(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    match ASSETS.iter().position(|asset| asset.name == name) {
        Some(at) => answer(at, &headers),
        None => problem::unknown_path(uri).await.into_response(),
    }
}

/// The file, or that the browser has it already. It asks every time: another version is seen at once.
fn answer(at: usize, headers: &HeaderMap) -> Response {
    let (asset, tag) = (&ASSETS[at], &TAGS[at]);
    let had = headers.get_all(header::IF_NONE_MATCH).iter();
    let lists = had.filter_map(|field| field.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    let has = tags.any(|had| had == "*" || had.trim_start_matches("W/").as_bytes() == tag);
    let mut response = match has {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => asset.bytes.into_response(),
    };
    let set = [
        (header::ETAG, tag.clone()),
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    for (name, value) in set {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests;
