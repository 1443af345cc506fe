//! What is allowed but probably not meant.
//!
//! Warnings only, and only for a configuration without errors. A hint must name what will happen and how to say
//! "I mean it": one that is wrong often teaches people not to read them.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::{Origins, admin, cache, compress, node_tls, sticky};
use crate::base::node::Intent;
use crate::config::checked::{
    Access, Config, HostPattern, Match, NodeAddr, PathPattern, Route, Upstream,
};
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};

/// The most pairs of routes that are compared: a second of work at the very worst.
const MAX_PAIRS: usize = 1_000_000;

/// Gives every hint there is.
pub fn give(config: &Config, origins: &Origins, problems: &mut Problems) {
    admin::hints(config, &origins.root, problems);
    let used: HashSet<usize> = config.routes.iter().flat_map(Route::upstreams).collect();
    for (i, (upstream, (at, _))) in config.upstreams.iter().zip(&origins.upstreams).enumerate() {
        nodes(upstream, at, problems);
        node_tls::hints(upstream.tls.as_ref(), &upstream.name, at, problems);
        if !at.key("health").given() || at.key("health").is_blank() {
            let what = format!("upstream `{}` has no health check", upstream.name);
            let help = "a node that hangs keeps its share of the traffic; add `health: { path: /healthz }`, or `health: off` if you mean it";
            problems.push(Problem::warning(at.key_place(), what).help(help));
        }
        if !used.contains(&i) {
            let what = format!("no route leads to upstream `{}`", upstream.name);
            problems.push(
                Problem::warning(at.key_place(), what).help("add a route with it, or remove it"),
            );
        }
    }
    let listen = origins.root.key("listen");
    for (i, port) in config.listen.iter().enumerate() {
        shut_out(&port.access, &listen.item(i), problems);
    }
    for (route, at) in config.routes.iter().zip(&origins.routes) {
        shut_out(&route.access, at, problems);
    }
    for (route, at) in config.routes.iter().zip(&origins.routes) {
        doubled_slashes(route, config, at, problems);
    }
    sticky::hints(config, origins, problems);
    cache::hints(config, origins, problems);
    compress::hints(config, origins, problems);
    shadows(&config.routes, &origins.routes, problems);
}

/// Clients that are let in and shut out in one breath.
fn shut_out(access: &Access, at: &At, problems: &mut Problems) {
    let denied: HashSet<IpNet> = access.deny.iter().copied().collect();
    for net in access.allow.iter().filter(|_| !denied.is_empty()) {
        let wider = std::iter::successors(Some(*net), IpNet::supernet);
        if let Some(by) = { wider }.find(|wider| denied.contains(wider)) {
            let what = format!("nobody from {net} can come in: `deny` has {by}, and wins");
            let problem = Problem::warning(at.key("allow").key_place(), what)
                .also(at.key("deny").key_place(), "this one wins")
                .help(format!("remove {net} from `allow`, or {by} from `deny`"));
            problems.push(problem);
        }
    }
}

/// A path with `//` where requests have none when they are matched.
fn doubled_slashes(route: &Route, config: &Config, at: &At, problems: &mut Problems) {
    let (PathPattern::Prefix(path) | PathPattern::Exact(path)) = &route.matcher.path else {
        return;
    };
    if config.requests.merge_slashes && path.contains("//") {
        let at = at.key("match").either("path", "path_exact");
        let what = format!(
            "no request has the path \"{}\": `//` is read as `/`",
            shorten(path)
        );
        let help = "write one slash, or `requests: { merge_slashes: false }`";
        problems.push(Problem::warning(at.place(), what).help(help));
    }
}

/// Nodes of which none, or only one, can take requests.
fn nodes(upstream: &Upstream, at: &At, problems: &mut Problems) {
    let name = &upstream.name;
    let takes = |n: &&crate::config::checked::Node| n.state == Intent::Up && n.weight > 0;
    let place = || at.either("nodes", "servers").key_place();
    if upstream.nodes.iter().filter(takes).count() == 0 {
        let what = format!(
            "no node of upstream `{name}` takes new requests: all are drained, down or of weight 0"
        );
        problems.push(
            Problem::warning(place(), what)
                .help("every request to it will be answered 503; set a node to `state: up`"),
        );
    } else if let [only] = &upstream.nodes[..]
        // A name may stand for many addresses.
        && matches!(only.addr, NodeAddr::Socket(_))
    {
        let what = format!("upstream `{name}` has one node only");
        problems.push(
            Problem::warning(place(), what)
                .help("when it fails or restarts, nothing is left to serve; add a second one"),
        );
    }
}

