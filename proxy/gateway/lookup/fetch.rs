//! A fetch: one request to the nodes for everybody who wants its answer, with a life of its own.
//!
//! It is a subrequest that goes through every hook behind the door, on nobody's connection: a client that is slow or
//! leaves holds it up no more than any other. Who began it gets what cannot be stored; everybody reads the rest from
//! the store. Guards, counters and the log are for requests of clients: a fetch passes them by and tells who began it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue, Method, Version, header};
use parking_lot::Mutex;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use pingora::proxy::Session;
use pingora::proxy::subrequest;
use pingora::{Error, ErrorType, Result};
use tokio::sync::mpsc;

use super::super::conn::Conn;
use super::super::ctx::{Ctx, Head};
use super::super::trace::Traced;
use super::asked::Asked;
use super::keep;
use super::shared::{self, Before, Reads};
use crate::base::cached::Why;
use crate::base::reason::End;
use crate::cache::entry::Entry;
use crate::cache::policy::condition::Validators;
use crate::cache::policy::life::Millis;
use crate::cache::policy::validate::conditions;
use crate::cache::shared::lease::Lease;
use crate::cache::store::Filler;
use crate::cache::unkeyed;
use crate::config::checked::Action;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::traces::Recording;

/// What a fetch is made of and what it has to tell.
pub struct Fetch {
    /// The generation of the request that began it.
    pub snapshot: Arc<Snapshot>,
    /// What every request shares.
    pub control: Arc<Control>,
    /// Its route.
    pub route: usize,
    /// Who began it waits for it.
    pub waits: bool,
    /// What is stored and may be confirmed.
    pub confirms: Option<Arc<Entry>>,
    /// What the nodes are asked.
    pub request: RequestHeader,
    /// What its answer is stored under.
    pub asked: Asked,
    /// What it asks the second tier before a node.
    pub reads: Reads,
    /// When it began, or went to the nodes, where something came before.
    began: AtomicU64,
    /// How many purges there had been then.
    pub sequence: u64,
    conn: Arc<Conn>,
    at: SystemTime,
    deadline: Option<Instant>,
    id: HeaderValue,
    client: IpAddr,
    trusted: bool,
    host: Option<HeaderValue>,
    traced: Traced,
    recording: Option<Arc<Recording>>,
    told: Mutex<Told>,
}

/// What a fetch has to tell who began it.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// How it failed, where no node answered.
    pub failed: Option<End>,
    /// The nodes it tried, in order.
    pub nodes: Vec<Arc<str>>,
    /// The upstream that was asked.
    pub upstream: Option<Arc<str>>,
    /// Time it waited for a place on a node.
    pub queued: Option<Duration>,
    /// Time to connect.
    pub connect: Option<Duration>,
    /// When the node's answer began.
    pub answered: Option<Instant>,
    /// The status the node answered with.
    pub status: Option<u16>,
    /// Why its answer was not stored.
    pub not_stored: Option<Why>,
    /// Its body ends with the connection to the node.
    pub unframed: bool,
    /// Fields for who began it alone: cookies of its session, and what others are not given of an answer.
    pub apart: Vec<(HeaderName, HeaderValue)>,
}

/// What a fetch hands to who began it.
pub enum Handoff {
    /// An interim answer (1xx).
    Interim(Box<ResponseHeader>),
    /// The answer is not for the store: it is theirs.
    Yours(Box<ResponseHeader>, Rest),
}

/// The rest of an answer that is not for the store. Dropped, the fetch ends.
pub struct Rest {
    handle: SubrequestHandle,
}

impl Rest {
    /// What `handle` still brings.
    pub fn new(handle: SubrequestHandle) -> Self {
        Rest { handle }
    }

    /// What comes next; `None`: it broke off.
    pub async fn next(&mut self) -> Option<HttpTask> {
        self.handle.rx.recv().await
    }
}

