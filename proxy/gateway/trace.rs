//! Which trace a request belongs to, which id it has, and what its client is told of that.
//!
//! One function for both lanes each, generic over the form of the fields. While the file asks for nothing of it, this
//! costs a look at a word. Ids are drawn here; what they mean is `base/trace`'s.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::ctx::Ctx;
use super::lookup::head::{Sink, number};
use crate::base::cached::Outcome;
use crate::base::fields::Fields;
use crate::base::trace::{self, Onward, Trace};
use crate::config::checked::{RequestId, Sample, ServerTiming, TraceContext, Tracing};

/// `Server-Timing` (W3C)
const SERVER_TIMING: &str = "Server-Timing";
/// Bytes of an id that a proxy in front may have given.
const LONGEST_ID: usize = 128;

/// What is known of a request's trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traced {
    /// Its trace; `None`: it has none, or it is no business of ours.
    pub trace: Option<Trace>,
    /// What becomes of the fields on their way to a node.
    pub onward: Onward,
    /// A span of it goes to the collector.
    pub is_recorded: bool,
}

/// What a request says of its trace, and what we make of it. `trusted`: the peer is a proxy that is believed.
pub fn arrives(fields: &impl Fields, rules: &Tracing, trusted: bool) -> Traced {
    if rules.context == TraceContext::Off {
        return Traced::default();
    }
    let said = trace::said(fields);
    let without = Onward {
        drops_parent: said.any && said.trace.is_none(),
        drops_state: said.any && !said.state,
        ours: None,
    };
    if rules.context == TraceContext::Pass {
        return Traced {
            trace: said.trace,
            onward: without,
            is_recorded: false,
        };
    }
    let sampled = is_sampled(rules.sample, said.trace, trusted, fastrand::f64);
    let ours = match said.trace {
        Some(theirs) => theirs.goes_on(fastrand::u64(..), sampled),
        None => Trace::begins(fastrand::u128(..), fastrand::u64(..), sampled),
    };
    Traced {
        trace: Some(ours),
        onward: Onward {
            drops_parent: said.any,
            ours: Some(ours),
            ..without
        },
        is_recorded: sampled && rules.otlp.is_some(),
    }
}

/// Whether a trace is recorded. `dice` is a random number in `0.0..1.0`. What a stranger wants is not asked: anybody
/// could have all of their requests recorded.
fn is_sampled(
    rules: Sample,
    parent: Option<Trace>,
    trusted: bool,
    dice: impl FnOnce() -> f64,
) -> bool {
    match (rules, parent) {
        (Sample::Parent, parent) => parent.is_some_and(Trace::is_sampled),
        (Sample::Share(_), Some(parent)) if trusted => parent.is_sampled(),
        (Sample::Share(share), _) => dice() < share,
    }
}

/// The id that a trusted peer gave the request, where it gave one that can stand in a log and in an answer.
pub fn given_id(fields: &impl Fields, rules: &RequestId) -> Option<HeaderValue> {
    let mut lines = fields.lines(&rules.header);
    let (first, second) = (lines.next()?, lines.next());
    let fine = |b: &u8| b.is_ascii_alphanumeric() || b"-._~:/+=@".contains(b);
    let fits = second.is_none() && (1..=LONGEST_ID).contains(&first.len());
    let is_id = fits && first.iter().all(fine);
    HeaderValue::from_bytes(first).ok().filter(|_| is_id)
}

/// Whether the client gets `Server-Timing`.
pub fn tells_times(rules: &Tracing, trusted: bool) -> bool {
    match rules.server_timing {
        ServerTiming::Off => false,
        ServerTiming::Trusted => trusted,
        ServerTiming::On => true,
    }
}

/// How long the parts of an answer took, as far as they were.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// What the cache did.
    pub cache: Option<Outcome>,
    /// Time it waited for a place on a node.
    pub queue: Option<Duration>,
    /// Time to connect to the node.
    pub connect: Option<Duration>,
    /// From its arrival to the first byte of the node's answer.
    pub ttfb: Option<Duration>,
    /// From its arrival to now, when the head goes out.
    pub total: Duration,
}

