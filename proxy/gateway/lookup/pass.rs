//! An answer that is not for the store: to who began its fetch, as if it had been handed on.
//!
//! Nothing is kept of it. Broken off, it looks broken off to the client too.

use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::super::ctx::Ctx;
use super::super::encode::live;
use super::super::reply;
use super::fetch::Rest;
use super::{keep, status, wait};
use crate::base::reason::End;

/// Passes an interim answer on.
///
/// # Errors
/// When the client cannot be written to.
pub async fn interim(
    session: &mut Session,
    ctx: &mut Ctx,
    mut head: Box<ResponseHeader>,
) -> Result<()> {
    reply::fit(session, &mut head, ctx);
    session.write_response_header(head, false).await
}

/// Passes an answer on.
///
/// # Errors
/// When the client cannot be written to, or the answer breaks off.
pub async fn on(
    session: &mut Session,
    ctx: &mut Ctx,
    mut head: Box<ResponseHeader>,
    mut rest: Rest,
) -> Result<()> {
    if let Some(fetch) = ctx.fetched.clone() {
        for (name, value) in fetch.told().apart {
            head.append_header(name, value)?;
        }
    }
    let mut left = keep::length(&head).ok().flatten();
    status::add(&mut head, ctx)?;
    live::answers(session, &mut head, ctx)?;
    reply::fit(session, &mut head, ctx);
    let has_body = !matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    session.write_response_header(head, !has_body).await?;
    loop {
        // The end of a body of known length is not always told.
        if left == Some(0) {
            return end(session, ctx).await;
        }
        let next = tokio::select! {
            next = rest.next() => next,
            gone = wait::is_gone(session) => return Err(gone),
        };
        match next {
            Some(HttpTask::Body(Some(piece), _)) if !piece.is_empty() => {
                left = left.map(|left| left.saturating_sub(piece.len() as u64));
                let mut rest = piece;
                while !rest.is_empty() {
                    let most = live::most_at_once(ctx).min(rest.len());
                    let mut piece = Some(rest.split_to(most));
                    live::piece(&mut piece, false, ctx)?;
                    if piece.is_some() {
                        session.write_response_body(piece, false).await?;
                    }
                }
            }
            Some(HttpTask::Done | HttpTask::Trailer(_)) => return end(session, ctx).await,
            Some(HttpTask::Failed(_)) | None => break,
            Some(_) => {}
        }
    }
    let failed = ctx.fetched.as_ref().and_then(|fetch| fetch.failed());
    ctx.end.get_or_insert(failed.unwrap_or(End::UpstreamReset));
    Err(Error::explain(ErrorType::ConnectionClosed, "the answer broke off").into_up())
}

/// The body is over.
async fn end(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let mut last = None;
    live::piece(&mut last, true, ctx)?;
    if last.is_some() {
        session.write_response_body(last, false).await?;
    }
    session.write_response_body(None, true).await
}
