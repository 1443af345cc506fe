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
use crate::balance::sticky::shared::News;
use crate::balance::sticky::token::Verdict;
use crate::balance::sticky::{cookies, keeps, learned};
use crate::base::fields::Fields;
use crate::live::snapshot::Upstream;
use crate::live::sticky::{AppSessions, By, Others};

/// What a client spoke to a proxy in front.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a request says of its session.
#[derive(Debug, Default)]
pub struct Session {
    /// Where it is; `None`: it has none yet.
    place: Option<Verdict>,
    /// The app's own session that it belongs to.
    id: Option<learned::Session>,
    /// Whether other proxies need not be asked where that is.
    is_sure: bool,
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
            is_sure: true,
            by_tls: came_by_tls(fields, ctx.trusted, ctx.own_scheme()),
        },
        By::Learned(sessions) => {
            let id = sessions.asked(fields);
            let known = id.and_then(|id| sessions.table.find(id, ctx.begun));
            Session {
                place: known.map(|known| on(sessions, known.node)),
                id,
                is_sure: known.is_some_and(|known| known.is_sure),
                by_tls: false,
            }
        }
    }
}

/// Where a session is that is on the node whose id has this hash.
fn on(sessions: &AppSessions, node: u64) -> Verdict {
    match sessions.member(node) {
        Some(member) => Verdict::On {
            member,
            is_old: false,
        },
        None => Verdict::Gone,
    }
}

/// Whether other proxies may know better where its session is: this one does not know it, has not heard of it for a
/// while, or knows a node that cannot be used.
pub fn wants_to_know(ctx: &Ctx, now: Instant) -> bool {
    let session = &ctx.session;
    let is_shared = session.id.is_some() && others(ctx).is_some();
    is_shared && !(session.is_sure && member(ctx, now).is_some())
}

/// Asks where its session is, by what proxies share, and notes the answer. Without one what this proxy knows counts.
pub async fn asks_others(ctx: &mut Ctx) {
    let Some((sessions, others)) = others(ctx) else {
        return;
    };
    let Some(id) = ctx.session.id else {
        return;
    };
    let Ok(found) = others.ask(id).await else {
        ctx.session.is_sure = true; // as sure as it gets: a request asks once
        return;
    };
    let now = Instant::now();
    let own = member(ctx, now);
    let mut place = None;
    match (found, own.zip(ctx.upstream())) {
        (Some(found), _) => {
            sessions.table.put(id, found.node, now);
            if others.is_old(&found) {
                others.tell(id, found.node, News::Stays);
            }
            place = Some(on(sessions, found.node));
        }
        // Redis has forgotten it, or was never told.
        (None, Some((member, upstream))) => {
            let node = upstream.pool.candidates()[member].hash;
            sessions.table.put(id, node, now);
            others.tell(id, node, News::Stays);
        }
        (None, None) => {}
    }
    if place.is_some() {
        ctx.session.place = place;
    }
    ctx.session.is_sure = true;
}

/// What the lots of the nodes are drawn by where no node has its session: the same on all proxies, so that they agree
/// without asking each other. `None`: it is balanced as any other.
pub fn lot(ctx: &Ctx) -> Option<u64> {
    others(ctx)?;
    ctx.session.id.map(learned::Session::lot)
}

/// Who else knows of the sessions of the upstream it goes to.
fn others(ctx: &Ctx) -> Option<(&AppSessions, &Others)> {
    match &ctx.upstream()?.sticky.as_ref()?.by {
        By::Learned(sessions) => Some((sessions, sessions.others.as_ref()?)),
        By::Cookie(_) => None,
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
                if let Some(others) = &sessions.others {
                    let news = match session.place {
                        _ if session.id != Some(id) => News::Begun,
                        // It went by lot, since nobody could be asked, or nobody knew.
                        None => News::Stays,
                        Some(_) => News::Moved,
                    };
                    others.tell(id, node, news);
                }
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

/// Whether the client came by TLS: as a trusted proxy in front says, or, where none does, to us. `scheme` is that of the
/// connection.
pub fn came_by_tls(fields: &impl Fields, trusted: bool, scheme: &str) -> bool {
    // Of a list the first is what the client spoke.
    let first = |list: &[u8]| {
        let mut protos = list.split(|b| *b == b',');
        protos
            .next()
            .is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
    };
    let said = || fields.first(&FORWARDED_PROTO).map(first);
    let said = if trusted { said() } else { None };
    said.unwrap_or_else(|| scheme == "https")
}

/// A moment as the time since 1970.
pub fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}
