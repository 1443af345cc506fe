//! What becomes of a fetched answer: into the store and to everybody who waits, or to who began the fetch alone.
//!
//! Only what is proven whole is kept. Whatever happens, everybody who waits is told, by the filler's own drop if need
//! be.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use tokio::sync::mpsc;

use super::confirm::{confirm, is_about};
use super::fetch::{Fetch, Handoff, Rest};
use super::shape::{apart, shape};
use super::shared::{self, Way};
use super::smaller::{self, Smaller};
use super::{asked, told};
use crate::base::cached::Why;
use crate::cache::entry::{Entry, Head};
use crate::cache::policy::directives::Wish;
use crate::cache::policy::life::Millis;
use crate::cache::policy::reuse::{Trouble, on_trouble};
use crate::cache::policy::store::{Answer, Asked, Plan, storable};
use crate::cache::store::Filler;
use crate::config::checked::RouteCache;

/// How long requests for what turned out not to be storable go their own way.
pub const MARKED: u64 = 60_000;
/// How often a fetch whose beginner has left looks whether anybody else waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The same after an answer that says that something is wrong for a moment.
const MARKED_BRIEFLY: u64 = 1_000;

/// Takes the answer of a fetch where it belongs.
pub async fn keep(
    fetch: &Arc<Fetch>,
    (filler, way): (Filler, Way),
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
            match fetch.not_stored() {
                None => way.confirmed(fetch, &entry),
                Some(_) => {
                    shared::is_over(fetch);
                    way.not_storable(0);
                }
            }
            filler.confirmed(entry);
            finish_reading(&mut handle).await;
        }
        Fate::Elsewhere => {
            filler.give_up(Why::Status);
            finish_reading(&mut handle).await;
        }
        Fate::Kept(kept) => store(fetch, (filler, way), *kept, handle).await,
        Fate::Trouble => {
            hands_over(head, handle).await;
            filler.fails(Why::StaleIfError);
        }
        Fate::NotKept(why) => {
            fetch.is_not_stored(why);
            not_kept(fetch, way, head.status, why);
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
    /// How long the body is that comes.
    length: Option<u64>,
    /// What is stored of it is made smaller.
    smaller: Option<Smaller>,
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
            let kind = smaller::how(fetch, head);
            let changed = kind.and_then(|_| smaller::head(head).ok());
            let shaped = changed.as_ref().unwrap_or(head);
            let (head, tags) = shape(&fetch.control.cache, shaped, &plan, now);
            Fate::Kept(Box::new(Kept {
                head,
                tags,
                length,
                plan,
                smaller: kind.filter(|_| changed.is_some()).map(Smaller::new),
            }))
        }
        Err(why) => Fate::NotKept(why),
    }
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

/// How long an answer may be kept, and for whom.
pub fn plan(
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
    let began = fetch.began();
    storable(&asked, &Answer { status, headers }, rules, began, now)
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
async fn store(
    fetch: &Fetch,
    (mut filler, mut way): (Filler, Way),
    kept: Kept,
    mut handle: SubrequestHandle,
) {
    let Kept {
        plan,
        head,
        tags,
        length,
        mut smaller,
    } = kept;
    // How much is left of it is known when it is over.
    let announced = length.filter(|_| smaller.is_none());
    way.begins(fetch, &plan.life, length);
    filler.begins((head, plan.life), plan.selection, tags, announced);
    let cache = &fetch.control.cache;
    cache.unmark(&fetch.asked.key);
    let mut left = length;
    // The end of a body of known length is not always told.
    while left != Some(0) {
        match handle.rx.recv().await {
            Some(HttpTask::Body(Some(piece), _)) => {
                left = left.map(|left| left.saturating_sub(piece.len() as u64));
                let piece = match &mut smaller {
                    Some(smaller) => smaller.takes(&piece),
                    None => piece,
                };
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
    if let Some(smaller) = smaller {
        if left.is_some_and(|left| left > 0) {
            return told::not_stored(fetch, Why::Incomplete);
        }
        let Some(rest) = smaller.ends().await else {
            return told::not_stored(fetch, Why::Incomplete);
        };
        filler.write(rest).await;
    }
    match filler.finish() {
        Ok(entry) => {
            told::stored(fetch);
            way.stored(fetch, &entry);
        }
        Err(why) => {
            told::not_stored(fetch, why);
            way.not_stored();
        }
    }
}

/// An answer turned out not to be for the store: the next requests do not wait for each other, and what was stored is
/// over, unless a node is only in trouble.
fn not_kept(fetch: &Fetch, way: Way, status: StatusCode, why: Why) {
    told::not_stored(fetch, why);
    let cache = &fetch.control.cache;
    let now = fetch.control.clock.now();
    let briefly = status.is_server_error();
    // What only this request brought about says nothing of the next one.
    if matches!(why, Why::Authorization | Why::RequestNoStore) {
        return;
    }
    let millis = if briefly { MARKED_BRIEFLY } else { MARKED };
    cache.mark(&fetch.asked.key, now + millis);
    way.not_storable(millis);
    // What is fresh stays in use, whatever is said to one of many.
    let is_over = |entry: &&Arc<Entry>| now >= entry.life.fresh_until(entry.expired_at());
    if let Some(entry) = fetch.confirms.as_ref().filter(|_| !briefly).filter(is_over) {
        cache.discard(entry);
        shared::is_over(fetch);
    }
}