impl Times {
    /// Writes the value of `Server-Timing`.
    fn put(&self, text: &mut Vec<u8>) {
        if let Some(outcome) = self.cache {
            text.extend_from_slice(b"cache;desc=");
            text.extend_from_slice(outcome.as_str().as_bytes());
            text.extend_from_slice(b", ");
        }
        let some = [
            ("queue", self.queue),
            ("connect", self.connect),
            ("ttfb", self.ttfb),
        ];
        let some = some.into_iter().filter_map(|(name, t)| Some((name, t?)));
        for (at, (name, time)) in some.chain([("total", self.total)]).enumerate() {
            if at > 0 {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b";dur=");
            millis(text, time);
        }
    }
}

/// Writes milliseconds, to the microsecond.
fn millis(text: &mut Vec<u8>, time: Duration) {
    let micros = time.as_micros();
    number(text, micros / 1_000);
    text.push(b'.');
    let rest = (micros % 1_000) as u16; // below a thousand
    for by in [100, 10, 1] {
        text.push(b'0' + (rest / by % 10) as u8); // a digit
    }
}

/// What the head of an answer says of the request, for its client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Says<'a> {
    /// Its id, in the field of that name.
    pub id: Option<(&'a RequestId, &'a HeaderValue)>,
    /// How long its parts took.
    pub times: Option<Times>,
}

impl Says<'_> {
    /// Writes it behind the lines of a head.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some((name, id)) = self.id {
            for part in [name.shown.as_bytes(), b": ", id.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        if let Some(times) = &self.times {
            // Into memory, which takes it.
            let _ = out.own(SERVER_TIMING, |text| times.put(text));
        }
    }

    /// Puts it into a head.
    ///
    /// # Errors
    /// When a field cannot be set, which does not happen: both were checked.
    pub fn put(&self, head: &mut ResponseHeader) -> Result<()> {
        if let Some((name, id)) = self.id {
            head.insert_header(name.shown.clone(), id.clone())?;
        }
        match &self.times {
            Some(times) => head.own(SERVER_TIMING, |text| times.put(text)),
            None => Ok(()),
        }
    }
}

/// Puts into the head of an answer what its client is told of the request. The id takes the place of any other that a
/// node sent; times stand beside those of the node.
pub fn says(head: &mut ResponseHeader, ctx: &Ctx) {
    let rules = &ctx.snapshot.config.tracing;
    if rules.request_id.returned {
        // A name and a value that were checked.
        let _ = head.insert_header(rules.request_id.shown.clone(), ctx.id.clone());
    }
    if tells_times(rules, ctx.trusted) {
        let mut text = Vec::with_capacity(96);
        times(ctx).put(&mut text);
        if let Ok(value) = HeaderValue::try_from(text) {
            let _ = head.append_header(SERVER_TIMING, value);
        }
    }
}

/// The times of a request so far.
fn times(ctx: &Ctx) -> Times {
    let total = ctx.begun.elapsed();
    let cache = ctx.cached.outcome;
    match ctx.fetched.as_ref().map(|fetch| fetch.told()) {
        Some(told) => Times {
            cache,
            queue: told.queued,
            connect: told.connect,
            ttfb: told.answered.map(|at| at.duration_since(ctx.begun)),
            total,
        },
        None => Times {
            cache,
            queue: ctx.queued,
            connect: ctx.connect,
            ttfb: ctx.ttfb,
            total,
        },
    }
}

/// Whether what is stored says itself what we would say: it cannot go out beside ours.
pub fn is_said_by(rules: &Tracing, has: impl FnOnce(&HeaderName) -> bool) -> bool {
    rules.request_id.returned && has(&rules.request_id.header)
}

#[cfg(test)]
mod tests;
