//! Differences of compression and minification.

use super::Changes;
use crate::base::coding::{Coding, PerCoding};
use crate::base::units::{show_duration, show_size};
use crate::config::checked::{Compress, Recompress, Route};
use crate::config::defaults;
use crate::config::validate::compress::ACCEPT_ENCODINGS;
use crate::config::validate::minify::show;

/// Tells what is different in `compress:` of a route.
pub(super) fn compress(
    out: &mut Changes,
    what: impl Fn(&str) -> String,
    was: Option<&Compress>,
    is: Option<&Compress>,
) {
    let (Some(was), Some(is)) = (was, is) else {
        return out.shown(&what("compress"), &summary(was), &summary(is));
    };
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&what(&format!("compress.{key}")), &was, &is);
    }
}

/// How a route compresses, in a few words: what is not as by default.
fn summary(compress: Option<&Compress>) -> String {
    match compress {
        None => "off".into(),
        Some(compress) => on(told(compress), told(&Compress::default())),
    }
}

/// What is on, and how it is not as usual.
fn on<const N: usize>(is: [(&str, String); N], usual: [(&str, String); N]) -> String {
    let said = is.into_iter().zip(usual);
    let said = said.filter(|((_, is), (_, usual))| is != usual);
    let said = said.map(|((key, is), _)| format!(", {key} {is}"));
    format!("on{}", said.collect::<String>())
}

/// Every key with its value in words.
fn told(compress: &Compress) -> [(&'static str, String); 10] {
    let names: Vec<&str> = compress.encodings.iter().map(|c| c.as_str()).collect();
    let decode = compress.decode.map(|decode| {
        let size = show_size(decode.max_size);
        format!("up to {size} and {} times its size", decode.max_ratio)
    });
    let told = ACCEPT_ENCODINGS.word(compress.accept_encoding);
    [
        ("encodings", names.join(" ")),
        ("types", types(&compress.types)),
        ("min_size", show_size(compress.min_size)),
        ("level", levels(&compress.level)),
        ("stored_level", levels(&compress.stored_level)),
        ("accept_encoding", told.into()),
        ("dynamic", compress.dynamic.to_string()),
        ("set_cookie", compress.set_cookie.to_string()),
        ("decode", decode.unwrap_or_else(|| "false".into())),
        ("max_cpu", format!("{}%", compress.max_cpu)),
    ]
}

fn types(types: &[String]) -> String {
    match types == defaults::COMPRESSED_TYPES {
        true => "the usual".into(),
        false => types.join(" "),
    }
}

fn levels(levels: &PerCoding<u32>) -> String {
    let codings = defaults::ENCODINGS.iter();
    let each = codings.filter_map(|c: &Coding| Some(format!("{} {}", c.as_str(), levels.get(*c)?)));
    each.collect::<Vec<_>>().join(", ")
}

/// What a route minifies.
pub(super) fn minify(route: &Route) -> String {
    match route.minify.is_off() {
        true => "nothing".into(),
        false => show(route.minify).join(" "),
    }
}

/// Tells what is different in `recompress:` of the cache. Its threads and their queue are there from the
/// start of the process, or not at all.
pub(super) fn recompress(out: &mut Changes, was: Option<&Recompress>, is: Option<&Recompress>) {
    const WHAT: &str = "cache.recompress";
    let (was, is) = match (was, is) {
        (None, None) => return,
        (Some(_), None) => return out.shown(WHAT, "on", "off"),
        (None, Some(is)) => {
            return out.restart(WHAT, "off", &on(work(is), work(&defaults::RECOMPRESS)));
        }
        (Some(was), Some(is)) => (was, is),
    };
    for ((key, was), (_, is)) in work(was).into_iter().zip(work(is)) {
        let what = format!("{WHAT}.{key}");
        match key {
            "threads" | "queue" => out.restart(&what, &was, &is),
            _ => out.shown(&what, &was, &is),
        }
    }
}

/// Every key with its value in words.
fn work(recompress: &Recompress) -> [(&'static str, String); 6] {
    [
        ("threads", recompress.threads.to_string()),
        ("queue", recompress.queue.to_string()),
        ("after", recompress.after.to_string()),
        ("max_size", show_size(recompress.max_size)),
        ("cpu", format!("{}%", recompress.cpu)),
        ("time", show_duration(recompress.time)),
    ]
}
