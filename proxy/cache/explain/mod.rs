//! What would become of a request, and why, in words for somebody who looks for a fault at night.
//!
//! Decides nothing itself: it asks what a request would ask, and says what that means. Pure; knows no route and no
//! node.

use super::policy::directives::Wish;
use super::policy::life::{FOR_EVER, Life, Millis, Source};
use super::policy::reuse::{Use, reuse};
use crate::base::cached::{Outcome, Why};

/// What is known when a request comes.
#[derive(Debug, Clone)]
pub struct Look<'a> {
    /// What is stored for it, and when that was purged softly.
    pub stored: Option<(&'a Life, Option<Millis>)>,
    /// How many answers are stored under its key.
    pub variants: usize,
    /// Whether answers under its key were not storable a moment ago.
    pub marked: bool,
    /// Why the last answer under its key was not stored, if that is known.
    pub lately: Option<Why>,
    /// What it says of the answer it takes.
    pub wish: Wish,
    /// It wants the head alone.
    pub is_head: bool,
    /// It wants a part that does not begin where the whole does.
    pub is_part: bool,
}

/// What would become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the cache would do.
    pub outcome: Outcome,
    /// Why.
    pub why: Why,
    /// The same in a sentence.
    pub words: String,
}

/// What would become of a request now.
pub fn verdict(look: &Look<'_>, now: Millis) -> Verdict {
    let Some((life, expired_at)) = look.stored else {
        return nothing(look);
    };
    let says = |outcome, why, words| Verdict {
        outcome,
        why,
        words,
    };
    let age = || state(life, expired_at, now);
    match reuse(life, &look.wish, expired_at, now) {
        Use::Fresh => {
            let words = format!("would be answered from the store: {}", age());
            says(Outcome::Hit, Why::Fresh, words)
        }
        Use::Stale(why) => {
            let words = format!(
                "would be answered from the store although it is stale, because {}: {}",
                because(why),
                age()
            );
            says(Outcome::Stale, why, words)
        }
        Use::Refresh => {
            let over = (life.fresh_until(expired_at)).saturating_add(life.stale_while_revalidate);
            let words = format!(
                "would be answered from the store and refreshed behind the answer: {}, and stale-while-revalidate has {} left",
                age(),
                span(over.saturating_sub(now)),
            );
            says(Outcome::Stale, Why::StaleWhileRevalidate, words)
        }
        Use::Validate(why) | Use::Fetch(why) if look.wish.only_if_cached => {
            let words = format!(
                "would be 504: the request takes nothing but what is stored (only-if-cached), and {}: {}",
                because(why),
                age()
            );
            says(Outcome::Miss, why, words)
        }
        // What goes on as it is brings the stored answer's validator to nobody.
        Use::Validate(why) | Use::Fetch(why) if goes_on(look).is_some() => {
            let words = format!(
                "would be handed on as it is, {}; what is stored is not used because {}: {}",
                goes_on(look).unwrap_or_default(),
                because(why),
                age()
            );
            says(Outcome::Miss, why, words)
        }
        Use::Validate(why) => {
            let words = format!(
                "a node would be asked whether it is still right, because {}: {}",
                because(why),
                age()
            );
            says(Outcome::Revalidated, why, words)
        }
        Use::Fetch(why) => {
            let words = format!(
                "would be fetched, because {}, and it has neither ETag nor Last-Modified to ask a node by: {}",
                because(why),
                age()
            );
            says(Outcome::Miss, why, words)
        }
    }
}

/// What would become of a request that the cache has no business with.
pub fn handed_on(why: Why) -> Verdict {
    Verdict {
        outcome: Outcome::Bypass,
        why,
        words: format!(
            "would be handed on without asking the store, because {}",
            because(why)
        ),
    }
}

/// What would become of a request that nothing is stored for.
fn nothing(look: &Look<'_>) -> Verdict {
    let why = match look.variants {
        0 => Why::Nothing,
        _ => Why::OtherVariant,
    };
    let lately = look.lately.map_or_else(String::new, |why| {
        format!(
            "; the last answer was not stored: {} ({})",
            why.as_str(),
            because(why)
        )
    });
    let what = match look.variants {
        0 => "nothing stored under this key".into(),
        1 => "what is stored under this key is for other request fields (Vary)".into(),
        n => format!("the {n} answers stored under this key are for other request fields (Vary)"),
    };
    let words = if look.wish.only_if_cached {
        format!(
            "would be 504: the request takes nothing but what is stored (only-if-cached), and {what}{lately}"
        )
    } else if let Some(how) = goes_on(look) {
        format!("would be handed on as it is, {how}: {what}{lately}")
    } else if look.marked {
        format!(
            "would be handed on, each request by itself, because answers under this key were not storable a moment ago: {what}{lately}"
        )
    } else {
        format!("would be fetched: {what}{lately}")
    };
    Verdict {
        outcome: Outcome::Miss,
        why,
        words,
    }
}

