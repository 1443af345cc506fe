//! Stickiness and the split of a route as they are in force.
//!
//! Of a key only its file is told.

use super::{Writer, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::{LearnFrom, Split, Sticky, StickyCookie, Upstream};
use crate::config::index::At;
use crate::config::validate::sticky::{SAME_SITES, SECURES, STORES};

pub(super) fn sticky(out: &mut Writer, sticky: Option<&Sticky>, at: &At) {
    let below = at.key("sticky");
    match sticky {
        None => out.value(at, "sticky", "off"),
        Some(Sticky::Cookie(sticky)) => cookie(out, sticky, &below),
        Some(Sticky::Learn(learn)) => {
            out.section("sticky", false);
            out.section("learn", false);
            let below = below.key("learn");
            match &learn.from {
                LearnFrom::Cookie(name) => out.value(&below, "cookie", &quoted(name)),
                LearnFrom::Header(name) => out.value(&below, "header", &quoted(name.as_str())),
            }
            out.value(&below, "ttl", &show_duration(learn.ttl));
            out.value(&below, "max", &learn.max.to_string());
            out.value(&below, "store", STORES.word(learn.store));
            out.close();
            out.close();
        }
    }
}

fn cookie(out: &mut Writer, cookie: &StickyCookie, at: &At) {
    out.section("sticky", false);
    // In short form the value of `sticky` itself is the name, and there are no further keys.
    let named = Some(at.key("cookie")).filter(At::given);
    let named = named.unwrap_or_else(|| at.clone());
    out.line("cookie", &quoted(&cookie.name), &named);
    out.value(at, "ttl", &show_duration(cookie.ttl.unwrap_or_default()));
    if let Some(file) = &cookie.key {
        out.value(at, "key_file", &quoted(&file.path.to_string_lossy()));
    }
    out.value(at, "path", &quoted(&cookie.path));
    if let Some(domain) = &cookie.domain {
        out.value(at, "domain", &quoted(domain));
    }
    out.value(at, "same_site", &quoted(SAME_SITES.word(cookie.same_site)));
    out.value(at, "secure", SECURES.word(cookie.secure));
    out.value(at, "http_only", yes_no(cookie.http_only));
    out.close();
}

pub(super) fn split(out: &mut Writer, split: &Split, at: &At, upstreams: &[Upstream]) {
    let name = upstreams.get(split.reads).map_or("", |u| u.name.as_str());
    out.section("split", false);
    out.value(at, "reads", &quoted(name));
    out.value(at, "pin_after_write", &show_duration(split.pin_after_write));
    out.value(at, "fallback", yes_no(split.fallback));
    if !split.pin_after_write.is_zero() {
        out.value(at, "cookie", &quoted(&split.cookie));
    }
    out.close();
}
