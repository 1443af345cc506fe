//! Differences of stickiness, and of the split of a route.
//!
//! A key that changed is told to have changed, and no more of it.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::{Config, Learn, LearnFrom, Route, Sticky, StickyCookie};
use crate::config::validate::sticky::{SAME_SITES, SECURES, STORES};

pub(super) fn sticky(
    out: &mut Changes,
    what: impl Fn(&str) -> String,
    was: Option<&Sticky>,
    is: Option<&Sticky>,
) {
    match (was, is) {
        (Some(Sticky::Cookie(was)), Some(Sticky::Cookie(is))) => cookie(out, what, was, is),
        (Some(Sticky::Learn(was)), Some(Sticky::Learn(is))) => learn(out, what, was, is),
        _ => out.shown(&what("sticky"), &kind(was), &kind(is)),
    }
}

/// What keeps sessions on their node, in a few words.
fn kind(sticky: Option<&Sticky>) -> String {
    match sticky {
        None => "off".into(),
        Some(Sticky::Cookie(cookie)) => format!("by the cookie {}", cookie.name),
        Some(Sticky::Learn(learn)) => format!("learned from {}", place(&learn.from)),
    }
}

fn place(from: &LearnFrom) -> String {
    match from {
        LearnFrom::Cookie(name) => format!("the cookie {name}"),
        LearnFrom::Header(name) => format!("the field {name}"),
    }
}

fn cookie(out: &mut Changes, what: impl Fn(&str) -> String, was: &StickyCookie, is: &StickyCookie) {
    let told = |c: &StickyCookie| {
        let key = c.key.as_ref().map(|file| file.path.display().to_string());
        [
            ("cookie", c.name.clone()),
            (
                "ttl",
                c.ttl.map_or("until the browser ends".into(), show_duration),
            ),
            ("key_file", key.unwrap_or_else(|| "none".into())),
            ("path", c.path.clone()),
            (
                "domain",
                c.domain.clone().unwrap_or_else(|| "the host alone".into()),
            ),
            ("same_site", SAME_SITES.word(c.same_site).into()),
            ("secure", SECURES.word(c.secure).into()),
            ("http_only", c.http_only.to_string()),
        ]
    };
    for ((key, a), (_, b)) in told(was).into_iter().zip(told(is)) {
        out.shown(&what(&format!("sticky.{key}")), &a, &b);
    }
    let key = |c: &StickyCookie| c.key.as_ref().map(|file| file.key.clone());
    if key(was) != key(is) {
        out.say(what("the key of its cookies changed: sessions begin anew"));
    }
}

fn learn(out: &mut Changes, what: impl Fn(&str) -> String, was: &Learn, is: &Learn) {
    let told = |l: &Learn| {
        [
            ("from", place(&l.from)),
            ("ttl", show_duration(l.ttl)),
            ("max", l.max.to_string()),
            ("store", STORES.word(l.store).into()),
        ]
    };
    for ((key, a), (_, b)) in told(was).into_iter().zip(told(is)) {
        out.shown(&what(&format!("sticky.learn.{key}")), &a, &b);
    }
    if was != is {
        out.say(what("its learned sessions are forgotten"));
    }
}

/// A route's split in a few words.
pub(super) fn split(route: &Route, config: &Config) -> String {
    let Some(split) = &route.split else {
        return "none".into();
    };
    let name = config
        .upstreams
        .get(split.reads)
        .map_or("", |u| u.name.as_str());
    let pin = match split.pin_after_write.is_zero() {
        true => "no pin".into(),
        false => format!(
            "pinned for {} by the cookie {}",
            show_duration(split.pin_after_write),
            split.cookie
        ),
    };
    let fallback = if split.fallback { "" } else { ", no fallback" };
    format!("reads to {name}, {pin}{fallback}")
}
