//! Compression and minification as they are in force.
//!
//! Keys that do nothing are left out: they would be warned of when the text is loaded.

use super::{Writer, list, quoted, yes_no};
use crate::base::coding::{Coding, PerCoding};
use crate::base::units::{show_duration, show_size};
use crate::config::checked::{Compress, Decode, Recompress, Route};
use crate::config::index::At;
use crate::config::validate::compress::{ACCEPT_ENCODINGS, level_of};
use crate::config::validate::minify::show;

/// Writes `compress:` of a route that hands requests to an upstream.
pub(super) fn compress(out: &mut Writer, compress: Option<&Compress>, at: &At) {
    let here = at.either("compress", "compression");
    let Some(compress) = compress else {
        return out.line("compress", "false", &here);
    };
    let at = here;
    out.section("compress", false);
    let encodings = compress.encodings.iter();
    let encodings = encodings.map(|coding| coding.as_str().to_string());
    out.value(&at, "encodings", &list(encodings));
    let types = compress.types.iter().map(|one| quoted(one));
    out.value(&at, "types", &list(types));
    out.value(&at, "min_size", &show_size(compress.min_size));
    for (key, of) in [
        ("level", &compress.level),
        ("stored_level", &compress.stored_level),
    ] {
        levels(out, key, of, &compress.encodings, &at.key(key));
    }
    let told = ACCEPT_ENCODINGS.word(compress.accept_encoding);
    out.value(&at, "accept_encoding", told);
    out.value(&at, "dynamic", yes_no(compress.dynamic));
    out.value(&at, "set_cookie", yes_no(compress.set_cookie));
    decode(out, compress.decode.as_ref(), &at);
    out.value(&at, "max_cpu", &format!("{}%", compress.max_cpu));
    out.close();
}

/// Writes the levels of what is offered.
fn levels(out: &mut Writer, key: &str, of: &PerCoding<u32>, offered: &[Coding], at: &At) {
    out.section(key, false);
    for coding in offered {
        if let Some(level) = of.get(*coding) {
            out.line(coding.as_str(), &level.to_string(), &level_of(at, *coding));
        }
    }
    out.close();
}

fn decode(out: &mut Writer, decode: Option<&Decode>, at: &At) {
    let Some(decode) = decode else {
        return out.value(at, "decode", "false");
    };
    let at = at.key("decode");
    out.section("decode", false);
    out.value(&at, "max_size", &show_size(decode.max_size));
    out.value(&at, "max_ratio", &decode.max_ratio.to_string());
    out.close();
}

/// Writes `minify:` of a route that stores answers.
pub(super) fn minify(out: &mut Writer, route: &Route, at: &At) {
    match route.minify {
        _ if route.cache.is_none() => {}
        minify if minify.is_off() => out.value(at, "minify", "false"),
        kinds => {
            let kinds = show(kinds).into_iter().map(String::from);
            out.value(at, "minify", &list(kinds));
        }
    }
}

/// Writes `recompress:` of the cache.
pub(super) fn recompress(out: &mut Writer, recompress: Option<&Recompress>, at: &At) {
    let Some(recompress) = recompress else {
        return out.value(at, "recompress", "false");
    };
    let at = at.key("recompress");
    out.section("recompress", false);
    out.value(&at, "threads", &recompress.threads.to_string());
    out.value(&at, "queue", &recompress.queue.to_string());
    out.value(&at, "after", &recompress.after.to_string());
    out.value(&at, "max_size", &show_size(recompress.max_size));
    out.value(&at, "cpu", &format!("{}%", recompress.cpu));
    out.value(&at, "time", &show_duration(recompress.time));
    out.close();
}
