//! Bodies without what no reader needs: JSON as it streams, pages, styles and scripts once they are whole.
//!
//! The origin's bytes minus whitespace and comments, never other bytes in their place: nothing is renamed, merged, reordered or
//! written in a shorter way, because nobody is here to see whether a page still works. Whatever is not understood goes on as
//! it came. What stays untouched is the caller's to know: `no-transform`, parts, and whoever vouches for the very bytes
//! (a digest field, `integrity=` of a page).
//!
//! JSON is always there. The others bring crates along and are built on demand: features `minify-html`, `minify-css` and
//! `minify-js`.

#[cfg(feature = "minify-css")]
mod css;
#[cfg(feature = "minify-html")]
mod html;
#[cfg(feature = "minify-js")]
mod js;
mod json;
#[cfg(any(feature = "minify-html", feature = "minify-css", feature = "minify-js"))]
mod whole;

use crate::config::checked::Minify;

/// What a body is, as far as whitespace in it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One JSON text (RFC 8259); not a sequence of them, where lines matter.
    Json,
    /// HTML; not XHTML, whose rules are others.
    Html,
    /// A style sheet.
    Css,
    /// A script, classic or a module.
    Js,
}

/// Takes a body piece by piece and gives it back smaller. Fails open: what it does not understand goes on as it is.
pub trait Minifier: Send {
    /// Takes the next piece and appends what can go on already to `out`.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>);

    /// The body is over: appends what is left to `out`.
    fn finish(self: Box<Self>, out: &mut Vec<u8>);
}

/// What a body with this `Content-Type` is minified as; `None`: these rules or this build leave it alone, or it is
/// written in letters other than UTF-8 and ASCII.
pub fn kind(rules: Minify, media_type: &[u8]) -> Option<Kind> {
    if rules.is_off() {
        return None;
    }
    let mut parts = media_type
        .split(|&byte| byte == b';')
        .map(<[u8]>::trim_ascii);
    let kind = kind_of(parts.next()?)?;
    let (is_wanted, is_there) = match kind {
        Kind::Json => (rules.json, Minify::AVAILABLE.json),
        Kind::Html => (rules.html, Minify::AVAILABLE.html),
        Kind::Css => (rules.css, Minify::AVAILABLE.css),
        Kind::Js => (rules.js, Minify::AVAILABLE.js),
    };
    (is_wanted && is_there && parts.all(is_readable)).then_some(kind)
}

/// What minifies a body of this kind. One that this build does not know goes through as it is.
pub fn minifier(kind: Kind) -> Box<dyn Minifier + Send> {
    match kind {
        Kind::Json => Box::new(json::Stripper::new()),
        #[cfg(feature = "minify-html")]
        Kind::Html => Box::new(whole::Whole::new(html::minified)),
        #[cfg(feature = "minify-css")]
        Kind::Css => Box::new(whole::Whole::new(css::minified)),
        #[cfg(feature = "minify-js")]
        Kind::Js => Box::new(whole::Whole::new(js::minified)),
        #[allow(
            unreachable_patterns,
            reason = "which kinds are left depends on the features"
        )]
        _ => Box::new(Verbatim),
    }
}

/// Leaves a body as it is.
struct Verbatim;

impl Minifier for Verbatim {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
    }

    fn finish(self: Box<Self>, _out: &mut Vec<u8>) {}
}

/// The kind of a media type without parameters.
fn kind_of(essence: &[u8]) -> Option<Kind> {
    let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
    let suffix = essence.last_chunk::<5>();
    if is("application/json")
        || is("text/json")
        || suffix.is_some_and(|end| end.eq_ignore_ascii_case(b"+json"))
    {
        Some(Kind::Json)
    } else if is("text/html") {
        Some(Kind::Html)
    } else if is("text/css") {
        Some(Kind::Css)
    } else if is("text/javascript")
        || is("application/javascript")
        || is("application/x-javascript")
        || is("application/ecmascript")
        || is("text/ecmascript")
    {
        Some(Kind::Js)
    } else {
        None
    }
}

/// Whether a parameter of a media type leaves its bytes readable: any but a `charset` that is not UTF-8 or a part of it.
fn is_readable(parameter: &[u8]) -> bool {
    let mut sides = parameter.splitn(2, |&byte| byte == b'=');
    let name = sides.next().unwrap_or_default().trim_ascii();
    if !name.eq_ignore_ascii_case(b"charset") {
        return true;
    }
    let value = sides.next().unwrap_or_default().trim_ascii();
    let value = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value);
    [&b"utf-8"[..], b"utf8", b"us-ascii"]
        .iter()
        .any(|known| value.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;
