//! What becomes of a fetched answer: into the store and to everybody who waits, or to who began the fetch alone.
//!
//! Only what is proven whole is kept. Whatever happens, everybody who waits is told, by the filler's own drop if need
//! be.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::fetch::{Fetch, Handoff, Rest};
use super::{asked, told};
use crate::base::cached::Why;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::condition::Validators;
use crate::cache::policy::directives::Wish;
use crate::cache::policy::life::Millis;
use crate::cache::policy::merge::{confirms, is_of_one_connection, is_updated_by_304, merged};
use crate::cache::policy::reuse::{Trouble, on_trouble};
use crate::cache::policy::store::{Answer, Asked, Plan, storable};
use crate::cache::policy::tags::tags;
use crate::cache::store::{Filler, Store};
use crate::config::checked::RouteCache;

/// How long requests for what turned out not to be storable go their own way.
const MARKED: u64 = 60_000;
/// How often a fetch whose beginner has left looks whether anybody else waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The same after an answer that says that something is wrong for a moment.
const MARKED_BRIEFLY: u64 = 1_000;

/// Takes the answer of a fetch where it belongs.
pub async fn keep(
    fetch: &Arc<Fetch>,
    filler: Filler,
    mut handle: SubrequestHandle,
    hand_over: mpsc::Sender<Handoff>,
) {
    let head = loop {
        let task = tokio::select! {
            task = handle.rx.recv() => task,
            () = is_left(fetch, &filler, &hand_over) => return filler.fails(Why::Failed),
        };
        match task {
            Some(HttpTask::Header(head, _)) if head.status.is_informational() => {
                // Nobody waits for it behind an answer.
                let _ = hand_over.send(Handoff::Interim(head)).await;
            }
            Some(HttpTask::Header(head, _)) => break head,
            Some(_) => {}
            None => return filler.fails(Why::Failed),
        }
    };
    let hands_over = |head, handle| async {
        // Without anybody to take it the rest is dropped, and the fetch ends.
        let _ = hand_over
            .send(Handoff::Yours(head, Rest::new(handle)))
            .await;
    };
    if fetch.failed().is_some() {
        hands_over(head, handle).await;
        return filler.fails(Why::Failed);
    }
    match decide(fetch, &head) {
        Fate::Confirmed(entry) => {
            filler.confirmed(entry);
            finish_reading(&mut handle).await;
        }
        Fate::Elsewhere => {
            filler.give_up(Why::Status);
            finish_reading(&mut handle).await;
        }
        Fate::Kept(kept) => store(fetch, filler, *kept, handle).await,
        Fate::Trouble => {
            hands_over(head, handle).await;
            filler.fails(Why::StaleIfError);
        }
        Fate::NotKept(why) => {
            fetch.is_not_stored(why);
            not_kept(fetch, head.status, why);
            hands_over(head, handle).await;
            filler.give_up(why);
        }
    }
}

/// Waits until nobody is left who wants the answer, and too many such fetches run already.
async fn is_left(fetch: &Fetch, filler: &Filler, hand_over: &mpsc::Sender<Handoff>) {
    if !fetch.waits {
        return std::future::pending().await;
    }
    hand_over.closed().await;
    while filler.has_readers() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if let Ok(_place) = fetch.control.orphans.try_acquire() {
        std::future::pending::<()>().await;
    }
}

/// What becomes of an answer.
enum Fate {
    /// It says that what is stored is still right.
    Confirmed(Arc<Entry>),
    /// It confirms something that is not what is stored.
    Elsewhere,
    /// It is stored.
    Kept(Box<Kept>),
    /// A node is in trouble, and what is stored will do.
    Trouble,
    /// It is not for the store.
    NotKept(Why),
}

/// What is stored of an answer.
struct Kept {
    plan: Plan,
    head: Head,
    tags: Box<[u64]>,
    length: Option<u64>,
}

fn decide(fetch: &Arc<Fetch>, head: &ResponseHeader) -> Fate {
    let now = fetch.control.clock.now();
    let Some(rules) = rules(fetch) else {
        return Fate::NotKept(Why::Failed);
    };
    if let Some(entry) = &fetch.confirms {
        if head.status == StatusCode::NOT_MODIFIED {
            if !is_about(head, entry) {
                fetch.control.cache.discard(entry);
                return Fate::Elsewhere;
            }
            return Fate::Confirmed(confirm(fetch, entry, head, rules, now));
        }
        let life = &entry.life;
        let wish = Wish::default();
        if is_trouble(head.status)
            && on_trouble(life, &wish, entry.expired_at(), Trouble::Status, now)
        {
            return Fate::Trouble;
        }
    }
    let length = match length(head) {
        Ok(length) if !fetch.is_unframed() => length,
        _ => return Fate::NotKept(Why::Unframed),
    };
    let most = fetch.snapshot.config.cache.max_object;
    if length.is_some_and(|length| length > most) {
        return Fate::NotKept(Why::TooLarge);
    }
    let asker = (&fetch.request.headers, head.status);
    match plan(fetch, asker, &head.headers, rules, now) {
        Ok(plan) => {
            fetch.keeps_apart(apart(head, &plan));
            let (head, tags) = shape(&fetch.control.cache, head, &plan, now);
            Fate::Kept(Box::new(Kept {
                head,
                tags,
                length,
                plan,
            }))
        }
        Err(why) => Fate::NotKept(why),
    }
}

