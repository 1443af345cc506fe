//! One series: its seconds, its minutes, and the minute that runs.
//!
//! A minute is the sum of what came in it, its times are those of all its requests: never an average of percentiles.

use super::amounts::{Amounts, SIZES};
use super::point::{Kept, OfNodes, OfWhole, Point, Shape, together};
use super::ring::Ring;
use super::{MINUTES, SECONDS, Step};

/// Seconds of the minute that slides.
const SLIDES: usize = 60;

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    rings: Rings,
    /// What came in the minute that runs; none: nothing is known of it yet.
    running: Option<(Amounts, u64)>,
    /// Requests by the time they took, of each of the last sixty seconds: only where somebody asks for those together.
    lately: Option<Ring<[u32; SIZES]>>,
}

#[derive(Debug)]
enum Rings {
    Whole(Two<OfWhole>),
    Nodes(Two<OfNodes>),
}

#[derive(Debug)]
struct Two<P> {
    seconds: Ring<P>,
    minutes: Ring<P>,
}

impl<P: Kept> Two<P> {
    fn new() -> Self {
        Two {
            seconds: Ring::new(SECONDS),
            minutes: Ring::new(MINUTES),
        }
    }

    fn of(&self, step: Step) -> &Ring<P> {
        match step {
            Step::Second => &self.seconds,
            Step::Minute => &self.minutes,
        }
    }

    fn push(&mut self, step: Step, came: Option<&(Amounts, u64)>) {
        let point = came.map_or(P::NONE, |(came, in_flight)| P::of(came, *in_flight));
        match step {
            Step::Second => self.seconds.push(point),
            Step::Minute => self.minutes.push(point),
        }
    }
}

impl Series {
    /// One without points.
    pub(super) fn new(shape: Shape) -> Self {
        Series {
            rings: match shape {
                Shape::Whole => Rings::Whole(Two::new()),
                Shape::Nodes => Rings::Nodes(Two::new()),
            },
            running: None,
            lately: (shape == Shape::Whole).then(|| Ring::new(SLIDES)),
        }
    }

    /// Its shape.
    pub(super) fn shape(&self) -> Shape {
        match self.rings {
            Rings::Whole(_) => Shape::Whole,
            Rings::Nodes(_) => Shape::Nodes,
        }
    }

    /// The next second: what came in it; none: nothing is known of it.
    pub(super) fn second(&mut self, came: Option<&(Amounts, u64)>) {
        self.push(Step::Second, came);
        if let Some(lately) = &mut self.lately {
            let counts = came.map_or([0; SIZES], |(came, _)| {
                came.took.map(|n| n.try_into().unwrap_or(u32::MAX))
            });
            lately.push(counts);
        }
    }

    /// This came in the minute that runs.
    pub(super) fn runs(&mut self, came: &(Amounts, u64)) {
        let (sum, in_flight) = self.running.get_or_insert_default();
        sum.add(&came.0);
        *in_flight = came.1;
    }

    /// The minute that ran is over.
    pub(super) fn minute(&mut self) {
        let ran = self.running.take();
        self.push(Step::Minute, ran.as_ref());
    }

    fn push(&mut self, step: Step, came: Option<&(Amounts, u64)>) {
        match &mut self.rings {
            Rings::Whole(two) => two.push(step, came),
            Rings::Nodes(two) => two.push(step, came),
        }
    }

    /// Its last `n` points, the oldest first.
    pub(super) fn last(&self, step: Step, n: usize) -> Vec<Option<Point>> {
        match &self.rings {
            Rings::Whole(two) => two.of(step).last(n).map(Kept::told).collect(),
            Rings::Nodes(two) => two.of(step).last(n).map(Kept::told).collect(),
        }
    }

    /// Its last second.
    pub(super) fn latest(&self) -> Option<Point> {
        match &self.rings {
            Rings::Whole(two) => two.seconds.last(1).next()?.told(),
            Rings::Nodes(two) => two.seconds.last(1).next()?.told(),
        }
    }

    /// The last sixty seconds together; none: nothing is known of any of them, or nobody asks for them in this shape.
    pub(super) fn slides(&self) -> Option<Point> {
        let mut sum = Amounts::default();
        for counts in self.lately.as_ref()?.last(SLIDES) {
            for (to, n) in sum.took.iter_mut().zip(counts) {
                *to += u64::from(*n);
            }
        }
        let seconds = self.last(Step::Second, SLIDES);
        let mut in_flight = None;
        for point in seconds.into_iter().flatten() {
            sum.requests += point.requests;
            sum.errors += point.errors;
            sum.bytes_in += point.bytes_in;
            sum.bytes_out += point.bytes_out;
            sum.cache_hits += point.cache_hits;
            sum.cache_lookups += point.cache_lookups;
            sum.cache_hit_bytes += point.cache_hit_bytes;
            in_flight = Some(point.in_flight);
        }
        together(&sum, in_flight?)
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rings = match &self.rings {
            Rings::Whole(two) => two.seconds.bytes() + two.minutes.bytes(),
            Rings::Nodes(two) => two.seconds.bytes() + two.minutes.bytes(),
        };
        rings + self.lately.as_ref().map_or(0, Ring::bytes) + size_of::<Series>()
    }

    /// Memory that one takes when it is full, in bytes.
    pub(super) const fn full(shape: Shape) -> usize {
        let points = SECONDS + MINUTES;
        size_of::<Series>()
            + match shape {
                Shape::Whole => points * size_of::<OfWhole>() + SLIDES * size_of::<[u32; SIZES]>(),
                Shape::Nodes => points * size_of::<OfNodes>(),
            }
    }
}
