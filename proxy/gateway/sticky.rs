//! A request's session: read when it comes, kept when a node is chosen, noted when a node has answered.
//!
//! Says which node has the session and leaves every other choice to the pool. Whoever answers has the session from then
//! on. Never lets a node see our cookie, and never sets one on an answer of the proxy itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

use super::ctx::Ctx;
use crate::balance::sticky::token::Verdict;
use crate::balance::sticky::{cookies, keeps, learned};
use crate::base::fields::Fields;
use crate::live::snapshot::Upstream;
use crate::live::sticky::By;

/// What a client spoke to a proxy in front.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a request says of its session.
#[derive(Debug, Default)]
pub struct Session {
    /// Where it is; `None`: it has none yet.
    place: Option<Verdict>,
    /// The app's own session that it belongs to.
    id: Option<learned::Session>,
    /// Whether its client came by TLS.
    by_tls: bool,
}

/// The session of the request with these `fields`, in the upstream it goes to now.
pub fn read(fields: &HeaderMap, ctx: &Ctx) -> Session {
    let Some(sticky) = ctx.upstream().and_then(|u| u.sticky.as_ref()) else {
        return Session::default();
    };
    match &sticky.by {
        By::Cookie(cookie) => Session {
            place: cookie.read(fields, since_1970(ctx.at)),
            id: None,
            by_tls: came_by_tls(fields, ctx.trusted),
        },
        By::Learned(sessions) => {
            let id = sessions.asked(fields);
            let node = id.and_then(|id| sessions.table.node(id, ctx.begun));
            let place = |node| match sessions.member(node) {
                Some(member) => Verdict::On {
                    member,
                    is_old: false,
                },
                None => Verdict::Gone,
            };
            Session {
                place: node.map(place),
                id,
                by_tls: false,
            }
        }
    }
}

/// Whether a node has its session already.
pub fn has_place(ctx: &Ctx) -> bool {
    matches!(ctx.session.place, Some(Verdict::On { .. }))
}

/// The node that has the session, if it can be used.
pub fn member(ctx: &Ctx, now: Instant) -> Option<usize> {
    let Some(Verdict::On { member, .. }) = ctx.session.place else {
        return None;
    };
    let at = ctx.upstream?;
    let (upstream, config) = (
        &ctx.snapshot.upstreams[at],
        &ctx.snapshot.config.upstreams[at],
    );
    let intent = upstream.members[member].intent;
    keeps(&upstream.pool, member, intent, config.session_grace, now).then_some(member)
}

/// A node has answered: it has the session, and the client is told where that is new.
///
/// # Errors
/// When our own field cannot be added, which does not happen.
pub fn answered(answer: &mut ResponseHeader, ctx: &Ctx) -> Result<()> {
    let (Some(upstream), Some(attempt)) = (ctx.upstream(), &ctx.attempt) else {
        return Ok(());
    };
    let Some(sticky) = &upstream.sticky else {
        return Ok(());
    };
    let session = &ctx.session;
    let (is_kept, is_old) = match session.place {
        Some(Verdict::On { member, is_old }) => (member == attempt.member, is_old),
        _ => (false, false),
    };
    match session.place {
        _ if is_kept => &sticky.metrics.kept,
        Some(Verdict::On { .. } | Verdict::Gone) => &sticky.metrics.lost,
        Some(Verdict::Invalid) => &sticky.metrics.invalid,
        None => &sticky.metrics.new,
    }
    .inc();
    match &sticky.by {
        By::Cookie(cookie) => {
            if !is_kept || is_old {
                let secure = cookie.secure.unwrap_or(session.by_tls);
                let field = cookie.issue(attempt.member, secure, since_1970(ctx.at));
                answer.append_header("Set-Cookie", field)?;
            }
        }
        By::Learned(sessions) => {
            let id = sessions.answered(&answer.headers).or(session.id);
            if let Some(id) = id.filter(|id| !is_kept || session.id != Some(*id)) {
                let node = upstream.pool.candidates()[attempt.member].hash;
                sessions.table.put(id, node, Instant::now());
            }
        }
    }
    Ok(())
}

/// Takes our cookies out of what a node gets; those of others stay byte for byte.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn take_out(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    let names = ours(ctx);
    if names.is_empty() || !request.headers.contains_key(header::COOKIE) {
        return Ok(());
    }
    let lines: SmallVec<[&HeaderValue; 2]> =
        request.headers.get_all(header::COOKIE).iter().collect();
    let left: SmallVec<[Option<Vec<u8>>; 2]> = lines
        .iter()
        .map(|line| cookies::without(line, &names))
        .collect();
    if left.iter().all(Option::is_none) {
        return Ok(());
    }
    let lines: SmallVec<[HeaderValue; 2]> = lines.into_iter().cloned().collect();
    request.remove_header(&header::COOKIE);
    for (line, left) in lines.into_iter().zip(left) {
        match left {
            None => request.append_header("Cookie", line)?,
            Some(left) if !left.is_empty() => request.append_header("Cookie", left)?,
            Some(_) => true,
        };
    }
    Ok(())
}

/// The names of our cookies that a request of this route may carry.
fn ours(ctx: &Ctx) -> SmallVec<[&str; 4]> {
    let mut names: SmallVec<[&str; 4]> = ctx.upstream().and_then(own_cookie).into_iter().collect();
    let route = ctx.route.map(|at| &ctx.snapshot.config.routes[at]);
    if let Some((route, split)) = route.and_then(|r| Some((r, r.split.as_ref()?))) {
        names.push(&split.cookie);
        let both = route.upstreams().map(|at| &ctx.snapshot.upstreams[at]);
        names.extend(both.filter_map(own_cookie));
    }
    names
}

/// The name of our own cookie in an upstream.
fn own_cookie(upstream: &Upstream) -> Option<&str> {
    upstream.sticky.as_ref()?.cookie()
}

/// Whether the client came by TLS, as a trusted proxy in front says.
pub fn came_by_tls(fields: &impl Fields, trusted: bool) -> bool {
    // Of a list the first is what the client spoke.
    let first = |list: &[u8]| {
        let mut protos = list.split(|b| *b == b',');
        protos
            .next()
            .is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
    };
    trusted && fields.first(&FORWARDED_PROTO).is_some_and(first)
}

/// A moment as the time since 1970.
pub fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}
