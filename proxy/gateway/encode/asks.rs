//! A request arrives on a route that compresses: what its client takes, and what the nodes are told.
//!
//! What may be stored is asked for as it is: one body then serves every client, whatever it takes. Entity tags of our
//! forms are translated for the nodes, which only know their own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::{HeaderName, HeaderValue, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use smallvec::SmallVec;

use super::super::ctx::Ctx;
use crate::base::coding::Coding;
use crate::base::fields::Fields;
use crate::config::checked::AcceptEncoding;
use crate::transform::eligible::is_no_transform;
use crate::transform::etag;
use crate::transform::negotiate::Accepted;

/// What nodes are told that the client takes, where they are asked for what nobody has encoded.
const PLAIN: &str = "identity";

/// What a client takes, as far as its fields say.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    /// Which encodings.
    pub accepted: Accepted,
    /// Nobody may change the answer for it (RFC 9111 §5.2.1.6).
    pub no_transform: bool,
}

impl Wants {
    /// What a request with these fields says.
    pub fn of(fields: &impl Fields) -> Wants {
        Wants {
            accepted: Accepted::of(fields),
            no_transform: is_no_transform(fields),
        }
    }

    /// Whether the client takes this coding.
    pub fn takes(&self, coding: Coding) -> bool {
        self.accepted.takes(coding)
    }
}

/// The fields of a request as nodes are told them by a route that [asks for plain bodies](crate::config::checked::Route::asks_plain),
/// and so those by which a stored answer is selected.
#[derive(Debug)]
pub struct AsPlain<'a, F>(pub &'a F);

impl<F: Fields> Fields for AsPlain<'_, F> {
    fn lines<'a>(&'a self, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let is_plain = *name == header::ACCEPT_ENCODING;
        let plain = is_plain.then_some(PLAIN.as_bytes());
        let own = (!is_plain).then(|| self.0.lines(name));
        plain.into_iter().chain(own.into_iter().flatten())
    }

    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        match *name == header::ACCEPT_ENCODING {
            true => Some(PLAIN.as_bytes()),
            false => self.0.first(name),
        }
    }

    fn any_name(&self, looked_for: impl Fn(&str) -> bool) -> bool {
        looked_for(header::ACCEPT_ENCODING.as_str()) || self.0.any_name(looked_for)
    }
}

/// What a client takes, on a route that compresses.
#[derive(Debug)]
pub struct Asks {
    /// What it says of that.
    pub wants: Wants,
    /// Set once its answer is decoded while it is handed on: little of it is read at a time, for each byte may become a
    /// thousand.
    pub reads_little: Arc<AtomicBool>,
    /// Its own `Accept-Encoding`, where the nodes are told another one.
    own: SmallVec<[HeaderValue; 1]>,
}

/// Notes what the client takes, and tells the nodes what the route says.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn arrives(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let snapshot = ctx.snapshot.clone();
    let route = ctx.route.map(|at| &snapshot.config.routes[at]);
    // What a gRPC call says is between its ends.
    let Some(route) = route.filter(|route| route.compress.is_some() && ctx.call.is_none()) else {
        return Ok(());
    };
    let fields = &session.req_header().headers;
    let mut asks = Asks {
        wants: Wants::of(fields),
        reads_little: Arc::default(),
        own: SmallVec::new(),
    };
    if route.asks_plain(&ctx.head.method) {
        let own = fields.get_all(header::ACCEPT_ENCODING).iter();
        asks.own = own.cloned().collect();
        let plain = HeaderValue::from_static(PLAIN);
        let request = session.req_header_mut();
        request.insert_header(header::ACCEPT_ENCODING, plain)?;
    }
    ctx.asks = Some(asks);
    Ok(())
}

/// The cache has no answer, and the nodes are asked for this client alone. Where we do not compress what is for one
/// client, they may.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn goes_on(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let rules = ctx.route.and_then(|at| {
        let route = &ctx.snapshot.config.routes[at];
        route.compress.as_ref().filter(|rules| !rules.dynamic)
    });
    let is_auto = rules.is_some_and(|rules| rules.accept_encoding == AcceptEncoding::Auto);
    let Some(asks) = ctx.asks.as_mut().filter(|_| is_auto) else {
        return Ok(());
    };
    if asks.own.is_empty() {
        return Ok(());
    }
    let request = session.req_header_mut();
    request.remove_header(&header::ACCEPT_ENCODING);
    for line in std::mem::take(&mut asks.own) {
        request.append_header(header::ACCEPT_ENCODING, line)?;
    }
    Ok(())
}

/// Tells a node its own entity tags where the client names those of our forms, and not of parts that it cannot mean.
///
/// # Errors
/// When a field cannot be set, which does not happen.
pub fn dress(request: &mut RequestHeader, ctx: &Ctx) -> Result<()> {
    let Some(asks) = &ctx.asks else {
        return Ok(());
    };
    // A form that the client does not take now is none that it may be told to use. (RFC 9110 §13.1.2)
    translate(request, header::IF_NONE_MATCH, |form| {
        asks.wants.takes(form)
    })?;
    // A write is about the thing, whatever form its client has seen.
    translate(request, header::IF_MATCH, |_| true)?;
    // One date is that of all forms: a part of the plain one does not continue another (RFC 9110 §8.8.2.2).
    let is_dated = |value: &HeaderValue| !value.as_bytes().contains(&b'"');
    if request.headers.get(header::IF_RANGE).is_some_and(is_dated) {
        request.remove_header(&header::IF_RANGE);
        request.remove_header(&header::RANGE);
    }
    Ok(())
}

/// Puts the node's own tags behind those of our forms.
fn translate(
    request: &mut RequestHeader,
    name: HeaderName,
    counts: impl Fn(Coding) -> bool,
) -> Result<()> {
    let lines = request.headers.get_all(&name).iter();
    let told = |line: &HeaderValue| match etag::for_nodes(line.as_bytes(), &counts) {
        // Made of a valid value and of parts of it.
        Some(both) => HeaderValue::from_bytes(&both).unwrap_or_else(|_| line.clone()),
        None => line.clone(),
    };
    let lines: SmallVec<[HeaderValue; 2]> = lines.map(told).collect();
    if lines.is_empty() {
        return Ok(());
    }
    request.remove_header(&name);
    for line in lines {
        request.append_header(&name, line)?;
    }
    Ok(())
}
