//! Who may come in and how often, of one generation: by port and by route.
//!
//! Made ready once, so that a request without a rule pays for one look. How often clients asked is kept over a reload
//! as long as the route's name and its limit stay: a reload must not hand out new bursts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::config::checked::{Config, Listen, RateLimit, Route, Scope};
use crate::guard::acl::Acl;
use crate::guard::rate::Rate;
use crate::guard::rate::shared::Count;
use crate::telemetry::metrics::{Metrics, RateLimitMetrics, SharedRateMetrics};

/// The doors of one generation.
#[derive(Debug)]
pub struct Doors {
    ports: Vec<(SocketAddr, Acl)>,
    /// Of each of `config.routes`.
    pub routes: Vec<Door>,
}

/// The door of a route.
#[derive(Debug)]
pub struct Door {
    /// Who may come in.
    pub acl: Acl,
    /// How often.
    pub limit: Option<Limit>,
}

/// A rate limit in use.
#[derive(Debug)]
pub struct Limit {
    /// Knows who asked how often.
    pub rate: Arc<Rate>,
    /// Where all proxies count together; the rate above then decides only while they cannot.
    pub together: Option<Together>,
    /// Whether it is only counted.
    pub dry_run: bool,
    /// Its metrics.
    pub metrics: RateLimitMetrics,
}

/// A rate limit that all proxies count together.
#[derive(Debug)]
pub struct Together {
    /// Their count.
    pub count: Arc<Count>,
    /// Its metrics.
    pub metrics: SharedRateMetrics,
}

/// A port as it was opened: which of `listen`, and its rule then.
#[derive(Debug)]
pub struct OpenPort {
    at: usize,
    listen: Listen,
    acl: Acl,
}

impl OpenPort {
    /// The port of `listen`'s entry `at`.
    pub fn new(at: usize, listen: &Listen) -> Self {
        OpenPort {
            at,
            listen: listen.clone(),
            acl: Acl::new(&listen.access),
        }
    }

    /// Which of `listen` it was.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What it is bound to, as the file says it.
    pub fn addr(&self) -> SocketAddr {
        self.listen.addr
    }

    /// Its entry in the file; as it was when the port was opened, where the file no longer names it.
    pub fn entry<'a>(&'a self, config: &'a Config) -> &'a Listen {
        let same = |l: &&Listen| l.addr == self.listen.addr;
        let here = config.listen.get(self.at).filter(same);
        here.or_else(|| config.listen.iter().find(same))
            .unwrap_or(&self.listen)
    }
}

impl Doors {
    /// The doors of `config`; limits that stay are taken over from `previous`. `shared` is what proxies count by.
    pub fn new(
        config: &Config,
        previous: Option<&Snapshot>,
        shared: Option<&Shared>,
        metrics: &Metrics,
        now: Instant,
    ) -> Self {
        let old: HashMap<&str, &Limit> = previous
            .into_iter()
            .flat_map(|p| p.config.routes.iter().zip(&p.doors.routes))
            .filter_map(|(route, door)| Some((route.name.as_str(), door.limit.as_ref()?)))
            .collect();
        // Who was refused is remembered as long as the count stays what it is.
        let together = |route: &Route, asked: &RateLimit, old: Option<&&Limit>| {
            let shared = shared.filter(|_| asked.scope == Scope::Cluster)?;
            let fresh = Count::new(&shared.prefix, &route.name, asked);
            let before = old.and_then(|limit| limit.together.as_ref());
            let kept = before.filter(|before| before.count.is(&fresh));
            Some(Together {
                count: kept.map_or_else(|| Arc::new(fresh), |before| before.count.clone()),
                metrics: metrics.shared_rate(&route.name),
            })
        };
        let limit = |route: &Route| {
            let asked = route.rate_limit.as_ref()?;
            let old = old.get(route.name.as_str());
            let kept = old.filter(|limit| limit.rate.fits(asked));
            let fresh = || Arc::new(Rate::new(asked, fastrand::u64(..), now));
            Some(Limit {
                rate: kept.map_or_else(fresh, |limit| limit.rate.clone()),
                together: together(route, asked, old),
                dry_run: asked.dry_run,
                metrics: metrics.rate_limit(&route.name),
            })
        };
        let door = |route: &Route| Door {
            acl: Acl::new(&route.access),
            limit: limit(route),
        };
        let port = |listen: &Listen| (listen.addr, Acl::new(&listen.access));
        Doors {
            ports: config.listen.iter().map(port).collect(),
            routes: config.routes.iter().map(door).collect(),
        }
    }

    /// Who may come in by a port. A port that the file no longer names is open until a restart, under its old rule.
    pub fn port<'a>(&'a self, open: &'a OpenPort) -> &'a Acl {
        let same = |(addr, _): &&(SocketAddr, Acl)| *addr == open.listen.addr;
        let here = self.ports.get(open.at).filter(same);
        here.or_else(|| self.ports.iter().find(same))
            .map_or(&open.acl, |(_, acl)| acl)
    }
}
