//! The figures of the last quarter of an hour by seconds, and of the last day by minutes: what graphs are drawn from
//! without a Prometheus beside.
//!
//! Time is told to it, and what came since it was last told. A second that was not looked at in time (the process was
//! stopped, or slow) has no point: a gap is drawn, no spike. What came meanwhile belongs to its minute all the same.
//! Bounded: a series is kept only where it fits whole into the memory that all of them may take.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

mod amounts;
mod point;
mod ring;
mod series;
mod share;
#[cfg(test)]
mod tests;

pub use amounts::{Amounts, SIZES};
pub use point::{Point, Shape};

use series::Series;

/// Seconds that are kept.
pub const SECONDS: usize = 15 * 60;
/// Minutes that are kept.
pub const MINUTES: usize = 24 * 60;
/// Memory that all series may take, in bytes: a hundred upstreams of ten nodes fit.
pub const CAPACITY: usize = 64 * 1024 * 1024;
/// Name of the series of all requests.
pub const TOTAL: &str = "total";

/// How far apart points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

impl Step {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Step::Second => 1,
            Step::Minute => 60,
        }
    }

    /// How many of them are kept.
    pub fn kept(self) -> usize {
        match self {
            Step::Second => SECONDS,
            Step::Minute => MINUTES,
        }
    }
}

/// Where a series is found, without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Series kept.
    pub series: usize,
    /// Memory they take, in bytes.
    pub bytes: usize,
    /// Memory they may take, in bytes.
    pub capacity: usize,
    /// Series that are not kept, for want of memory.
    pub not_kept: usize,
}

/// What a look at the counters finds.
#[derive(Debug)]
struct Round {
    /// Which second of the process's life.
    second: u64,
    /// Whether it was looked at right after the one before.
    in_time: bool,
    /// Seconds before it of which nothing is known.
    missed: usize,
    /// Minutes that ended before it: the one that ran, and those of which nothing is known.
    ended: usize,
    /// What came since the last look belongs to the minute that runs.
    counts: bool,
}

/// All series.
#[derive(Debug)]
pub struct History {
    capacity: usize,
    names: HashMap<String, usize>,
    series: Vec<Option<Series>>,
    not_kept: usize,
    /// The second that was looked at last, and when that was.
    last: Option<(u64, SystemTime)>,
    minute_ended: Option<SystemTime>,
    round: Option<Round>,
}

impl History {
    /// None yet; all of them may take `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        History {
            capacity,
            names: HashMap::new(),
            series: Vec::new(),
            not_kept: 0,
            last: None,
            minute_ended: None,
            round: None,
        }
    }

    /// From now on there are these series, the more important first; others are forgotten. Says where each is found;
    /// none: it does not fit.
    pub fn keep(&mut self, wanted: &[(String, Shape)]) -> Vec<Option<Place>> {
        let names: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let series = &mut self.series;
        self.names.retain(|name, at| {
            let stays = names.contains(name.as_str());
            if !stays {
                series[*at] = None;
            }
            stays
        });
        let places: Vec<_> = wanted
            .iter()
            .map(|(name, shape)| self.place(name, *shape))
            .collect();
        self.not_kept = places.iter().filter(|place| place.is_none()).count();
        places
    }

    fn place(&mut self, name: &str, shape: Shape) -> Option<Place> {
        if let Some(at) = self.names.get(name) {
            return Some(Place(*at));
        }
        let full = |s: &Series| Series::full(s.shape());
        let taken: usize = self.series.iter().flatten().map(full).sum();
        if taken + Series::full(shape) > self.capacity {
            return None;
        }
        let free = self.series.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.series.push(None);
            self.series.len() - 1
        });
        self.series[at] = Some(Series::new(shape));
        self.names.insert(name.into(), at);
        Some(Place(at))
    }

    /// Begins a look at the counters, so long after the process began; `at` is the same by the calendar. `false`: it
    /// comes too soon, there is nothing to note.
    pub fn begin(&mut self, age: Duration, at: SystemTime) -> bool {
        let second = age.as_secs();
        let before = self
            .last
            .map_or(second.wrapping_sub(1), |(second, _)| second);
        let steps = match self.last {
            Some(_) if second <= before => return false,
            Some(_) => second - before,
            None => 1,
        };
        let ended = match self.last {
            Some(_) => second / 60 - before / 60,
            None => 0,
        };
        let few = |n: u64, most: usize| usize::try_from(n).unwrap_or(most).min(most);
        if ended > 0 {
            self.minute_ended = Some(at);
        }
        self.round = Some(Round {
            second,
            in_time: steps == 1,
            missed: few(steps - 1, SECONDS),
            ended: few(ended, MINUTES),
            counts: steps < 60,
        });
        self.last = Some((second, at));
        true
    }

    /// What came in a series since the last look, and how many requests are in flight.
    pub fn note(&mut self, place: Place, came: &Amounts, in_flight: u64) {
        let (Some(round), Some(Some(series))) = (&self.round, self.series.get_mut(place.0)) else {
            return;
        };
        for _ in 0..round.ended {
            series.minute();
        }
        for _ in 0..round.missed {
            series.second(None);
        }
        let came = (*came, in_flight);
        series.second(round.in_time.then_some(&came));
        if round.counts {
            series.runs(&came);
        }
    }

    /// The second that was looked at last, counted from the beginning of the process.
    pub fn second(&self) -> Option<u64> {
        Some(self.round.as_ref()?.second)
    }

    /// What a series keeps; none: there is no such series.
    pub fn shape(&self, name: &str) -> Option<Shape> {
        Some(self.named(name)?.shape())
    }

    /// The last `most` points of a series, the oldest first; one of which nothing is known is none.
    pub fn points(&self, name: &str, step: Step, most: usize) -> Option<Vec<Option<Point>>> {
        Some(self.named(name)?.last(step, most))
    }

    /// When the last point of this step ended.
    pub fn ended(&self, step: Step) -> Option<SystemTime> {
        match step {
            Step::Second => self.last.map(|(_, at)| at),
            Step::Minute => self.minute_ended,
        }
    }

    /// The last second of a series; none: nothing is known of it.
    pub fn last_second(&self, name: &str) -> Option<Point> {
        self.named(name)?.latest()
    }

    /// The last sixty seconds of a series of [`Shape::Whole`] together; none: nothing is known of them.
    pub fn last_minute(&self, name: &str) -> Option<Point> {
        self.named(name)?.slides()
    }

    fn named(&self, name: &str) -> Option<&Series> {
        self.series.get(*self.names.get(name)?)?.as_ref()
    }

    /// How much is kept.
    pub fn size(&self) -> Size {
        let names: usize = self.names.keys().map(String::capacity).sum();
        Size {
            series: self.names.len(),
            bytes: self
                .series
                .iter()
                .flatten()
                .map(Series::bytes)
                .sum::<usize>()
                + names,
            capacity: self.capacity,
            not_kept: self.not_kept,
        }
    }
}

/// The name of the series of an upstream.
pub fn upstream(name: &str) -> String {
    format!("upstream:{name}")
}

/// The name of the series of a node.
pub fn node(upstream: &str, id: &str) -> String {
    format!("node:{upstream}/{id}")
}

/// The name of the series of a route.
pub fn route(name: &str) -> String {
    format!("route:{name}")
}
