//! Stickiness of an upstream in one generation, made ready: what stands for each node, what a cookie looks like.
//!
//! What was learned of an app's sessions passes from one generation to the next as long as its section stays the same,
//! and the key that a process makes for itself lives as long as the process. Never shows either.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use ring::rand::{SecureRandom, SystemRandom};

use super::shared::Shared;
use super::snapshot::Upstream;
use crate::balance::pick::Candidate;
use crate::balance::sticky::cookies;
use crate::balance::sticky::learned::{Learned, Session};
use crate::balance::sticky::shared::{self, Names, News, Outbox, Place};
use crate::balance::sticky::token::{Tokens, Verdict};
use crate::config::checked::{self, Learn, LearnFrom, Secret, StickyCookie, Store};
use crate::kv::{Fault, Kv, Op};
use crate::telemetry::metrics::{SharedStickyMetrics, StickyMetrics};

/// How the requests of a session stay on one node of an upstream.
#[derive(Debug)]
pub struct Sticky {
    /// What a session is known by.
    pub by: By,
    /// Its metrics.
    pub metrics: StickyMetrics,
}

/// What a session is known by.
#[derive(Debug)]
pub enum By {
    /// A cookie of ours.
    Cookie(OwnCookie),
    /// The session of the app.
    Learned(AppSessions),
}

/// A cookie of ours.
#[derive(Debug)]
pub struct OwnCookie {
    /// Its name.
    pub name: String,
    /// Whether it is secure, when that does not depend on how the client came.
    pub secure: Option<bool>,
    tokens: Tokens,
    /// What follows its value.
    attributes: String,
}

/// The sessions of the app.
#[derive(Debug)]
pub struct AppSessions {
    /// Where they are.
    pub table: Arc<Learned>,
    /// Where other proxies know of them, too.
    pub others: Option<Others>,
    config: Learn,
    /// Hashes of the nodes' ids in order, each with its position in the pool.
    members: Vec<(u64, usize)>,
}

/// Other proxies that know of an app's sessions.
#[derive(Debug)]
pub struct Others {
    /// What is counted of them.
    pub metrics: SharedStickyMetrics,
    names: Arc<Names>,
    prefix: Arc<str>,
    kv: Arc<Kv>,
    outbox: Arc<Outbox>,
    ttl: Duration,
}

/// A key for this process alone.
///
/// # Errors
/// When the system has no random numbers to give.
pub fn own_key() -> io::Result<Secret> {
    let mut bytes = [0; Secret::LEAST];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system has no random numbers to give"))?;
    Ok(Secret::new(bytes))
}

impl Sticky {
    /// Stickiness of the upstream `name` as the file wants it, over the nodes of its pool. `previous` is the same
    /// upstream in the generation before; `own` signs where the file names no key; `others` are who know of its sessions.
    pub fn new(
        config: &checked::Sticky,
        name: &str,
        pool: &[Candidate],
        previous: Option<&Upstream>,
        own: &Secret,
        (metrics, others): (StickyMetrics, Option<Others>),
    ) -> Self {
        let by = match config {
            checked::Sticky::Cookie(cookie) => By::Cookie(OwnCookie::new(cookie, name, pool, own)),
            checked::Sticky::Learn(learn) => {
                By::Learned(AppSessions::new(learn, pool, previous, others))
            }
        };
        Sticky { by, metrics }
    }

    /// The name of our own cookie.
    pub fn cookie(&self) -> Option<&str> {
        match &self.by {
            By::Cookie(cookie) => Some(&cookie.name),
            By::Learned(_) => None,
        }
    }
}

impl OwnCookie {
    fn new(config: &StickyCookie, upstream: &str, pool: &[Candidate], own: &Secret) -> Self {
        let key = config.key.as_ref().map_or(own, |file| &file.key);
        let ids = pool.iter().map(|candidate| &*candidate.node.id);
        OwnCookie {
            name: config.name.clone(),
            secure: match config.secure {
                checked::Secure::Auto => None,
                checked::Secure::Yes => Some(true),
                checked::Secure::No => Some(false),
            },
            tokens: Tokens::new(key.bytes(), upstream, config.ttl, ids),
            attributes: attributes(config),
        }
    }

    /// What the cookies among these fields say: the first that leads to a node, else the best of the others. `None`:
    /// there is none. `now` is the time since 1970.
    pub fn read(&self, fields: &HeaderMap, now: Duration) -> Option<Verdict> {
        let mut best = None;
        for value in cookies::values(fields, &self.name) {
            match self.tokens.read(value, now) {
                on @ Verdict::On { .. } => return Some(on),
                Verdict::Gone => best = Some(Verdict::Gone),
                Verdict::Invalid => best = best.or(Some(Verdict::Invalid)),
            }
        }
        best
    }

