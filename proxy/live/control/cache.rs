//! The verbs of the cache: purge, explain, and what it is doing.
//!
//! What walks over all that is stored says so: it belongs off the threads that serve requests. Nothing here is on a
//! request's way but [`Control::short`].

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::Control;
use super::target::{self, PurgeWhat, Site, Unclear};
use crate::base::cached::Outcome;
use crate::base::path;
use crate::cache::asks::{no_business, tidied, wants_part};
use crate::cache::entry::Entry;
use crate::cache::explain::{Look, Verdict, handed_on, verdict};
use crate::cache::key::{Key, Target};
use crate::cache::policy::directives::Wish;
use crate::cache::policy::life::Millis;
use crate::cache::policy::tags::TAG_AT_MOST;
use crate::cache::store::{Purge, Stats};
use crate::live::snapshot::Snapshot;
use crate::route::RouteAsk;
use crate::telemetry::top::Counted;

/// Variants of one URL that are told; there are never many more.
const TOLD_VARIANTS: usize = 256;

/// What a request asks for, as far as its key goes.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What makes the key, the query untouched; its host may be what a trusted proxy says.
    pub target: Target<'a>,
    /// The host that its route is found by.
    pub host: &'a str,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

/// What the cache holds and did, since the start.
#[derive(Debug)]
pub struct CacheStats {
    /// The store.
    pub store: Stats,
    /// Requests by what was done with them.
    pub requests: Vec<(Outcome, u64)>,
    /// Answers that were not stored, by reason.
    pub uncacheable: Vec<(&'static str, u64)>,
    /// Of the requests that the cache had business with, the share that was answered from the store; `None`: there were
    /// none.
    pub hit_ratio: Option<f64>,
}

/// What would become of a request.
#[derive(Debug)]
pub struct Explained {
    /// What its answer is stored under.
    pub key: Arc<Key>,
    /// Its route; `None`: none matches.
    pub route: Option<String>,
    /// What is stored under its key.
    pub variants: Vec<Variant>,
    /// The time it was asked.
    pub now: Millis,
    /// How often it was answered from the store, as far as it is among those that are asked for most.
    pub hits: Option<Counted<Arc<Key>>>,
    /// What would become of it; the error: it is none of the cache's, in words.
    pub verdict: Result<Verdict, String>,
}

/// One of the answers stored under a key.
#[derive(Debug)]
pub struct Variant {
    /// The answer.
    pub entry: Arc<Entry>,
    /// When it was purged softly.
    pub expired_at: Option<Millis>,
    /// Whether it is for the request.
    pub is_for_it: bool,
}

impl Control {
    /// The key of a GET for this target, and its route.
    pub fn key_of(&self, snapshot: &Snapshot, ask: &Ask<'_>) -> (Key, Option<usize>) {
        let at = route_of(snapshot, ask, &Method::GET);
        let rules = at.and_then(|at| snapshot.config.routes[at].cache.as_ref());
        let query = match (ask.target.query, rules) {
            (Some(query), Some(rules)) => tidied(query, &rules.key),
            (query, _) => query.map(Cow::Borrowed),
        };
        let target = Target {
            query: query.as_deref(),
            ..ask.target
        };
        (self.cache.key(target), at)
    }

    /// What an operator's words name.
    ///
    /// # Errors
    /// When they name nothing, with what to write instead.
    pub fn meaning(&self, what: &PurgeWhat) -> Result<Purge, Unclear> {
        let snapshot = self.hold.load();
        let merge = snapshot.config.requests.merge_slashes;
        Ok(match what {
            PurgeWhat::Url(url) => {
                let site = Site::of(url, merge)?;
                Purge::Url(self.key_of(&snapshot, &ask(&site, &HeaderMap::new())).0)
            }
            PurgeWhat::Tag(tag) => {
                let tag = tag.trim_ascii();
                if tag.is_empty() || tag.len() > TAG_AT_MOST {
                    return Err(Unclear(format!(
                        "a tag has 1 to {TAG_AT_MOST} bytes; write one of those that the answers name in Cache-Tag, Surrogate-Key or xkey"
                    )));
                }
                Purge::Tag(tag.as_bytes().into())
            }
            PurgeWhat::Prefix { prefix, host } => {
                let (host, path) = target::prefix(prefix, host.as_deref(), merge)?;
                Purge::Prefix {
                    host: host.map(Into::into),
                    path: path.into(),
                }
            }
            PurgeWhat::Host(host) => Purge::Host(target::bare_host(host)?.into()),
            PurgeWhat::All => Purge::All,
        })
    }

