//! Sessions that all proxies know of: what one learns is told to Redis, behind the requests, and asked for by the others.
//!
//! Redis knows a session by a keyed hash of its id and a node by a hash of its own: neither a key nor a value there
//! contains an id. What waits to be told is bounded, and the oldest gives way; what Redis was not told of is found again by
//! the lot that every proxy draws alike. Nothing here waits for Redis.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring::hmac;
use tokio::sync::Notify;

use crate::kv::{Command, Reply};

/// Sessions that wait to be told at the most; about half a megabyte.
const MAX_WAITING: usize = 4_096;
/// Sessions that are told in one round trip.
const AT_ONCE: usize = 128;

/// How the sessions of one upstream are named in Redis.
pub struct Names {
    /// What every name begins with.
    beginning: Box<str>,
    hmac: hmac::Key,
}

impl Names {
    /// The names of the sessions of `upstream`, the same on all proxies with this prefix.
    pub fn new(prefix: &str, upstream: &str) -> Self {
        let key = format!("session\0{prefix}\0{upstream}");
        Names {
            beginning: format!("{prefix}:s:{upstream}:").into(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()),
        }
    }

    /// What the session with this id is known by: the first half of an HMAC-SHA-256.
    pub fn session(&self, id: &[u8]) -> u128 {
        let tag = hmac::sign(&self.hmac, id);
        let mut half = [0; 16];
        half.copy_from_slice(&tag.as_ref()[..16]);
        u128::from_be_bytes(half)
    }

    fn key(&self, session: u128) -> String {
        format!("{}{session:032x}", self.beginning)
    }

    /// The question where a session is, in one round trip.
    pub fn question(&self, session: u128) -> [Command; 2] {
        let key = self.key(session);
        [Command::new("GET"), Command::new("PTTL")].map(|command| command.arg(key.as_str()))
    }

    /// What is told of a session that is on `node`, and is forgotten when it was not told again for `ttl`.
    /// `now` is when that was found out.
    pub fn told(&self, session: u128, node: u64, news: News, ttl: Duration, now: Instant) -> Told {
        Told {
            since: now,
            key: self.key(session).into(),
            node,
            news,
            millis: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("beginning", &self.beginning)
            .finish_non_exhaustive()
    }
}

/// Where a session is, as Redis has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Hash of the node's id, [`crate::balance::pick::Candidate::hash`].
    pub node: u64,
    /// How long Redis keeps it yet.
    pub left: Duration,
}

/// What Redis answers to [`Names::question`]; `None`: it does not know the session.
pub fn place(replies: &[Reply]) -> Option<Place> {
    let [node, left] = replies else {
        return None;
    };
    let node = std::str::from_utf8(node.bytes()?).ok()?;
    // It may have expired between the two.
    let left = u64::try_from(left.int()?).unwrap_or(0);
    Some(Place {
        node: u64::from_str_radix(node, 16).ok()?,
        left: Duration::from_millis(left),
    })
}

/// What is new of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The app has begun it there: nobody can know better, however late this comes.
    Begun,
    /// It has moved there: what was known before counts no more.
    Moved,
    /// It is there still: whoever knows better is not contradicted.
    Stays,
}

/// What Redis is told of one session.
#[derive(Debug, Clone)]
pub struct Told {
    key: Box<str>,
    node: u64,
    news: News,
    millis: u64,
    since: Instant,
}

/// News that waited for longer, as while Redis was away, contradict nobody: others may know better by now.
const NEW: Duration = Duration::from_secs(5);

impl Told {
    /// Adds what is said at `now` to `commands`.
    pub fn say(&self, commands: &mut Vec<Command>, now: Instant) {
        let key = &*self.key;
        let set = Command::new("SET")
            .arg(key)
            .arg(format!("{:016x}", self.node))
            .arg("PX")
            .arg(self.millis);
        let is_new = now.saturating_duration_since(self.since) < NEW;
        match self.news {
            News::Begun => commands.push(set),
            News::Moved if is_new => commands.push(set),
            News::Moved | News::Stays => {
                commands.push(set.arg("NX"));
                commands.push(Command::new("PEXPIRE").arg(key).arg(self.millis));
            }
        }
    }
}

/// What waits to be told, of all upstreams.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<VecDeque<Told>>,
    comes: Notify,
}