/// Begins a fetch. `waits`: who begins it waits for the answer; else it is done behind one.
pub fn begin(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: Asked,
    filler: Filler,
    confirms: Option<Arc<Entry>>,
    (waits, reads): (bool, Reads),
) -> Option<mpsc::Receiver<Handoff>> {
    let (Some(route), Some(conn)) = (ctx.route, &ctx.conn) else {
        return None;
    };
    let conn = Arc::new(conn.detached()); // the task ends by itself, whoever waits for it
    let limit = ctx.snapshot.config.timeouts.request;
    let fetch = Arc::new(Fetch {
        request: request(
            session.req_header(),
            &asked,
            confirms.as_deref(),
            waits,
            ctx,
        ),
        snapshot: ctx.snapshot.clone(),
        control: ctx.control.clone(),
        route,
        waits,
        confirms,
        asked,
        reads,
        began: AtomicU64::new(ctx.control.clock.now()),
        sequence: ctx.control.cache.sequence(),
        conn,
        at: ctx.at,
        deadline: match waits {
            true => ctx.deadline,
            false => limit.map(|limit| Instant::now() + limit),
        },
        id: ctx.id.clone(),
        client: ctx.client,
        trusted: ctx.trusted,
        host: ctx.head.host.clone(),
        traced: ctx.traced,
        recording: ctx.recording.clone().filter(|_| waits),
        told: Mutex::default(),
    });
    if waits {
        ctx.fetched = Some(fetch.clone());
    }
    let spawner = session.subrequest_spawner.take()?;
    let inner = subrequest::Ctx::builder()
        .user_ctx(Box::new(fetch.clone()))
        .build();
    // A subrequest begins with this one's head as HTTP/1 and would refuse to read another version there.
    let spoken = session.req_header().version;
    session.req_header_mut().set_version(Version::HTTP_11);
    let (prepared, handle) = spawner.create_subrequest(session.as_ref(), inner);
    session.req_header_mut().set_version(spoken);
    session.subrequest_spawner = Some(spawner);
    let (hand_over, handed) = mpsc::channel(4);
    tokio::spawn(async move {
        let way = match shared::before(&fetch, &filler).await {
            Before::Node(way) => way,
            Before::There => return filler.look_again(),
            Before::NotStorable(millis) => {
                return shared::is_not_storable(&fetch, filler, millis);
            }
        };
        let renewed = way.lease.as_ref().map(Lease::renewed);
        let kept = keep::keep(&fetch, (filler, way), handle, hand_over);
        tokio::select! {
            _ = async { tokio::join!(prepared.run(), kept) } => {}
            () = is_cut(&fetch) => {}
            () = holds(renewed) => {}
        }
    });
    Some(handed)
}

/// Keeps a lease for as long as it is waited for; never ends.
async fn holds(renewed: Option<impl Future<Output = ()>>) {
    if let Some(renewed) = renewed {
        renewed.await;
    }
    std::future::pending().await
}

/// Waits until the drain of the fetch's node is over, which then fails.
async fn is_cut(fetch: &Fetch) {
    let mut cuts = fetch.control.cuts();
    while cuts.changed().await.is_ok() {
        if fetch.conn.is_to_be_cut() {
            fetch.fails(End::DrainTimeout);
            return;
        }
    }
    std::future::pending().await
}

/// What the nodes are asked for: the whole of it, whatever part the client wants, and whether what is stored is still
/// right.
fn request(
    own: &RequestHeader,
    asked: &Asked,
    confirms: Option<&Entry>,
    waits: bool,
    ctx: &Ctx,
) -> RequestHeader {
    let mut request = own.clone();
    request.set_method(Method::GET); // behind an answer to HEAD
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::EXPECT,
        header::CONTENT_LENGTH,
    ] {
        request.remove_header(&name);
    }
    let unkeyed: Vec<_> = (request.headers.keys())
        .filter(|name| unkeyed::is_stripped(name, ctx.trusted))
        .cloned()
        .collect();
    for name in unkeyed {
        request.remove_header(&name);
    }
    if !waits {
        // It is done for everybody: who happened to ask has no say in it.
        for name in [header::AUTHORIZATION, header::CACHE_CONTROL, header::PRAGMA] {
            request.remove_header(&name);
        }
    }
    // In the form that the key has: it is asked for everybody.
    if let Some(host) = asked.key.host().rsplit('>').next()
        && request.headers.contains_key(header::HOST)
    {
        let _ = request.insert_header("Host", host);
    }
    if ctx.trusted {
        // As far as it is in the key, and no further. Both are valid values.
        let _ = request.insert_header("X-Forwarded-Proto", asked.key.scheme());
        let _ = request.insert_header("X-Forwarded-For", ctx.client.to_string());
    }
    request.set_version(Version::HTTP_11);
    if let Some(entry) = confirms {
        let etag = entry.head.field("etag");
        let modified = entry.head.field("last-modified");
        let stored = Validators {
            etag: etag.as_deref(),
            last_modified: modified.as_deref(),
            date: None,
        };
        for (name, value) in conditions(&stored) {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                // A field with a value that was a field's value.
                let _ = request.insert_header(name, value);
            }
        }
    }
    request
}

