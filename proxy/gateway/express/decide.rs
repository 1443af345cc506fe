//! Whether a request is answered in the express lane, and with what.
//!
//! Every question is asked by the function that asks it in the other lane. Whatever a rule might refuse, and whatever is
//! not at hand, is no business of this lane: nothing has come of it then, but that the store was asked.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method, Version, header};

use super::super::conn::Conn;
use super::super::ctx::new_id_value;
use super::super::encode::asks::{AsPlain, Wants};
use super::super::lookup::asked::{self, Asker};
use super::super::lookup::shared;
use super::super::lookup::told;
use super::super::sticky::came_by_tls;
use super::super::tls::client_subject;
use super::super::trace::{Says, Times};
use super::super::{accept, faults, split, trace};
use super::Moment;
use super::answer::{Answer, At, How};
use super::hit::{Hit, Span};
use crate::base::cached::Outcome;
use crate::base::fields::Fields;
use crate::base::reason::Refusal;
use crate::cache::asks::tidied;
use crate::cache::entry::Entry;
use crate::cache::key::Target;
use crate::cache::policy::reuse::{Use, reuse};
use crate::config::checked::Tracing;
use crate::live::control::Control;
use crate::live::doors::Limit;
use crate::live::snapshot::Snapshot;
use crate::wire::parsed::{NoRare, Parsed};

/// Where requests came in, and when: the same for all that came together.
#[derive(Clone, Copy)]
pub struct Lane<'a> {
    /// What every request shares.
    pub control: &'a Control,
    /// The generation that they see.
    pub now: &'a Snapshot,
    /// The connection.
    pub conn: &'a Conn,
    /// When they came.
    pub moment: Moment,
}

/// What a request asks for.
pub struct Asked<'a> {
    /// GET or HEAD.
    pub method: Method,
    /// The host.
    pub host: &'a str,
    /// The path as it is forwarded.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// `None`: it is not for this lane, whatever its route.
    pub fn of(method: &str, host: &'a str, target: &'a str) -> Option<Self> {
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return None,
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Some(Asked {
            method,
            host,
            path,
            query,
        })
    }

    fn of_head(parsed: &Parsed<'_, 'a>) -> Option<Self> {
        if parsed.minor != 1 {
            return None;
        }
        let host = std::str::from_utf8(parsed.host?).ok()?;
        Asked::of(parsed.method, host, parsed.target)
    }
}

/// A request that may be answered here.
pub struct Question<'a, F, R> {
    /// What it asks for; parts of `read`.
    pub asked: Asked<'a>,
    /// Its fields.
    pub fields: &'a F,
    /// Those of them that few requests have.
    pub rare: &'a R,
    /// Bytes that tell of it.
    pub read: &'a [u8],
}

