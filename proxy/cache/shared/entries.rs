//! Answers that the proxies of a cluster keep for each other: looking for one, and offering one.
//!
//! A look is one round trip, two where answers vary. Nothing that was purged is found, however far behind the news of
//! purges are: what is found says which purges its fetch knew of, and is read together with which there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::chain::Position;
use super::codec::{self, Framed, Stored, Value};
use super::keys::{Keys, url_hash};
use super::lease::{Lease, Word};
use super::purges::Purges;
use super::queue::{Job, Note, Queue};
use super::scripts::Scripts;
use super::stats::{Dropped, Refused, Stats, count};
use crate::base::cached::Why;
use crate::cache::entry::{Entry, Head};
use crate::cache::key::Key;
use crate::cache::policy::life::Millis;
use crate::cache::policy::vary::Selection;
use crate::cache::store::{Filler, Loaded, Store};
use crate::config::checked;
use crate::kv::{Command, Fault, Kv, Op, Reply};

/// Looks at a time: each may bring a value of the largest size, which is not in the cache's memory yet.
const LOOKS: usize = 64;
/// Uses after which an answer is offered again that came while nobody could be told: one that is asked for often is there
/// soon after Redis is, and a hit meanwhile costs a count.
const LATER: u32 = 16;
/// Bytes of a value that is read beside the threads that serve requests.
const LARGE: usize = 128 * 1024;

/// Answers that a cluster shares.
#[derive(Debug)]
pub struct Entries {
    kv: Arc<Kv>,
    purges: Arc<Purges>,
    keys: Keys,
    /// What others know this process by.
    id: Arc<str>,
    tokens: AtomicU64,
    looks: Semaphore,
    queue: Queue,
    scripts: Scripts,
    stats: Stats,
}

/// What is looked for, and for whom.
pub struct Ask<'a> {
    /// Under which key.
    pub key: &'a Arc<Key>,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// Where it is to be put.
    pub store: &'a Store,
    /// What the file says.
    pub rules: &'a checked::Redis,
    /// The time.
    pub now: &'a (dyn Fn() -> Millis + Send + Sync),
}

impl Ask<'_> {
    /// What its URL is found by.
    pub(super) fn url(&self) -> u128 {
        url_hash(self.key)
    }
}

/// What a look came to.
#[derive(Debug, Default)]
pub struct Looked {
    /// The answer for the request.
    pub found: Option<Loaded>,
    /// Which variant it wants, where it is known what answers vary by.
    pub variant: Option<u128>,
}

/// What was found at one place.
enum Found {
    Nothing,
    Answer(Box<Stored>, u64),
    /// The names of fields, and the purge that every variant has to know of.
    Index(Vec<HeaderName>, u64),
}

impl Entries {
    /// Those that are kept in this Redis under keys that begin with `prefix`. `id`: what others know this process by.
    pub fn new(kv: Arc<Kv>, purges: Arc<Purges>, prefix: &str, id: Arc<str>) -> Entries {
        Entries {
            kv,
            purges,
            keys: Keys::new(prefix),
            id,
            tokens: AtomicU64::new(0),
            looks: Semaphore::new(LOOKS),
            queue: Queue::default(),
            scripts: Scripts::new(),
            stats: Stats::default(),
        }
    }

    /// What was looked for, written and refused.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Which purges a fetch knows of that begins now. `None`: its answer is not for others.
    pub fn position(&self) -> Option<Position> {
        self.purges.position()
    }

    /// Whether there is anybody to ask.
    pub fn is_up(&self) -> bool {
        self.kv.is_up()
    }

    pub(super) fn kv(&self) -> &Kv {
        &self.kv
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// A word that nobody else has for a lease.
    pub(super) fn token(&self) -> String {
        format!("{}-{}", self.id, self.tokens.fetch_add(1, Relaxed))
    }

    /// Looks for an answer.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn look(&self, ask: &Ask<'_>) -> Result<Looked, Fault> {
        let (_, looked) = self.look_behind(Op::Read, Vec::new(), ask).await?;
        if looked.found.is_none() {
            count(&self.stats.missed);
        }
        Ok(looked)
    }

