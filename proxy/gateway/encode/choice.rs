//! Which form of an answer a client gets.
//!
//! Decides and changes nothing. What it says of a stored answer holds as long as the route's rules do.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::super::ctx::Ctx;
use super::asks::Wants;
use crate::base::coding::{Coding, Skipped};
use crate::cache::entry::Head;
use crate::live::snapshot::Compressing;
use crate::transform::eligible::{Facts, may_compress, may_decode};
use crate::transform::etag;
use crate::transform::negotiate::Accepted;

/// In which form an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The coding it comes in; `None`: one that is not known here, and it stays as it is.
    pub from: Option<Coding>,
    /// The coding it goes out in.
    pub to: Coding,
    /// Other clients get other forms of it: `Vary` says so.
    pub varies: bool,
    /// Why it is not compressed.
    pub skipped: Option<Skipped>,
}

impl Choice {
    /// As it came.
    pub const AS_IS: Choice = Choice {
        from: None,
        to: Coding::Identity,
        varies: false,
        skipped: None,
    };

    /// Whether it goes out in another form than it came in.
    pub fn changes(&self) -> bool {
        self.from.is_some_and(|from| from != self.to)
    }

    /// Whether it came encoded, and goes out otherwise.
    pub fn decodes(&self) -> bool {
        self.changes() && self.from != Some(Coding::Identity)
    }

    /// The same answer as it came, all the same.
    pub fn not(self, why: Skipped) -> Choice {
        Choice {
            to: self.from.unwrap_or(Coding::Identity),
            skipped: Some(why),
            ..self
        }
    }
}

/// The rules of a request's route and what its client takes; `None`: its route does not compress.
pub type Rules<'a> = Option<(&'a Compressing, &'a Wants)>;

/// Those of a request.
pub fn rules(ctx: &Ctx) -> Rules<'_> {
    let asks = ctx.asks.as_ref()?;
    let rules = ctx.snapshot.compressing[ctx.route?].as_ref()?;
    Some((rules, &asks.wants))
}

/// The form of an answer that is stored, or on its way into the store. `own_cookies`: who asked is given cookies that are
/// not stored with it.
pub fn of_stored(rules: Rules<'_>, head: &Head, length: Option<u64>, own_cookies: bool) -> Choice {
    let Some((rules, asks)) = rules else {
        return Choice::AS_IS;
    };
    let facts = Facts {
        status: head.status,
        media_type: head.media_type(),
        coding: head.coding(),
        no_transform: head.no_transform(),
        sets_cookie: head.sets_cookie() || own_cookies,
        length,
        is_stored: true,
    };
    of(rules, asks, &facts)
}

/// The same answer as it came, for a request that wants a part: one can be cut out of what is stored as it is, and nobody
/// could use one of what is compressed. `None`: it wants none, or not as it came.
pub fn of_part(ctx: &Ctx, request: &HeaderMap, head: &Head, choice: Choice) -> Option<Choice> {
    let (_, asks) = rules(ctx)?;
    let may = choice.changes()
        && choice.from == Some(Coding::Identity)
        && asks.takes(Coding::Identity)
        && ctx.head.method == Method::GET
        && head.status == StatusCode::OK
        && request.contains_key(header::RANGE)
        && !continues_form(request);
    may.then(|| choice.not(Skipped::Range))
}

/// Whether who asked is given a cookie that is not stored with the answer.
pub fn own_cookies(ctx: &Ctx) -> bool {
    let own = ctx.fetched.as_ref().filter(|_| ctx.cached.is_own());
    own.is_some_and(|fetch| fetch.tells_apart(&header::SET_COOKIE))
}

/// Whether a request continues one of our forms, of which there are no parts: it gets the whole of it. By a date nobody
/// can tell which form is meant.
fn continues_form(request: &HeaderMap) -> bool {
    let named = request.get(header::IF_RANGE).map(HeaderValue::as_bytes);
    named.is_some_and(|named| !named.contains(&b'"') || etag::base_of(named).is_some())
}

/// The form of an answer with these facts.
pub fn of(rules: &Compressing, asks: &Wants, facts: &Facts<'_>) -> Choice {
    let Some(from) = facts.coding else {
        return Choice {
            skipped: Some(Skipped::Encoded),
            ..Choice::AS_IS
        };
    };
    let choice = Choice {
        from: Some(from),
        to: from,
        varies: false,
        skipped: None,
    };
    let choice = match from {
        Coding::Identity => compressed(rules, &asks.accepted, facts, choice),
        _ => encoded(rules, &asks.accepted, facts, choice),
    };
    match asks.no_transform && choice.changes() {
        true => choice.not(Skipped::NoTransform),
        false => choice,
    }
}

/// The form of an answer that came as it is.
fn compressed(
    rules: &Compressing,
    accepts: &Accepted,
    facts: &Facts<'_>,
    choice: Choice,
) -> Choice {
    if let Err(why) = may_compress(&rules.rules, &rules.types, facts) {
        // That it gains nothing is no reason to send what the client refuses.
        let is_forbidden = !matches!(why, Skipped::Small | Skipped::Type);
        if is_forbidden || accepts.takes(Coding::Identity) {
            return choice.not(why);
        }
    }
    // Of nothing every coding makes something.
    if facts.length == Some(0) {
        return choice.not(Skipped::Small);
    }
    let to = accepts.choose(&rules.rules.encodings);
    let skipped = (to == Coding::Identity).then_some(Skipped::NotAccepted);
    Choice {
        to,
        varies: true,
        skipped,
        ..choice
    }
}

/// The form of an answer that came encoded: as it came, for who takes it so.
fn encoded(rules: &Compressing, accepts: &Accepted, facts: &Facts<'_>, choice: Choice) -> Choice {
    if rules.rules.decode.is_none() || !may_decode(facts) {
        return choice.not(Skipped::Encoded);
    }
    let varies = Choice {
        varies: true,
        ..choice
    };
    if accepts.takes(choice.to) {
        return varies.not(Skipped::Encoded);
    }
    // Decoded it is an answer like any other.
    let plain = Facts {
        coding: Some(Coding::Identity),
        length: None,
        ..*facts
    };
    let to = match may_compress(&rules.rules, &rules.types, &plain) {
        Ok(()) if facts.length != Some(0) => accepts.choose(&rules.rules.encodings),
        _ => Coding::Identity,
    };
    Choice { to, ..varies }
}