impl Outbox {
    /// Will be told. `false`: the oldest gave way to it.
    pub fn push(&self, told: Told) -> bool {
        let mut waiting = self.waiting.lock();
        let is_full = waiting.len() >= MAX_WAITING;
        if is_full {
            waiting.pop_front();
        }
        waiting.push_back(told);
        drop(waiting);
        self.comes.notify_one();
        !is_full
    }

    /// The next few; waits for the first.
    pub async fn next(&self) -> Vec<Told> {
        loop {
            let few = self.take();
            if !few.is_empty() {
                return few;
            }
            self.comes.notified().await;
        }
    }

    fn take(&self) -> Vec<Told> {
        let mut waiting = self.waiting.lock();
        let few = waiting.len().min(AT_ONCE);
        waiting.drain(..few).collect()
    }

    /// What could not be told waits again, in its old place, as far as there is room.
    pub fn put_back(&self, few: Vec<Told>) {
        let mut waiting = self.waiting.lock();
        for told in few.into_iter().rev() {
            if waiting.len() >= MAX_WAITING {
                return; // the rest is older
            }
            waiting.push_front(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn every_proxy_has_the_same_names_and_no_other_upstream_has_them() {
        let names = Names::new("tg", "web");
        let session = names.session(b"secret id");
        assert_eq!(session, Names::new("tg", "web").session(b"secret id"));
        assert_ne!(session, Names::new("tg", "api").session(b"secret id"));
        assert_ne!(session, Names::new("other", "web").session(b"secret id"));
        assert_ne!(session, names.session(b"secret ie"));
        assert!(names.key(session).starts_with("tg:s:web:"));
        assert_eq!(names.key(session).len(), "tg:s:web:".len() + 32);
    }

    #[test]
    fn only_a_whole_answer_is_a_place() {
        let node = |text: &'static str| Reply::Bytes(text.into());
        let found = place(&[node("00000000000000ff"), Reply::Int(1_500)]);
        let left = Duration::from_millis(1_500);
        assert_eq!(found, Some(Place { node: 255, left }));
        let gone = place(&[node("ff"), Reply::Int(-2)]).map(|found| found.left);
        assert_eq!(gone, Some(Duration::ZERO));
        for none in [
            vec![],
            vec![Reply::Nil, Reply::Int(-2)],
            vec![node("ff")],
            vec![node("app-1"), Reply::Int(5)],
            vec![node(""), Reply::Int(5)],
            vec![Reply::Error("WRONGTYPE".into()), Reply::Int(5)],
            vec![node("ff"), Reply::Error("ERR".into())],
        ] {
            assert_eq!(place(&none), None, "{none:?}");
        }
    }

    #[tokio::test]
    async fn the_oldest_gives_way_and_what_was_not_told_keeps_its_place() {
        let (names, outbox) = (Names::new("tg", "web"), Outbox::default());
        let now = Instant::now();
        let told = |n: usize| names.told(n as u128, n as u64, News::Moved, TTL, now);
        for n in 0..MAX_WAITING {
            assert!(outbox.push(told(n)));
        }
        assert!(!outbox.push(told(MAX_WAITING)), "it is full");
        let nodes = |few: &[Told]| few.iter().map(|t| t.node as usize).collect::<Vec<_>>();
        let few = outbox.next().await;
        assert_eq!(nodes(&few), (1..=AT_ONCE).collect::<Vec<_>>());
        for n in 0..3 {
            assert!(outbox.push(told(n)));
        }
        outbox.put_back(few);
        assert_eq!(outbox.waiting.lock().len(), MAX_WAITING);
        let again = nodes(&outbox.next().await);
        assert_eq!(again[..2], [4, 5], "three newer ones took the room");
    }

    #[test]
    fn who_moved_says_so_and_who_stays_contradicts_nobody() {
        let names = Names::new("tg", "web");
        let now = Instant::now();
        let said = |news, later| {
            let mut commands = Vec::new();
            names
                .told(1, 2, news, TTL, now)
                .say(&mut commands, now + later);
            commands.len()
        };
        let at_once = Duration::ZERO;
        assert_eq!(
            (said(News::Moved, at_once), said(News::Stays, at_once)),
            (1, 2)
        );
        assert_eq!(said(News::Moved, NEW), 2, "others may know better by now");
        assert_eq!(said(News::Begun, NEW), 1, "nobody can");
    }
}
