//! What was written becomes what the program believes.
//!
//! Every check runs, whatever the ones before it found: an operator sees all mistakes at once, each with its place,
//! its reason and a remedy. A value that is wrong is replaced by its default so that the rest can be checked; the
//! outcome is thrown away then. Nothing here may read a file, resolve a name or look at the clock.

/// `acme:`
pub mod acme;
/// Addresses.
pub mod addr;
/// `admin:`
mod admin;
/// `cache:`
pub mod cache;
/// `compress:`
pub mod compress;
/// `dns:`
pub mod dns;
/// What is done about nodes that fail, are new, or are full.
pub mod failure;
/// Header fields and their values.
mod fields;
/// `h2:`
mod h2;
/// `hash:`
pub mod hash;
/// `health:`
pub mod health;
/// What is allowed but probably not meant.
mod hints;
/// `limits:` and `requests:`
pub mod limits;
/// `match:`
pub mod matcher;
/// `minify:`
pub mod minify;
/// Ports that ask clients for certificates, beside ports that do not.
mod mtls;
/// Ranges of addresses.
mod nets;
/// `nodes:`
pub mod node;
/// `tls:` and `proxy_protocol:` of an upstream
pub mod node_tls;
/// The order of routes.
mod order;
/// `rate_limit:`
pub mod rate;
/// `retry:`
pub mod retry;
/// `routes:`
mod route;
/// `split:`
mod split;
/// `sticky:`
pub mod sticky;
/// `tls:` of a data port
pub mod tls;
/// What proxies do together.
mod together;
/// Files with a bearer token.
mod token;
/// Sections at the top of the file.
pub mod top;
/// `tracing:`
pub mod tracing;
/// `upstreams:`
pub mod upstream;
/// Words become values.
pub mod words;

use super::checked::Config;
use super::files::Gathered;
use super::index::At;
use super::problem::Problems;

/// Where the parts of a checked configuration were written, in its order.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The main file.
    pub root: At,
    /// Each upstream and its nodes.
    pub upstreams: Vec<(At, Vec<At>)>,
    /// Each route.
    pub routes: Vec<At>,
}

/// Checks everything. The configuration returned is usable only when no error was told.
pub fn validate(all: Gathered, problems: &mut Problems) -> (Config, Origins) {
    let (file, root) = (&all.file, &all.at);
    let listen = top::listen(&all, problems);
    let admin = admin::check(&all, &listen, problems);
    let mut upstreams = Vec::with_capacity(all.upstreams.len());
    let mut origins = Vec::with_capacity(all.upstreams.len());
    for raw in &all.upstreams {
        let (upstream, nodes) = upstream::check(raw, problems);
        upstreams.push(upstream);
        origins.push((raw.at.clone(), nodes));
    }
    let routes = route::check_all(&all, &upstreams, problems);
    let (routes, route_origins) = order::sorted(routes).into_iter().unzip();
    let config = Config {
        listen,
        admin,
        acme: acme::check(&all, problems),
        threads: top::threads(file, root, problems),
        trusted_proxies: top::trusted_proxies(file, root, problems),
        limits: limits::limits(file, root, problems),
        requests: limits::requests(file, root, problems),
        timeouts: top::timeouts(file, root, problems),
        shutdown: top::shutdown(file, root, problems),
        access_log: top::access_log(file, root, problems),
        tracing: tracing::check(&all, problems),
        dns: dns::check(file, root, problems),
        cache: cache::check(&all, problems),
        upstreams,
        routes,
    };
    let origins = Origins {
        root: root.clone(),
        upstreams: origins,
        routes: route_origins,
    };
    together::check(&config, &origins, problems);
    mtls::check(&config, &origins, problems);
    acme::fits(&config, root, problems);
    // On top of errors, guesses about what was meant would only be noise.
    if !problems.any_error() {
        hints::give(&config, &origins, problems);
    }
    (config, origins)
}
