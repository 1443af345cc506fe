//! An answer out of the store: whole, in part, or "you have it already".
//!
//! What is stored goes out as it came, with what only we can say: how old it is, how long it is, what the cache did.
//! Never writes a byte after a body that was cut; the client must see that it was.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::super::encode::choice::{self, Choice};
use super::super::encode::{dress, live, make};
use super::super::reply;
use super::form::{self, From};
use super::parts::{self, Parts};
use super::status;
use crate::base::cached::{Outcome, Why};
use crate::base::coding::Coding;
use crate::base::reason::End;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::condition::{Validators, if_range_holds, not_modified};
use crate::cache::policy::life::Life;
use crate::cache::policy::range::{self, Ranges};
use crate::cache::store::{Begun, Reader};
use crate::transform::etag;

/// What there is to send.
struct Offer<'a> {
    head: &'a Head,
    life: &'a Life,
    choice: Choice,
    /// How long its body is, in the form of the choice.
    length: Option<u64>,
    /// What the client has, it has named by its date alone.
    is_by_date: bool,
}

/// Sends a stored answer.
///
/// # Errors
/// When the client cannot be written to.
pub async fn stored(session: &mut Session, ctx: &mut Ctx, entry: &Arc<Entry>) -> Result<()> {
    let length = Some(entry.body.len());
    let what = (&entry.head, &entry.life, length);
    send(session, ctx, what, |ctx, choice, is_head| {
        form::of_stored(ctx, entry, choice, is_head)
    })
    .await
}

/// Sends an answer while it is fetched.
///
/// # Errors
/// When the client cannot be written to, or the fetch fails before it is over.
pub async fn fetched(
    session: &mut Session,
    ctx: &mut Ctx,
    begun: &Begun,
    reader: Reader,
) -> Result<()> {
    let what = (&begun.head, &begun.life, begun.length);
    send(session, ctx, what, |ctx, choice, _| {
        form::of_fetched(ctx, reader, choice, begun.length)
    })
    .await
}

/// Sends an answer; `body` gives it in a form, once it is known that it is wanted.
async fn send<'a>(
    session: &mut Session,
    ctx: &mut Ctx,
    (head, life, length): (&'a Head, &'a Life, Option<u64>),
    body: impl FnOnce(&Ctx, Choice, bool) -> (Choice, From<'a>),
) -> Result<()> {
    let request = &session.req_header().headers;
    let mut offer = Offer {
        head,
        life,
        choice: choice::of_stored(ctx, head, length),
        length,
        is_by_date: !request.contains_key(header::IF_NONE_MATCH),
    };
    // Most requests have no terms, and what would be judged by is not looked for.
    let has_terms = has_terms(request);
    let fields = match has_terms {
        true => Fields::of(head),
        false => Fields::default(),
    };
    let held = has_terms
        .then(|| held(request, ctx, &offer, &fields))
        .flatten();
    let is_head = ctx.head.method == Method::HEAD;
    let (parts, from) = match held {
        Some(form) => {
            offer.choice.to = form;
            (Parts::NotModified, From::Unknown)
        }
        None => {
            let part = match has_terms {
                true => part(ctx, request, &offer, &fields),
                false => None,
            };
            let (choice, from) = body(ctx, part.unwrap_or(offer.choice), is_head);
            offer.choice = choice;
            offer.is_by_date = false;
            offer.length = from.length();
            let parts = match has_terms {
                true => wanted(&ctx.head.method, request, &offer, &fields),
                false => Parts::Whole,
            };
            (parts, from)
        }
    };
    // What is still coming is read once, from front to back.
    let parts = match (parts, &from) {
        (Parts::Many { .. }, From::Coming(..)) => Parts::Whole,
        (parts, _) => parts,
    };
    if let Some(why) = offer.choice.skipped.filter(|_| held.is_none()) {
        ctx.control.metrics.compression.skipped(why);
    }
    // Whether an encoded body is what its head says shows in its beginning, and while nothing was sent it can be said.
    let mut from = from;
    let mut first = None;
    if offer.choice.decodes()
        && let From::Coming(reader, _) = &mut from
    {
        match parts::next(session, reader).await? {
            Ok(piece) => first = piece,
            Err(why) => return Err(cut(ctx, why)),
        }
    }
    let mut head = dressed(&offer, &fields, &parts, ctx)?;
    reply::fit(session, &mut head, ctx);
    let is_bare = parts.is_bare() || is_head || has_no_body(&offer);
    session.write_response_header(Box::new(head), false).await?;
    if is_bare {
        return session.write_response_body(None, true).await;
    }
    match from {
        From::Store(entry) => parts::send_stored(session, &entry.body, &parts).await?,
        From::Form(body) => parts::send_stored(session, &body, &parts).await?,
        From::Coming(mut reader, _) => {
            if let Some(piece) = first {
                parts::send_piece(session, piece).await?;
            }
            if let Err(why) = parts::send_fetched(session, &mut reader, &parts).await? {
                return Err(cut(ctx, why));
            }
        }
        From::Live(entry, mut pipe) => {
            let sent = parts::send_through(session, &entry.body, &mut pipe).await?;
            match sent {
                Ok(took) => live::count(&ctx.control.metrics.compression, &pipe, took),
                Err(fault) => return Err(cut(ctx, make::broken(&ctx.control, fault))),
            }
        }
        From::Unknown => {}
    }
    session.write_response_body(None, true).await
}

