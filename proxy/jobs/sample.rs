//! Once a second, what came since the second before: read from the metrics, noted in the history.
//!
//! Handles are kept from one generation to the next: no name is looked up for a figure. Nothing here is on a request's
//! way, which only counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::{MissedTickBehavior, interval_at};

use crate::balance::node::Node;
use crate::live::control::Control;
use crate::telemetry::history::{self, Amounts, Place, Shape, TOTAL};
use crate::telemetry::metrics::{NodeMetrics, RouteMetrics, STAYS};

const SECOND: Duration = Duration::from_secs(1);

/// Notes figures until the process ends.
pub async fn run(control: &Control) {
    let started = control.lifecycle.started();
    let age = Instant::now().duration_since(started).as_secs();
    let next = started + Duration::from_secs(age + 1);
    let mut seconds = interval_at(next.into(), SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut generations = control.generations();
    let mut sampler = Sampler {
        // What was counted before this job fell over and was started again did not come in one second.
        counted_before: control.history.lock().second().is_some(),
        ..Sampler::default()
    };
    sampler.follow(control, Instant::now());
    sampler.counted_before = false;
    loop {
        tokio::select! {
            _ = seconds.tick() => sampler.sample(control, Instant::now(), SystemTime::now()),
            changed = generations.changed() => match changed {
                // At once: what is new counts from here.
                Ok(()) => sampler.follow(control, Instant::now()),
                Err(_) => return,
            },
        }
    }
}

/// Everything that is read, and what it said last.
#[derive(Default)]
struct Sampler {
    total: Option<Place>,
    routes: Vec<Source<Arc<RouteMetrics>>>,
    upstreams: Vec<Source<Sum>>,
    nodes: Vec<Source<OfNode>>,
    /// What is new to it was counted before; otherwise its counts begin at nothing, however late it is looked at.
    counted_before: bool,
}

/// Something that is read.
struct Source<T> {
    name: String,
    what: T,
    place: Option<Place>,
    /// What it said last.
    last: Amounts,
    /// Since when the configuration in use no longer names it.
    gone: Option<Instant>,
}

struct OfNode {
    node: Arc<Node>,
    metrics: Arc<NodeMetrics>,
    /// Position of its upstream.
    upstream: usize,
}

/// What came on the nodes of an upstream together.
#[derive(Default)]
struct Sum {
    came: Amounts,
    in_flight: u64,
}

impl<T> Source<T> {
    /// One that is read from now on; `before`: how to read what is no news.
    fn new(name: String, what: T, before: Option<fn(&T, &mut Amounts)>) -> Self {
        let mut last = Amounts::default();
        if let Some(read) = before {
            read(&what, &mut last);
        }
        Source {
            name,
            what,
            place: None,
            last,
            gone: None,
        }
    }

    /// What came since it was read last.
    fn advance(&mut self, read: impl FnOnce(&T, &mut Amounts)) -> Amounts {
        let before = self.last;
        read(&self.what, &mut self.last);
        self.last.since(&before)
    }

    /// Whether it stays in sight.
    fn stays(&self, now: Instant) -> bool {
        self.gone
            .is_none_or(|since| now.duration_since(since) < STAYS)
    }
}

fn read_route(metrics: &Arc<RouteMetrics>, amounts: &mut Amounts) {
    metrics.read(amounts);
}

fn read_node(of: &OfNode, amounts: &mut Amounts) {
    of.metrics.read(amounts);
}

impl Sampler {
    /// Reads what the generation in use names from now on, and for a while what the one before named.
    fn follow(&mut self, control: &Control, now: Instant) {
        self.follow_routes(control, now);
        self.follow_nodes(control, now);
        self.keep(control);
    }

    fn follow_routes(&mut self, control: &Control, now: Instant) {
        let snapshot = control.hold.load();
        let mut known = by_name(&mut self.routes);
        let before = self.counted_before.then_some(read_route as fn(&_, &mut _));
        let no_route = crate::live::build::NO_ROUTE;
        let names = snapshot.config.routes.iter().map(|r| r.name.as_str());
        let metrics = snapshot.route_metrics.iter();
        let is_taken = names.clone().any(|name| name == no_route);
        let none = (!is_taken).then_some((no_route, &snapshot.no_route_metrics));
        for (name, metrics) in names.zip(metrics).chain(none) {
            let name = history::route(name);
            let same = known.remove(&name);
            let same = same.filter(|source| Arc::ptr_eq(&source.what, metrics));
            self.routes.push(match same {
                Some(source) => Source {
                    gone: None,
                    ..source
                },
                None => Source::new(name, metrics.clone(), before),
            });
        }
        self.routes.extend(leave(known, now));
    }

    fn follow_nodes(&mut self, control: &Control, now: Instant) {
        let snapshot = control.hold.load();
        let mut known_upstreams = by_name(&mut self.upstreams);
        let mut known = by_name(&mut self.nodes);
        let before = self.counted_before.then_some(read_node as fn(&_, &mut _));
        for upstream in &snapshot.upstreams {
            let name = history::upstream(&upstream.name);
            let same = known_upstreams.remove(&name);
            let source = same.unwrap_or_else(|| Source::new(name, Sum::default(), None));
            let at = self.upstreams.len();
            self.upstreams.push(Source {
                gone: None,
                ..source
            });
            for (candidate, member) in upstream.pool.candidates().iter().zip(&upstream.members) {
                let name = history::node(&upstream.name, &candidate.node.id);
                let what = OfNode {
                    node: candidate.node.clone(),
                    metrics: member.metrics.clone(),
                    upstream: at,
                };
                let same = known.remove(&name);
                let same = same.filter(|s| Arc::ptr_eq(&s.what.metrics, &what.metrics));
                self.nodes.push(match same {
                    Some(source) => Source {
                        what,
                        gone: None,
                        ..source
                    },
                    None => Source::new(name, what, before),
                });
            }
        }
        self.upstreams.extend(leave(known_upstreams, now));
        let places: HashMap<&str, usize> = (self.upstreams.iter().enumerate())
            .map(|(at, upstream)| (upstream.name.as_str(), at))
            .collect();
        let left = leave(known, now).filter_map(|mut source| {
            let name = history::upstream(&source.what.node.upstream);
            source.what.upstream = *places.get(name.as_str())?;
            Some(source)
        });
        self.nodes.extend(left);
    }

    /// Tells the history which series there are, the more important first.
    fn keep(&mut self, control: &Control) {
        let wanted: Vec<_> = std::iter::once((TOTAL.to_string(), Shape::Whole))
            .chain(named(&self.routes, Shape::Whole))
            .chain(named(&self.upstreams, Shape::Nodes))
            .chain(named(&self.nodes, Shape::Nodes))
            .collect();
        let mut places = control.history.lock().keep(&wanted).into_iter();
        self.total = places.next().flatten();
        let mut put = |place: &mut Option<Place>| *place = places.next().flatten();
        self.routes.iter_mut().for_each(|s| put(&mut s.place));
        self.upstreams.iter_mut().for_each(|s| put(&mut s.place));
        self.nodes.iter_mut().for_each(|s| put(&mut s.place));
    }

    /// Reads everything, and notes what came.
    fn sample(&mut self, control: &Control, now: Instant, at: SystemTime) {
        let age = now.duration_since(control.lifecycle.started());
        let mut history = control.history.lock();
        if !history.begin(age, at) {
            return;
        }
        let mut note = |place: Option<Place>, came: &Amounts, in_flight| {
            if let Some(place) = place {
                history.note(place, came, in_flight);
            }
        };
        let mut total = Amounts::default();
        for route in &mut self.routes {
            let came = route.advance(read_route);
            total.add(&came);
            note(route.place, &came, 0);
        }
        let in_flight = u64::try_from(control.metrics.in_flight()).unwrap_or(0);
        note(self.total, &total, in_flight);
        for node in &mut self.nodes {
            let came = node.advance(read_node);
            let in_flight = node.what.node.in_flight() as u64;
            note(node.place, &came, in_flight);
            let sum = &mut self.upstreams[node.what.upstream].what;
            sum.came.add(&came);
            sum.in_flight += in_flight;
        }
        for upstream in &mut self.upstreams {
            let Sum { came, in_flight } = std::mem::take(&mut upstream.what);
            note(upstream.place, &came, in_flight);
        }
        drop(history);
        self.forget_gone(control, now);
        control.sampled.send_replace(age.as_secs());
    }

    /// What has been gone for long enough is forgotten, as its metrics are.
    fn forget_gone(&mut self, control: &Control, now: Instant) {
        let routes = self.routes.iter().all(|s| s.stays(now));
        let upstreams = self.upstreams.iter().all(|s| s.stays(now));
        if routes && upstreams && self.nodes.iter().all(|s| s.stays(now)) {
            return;
        }
        self.routes.retain(|s| s.stays(now));
        self.nodes.retain(|s| s.stays(now));
        // An upstream leaves with the last of its nodes.
        let (mut stay, mut to) = (Vec::new(), Vec::new());
        for (at, upstream) in std::mem::take(&mut self.upstreams).into_iter().enumerate() {
            let stays = upstream.stays(now) || self.nodes.iter().any(|n| n.what.upstream == at);
            to.push(stay.len());
            if stays {
                stay.push(upstream);
            }
        }
        self.upstreams = stay;
        for node in &mut self.nodes {
            node.what.upstream = to[node.what.upstream];
        }
        self.keep(control);
    }
}

fn by_name<T>(sources: &mut Vec<Source<T>>) -> HashMap<String, Source<T>> {
    let all = std::mem::take(sources).into_iter();
    all.map(|source| (source.name.clone(), source)).collect()
}

/// Those that the generation in use does not name.
fn leave<T>(known: HashMap<String, Source<T>>, now: Instant) -> impl Iterator<Item = Source<T>> {
    known.into_values().map(move |source| Source {
        gone: source.gone.or(Some(now)),
        ..source
    })
}

fn named<T>(sources: &[Source<T>], shape: Shape) -> impl Iterator<Item = (String, Shape)> {
    sources
        .iter()
        .map(move |source| (source.name.clone(), shape))
}
