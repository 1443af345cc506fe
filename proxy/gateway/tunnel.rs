//! A request that asks for another protocol, from the offer to the end of what became of it.
//!
//! Once a node has agreed (101) the limits of a request are no longer its own: it may be silent for as long as
//! `timeouts.tunnel` says, and takes as long as its ends talk. Never touches what passes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::{HeaderMap, header};

use super::ctx::Ctx;
use crate::base::reason::End;
use crate::live::tunnels::Standing;
use crate::upstream::tunnel::Tunnel;

/// What becomes of a request that asks for a tunnel.
#[derive(Debug)]
pub struct Asked {
    /// Shared with who carries its bytes.
    pub tunnel: Arc<Tunnel>,
    /// Once it stands.
    standing: Option<Standing>,
}

/// Notes that the request with these `fields` asks for a tunnel, where it does. Until a node has agreed, and where it
/// does not, it may be silent for as long as any node.
pub fn asked(fields: &HeaderMap, ctx: &mut Ctx, now: Instant) -> Option<Arc<Tunnel>> {
    let protocol = fields.get(header::UPGRADE)?;
    let read = ctx.snapshot.config.upstreams[ctx.upstream?].timeouts.read;
    let left = ctx.deadline.map(|at| at.saturating_duration_since(now));
    let patience = read.into_iter().chain(left).min();
    let websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let mask = fastrand::u32(..).to_be_bytes();
    let tunnel = Arc::new(Tunnel::new(websocket, mask, patience));
    ctx.tunnel = Some(Box::new(Asked {
        tunnel: tunnel.clone(),
        standing: None,
    }));
    Some(tunnel)
}

/// The node has agreed.
pub fn stands(ctx: &mut Ctx, now: Instant) {
    let (Some(at), Some(conn), Some(attempt)) = (ctx.upstream, &ctx.conn, &ctx.attempt) else {
        return;
    };
    let Some(asked) = &mut ctx.tunnel else {
        return;
    };
    let idle = ctx.snapshot.config.upstreams[at].timeouts.tunnel;
    let node = attempt.in_flight.node().clone();
    attempt.in_flight.is_tunnel();
    let (tunnels, task) = (&ctx.control.tunnels, conn.task());
    asked.standing = Some(tunnels.stands(asked.tunnel.clone(), node, idle, task, now));
    // From here on its end is in order, or nobody's business.
    conn.is_off();
    conn.tunnel.store(true, Relaxed);
    ctx.deadline = None;
    if let Some(member) = ctx.member() {
        member.metrics.tunnel();
    }
}

/// Bytes that passed through the tunnel of a request, from the client and to it; `None`: it never stood.
pub fn bytes(ctx: &Ctx) -> Option<(u64, u64)> {
    let asked = ctx.tunnel.as_ref()?;
    asked.standing.as_ref().map(|_| asked.tunnel.bytes())
}

/// Why the tunnel of a request was ended, where it was.
pub fn closes(ctx: &Ctx) -> Option<End> {
    ctx.tunnel.as_ref()?.tunnel.closes()
}
