//! An answer out of the store: whole, in part, or "you have it already".
//!
//! What is stored goes out as it came, with what only we can say: how old it is, how long it is, what the cache did.
//! Never writes a byte after a body that was cut; the client must see that it was.

use std::sync::Arc;

use http::{HeaderMap, Method, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::super::encode::choice::{self, Choice};
use super::super::encode::{live, make};
use super::super::reply;
use super::form::{self, From};
use super::head::{self, has_no_body};
use super::offer::{self, Deciding, Offer, has_terms};
use super::parts::{self, Parts};
use crate::base::cached::{Outcome, Why};
use crate::base::reason::End;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::life::Life;
use crate::cache::store::{Begun, Reader};

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
    let rules = choice::rules(ctx);
    let mut offer = Offer {
        head,
        life,
        choice: choice::of_stored(rules, head, length, choice::own_cookies(ctx)),
        length,
        is_by_date: !request.contains_key(header::IF_NONE_MATCH),
    };
    // Most requests have no terms, and what would be judged by is not looked for.
    let has_terms = has_terms(request);
    let deciding = match has_terms {
        true => Deciding::of(head),
        false => Deciding::default(),
    };
    let held = has_terms
        .then(|| offer::held(request, rules.map(|(_, wants)| wants), &offer, &deciding))
        .flatten();
    let is_head = ctx.head.method == Method::HEAD;
    let (parts, from) = match held {
        Some(form) => {
            offer.choice.to = form;
            (Parts::NotModified, From::Unknown)
        }
        None => {
            let part = match has_terms {
                true => part(ctx, request, &offer, &deciding),
                false => None,
            };
            let (choice, from) = body(ctx, part.unwrap_or(offer.choice), is_head);
            offer.choice = choice;
            offer.is_by_date = false;
            offer.length = from.length();
            let parts = match has_terms {
                true => wanted(&ctx.head.method, request, &offer, &deciding),
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
    let mut dressed = dressed(&offer, &parts, ctx)?;
    reply::fit(session, &mut dressed, ctx);
    let is_bare = parts.is_bare() || is_head || has_no_body(head.status);
    session
        .write_response_header(Box::new(dressed), false)
        .await?;
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

/// The answer as it came, for who wants a part of that and gets one.
fn part(ctx: &Ctx, request: &HeaderMap, offer: &Offer<'_>, deciding: &Deciding) -> Option<Choice> {
    let choice = choice::of_part(ctx, request, offer.head, offer.choice)?;
    let offer = Offer { choice, ..*offer };
    let parts = wanted(&ctx.head.method, request, &offer, deciding);
    (!matches!(parts, Parts::Whole)).then_some(choice)
}

/// How much of it the client wants.
fn wanted(method: &Method, request: &HeaderMap, offer: &Offer<'_>, deciding: &Deciding) -> Parts {
    offer::wanted(method, request, offer, deciding, || fastrand::u64(..))
}

/// The head that goes out.
fn dressed(offer: &Offer<'_>, parts: &Parts, ctx: &mut Ctx) -> Result<ResponseHeader> {
    let status = parts.status().unwrap_or(offer.head.status);
    let mut head = ResponseHeader::build(status, Some(16))?;
    let age = offer.life.age(ctx.control.clock.now()) / 1_000;
    let age = (age > 0 || is_reuse(ctx)).then_some(age);
    head::write(&mut head, offer, parts, (age, &ctx.cached))?;
    // Whose fetch it was gets what is not for others, too.
    let own = ctx.fetched.as_ref().filter(|_| ctx.cached.is_own());
    for (name, value) in own.map(|fetch| fetch.told().apart).unwrap_or_default() {
        head.append_header(name, value)?;
    }
    parts.dress(&mut head)?;
    if matches!(parts, Parts::Whole) && !has_no_body(offer.head.status) {
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