/// Why a request is handed on when the store has nothing for it.
fn goes_on(look: &Look<'_>) -> Option<&'static str> {
    if look.is_head {
        Some("since HEAD fetches nothing for the store")
    } else if look.is_part && look.stored.is_none() {
        Some("since it wants a part from the middle, and a fetch would be for all of it")
    } else if look.wish.no_store {
        Some("since the request says no-store")
    } else {
        None
    }
}

/// How old a stored answer is, for how long it is fresh or since when stale, and where that comes from.
pub fn state(life: &Life, expired_at: Option<Millis>, now: Millis) -> String {
    let until = life.fresh_until(expired_at);
    let own = life.fresh_until(None);
    let mut text = if life.no_cache {
        "it says no-cache".into()
    } else if now < until {
        format!("fresh for {} more", span(until - now))
    } else if expired_at.is_some_and(|at| at < own) {
        format!("purged softly {} ago", span(now - until))
    } else if life.lifetime == 0 {
        "never fresh".into()
    } else {
        format!("stale for {}", span(now - until))
    };
    text.push_str(" (");
    text.push_str(&lifetime(life));
    // Less than a second is the way it took.
    if life.initial_age >= 1_000 {
        text.push_str(&format!(
            ", Age was {} when it came",
            life.initial_age / 1_000
        ));
    }
    text.push(')');
    text
}

/// A freshness lifetime and where it comes from, as `max-age=60`.
fn lifetime(life: &Life) -> String {
    let seconds = match life.lifetime {
        FOR_EVER.. => "for ever".into(),
        millis => (millis / 1_000).to_string(),
    };
    match life.source {
        Source::SMaxAge | Source::MaxAge => format!("{}={seconds}", source(life.source)),
        Source::Nothing => source(life.source).into(),
        _ => format!("{}, {}", source(life.source), span(life.lifetime)),
    }
}

/// Where a freshness lifetime comes from, in a word or a few.
pub fn source(source: Source) -> &'static str {
    match source {
        Source::Override => "the route's override_ttl",
        Source::Targeted => "a targeted field",
        Source::SMaxAge => "s-maxage",
        Source::MaxAge => "max-age",
        Source::Expires => "Expires less Date",
        Source::Heuristic => "heuristic: a tenth of the age of Last-Modified",
        Source::Route => "the route's ttl",
        Source::Nothing => "nothing says how long it is fresh",
    }
}

/// A span of time as people read it; never longer than it is.
pub fn span(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..600_000 => format!("{} s", millis / 1_000),
        FOR_EVER.. => "ever".into(),
        _ => humantime::format_duration(std::time::Duration::from_secs(millis / 1_000)).to_string(),
    }
}

/// A reason as the end of a sentence that goes "because".
pub fn because(why: Why) -> &'static str {
    match why {
        Why::Fresh => "it is fresh",
        Why::Shared => "it is fresh, and came from the tier that proxies share",
        Why::Nothing => "nothing is stored under this key",
        Why::OtherVariant => "what is stored is for other request fields (Vary)",
        Why::Expired => "it is older than its freshness lifetime",
        Why::NoCache => "the answer says no-cache",
        Why::Purged => "it was purged",
        Why::MaxStale => "the request takes what is stale (max-stale)",
        Why::StaleWhileRevalidate => "it may be used while it is refreshed",
        Why::StaleIfError => "the nodes failed",
        Why::RequestNoCache => "the request says no-cache",
        Why::RequestMaxAge => "the request wants it younger (max-age)",
        Why::RequestMinFresh => "the request wants it fresh for longer (min-fresh)",
        Why::RequestNoStore => "the request says no-store",
        Why::OnlyIfCached => "the request takes nothing but what is stored (only-if-cached)",
        Why::Method => "the cache answers GET and HEAD alone",
        Why::MethodOverride => "another field says that its method is another one",
        Why::RequestBody => "the request has a body",
        Why::Precondition => "only the origin can judge its precondition",
        Why::Upgrade => "the request wants another protocol (Upgrade)",
        Why::ClientCertificate => {
            "its client has a certificate that the nodes are told of (`tls.client_header`)"
        }
        Why::Pinned => "its client wrote a moment ago and reads from the primary",
        Why::NoHost => "the request names no host, or several",
        Why::Head => "HEAD fetches nothing for the store",
        Why::Range => "it wants a part from the middle, and a fetch would be for all of it",
        Why::HitForMiss => "answers under this key were not storable a moment ago",
        Why::WaitTimeout => "it waited for another request's fetch for as long as it may",
        Why::NoStore => "the answer says no-store",
        Why::Private => "the answer says private",
        Why::NotUnderstood => "it says must-understand, with a status that is not understood",
        Why::VaryAny => "the answer says Vary: *",
        Why::SetCookie => "the answer sets a cookie; `cache.set_cookie` of the route can allow it",
        Why::Authorization => "it answers Authorization and does not say that others may have it",
        Why::Status => "its status is not stored, or not without explicit freshness",
        Why::NoFreshness => {
            "it says neither how long it is fresh nor how to validate it; `cache.ttl` of the route can"
        }
        Why::Stale => "it was stale on arrival and cannot be validated",
        Why::Tags => "it has more tags than are remembered (128 of 256 bytes each)",
        Why::ContentType => "its content type does not fit the path's extension",
        Why::EventStream => "it is a stream of events (text/event-stream), which has no end",
        Why::Unframed => "its body ends with the connection: nobody knows whether it is whole",
        Why::Incomplete => "its body was cut",
        Why::Undecodable => "its body is not in the encoding that its head names",
        Why::TooLarge => "it is larger than `cache.max_object`",
        Why::NoRoom => "there was no room for it in memory",
        Why::PurgedMeanwhile => "it was purged or overwritten while it was fetched",
        Why::Failed => "no node gave an answer",
    }
}

#[cfg(test)]
mod tests;