/// The body that was being sent ended too early.
fn cut(ctx: &mut Ctx, why: Why) -> Box<Error> {
    let failed = ctx.fetched.as_ref().and_then(|fetch| fetch.failed());
    let end = match why {
        Why::Undecodable => End::UpstreamEncoding,
        _ => failed.unwrap_or(End::UpstreamReset),
    };
    ctx.end.get_or_insert(end);
    let error = Error::explain(ErrorType::ConnectionClosed, why.as_str());
    error.into_up()
}

/// Whether a request has fields by which less than the whole is sent.
pub fn has_terms(request: &HeaderMap) -> bool {
    const TERMS: [HeaderName; 3] = [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::RANGE,
    ];
    TERMS.iter().any(|name| request.contains_key(name))
}

/// The fields of a stored head that decide something.
#[derive(Default)]
struct Fields {
    etag: Option<Bytes>,
    last_modified: Option<Bytes>,
    date: Option<Bytes>,
    content_type: Option<Bytes>,
    accept_ranges: Option<Bytes>,
}

impl Fields {
    fn of(head: &Head) -> Fields {
        let mut found = Fields::default();
        for (name, value) in head.fields() {
            let place = match name.len() {
                4 if name.eq_ignore_ascii_case(b"etag") => &mut found.etag,
                4 if name.eq_ignore_ascii_case(b"date") => &mut found.date,
                13 if name.eq_ignore_ascii_case(b"last-modified") => &mut found.last_modified,
                12 if name.eq_ignore_ascii_case(b"content-type") => &mut found.content_type,
                13 if name.eq_ignore_ascii_case(b"accept-ranges") => &mut found.accept_ranges,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found
    }

    /// What identifies the form of a choice.
    fn validators<'a>(&'a self, tag: Option<&'a [u8]>) -> Validators<'a> {
        Validators {
            etag: tag,
            last_modified: self.last_modified.as_deref(),
            date: self.date.as_deref(),
        }
    }

    /// The entity tag of a form of an answer that came in this coding.
    fn tag(&self, from: Option<Coding>, form: Coding) -> Option<Cow<'_, [u8]>> {
        let own = self.etag.as_deref()?;
        match from {
            Some(from) if from != form => etag::of_form(own, form).map(Cow::Owned),
            _ => Some(Cow::Borrowed(own)),
        }
    }
}

/// Which form of it the client has already. Preconditions count only where the answer would be a success (RFC 9110
/// §13.2.1). Which of the forms that a client takes it is given is ours to choose, so one that it has will do.
fn held(request: &HeaderMap, ctx: &Ctx, offer: &Offer<'_>, fields: &Fields) -> Option<Coding> {
    if !offer.head.status.is_success() {
        return None;
    }
    let Choice {
        from, to, varies, ..
    } = offer.choice;
    let is_held = |form: Coding| {
        let tag = fields.tag(from, form);
        let validators = fields.validators(tag.as_deref());
        not_modified(request, &validators, offer.life.received)
    };
    if is_held(to) {
        return Some(to);
    }
    let (_, asks) = choice::rules(ctx).filter(|_| varies)?;
    let others = Coding::ALL.into_iter();
    let mut others = others.filter(|form| *form != to && asks.takes(*form));
    others.find(|form| is_held(*form))
}

/// The answer as it came, for who wants a part of that and gets one.
fn part(ctx: &Ctx, request: &HeaderMap, offer: &Offer<'_>, fields: &Fields) -> Option<Choice> {
    let choice = choice::of_part(ctx, request, offer.head, offer.choice)?;
    let offer = Offer { choice, ..*offer };
    let parts = wanted(&ctx.head.method, request, &offer, fields);
    (!matches!(parts, Parts::Whole)).then_some(choice)
}

/// How much of it the client wants.
fn wanted(method: &Method, request: &HeaderMap, offer: &Offer<'_>, fields: &Fields) -> Parts {
    let Some(length) = offer.length else {
        return Parts::Whole;
    };
    let asks = *method == Method::GET
        && offer.head.status == StatusCode::OK
        && request.contains_key(header::RANGE);
    // The node says that it has no parts, or we do, of what is not stored as it came.
    let has_parts = fields.accept_ranges.as_deref() != Some(b"none");
    let Choice { from, to, .. } = offer.choice;
    // There are no parts of what we compressed: it may be made anew, of other bytes.
    if !asks || !has_parts || (to != Coding::Identity && from != Some(to) && from.is_some()) {
        return Parts::Whole;
    }
    let tag = fields.tag(from, to);
    if !if_range_holds(request, &fields.validators(tag.as_deref())) {
        return Parts::Whole;
    }
    match range::wanted(request, length) {
        Ranges::Whole => Parts::Whole,
        Ranges::None => Parts::Beyond { length },
        Ranges::One(range) => Parts::One { range, length },
        Ranges::Many(ranges) => Parts::many(
            ranges,
            length,
            fields.content_type.as_deref(),
            fastrand::u64(..),
        ),
    }
}

/// Statuses that never have a body (RFC 9110 §6.4.1).
fn has_no_body(offer: &Offer<'_>) -> bool {
    matches!(
        offer.head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    )
}

/// The head that goes out.
fn dressed(
    offer: &Offer<'_>,
    fields: &Fields,
    parts: &Parts,
    ctx: &mut Ctx,
) -> Result<ResponseHeader> {
    let status = parts.status().unwrap_or(offer.head.status);
    let mut head = ResponseHeader::build(status, Some(16))?;
    let changes = offer.choice.changes();
    // By its date the client may have any form, and must not take it for another one (RFC 9111 §4.3.4).
    let is_unnamed = offer.is_by_date && offer.choice.varies;
    for (name, value) in offer.head.fields() {
        let goes = match parts {
            _ if is_unnamed && name.eq_ignore_ascii_case(b"etag") => false,
            _ if changes && dress::is_of_the_bytes(&name) => false,
            Parts::NotModified => goes_with_304(&name, fields),
            Parts::Beyond { .. } => goes_with_416(&name),
            Parts::Whole => true,
            Parts::One { .. } | Parts::Many { .. } => !is_of_the_whole(&name),
        };
        if !goes {
            continue;
        }
        // Stored from a head that was valid.
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            head.append_header(name, value)?;
        }
    }
    // Whose fetch it was gets what is not for others, too.
    let own = ctx.fetched.as_ref().filter(|_| ctx.cached.is_own());
    for (name, value) in own.map(|fetch| fetch.told().apart).unwrap_or_default() {
        head.append_header(name, value)?;
    }
    let age = offer.life.age(ctx.control.clock.now()) / 1_000;
    if age > 0 || is_reuse(ctx) {
        head.insert_header("Age", age)?;
    }
    status::add(&mut head, ctx)?;
    if offer.choice.varies {
        dress::add_vary(&mut head, offer.head.varies_by_encoding())?;
    }
    dress::says(&mut head, &offer.choice, parts.is_bare())?;
    parts.dress(&mut head)?;
    if !parts.is_bare() && matches!(parts, Parts::Whole) && !has_no_body(offer) {
        match offer.length {
            Some(length) => head.insert_header("Content-Length", length)?,
            None => head.insert_header("Transfer-Encoding", "chunked")?,
        }
    }
    Ok(head)
}

/// Whether the answer was there before the request. One that was fetched for it is as old as the node says.
fn is_reuse(ctx: &Ctx) -> bool {
    ctx.cached.is_answer() || ctx.cached.outcome == Some(Outcome::Revalidated)
}

/// Whether a field says something of the bytes that are sent, which is wrong of a part of them (RFC 9530 §2).
fn is_of_the_whole(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-digest") || name.eq_ignore_ascii_case(b"content-md5")
}

/// What a 416 carries: nothing that would let somebody keep it, for the next request may be for another part.
fn goes_with_416(name: &[u8]) -> bool {
    const ALWAYS: [&[u8]; 3] = [b"date", b"vary", b"via"];
    ALWAYS.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// What a 304 carries (RFC 9110 §15.4.5): what the client may not have, and nothing that describes a body.
fn goes_with_304(name: &[u8], fields: &Fields) -> bool {
    const ALWAYS: [&[u8]; 8] = [
        b"cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"vary",
        b"cdn-cache-control",
        b"via",
    ];
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    ALWAYS.iter().any(|other| is(other)) || (fields.etag.is_none() && is(b"last-modified"))
}