/// The head and the tags that are stored of an answer.
pub fn shape(
    cache: &Store,
    answer: &ResponseHeader,
    plan: &Plan,
    now: Millis,
) -> (Head, Box<[u64]>) {
    let head = kept_head(answer.status, dated(answer, &received(now)), plan);
    (head, hashes(cache, &answer.headers))
}

/// What only who asked is given of an answer that is stored.
fn apart(answer: &ResponseHeader, plan: &Plan) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let is_apart = |name: &HeaderName| {
        plan.leave_out.contains(name) && *name != header::AGE && !is_of_one_connection(name)
    };
    let fields = answer
        .headers
        .iter()
        .filter(move |(name, _)| is_apart(name));
    fields.map(|(name, value)| (name.clone(), value.clone()))
}

/// Whether a 304 speaks of what is stored.
fn is_about(answer: &ResponseHeader, entry: &Entry) -> bool {
    let etag = entry.head.field("etag");
    let stored = Validators {
        etag: etag.as_deref(),
        ..Validators::default()
    };
    confirms(&stored, &answer.headers)
}

/// What the file says of the fetch's route.
fn rules(fetch: &Fetch) -> Option<&RouteCache> {
    fetch.snapshot.config.routes[fetch.route].cache.as_ref()
}

/// Statuses that say that a node is in trouble, not that there is nothing (RFC 5861 §4).
pub fn is_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// How long a body will be, as far as its head says.
///
/// # Errors
/// [`Why::Unframed`] where nobody could tell whether it is whole.
pub fn length(head: &ResponseHeader) -> Result<Option<u64>, Why> {
    if matches!(head.status.as_u16(), 204 | 205 | 304) {
        return Ok(Some(0));
    }
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(None);
    }
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.map(Some).ok_or(Why::Unframed)
}

fn plan(
    fetch: &Fetch,
    (asker, status): (&HeaderMap, StatusCode),
    headers: &HeaderMap,
    rules: &RouteCache,
    now: Millis,
) -> Result<Plan, Why> {
    let key = &fetch.asked.key;
    let target = fetch.request.uri.path_and_query();
    let asked = Asked {
        method: &fetch.request.method,
        headers: asker,
        path: key.path(),
        origin: &format!("{}://{}", key.scheme(), asked::seen(key.host())),
        target: target.map_or("/", |target| target.as_str()),
        selecting: &fetch.snapshot.selecting,
    };
    storable(&asked, &Answer { status, headers }, rules, fetch.began, now)
}

/// The fields of an answer in the letter case they came in.
fn fields(head: &ResponseHeader) -> impl Iterator<Item = (&[u8], &HeaderValue)> {
    let fields = head.case_header_iter();
    fields.map(|(name, value)| (name.as_slice(), value))
}

/// When an answer arrived, as a `Date`.
fn received(now: Millis) -> HeaderValue {
    let at = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now));
    HeaderValue::from_str(&at).expect("invariant: a date is letters, digits, commas and colons")
}

/// The fields of an answer, with the time it arrived where it says no time of its own (RFC 9110 §6.6.1).
fn dated<'a>(
    head: &'a ResponseHeader,
    received: &'a HeaderValue,
) -> impl Iterator<Item = (&'a [u8], &'a HeaderValue)> {
    let missing = !head.headers.contains_key(header::DATE);
    let date = missing.then_some((&b"Date"[..], received));
    fields(head).chain(date)
}

/// The head that is stored: without what is not for others, and without framing, which follows from the body.
fn kept_head<'a>(
    status: StatusCode,
    fields: impl Iterator<Item = (&'a [u8], &'a HeaderValue)>,
    plan: &Plan,
) -> Head {
    let left_out = |name: &[u8]| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        is_framing(name)
            || plan
                .leave_out
                .iter()
                .any(|other| is(other.as_str().as_bytes()))
    };
    let kept = fields.filter(|(name, _)| !left_out(name));
    Head::new(status, kept.map(|(name, value)| (name, value.as_bytes())))
}

/// Whether a field follows from the body and the time.
fn is_framing(name: &[u8]) -> bool {
    const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"age"];
    FRAMING.iter().any(|other| name.eq_ignore_ascii_case(other))
}

fn hashes(cache: &Store, headers: &HeaderMap) -> Box<[u64]> {
    let all = tags(headers).map(|tag| cache.tag_hash(tag));
    let mut all: SmallVec<[u64; 8]> = all.collect();
    all.sort_unstable();
    all.dedup();
    all.into_vec().into()
}