impl Fetch {
    /// When it went to the nodes.
    pub fn began(&self) -> Millis {
        self.began.load(Relaxed)
    }

    /// What came before is over: the nodes are asked now.
    pub fn goes_out(&self) {
        self.began.store(self.control.clock.now(), Relaxed);
    }

    /// When it must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What it has to tell so far.
    pub fn told(&self) -> Told {
        self.told.lock().clone()
    }

    /// How it failed, where no node answered.
    pub fn failed(&self) -> Option<End> {
        self.told.lock().failed
    }

    /// The status a node answered with.
    pub fn status(&self) -> Option<u16> {
        self.told.lock().status
    }

    /// Why its answer was not stored.
    pub fn not_stored(&self) -> Option<Why> {
        self.told.lock().not_stored
    }

    /// Its answer is not stored.
    pub fn is_not_stored(&self, why: Why) {
        self.told.lock().not_stored = Some(why);
    }

    /// No node answers it.
    pub fn fails(&self, end: End) {
        self.told.lock().failed = Some(end);
    }

    /// Fields that are for who began it alone.
    pub fn keeps_apart(&self, fields: impl Iterator<Item = (HeaderName, HeaderValue)>) {
        self.told.lock().apart.extend(fields);
    }

    /// Whether there are fields of this name for who began it alone.
    pub fn tells_apart(&self, name: &HeaderName) -> bool {
        self.told.lock().apart.iter().any(|(own, _)| own == name)
    }

    /// A node has answered so. Later its answer has a framing in any case.
    pub fn is_answered(&self, answer: &ResponseHeader, now: Instant) {
        let mut told = self.told.lock();
        told.answered = Some(now);
        told.status = Some(answer.status.as_u16());
        told.unframed = keep::length(answer).is_err();
        told.apart.clear();
    }

    /// Whether nobody can tell if the body is whole.
    pub fn is_unframed(&self) -> bool {
        self.told.lock().unframed
    }

    /// Notes what the log is to say of its way.
    pub fn note(&self, ctx: &Ctx) {
        let mut told = self.told.lock();
        told.upstream = ctx.upstream().map(|upstream| upstream.name.clone());
        told.queued = ctx.queued;
        told.connect = ctx.connect;
        told.nodes = super::super::finish::nodes(ctx).map(Arc::from).collect();
    }
}

/// A fetch needs no guard and no route of its own.
///
/// # Errors
/// When there is no such route, which does not happen.
pub fn goes_on(ctx: &mut Ctx) -> Result<bool> {
    let route = ctx.fetch.as_ref().map(|fetch| fetch.route);
    ctx.route = route;
    match route.map(|at| &ctx.snapshot.config.routes[at].action) {
        Some(Action::Proxy(upstream)) => {
            ctx.upstream = Some(*upstream);
            Ok(false)
        }
        _ => Error::e_explain(ErrorType::InternalError, "a fetch without an upstream"),
    }
}

/// A request arrives. `true`: it is a fetch, and now knows what who began it knew.
pub fn arrives(session: &mut Session, ctx: &mut Ctx) -> bool {
    let inner = session.subrequest_ctx.as_ref();
    let fetch = inner.and_then(|inner| inner.user_ctx()?.downcast_ref::<Arc<Fetch>>());
    let Some(fetch) = fetch.cloned() else {
        return false;
    };
    *session.req_header_mut() = fetch.request.clone();
    ctx.snapshot = fetch.snapshot.clone();
    ctx.conn = Some(fetch.conn.clone());
    ctx.at = fetch.at;
    ctx.deadline = fetch.deadline;
    ctx.id = fetch.id.clone();
    ctx.traced = fetch.traced;
    ctx.recording = fetch.recording.clone();
    ctx.client = fetch.client;
    ctx.trusted = fetch.trusted;
    ctx.head = Head {
        method: fetch.request.method.clone(),
        uri: fetch.request.uri.clone(),
        host: fetch.host.clone(),
        version: Version::HTTP_11,
    };
    ctx.is_not_counted();
    ctx.fetch = Some(fetch);
    true
}
