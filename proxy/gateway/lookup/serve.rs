//! An answer out of the store: whole, in part, or "you have it already".
//!
//! What is stored goes out as it came, with what only we can say: how old it is, how long it is, what the cache did.
//! Never writes a byte after a body that was cut; the client must see that it was.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::super::reply;
use super::parts::{self, Parts};
use super::status;
use crate::base::cached::{Outcome, Why};
use crate::base::reason::End;
use crate::cache::entry::{Body, Entry, Head};
use crate::cache::policy::condition::{Validators, if_range_holds, not_modified};
use crate::cache::policy::life::Life;
use crate::cache::policy::range::{self, Ranges};
use crate::cache::store::Reader;

/// What there is to send.
struct Offer<'a> {
    head: &'a Head,
    life: &'a Life,
    length: Option<u64>,
}

/// Where its body comes from.
enum From<'a> {
    Store(&'a Body),
    Fetch(&'a mut Reader),
}

/// Sends a stored answer.
///
/// # Errors
/// When the client cannot be written to.
pub async fn stored(session: &mut Session, ctx: &mut Ctx, entry: &Entry) -> Result<()> {
    let offer = Offer {
        head: &entry.head,
        life: &entry.life,
        length: Some(entry.body.len()),
    };
    send(session, ctx, &offer, From::Store(&entry.body)).await
}

/// Sends an answer while it is fetched.
///
/// # Errors
/// When the client cannot be written to, or the fetch fails before it is over.
pub async fn fetched(
    session: &mut Session,
    ctx: &mut Ctx,
    (head, life, length): (&Head, &Life, Option<u64>),
    reader: &mut Reader,
) -> Result<()> {
    let offer = Offer { head, life, length };
    send(session, ctx, &offer, From::Fetch(reader)).await
}

async fn send(
    session: &mut Session,
    ctx: &mut Ctx,
    offer: &Offer<'_>,
    from: From<'_>,
) -> Result<()> {
    let request = &session.req_header().headers;
    // Most requests have no terms, and what would be judged by is not looked for.
    let has_terms = has_terms(request);
    let fields = match has_terms {
        true => Fields::of(offer.head),
        false => Fields::default(),
    };
    let parts = match has_terms {
        false => Parts::Whole,
        true if is_held(request, offer, &fields) => Parts::NotModified,
        true => wanted(&ctx.head.method, request, offer, &fields),
    };
    // What is still coming is read once, from front to back.
    let parts = match (parts, &from) {
        (Parts::Many { .. }, From::Fetch(_)) => Parts::Whole,
        (parts, _) => parts,
    };
    let mut head = dressed(offer, &fields, &parts, ctx)?;
    reply::fit(session, &mut head, ctx);
    let is_bare = parts.is_bare() || ctx.head.method == Method::HEAD || has_no_body(offer);
    session.write_response_header(Box::new(head), false).await?;
    if is_bare {
        return session.write_response_body(None, true).await;
    }
    match from {
        From::Store(body) => parts::send_stored(session, body, &parts).await?,
        From::Fetch(reader) => {
            if let Err(why) = parts::send_fetched(session, reader, &parts).await? {
                return Err(cut(ctx, why));
            }
        }
    }
    session.write_response_body(None, true).await
}

/// The body that was being sent ended too early.
fn cut(ctx: &mut Ctx, why: Why) -> Box<Error> {
    let failed = ctx.fetched.as_ref().and_then(|fetch| fetch.failed());
    ctx.end.get_or_insert(failed.unwrap_or(End::UpstreamReset));
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
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found
    }

    fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_deref(),
            last_modified: self.last_modified.as_deref(),
            date: self.date.as_deref(),
        }
    }
}

/// Whether the client has it already. Preconditions count only where the answer would be a success (RFC 9110 §13.2.1).
fn is_held(request: &HeaderMap, offer: &Offer<'_>, fields: &Fields) -> bool {
    offer.head.status.is_success()
        && not_modified(request, &fields.validators(), offer.life.received)
}

/// How much of it the client wants.
fn wanted(method: &Method, request: &HeaderMap, offer: &Offer<'_>, fields: &Fields) -> Parts {
    let Some(length) = offer.length else {
        return Parts::Whole;
    };
    let asks = *method == Method::GET
        && offer.head.status == StatusCode::OK
        && request.contains_key(header::RANGE);
    if !asks || !if_range_holds(request, &fields.validators()) {
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
    for (name, value) in offer.head.fields() {
        let goes = match parts {
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
    let is_own = !ctx.cached.collapsed && ctx.cached.why != Some(Why::StaleIfError);
    let own = ctx.fetched.as_ref().filter(|_| is_own);
    for (name, value) in own.map(|fetch| fetch.told().apart).unwrap_or_default() {
        head.append_header(name, value)?;
    }
    let age = offer.life.age(ctx.control.clock.now()) / 1_000;
    if age > 0 || is_reuse(ctx) {
        head.insert_header("Age", age)?;
    }
    status::add(&mut head, ctx)?;
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