    /// The same behind other commands, whose replies are returned.
    pub(super) async fn look_behind(
        &self,
        op: Op,
        mut commands: Vec<Command>,
        ask: &Ask<'_>,
    ) -> Result<(Vec<Reply>, Looked), Fault> {
        let looks = timeout(self.kv.limit(), self.looks.acquire()).await;
        let _place = looks.map_err(|_| Fault::Timeout)?;
        let url = ask.url();
        let before = commands.len();
        commands.extend(self.read(&self.keys.place(url), ask));
        let mut replies = self.kv.ask(op, &commands).await?;
        let own = replies.split_off(before.min(replies.len()));
        let mut looked = Looked::default();
        match self.judge(ask, &own, 0).await {
            Found::Nothing => {}
            Found::Answer(stored, elapsed) => looked.found = self.load(ask, *stored, elapsed, &own),
            Found::Index(names, floor) => {
                let wanted = Selection::by(&names, ask.request);
                looked.variant = wanted.hash();
                if let Some(variant) = looked.variant {
                    let place = self.keys.variant(url, variant);
                    let own = self.kv.ask(Op::Read, &self.read(&place, ask)).await?;
                    if let Found::Answer(stored, elapsed) = self.judge(ask, &own, floor).await {
                        looked.found = self.load(ask, *stored, elapsed, &own);
                    }
                }
            }
        }
        Ok((replies, looked))
    }

    /// What is at a place, how long it stays, and which purges there are. In this order: a purge that comes between is in
    /// the last.
    fn read(&self, place: &str, ask: &Ask<'_>) -> [Command; 3] {
        // What no answer can be as long as is not read to its end.
        let most = codec::longest(ask.rules.max_object).saturating_add(1);
        let value = Command::new("GETRANGE").arg(place).arg(0).arg(most);
        [
            value,
            Command::new("PTTL").arg(place),
            Command::new("GET").arg(self.keys.head()),
        ]
    }

    /// What these replies say. `floor`: it knows of this purge, or it is nothing.
    async fn judge(&self, ask: &Ask<'_>, replies: &[Reply], floor: u64) -> Found {
        let [value, left, _] = replies else {
            return Found::Nothing;
        };
        let value = match value {
            Reply::Bytes(value) if value.is_empty() => return Found::Nothing,
            Reply::Bytes(value) => value.clone(),
            _ => Bytes::new(),
        };
        let Some(framed) = decoded(value, ask).await else {
            self.stats.refused(Refused::Broken);
            return Found::Nothing;
        };
        let left = left.int().and_then(|left| u64::try_from(left).ok());
        let elapsed = left.and_then(|left| framed.given.get().checked_sub(left));
        let least = framed.floor.max(floor);
        match (framed.value, elapsed) {
            (Value::Purged, _) => Found::Nothing,
            (Value::Index(index), _) => Found::Index(index.names, framed.floor),
            (Value::Answer(stored), _) if stored.position.n < least => {
                self.stats.refused(Refused::Purged);
                Found::Nothing
            }
            (Value::Answer(stored), Some(elapsed)) => Found::Answer(stored, elapsed),
            // Somebody took its end away: nobody knows how old it is.
            (Value::Answer(_), None) => {
                self.stats.refused(Refused::Old);
                Found::Nothing
            }
        }
    }

    /// An answer as the store takes it, if it is for the request and may still be used.
    fn load(
        &self,
        ask: &Ask<'_>,
        stored: Stored,
        elapsed: u64,
        replies: &[Reply],
    ) -> Option<Loaded> {
        if !stored.selection.matches(ask.request) {
            self.stats.refused(Refused::Broken);
            return None;
        }
        let head = match replies.last() {
            Some(Reply::Bytes(head)) => &head[..],
            _ => &[],
        };
        // Counted before it is asked: a purge that comes between concerns the answer.
        let sequence = ask.store.sequence();
        let begun = self
            .purges
            .begun(ask.url(), stored.position, head, sequence);
        let Some(begun) = begun else {
            self.stats.refused(Refused::Purged);
            return None;
        };
        let Some(life) = stored.life(elapsed, (ask.now)()) else {
            self.stats.refused(Refused::Old);
            return None;
        };
        let tags = ask.store.tags_of(&fields(&stored.head));
        Some(Loaded {
            life,
            head: stored.head,
            body: stored.body,
            selection: stored.selection,
            tags,
            begun,
        })
    }

