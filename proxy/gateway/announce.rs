//! Whose connection it is, as nodes are told that want to know (`proxy_protocol` of an upstream).
//!
//! The client is who the request's `X-Real-IP` names. Its port is known where it came to us itself; else it is told as 0,
//! because the port of a proxy in front is not the client's.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::proxy::Session;

use super::ctx::Ctx;
use crate::config::checked::ProxyProtocol;
use crate::wire::announce;

/// Both ends of a client's connection.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    client: SocketAddr,
    port: SocketAddr,
}

/// The ends of the connection that the request came by, where any node wants to know.
pub fn ends(session: &Session, ctx: &Ctx) -> Option<Ends> {
    if !ctx.snapshot.announces {
        return None;
    }
    let inet = |addr: Option<&pingora::protocols::l4::socket::SocketAddr>| {
        addr.and_then(|addr| addr.as_inet().copied())
    };
    let itself = inet(session.client_addr());
    let itself = itself.filter(|addr| addr.ip().to_canonical() == ctx.client);
    // A request of our own (a fetch) has no socket: it tells the port that the client's came by, as the file has it.
    let port = inet(session.server_addr()).or_else(|| ctx.conn.as_ref()?.port.label.parse().ok());
    Some(Ends {
        client: SocketAddr::new(ctx.client, itself.map_or(0, |addr| addr.port())),
        port: port.unwrap_or_else(|| SocketAddr::new(ctx.client, 0)),
    })
}

/// What the nodes of the request's upstream are told first; `None`: nothing.
pub fn prelude(ctx: &Ctx) -> Option<Arc<[u8]>> {
    let ends = ctx.ends?;
    let told = match ctx.snapshot.config.upstreams[ctx.upstream?].proxy_protocol? {
        ProxyProtocol::V1 => announce::v1(ends.client, ends.port),
        ProxyProtocol::V2 => announce::v2(ends.client, ends.port),
    };
    Some(told.into())
}