/// Answers a request without a body, if it is one for this lane: its head goes behind `heads`, and what is returned says
/// the rest. `trusted`: the peer is a proxy that is believed. `read` are the bytes that `parsed` is of. `closes`: the
/// connection ends with this answer.
pub fn decide(
    (lane, trusted): (Lane<'_>, bool),
    parsed: &Parsed<'_, '_>,
    read: &[u8],
    closes: bool,
    heads: &mut Vec<u8>,
) -> Option<Hit> {
    let write = |answer: &Answer<'_>, entry: &Arc<Entry>, at: At, how: How<'_>| {
        answer.write(heads, entry, at, How { closes, ..how });
        Some(heads.len())
    };
    let asked = Asked::of_head(parsed)?;
    let fields = parsed;
    // Most requests have none of the fields that are asked for most.
    match parsed.may_have_rare() {
        true => {
            let rare = parsed;
            let question = Question {
                asked,
                fields,
                rare,
                read,
            };
            decide_by((lane, trusted), &question, write)
        }
        false => {
            let rare = &NoRare;
            let question = Question {
                asked,
                fields,
                rare,
                read,
            };
            decide_by((lane, trusted), &question, write)
        }
    }
}

/// The same for a request in whatever form; `write` makes the head of its answer, and says how much was written of it.
pub fn decide_by<F: Fields, R: Fields>(
    (lane, trusted): (Lane<'_>, bool),
    question: &Question<'_, F, R>,
    write: impl FnOnce(&Answer<'_>, &Arc<Entry>, At, How<'_>) -> Option<usize>,
) -> Option<Hit> {
    let Lane {
        control,
        now,
        conn,
        moment,
    } = lane;
    let Question {
        asked,
        fields,
        rare,
        read,
    } = question;
    if rare.has(&header::RANGE) || faults::is_asked(*rare) {
        return None;
    }
    let client = match trusted {
        true => accept::client(conn.peer, *fields, &now.config.trusted_proxies),
        false => conn.peer,
    };
    if !now.doors.port(&conn.port.open).admits(client) {
        return None;
    }
    let target = (asked.host, asked.path);
    let by_tls = came_by_tls(*rare, trusted, conn.scheme());
    let at = accept::find_by(&now.routes, target, &asked.method, *fields, by_tls)?;
    let (route, door) = (&now.config.routes[at], &now.doors.routes[at]);
    let rules = route.cache.as_ref().filter(|_| now.express[at].is_open())?;
    let is_pinned = || split::is_pinned(*fields, route, &now.config, moment.at);
    if !door.acl.admits(client) || is_pinned() {
        return None;
    }
    let asker = Asker {
        method: &asked.method,
        has_body: false,
        host: Some(asked.host),
        trusted,
        scheme: conn.scheme(),
        is_known: client_subject(conn, now).is_some(),
    };
    let said = asked::said(*rare, asker, rules).ok()?;
    let query = asked.query.and_then(|query| tidied(query, &rules.key));
    let key = control.cache.sought(Target {
        scheme: said.scheme,
        host: &said.host,
        path: asked.path,
        query: query.as_deref(),
    });
    // By the fields that a node would be told.
    let found = match route.asks_plain(&asked.method) {
        true => told::find(control, &key, &AsPlain(*fields)),
        false => told::find(control, &key, *fields),
    };
    let (entry, expired_at) = found.entry?;
    if reuse(&entry.life, &said.wish, expired_at, moment.now) != Use::Fresh {
        return None;
    }
    let wants = now.compressing[at]
        .as_ref()
        .map(|rules| (rules, Wants::of(*fields)));
    let rules_of_form = wants.as_ref().map(|(rules, wants)| (*rules, wants));
    let answer = Answer::of(*rare, rules_of_form, &entry)?;
    let tracing = &now.config.tracing;
    if trace::is_said_by(tracing, |name| entry.head.field(name.as_str()).is_some()) {
        return None;
    }
    let dry_run = match &door.limit {
        Some(limit) => admitted(limit, client, *fields, moment)?,
        None => None,
    };
    // From here on it is answered here.
    answer.is_used(control, now, at, &entry);
    shared::used(control, now, &entry);
    let sent = answer.sent(asked.method == Method::HEAD);
    let when = At {
        now: moment.now,
        expired_at,
    };
    let show_key = rules.show_key;
    let id = id(*fields, tracing, trusted);
    let times = trace::tells_times(tracing, trusted).then(|| Times {
        cache: Some(Outcome::Hit),
        total: moment.begun.elapsed(),
        ..Times::default()
    });
    let says = Says {
        id: (id.as_ref().filter(|_| tracing.request_id.returned))
            .map(|id| (&tracing.request_id, id)),
        times,
    };
    let how = How {
        show_key,
        closes: false, // who writes it knows
        says,
    };
    let written_to = write(&answer, &entry, when, how)?;
    let (status, encoding) = (answer.status().as_u16(), answer.encoding());
    Some(Hit {
        source: sent.0,
        length: sent.1,
        is_copied: false,
        written_to,
        route: at,
        is_head: asked.method == Method::HEAD,
        version: Version::HTTP_11,
        status,
        client,
        dry_run,
        encoding,
        traced: trace::arrives(*fields, tracing, trusted),
        id,
        host: span(read, asked.host),
        path: span(read, asked.path),
        query: asked.query.map(|query| span(read, query)),
        entry,
    })
}

/// The id of a request, where it has to be known before it is told.
fn id(fields: &impl Fields, rules: &Tracing, trusted: bool) -> Option<HeaderValue> {
    let given = match trusted {
        true => trace::given_id(fields, &rules.request_id),
        false => None,
    };
    let own = || rules.request_id.returned.then(new_id_value);
    given.or_else(own)
}

/// Asks how often the client may, in the name of a request that is answered here. `None`: it asked too often, which the
/// other lane tells it. Else why it would have been refused, were that not only counted.
fn admitted(
    limit: &Limit,
    client: IpAddr,
    fields: &impl Fields,
    moment: Moment,
) -> Option<Option<Refusal>> {
    match limit.rate.ask(client, fields, moment.begun) {
        Ok(()) => Some(None),
        // Who is refused is not counted among those that asked: it may be asked again.
        Err(_) if !limit.dry_run => None,
        Err(_) => {
            limit.metrics.dry_run.inc();
            Some(Some(Refusal::RateLimit))
        }
    }
}

/// Where a part of what was read stands in it.
fn span(read: &[u8], part: &str) -> Span {
    // An address behind another one in the same memory.
    let at = (part.as_ptr() as usize).saturating_sub(read.as_ptr() as usize);
    at..at + part.len()
}
