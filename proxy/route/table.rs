//! All routes, found by host, then path, method and fields.
//!
//! Hosts come in classes: exact ones, then suffixes (the longest first), then every host. Inside a class the order of
//! the configuration decides, which is the most specific first; when no route of a class holds, the next class is
//! asked. An exact host costs one hash look-up however many routes there are.
//!
//! It must never allocate for a host in lower case, and never order routes itself: `config` does, and `check` prints it.

use std::collections::HashMap;

use http::{HeaderMap, Method};

use super::host;
use super::prefixes::Prefixes;
use crate::base::fields::Fields;
use crate::config::checked::{HostPattern, Match, PathPattern, Route, Scheme};

/// What of a request decides its route.
#[derive(Debug, Clone, Copy)]
pub struct RouteAsk<'a, F = HeaderMap> {
    /// The value of `Host` or `:authority` as it came; empty when there was none.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a F,
    /// Whether the client came by TLS.
    pub by_tls: bool,
}

/// The routes of one generation of the configuration.
#[derive(Debug)]
pub struct Table {
    matchers: Vec<Match>,
    exact: HashMap<Box<str>, Class>,
    /// By the suffix with its leading dot, as `.example.com`.
    suffix: HashMap<Box<str>, Class>,
    /// Bytes of the longest suffix: longer ends of a host need no look-up, so that a host of a thousand dots costs no
    /// more than an ordinary one.
    longest_suffix: usize,
    any: Class,
}

/// The routes of one host, in the order of the configuration.
#[derive(Debug, Default)]
struct Class {
    /// Those with no condition but a prefix (or no path at all).
    prefixes: Prefixes,
    /// All others, ascending.
    conditional: Vec<usize>,
}

impl Table {
    /// A table of `routes`, which come the most specific first.
    pub fn new(routes: &[Route]) -> Self {
        let mut exact: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut suffix: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut any = Vec::new();
        for (i, route) in routes.iter().enumerate() {
            if route.matcher.hosts.is_empty() {
                any.push(i);
            }
            for pattern in &route.matcher.hosts {
                let routes = match pattern {
                    HostPattern::Exact(name) => exact.entry(name.as_str().into()),
                    HostPattern::Suffix(end) => suffix.entry(end.as_str().into()),
                };
                routes.or_default().push(i);
            }
        }
        let matchers: Vec<Match> = routes.iter().map(|r| r.matcher.clone()).collect();
        let classes = |by_host: HashMap<Box<str>, Vec<usize>>| {
            by_host
                .into_iter()
                .map(|(host, routes)| (host, Class::new(&matchers, routes)))
                .collect::<HashMap<_, _>>()
        };
        Table {
            longest_suffix: suffix.keys().map(|end| end.len()).max().unwrap_or(0),
            exact: classes(exact),
            suffix: classes(suffix),
            any: Class::new(&matchers, any),
            matchers,
        }
    }

    /// The route of a request, as an index into the routes the table was made of.
    pub fn find(&self, ask: &RouteAsk<'_, impl Fields>) -> Option<usize> {
        let host = host::normal(ask.host);
        let exact = self.exact.get(&*host);
        exact
            .into_iter()
            .chain(self.suffixes_of(&host))
            .chain(std::iter::once(&self.any))
            .find_map(|class| class.find(&self.matchers, ask))
    }

    /// The classes whose suffix `host` ends with, the longest first. A suffix starts at a dot that has a label before
    /// it, so the dots from left to right are all there is to try.
    fn suffixes_of<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Class> {
        let start = host.len().saturating_sub(self.longest_suffix).max(1);
        let end = host.as_bytes().get(start..).unwrap_or_default();
        end.iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'.')
            .filter_map(move |(at, _)| self.suffix.get(&host[start + at..]))
    }
}

impl Class {
    fn new(matchers: &[Match], routes: Vec<usize>) -> Self {
        let mut prefixes = Vec::new();
        let mut conditional = Vec::new();
        for i in routes {
            let m = &matchers[i];
            match &m.path {
                PathPattern::Any if is_pure(m) => prefixes.push(("".into(), i)),
                PathPattern::Prefix(prefix) if is_pure(m) => {
                    prefixes.push((prefix.as_str().into(), i));
                }
                _ => conditional.push(i),
            }
        }
        // A route that names the same host twice stands here twice.
        conditional.dedup();
        Class {
            prefixes: Prefixes::new(prefixes),
            conditional,
        }
    }

    fn find(&self, matchers: &[Match], ask: &RouteAsk<'_, impl Fields>) -> Option<usize> {
        let by_prefix = self.prefixes.find(ask.path);
        self.conditional
            .iter()
            .copied()
            .take_while(|&i| by_prefix.is_none_or(|found| i < found))
            .find(|&i| holds(&matchers[i], ask))
            .or(by_prefix)
    }
}

/// Whether a route asks for nothing but host and path.
fn is_pure(m: &Match) -> bool {
    m.methods.is_empty() && m.headers.is_empty() && m.scheme.is_none()
}

/// Whether every condition but the host holds. The cheap ones come first, expressions last.
fn holds(m: &Match, ask: &RouteAsk<'_, impl Fields>) -> bool {
    m.scheme
        .is_none_or(|scheme| (scheme == Scheme::Https) == ask.by_tls)
        && (m.methods.is_empty() || m.methods.contains(ask.method))
        && m.headers.iter().all(|(name, value)| {
            // A field may come several times; one line with the value is enough.
            ask.headers.lines(name).any(|sent| sent == value.as_bytes())
        })
        && match &m.path {
            PathPattern::Any => true,
            PathPattern::Prefix(prefix) => ask.path.starts_with(prefix.as_str()),
            PathPattern::Exact(path) => ask.path == path,
            PathPattern::Regex(expression) => expression.is_match(ask.path),
        }
}

#[cfg(test)]
mod tests;