    /// Puts what was found into the store, in the name of a fetch. Returns whether it is there.
    pub fn adopt(&self, filler: &Filler, found: Loaded) -> bool {
        let put = filler.adopt(found);
        match &put {
            Ok(_) => count(&self.stats.found),
            Err(Why::PurgedMeanwhile) => self.stats.refused(Refused::Purged),
            Err(_) => self.stats.refused(Refused::NotAdopted),
        }
        put.is_ok()
    }

    /// An answer was fetched, or confirmed, and is stored here: others may have it too. `position`: which purges the
    /// fetch knew of.
    pub fn offer(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        position: Option<Position>,
        lease: Option<Lease>,
        (rules, store): (&checked::Redis, &Store),
        now: Millis,
    ) {
        let is_for_others = is_for_others(entry, rules, store, now);
        let uses = rules.min_uses.saturating_sub(1);
        let position = position.filter(|_| is_for_others && self.is_up());
        let Some(position) = position else {
            if let Some(lease) = lease {
                lease.ends(Word::Go);
            }
            if is_for_others {
                self.stats.dropped(Dropped::Down, 1);
                entry.waits_for(uses.max(LATER));
            }
            return;
        };
        if uses > 0 && lease.is_none() {
            return entry.waits_for(uses);
        }
        self.enqueue(entry, position, lease, rules);
    }

    /// An answer was used that waited for that.
    pub fn is_due(&self, entry: &Arc<Entry>, (rules, store): (&checked::Redis, &Store)) {
        // What no purge up to here concerns may as well have been fetched now. In this order: one that comes between is
        // not known to it.
        let position = self.position();
        match position.filter(|_| self.is_up() && store.is_current(entry)) {
            Some(position) => self.enqueue(entry, position, None, rules),
            None => entry.waits_for(LATER),
        }
    }

    /// The same answer was confirmed by a node. It waits for no more uses than it did before.
    pub fn confirmed(
        self: &Arc<Self>,
        (old, new): (&Entry, &Arc<Entry>),
        position: Option<Position>,
        lease: Option<Lease>,
        (rules, store): (&checked::Redis, &Store),
        now: Millis,
    ) {
        let rules = &checked::Redis {
            min_uses: old.uses_left().saturating_add(1),
            ..rules.clone()
        };
        self.offer(new, position, lease, (rules, store), now);
    }

    fn enqueue(
        &self,
        entry: &Arc<Entry>,
        position: Position,
        lease: Option<Lease>,
        rules: &checked::Redis,
    ) {
        if !self.is_up() {
            return self.stats.dropped(Dropped::Down, 1);
        }
        let job = Job {
            entry: Arc::clone(entry),
            position,
            ttl_max: u64::try_from(rules.ttl_max.as_millis()).unwrap_or(u64::MAX),
            lease: lease.and_then(Lease::into_ticket),
        };
        self.queue.push(job, rules.queue, &self.stats);
    }

    /// What is stored under this key turned out not to be storable: nobody is to find it any more.
    pub fn forget(&self, key: &Key) {
        if self.is_up() {
            let place = self.keys.place(url_hash(key));
            self.queue.note(Note::Forget(place));
        }
    }
}

/// Whether an answer is for others: not purged, of use for a while, not too large, and with all its tags in its head,
/// where they are read again.
fn is_for_others(entry: &Entry, rules: &checked::Redis, store: &Store, now: Millis) -> bool {
    let has_tags = || entry.tags.is_empty() || store.tags_of(&fields(&entry.head)) == entry.tags;
    rules.entries
        && entry.body.len() <= rules.max_object
        && entry.expired_at().is_none()
        && codec::useful(&entry.life, now, u64::MAX) > 0
        && has_tags()
}

/// The fields of a head.
fn fields(head: &Head) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in head.slices() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}

/// Reads a value; a large one beside the threads that serve requests.
async fn decoded(value: Bytes, ask: &Ask<'_>) -> Option<Framed> {
    let most = ask.rules.max_object;
    if value.len() < LARGE {
        return codec::decode(&value, ask.key.bytes(), most);
    }
    let key = Arc::clone(ask.key);
    let read = spawn_blocking(move || codec::decode(&value, key.bytes(), most));
    read.await.ok().flatten()
}
