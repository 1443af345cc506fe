//! Stickiness of an upstream in one generation, made ready: what stands for each node, what a cookie looks like.
//!
//! What was learned of an app's sessions passes from one generation to the next as long as its section stays the same,
//! and the key that a process makes for itself lives as long as the process. Never shows either.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use ring::rand::{SecureRandom, SystemRandom};

use super::snapshot::Upstream;
use crate::balance::pick::Candidate;
use crate::balance::sticky::cookies;
use crate::balance::sticky::learned::{Learned, Session};
use crate::balance::sticky::token::{Tokens, Verdict};
use crate::config::checked::{self, Learn, LearnFrom, Secret, StickyCookie};
use crate::telemetry::metrics::StickyMetrics;

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
    config: Learn,
    /// Hashes of the nodes' ids in order, each with its position in the pool.
    members: Vec<(u64, usize)>,
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
    /// upstream in the generation before; `own` signs where the file names no key.
    pub fn new(
        config: &checked::Sticky,
        name: &str,
        pool: &[Candidate],
        previous: Option<&Upstream>,
        own: &Secret,
        metrics: StickyMetrics,
    ) -> Self {
        let by = match config {
            checked::Sticky::Cookie(cookie) => By::Cookie(OwnCookie::new(cookie, name, pool, own)),
            checked::Sticky::Learn(learn) => By::Learned(AppSessions::new(learn, pool, previous)),
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
    fn new(config: &Learn, pool: &[Candidate], previous: Option<&Upstream>) -> Self {
        let before = previous.and_then(|p| match &p.sticky.as_ref()?.by {
            By::Learned(before) => (before.config == *config).then(|| before.table.clone()),
            By::Cookie(_) => None,
        });
        let fresh = || Arc::new(Learned::new(config.max, config.ttl, fastrand::u64(..)));
        let mut members: Vec<_> = pool.iter().map(|c| c.hash).zip(0..).collect();
        members.sort_unstable();
        AppSessions {
            table: before.unwrap_or_else(fresh),
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
