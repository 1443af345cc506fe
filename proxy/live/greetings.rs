//! How connections to the nodes of a generation begin, made ready before it is in use.
//!
//! What the generation before had is taken over as long as the file says the same: the sessions that a node gave us
//! (RFC 8446 §2.2) and the connections kept to it. A node whose TLS is to be different now gets neither: whom we
//! trusted then says nothing of whom we trust.

use std::net::SocketAddr;
use std::sync::Arc;

use super::snapshot::{Member, Upstream};
use crate::config::checked::{self, NodeAddr};
use crate::upstream::connect::Greeting;
use crate::upstream::tls::{Protocol, Speaker};

/// How TLS is spoken to the nodes of an upstream, where it is.
pub fn speaker(config: &checked::Upstream, previous: Option<&Upstream>) -> Option<Arc<Speaker>> {
    let tls = config.tls.as_ref()?;
    let protocol = Protocol::Http1;
    let before = previous.and_then(|p| p.speaker.clone());
    let same = before.filter(|speaker| speaker.is(tls, protocol));
    Some(same.unwrap_or_else(|| Arc::new(Speaker::new(tls, protocol))))
}

/// How a connection to the node at `addr` begins, of which the file says `node`; `before` it was this member of
/// `previous`. What is told of clients comes with each request.
pub fn greeting(
    speaker: Option<&Arc<Speaker>>,
    (node, addr): (&checked::Node, SocketAddr),
    before: Option<(&Upstream, &Member)>,
) -> Greeting {
    let Some(speaker) = speaker else {
        return Greeting::default();
    };
    let host = match &node.addr {
        NodeAddr::Name { host, .. } => Some(host.as_str()),
        NodeAddr::Socket(_) => None,
    };
    let known = before.and_then(|(upstream, member)| {
        let same = upstream
            .speaker
            .as_ref()
            .is_some_and(|s| Arc::ptr_eq(s, speaker));
        let dial = member.greeting.tls.as_ref()?;
        (same && dial.is_to(&speaker.name(host, addr.ip()))).then(|| dial.clone())
    });
    Greeting {
        tls: Some(known.unwrap_or_else(|| Arc::new(speaker.to(host, addr.ip())))),
        prelude: None,
    }
}

/// Whether connections to a node begin as before.
pub fn is_same(a: &Greeting, b: &Greeting) -> bool {
    match (&a.tls, &b.tls) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