    /// The value of `Set-Cookie` for a session on `member`, from `now` on, the time since 1970.
    pub fn issue(&self, member: usize, secure: bool, now: Duration) -> String {
        let value = self.tokens.issue(member, now);
        let secure = if secure { "; Secure" } else { "" };
        [&self.name, "=", &value, &self.attributes, secure].concat()
    }
}

/// The attributes of a cookie but `Secure`.
fn attributes(config: &StickyCookie) -> String {
    let mut text = format!("; Path={}", config.path);
    if let Some(ttl) = config.ttl {
        text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if let Some(domain) = &config.domain {
        text.push_str(&format!("; Domain={domain}"));
    }
    text.push_str(&format!("; SameSite={}", config.same_site.as_str()));
    if config.http_only {
        text.push_str("; HttpOnly");
    }
    text
}

impl AppSessions {
    fn new(
        config: &Learn,
        pool: &[Candidate],
        previous: Option<&Upstream>,
        others: Option<Others>,
    ) -> Self {
        let prefix = |others: &Option<Others>| others.as_ref().map(|o| o.prefix.clone());
        // By the same names: another prefix, and the ids have other hashes.
        let is_same = |before: &AppSessions| {
            before.config == *config && prefix(&before.others) == prefix(&others)
        };
        let before = previous.and_then(|p| match &p.sticky.as_ref()?.by {
            By::Learned(before) => is_same(before).then(|| before.table.clone()),
            By::Cookie(_) => None,
        });
        let fresh = || {
            Arc::new(match &others {
                None => Learned::new(config.max, config.ttl, fastrand::u64(..)),
                Some(others) => Learned::shared(config.max, config.ttl, others.names.clone()),
            })
        };
        let mut members: Vec<_> = pool.iter().map(|c| c.hash).zip(0..).collect();
        members.sort_unstable();
        AppSessions {
            table: before.unwrap_or_else(fresh),
            others,
            config: config.clone(),
            members,
        }
    }

    /// The position of the node whose id has this hash.
    pub fn member(&self, node: u64) -> Option<usize> {
        let at = self.members.binary_search_by_key(&node, |(hash, _)| *hash);
        at.ok().map(|at| self.members[at].1)
    }

    /// The session that a request with these fields belongs to.
    pub fn asked(&self, fields: &HeaderMap) -> Option<Session> {
        let id = match &self.config.from {
            LearnFrom::Cookie(name) => cookies::values(fields, name).find(|v| !v.is_empty()),
            LearnFrom::Header(name) => cookies::field(fields, name),
        };
        id.map(|id| self.table.session(id))
    }

    /// The session that an answer with these fields begins or goes on with.
    pub fn answered(&self, fields: &HeaderMap) -> Option<Session> {
        let id = match &self.config.from {
            LearnFrom::Cookie(name) => cookies::set(fields, name),
            LearnFrom::Header(name) => cookies::field(fields, name),
        };
        id.map(|id| self.table.session(id))
    }
}

impl Others {
    /// Who else knows of the sessions of `upstream`, by what proxies share. `None`: nobody, as the file wants it.
    pub fn of(
        config: &checked::Sticky,
        upstream: &str,
        shared: Option<&Shared>,
        metrics: impl FnOnce() -> SharedStickyMetrics,
    ) -> Option<Self> {
        let checked::Sticky::Learn(learn) = config else {
            return None;
        };
        let shared = shared.filter(|_| learn.store == Store::Redis)?;
        Some(Others {
            metrics: metrics(),
            names: Arc::new(Names::new(&shared.prefix, upstream)),
            prefix: shared.prefix.clone(),
            kv: shared.kv.clone(),
            outbox: shared.sessions.clone(),
            ttl: learn.ttl,
        })
    }

    /// Asks Redis where a session is, in one round trip. `None`: it does not know it.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn ask(&self, session: Session) -> Result<Option<Place>, Fault> {
        let question = self.names.question(session.number());
        let asked = self.kv.ask(Op::Session, &question).await;
        let counter = match &asked {
            Ok(replies) if shared::place(replies).is_some() => &self.metrics.found,
            Ok(_) => &self.metrics.unknown,
            Err(_) => &self.metrics.fault,
        };
        counter.inc();
        asked.map(|replies| shared::place(&replies))
    }

    /// Whether Redis is to be told again that the session is there: a quarter of its time has passed.
    pub fn is_old(&self, place: &Place) -> bool {
        place.left < self.ttl - self.ttl / 4
    }

    /// Redis will be told that the session is on this node. Nobody waits for it.
    pub fn tell(&self, session: Session, node: u64, news: News) {
        let told = (self.names).told(session.number(), node, news, self.ttl, Instant::now());
        if !self.outbox.push(told) {
            self.metrics.dropped.inc();
        }
    }
}