/// A stored answer that a node says is still right: with the fields that the 304 brought, and a new life.
fn confirm(
    fetch: &Fetch,
    entry: &Arc<Entry>,
    head: &ResponseHeader,
    rules: &RouteCache,
    now: Millis,
) -> Arc<Entry> {
    let mut stored = HeaderMap::new();
    for (name, value) in entry.head.fields() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&name),
            HeaderValue::from_maybe_shared(value),
        ) {
            stored.append(name, value);
        }
    }
    // A 304 without a time of its own was made now (RFC 9110 §6.6.1).
    let received = received(now);
    let mut fresh = head.headers.clone();
    fresh
        .entry(header::DATE)
        .or_insert_with(|| received.clone());
    let both = merged(&stored, &fresh);
    let cache = &fetch.control.cache;
    let status = entry.head.status;
    // That it may be stored was decided by another request than this one.
    let mut asker = fetch.request.headers.clone();
    asker.remove(header::AUTHORIZATION);
    asker.remove(header::CACHE_CONTROL);
    let planned = plan(fetch, (&asker, status), &both, rules, now);
    let updates = |name: &[u8]| {
        HeaderName::from_bytes(name)
            .is_ok_and(|name| is_updated_by_304(&name) && fresh.contains_key(name))
    };
    let old: Vec<_> = entry.head.fields().collect();
    let old = old.iter().filter(|(name, _)| !updates(name));
    let old: Vec<(&[u8], HeaderValue)> = old
        .filter_map(|(name, value)| {
            let value = HeaderValue::from_maybe_shared(value.clone()).ok()?;
            Some((&name[..], value))
        })
        .collect();
    let new = dated(head, &received).filter(|(name, _)| updates(name));
    let all = old.iter().map(|(name, value)| (*name, value)).chain(new);
    let plan = match planned {
        Ok(plan) => plan,
        Err(why) => {
            // It is right this once and to be stored no more: who waits for it gets it, nobody after them.
            cache.discard(entry);
            fetch.is_not_stored(why);
            told::not_stored(fetch, why);
            let mut life = entry.life;
            (life.received, life.lifetime, life.no_cache) = (now, 0, true);
            let all = all.filter(|(name, _)| !is_framing(name));
            let sent = Head::new(status, all.map(|(name, value)| (name, value.as_bytes())));
            return Arc::new(entry.as_if(life, sent));
        }
    };
    fetch.keeps_apart(apart(head, &plan));
    let kept = kept_head(status, all, &plan);
    let tags = hashes(cache, &both);
    cache.renew(
        entry,
        (plan.life, kept),
        plan.selection,
        tags,
        fetch.sequence,
    )
}

/// Reads the end of an answer that has no body.
async fn finish_reading(handle: &mut SubrequestHandle) {
    while let Some(task) = handle.rx.recv().await {
        if matches!(task, HttpTask::Done) {
            break;
        }
    }
}

/// Puts the body into the store, piece by piece, for everybody who reads along.
async fn store(fetch: &Fetch, mut filler: Filler, kept: Kept, mut handle: SubrequestHandle) {
    let Kept {
        plan,
        head,
        tags,
        length,
    } = kept;
    filler.begins((head, plan.life), plan.selection, tags, length);
    let cache = &fetch.control.cache;
    cache.unmark(&fetch.asked.key);
    let mut left = length;
    // The end of a body of known length is not always told.
    while left != Some(0) {
        match handle.rx.recv().await {
            Some(HttpTask::Body(Some(piece), _)) => {
                left = left.map(|left| left.saturating_sub(piece.len() as u64));
                filler.write(piece).await;
            }
            Some(HttpTask::Done | HttpTask::Trailer(_)) => break,
            Some(HttpTask::Failed(_)) | None => return told::not_stored(fetch, Why::Incomplete),
            Some(_) => {}
        }
        if let Some(why) = filler.degraded()
            && !filler.has_readers()
        {
            return told::not_stored(fetch, why); // nobody reads it and it is not stored
        }
    }
    match filler.finish() {
        Ok(_) => told::stored(fetch),
        Err(why) => told::not_stored(fetch, why),
    }
}

/// An answer turned out not to be for the store: the next requests do not wait for each other, and what was stored is
/// over, unless a node is only in trouble.
fn not_kept(fetch: &Fetch, status: StatusCode, why: Why) {
    told::not_stored(fetch, why);
    let cache = &fetch.control.cache;
    let now = fetch.control.clock.now();
    let briefly = status.is_server_error();
    // What only this request brought about says nothing of the next one.
    if matches!(why, Why::Authorization | Why::RequestNoStore) {
        return;
    }
    let until = now + if briefly { MARKED_BRIEFLY } else { MARKED };
    cache.mark(&fetch.asked.key, until);
    // What is fresh stays in use, whatever is said to one of many.
    let is_over = |entry: &&Arc<Entry>| now >= entry.life.fresh_until(entry.expired_at());
    if let Some(entry) = fetch.confirms.as_ref().filter(|_| !briefly).filter(is_over) {
        cache.discard(entry);
    }
}