    /// What the cache holds and did.
    pub fn cache_stats(&self) -> CacheStats {
        let count = |outcome| (outcome, self.metrics.cache.requests(outcome));
        let requests: Vec<_> = Outcome::ALL.map(count).into();
        let of = |wanted: &[Outcome]| -> u64 {
            let counted = requests
                .iter()
                .filter(|(outcome, _)| wanted.contains(outcome));
            counted.map(|(_, n)| n).sum()
        };
        let hits = of(&[Outcome::Hit, Outcome::Stale]);
        let all = of(&Outcome::ALL) - of(&[Outcome::Bypass]);
        CacheStats {
            store: self.cache.stats(),
            hit_ratio: (all > 0).then(|| hits as f64 / all as f64),
            requests,
            uncacheable: self.metrics.cache.uncacheable(),
        }
    }

    /// What would become of a request for this URL, and what is stored under its key. Walks over all that is stored.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn explain(
        &self,
        url: &str,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Explained, Unclear> {
        let snapshot = self.hold.load();
        let site = Site::of(url, snapshot.config.requests.merge_slashes)?;
        let own = ask(&site, headers);
        let (key, _) = self.key_of(&snapshot, &own);
        // Its route is that of its own method; what is stored is stored for GET.
        let at = route_of(&snapshot, &own, method);
        // As nodes would be asked: what clients take there is not what selects.
        let plain = at.is_some_and(|at| snapshot.config.routes[at].asks_plain(method));
        let headers = &match plain {
            true => asking_plain(headers),
            false => headers.clone(),
        };
        let now = self.clock.now();
        let mut variants = Vec::new();
        self.cache.for_each(|entry| {
            if *entry.key == key && variants.len() < TOLD_VARIANTS {
                variants.push(Variant {
                    is_for_it: entry.selection.matches(headers),
                    expired_at: entry.expired_at(),
                    entry: entry.clone(),
                });
            }
        });
        let route = at.map(|at| &snapshot.config.routes[at]);
        let rules = route.and_then(|route| route.cache.as_ref());
        let verdict = match (route, rules) {
            (None, _) => Err("no route matches: it would be 404".into()),
            (Some(route), None) => Err(format!(
                "the route {} has no cache: it would be handed on",
                route.name
            )),
            (_, Some(rules)) => Ok(match no_business(method, false, headers) {
                Some(why) => handed_on(why),
                None => {
                    let found = self.cache.find(&key, headers);
                    let stored = found.entry.as_ref();
                    let look = Look {
                        stored: stored.map(|(entry, expired_at)| (&entry.life, *expired_at)),
                        variants: variants.len().max(usize::from(found.other_variant)),
                        marked: self.cache.is_marked(&key, now),
                        lately: self.lately.of(Control::short(&key)),
                        wish: Wish::of(headers, rules.ignore_client_cache_control),
                        is_head: *method == Method::HEAD,
                        is_part: wants_part(headers),
                    };
                    verdict(&look, now)
                }
            }),
        };
        Ok(Explained {
            route: route.map(|route| route.name.clone()),
            variants,
            now,
            hits: self.top.hits.of(Control::short(&key)),
            verdict,
            key: Arc::new(key),
        })
    }

    /// What the lists of the cache know a key by.
    pub fn short(key: &Key) -> u64 {
        // The low half: the store finds by the whole, so that both halves are as good.
        key.hash() as u64
    }
}

/// The route of a request with this method.
fn route_of(snapshot: &Snapshot, ask: &Ask<'_>, method: &Method) -> Option<usize> {
    snapshot.routes.find(&RouteAsk {
        host: ask.host,
        path: &path::capital(ask.target.path),
        method,
        headers: ask.headers,
        by_tls: ask.target.scheme == "https",
    })
}

/// What is asked by who names a URL and nothing else.
fn ask<'a>(site: &'a Site, headers: &'a HeaderMap) -> Ask<'a> {
    Ask {
        target: Target {
            scheme: site.scheme,
            host: &site.host,
            path: &site.path,
            query: site.query.as_deref(),
        },
        host: &site.host,
        headers,
    }
}

/// The fields of a request as they are where nodes are asked for what nobody has encoded.
fn asking_plain(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let plain = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, plain);
    headers
}