/// Routes that no request can reach.
///
/// A request looks at the routes of its own host first, then at those of wildcards, then at those of every host; so a
/// route is out of reach when, for each of its hosts, an earlier route of the very same host takes all it could.
fn shadows(routes: &[Route], places: &[At], problems: &mut Problems) {
    let mut earlier = Earlier::default();
    for (i, route) in routes.iter().enumerate() {
        let takers: Option<Vec<usize>> = hosts(&route.matcher)
            .map(|host| earlier.taker(host, &route.matcher, routes))
            .collect();
        if let Some(first) = takers.and_then(|takers| takers.first().copied()) {
            let what = format!("route \"{}\" can never match", route.name);
            let other = format!("\"{}\" takes all its requests", routes[first].name);
            let problem = Problem::warning(places[i].place(), what)
                .also(places[first].place(), other)
                .help("the most specific route wins, then the earlier in the file: remove one, or narrow the other");
            problems.push(problem);
        }
        earlier.add(i, &route.matcher);
    }
}

/// The hosts of a match; `None` is every host.
fn hosts(matcher: &Match) -> impl Iterator<Item = Option<&HostPattern>> {
    let every = matcher.hosts.is_empty().then_some(None);
    every.into_iter().chain(matcher.hosts.iter().map(Some))
}

/// A path condition as a key: its kind and its text.
type PathKey<'a> = (u8, &'a str);

/// The key of a path condition.
fn path_key(path: &PathPattern) -> PathKey<'_> {
    match path {
        PathPattern::Any => (0, ""),
        PathPattern::Prefix(path) => (1, path),
        PathPattern::Exact(path) => (2, path),
        PathPattern::Regex(regex) => (3, regex.as_str()),
    }
}

/// Routes that come before, by what they could take from others.
///
/// The order puts the more specific path first, so that within one kind of host only a route with the very same path
/// can take all of a later one. A route with several hosts is ranked by its most specific one and may come before
/// anything.
#[derive(Default)]
struct Earlier<'a> {
    alike: HashMap<(Option<&'a HostPattern>, PathKey<'a>), Vec<usize>>,
    mixed: HashMap<Option<&'a HostPattern>, Vec<usize>>,
    compared: usize,
}

impl<'a> Earlier<'a> {
    fn add(&mut self, route: usize, matcher: &'a Match) {
        for host in hosts(matcher) {
            let key = (host, path_key(&matcher.path));
            self.alike.entry(key).or_default().push(route);
            if matcher.hosts.len() > 1 {
                self.mixed.entry(host).or_default().push(route);
            }
        }
    }

    /// The first route that takes every request of a host that this one could.
    fn taker(
        &mut self,
        host: Option<&'a HostPattern>,
        matcher: &'a Match,
        routes: &[Route],
    ) -> Option<usize> {
        let alike = self.alike.get(&(host, path_key(&matcher.path)));
        let all = alike.into_iter().chain(self.mixed.get(&host)).flatten();
        for other in all {
            self.compared += 1;
            if self.compared > MAX_PAIRS {
                return None;
            }
            if covers(&routes[*other].matcher, matcher) {
                return Some(*other);
            }
        }
        None
    }
}

/// Whether every request of a host that `narrow` takes is one that `wide` takes.
fn covers(wide: &Match, narrow: &Match) -> bool {
    let path = match (&wide.path, &narrow.path) {
        (PathPattern::Any, _) => true,
        (PathPattern::Prefix(a), PathPattern::Prefix(b) | PathPattern::Exact(b)) => {
            b.starts_with(a)
        }
        (PathPattern::Exact(a), PathPattern::Exact(b)) => a == b,
        (PathPattern::Regex(a), PathPattern::Regex(b)) => a.as_str() == b.as_str(),
        (PathPattern::Regex(a), PathPattern::Exact(b)) => a.is_match(b),
        _ => false,
    };
    let methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty() && narrow.methods.iter().all(|m| wide.methods.contains(m)));
    path && methods && wide.headers.iter().all(|h| narrow.headers.contains(h))
}
