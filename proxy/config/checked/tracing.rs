//! What the program believes of traces, request ids and who is told of them.
//!
//! Values with a meaning, whatever was written. Secrets are never shown: values of the collector's fields are marked.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// Which trace requests belong to, and where that is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// What becomes of a request's trace.
    pub context: TraceContext,
    /// Which traces are recorded.
    pub sample: Sample,
    /// What this program is called in traces.
    pub service: String,
    /// Who is told how long an answer took.
    pub server_timing: ServerTiming,
    /// The field with a request's id.
    pub request_id: RequestId,
    /// Who collects spans; `None`: none are made. Only where `context` is [`TraceContext::Create`].
    pub otlp: Option<Otlp>,
}

/// What becomes of `traceparent` and `tracestate` (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceContext {
    /// They go on as they came, whatever they say.
    Off,
    /// They go on as they came where they are right, and else not at all.
    Pass,
    /// Every request has a trace: the one it came with, or a new one. Nodes get our place in it.
    Create,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// Those that whoever asked records.
    Parent,
    /// This share of them, 0.0 to 1.0; where a trusted proxy asked, those that it records.
    Share(f64),
}

/// Who gets `Server-Timing` (W3C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTiming {
    /// Nobody.
    Off,
    /// Peers in `trusted_proxies`.
    Trusted,
    /// Everybody.
    On,
}

/// The field with a request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// Its name.
    pub header: HeaderName,
    /// The same as it was written: what goes out keeps its letter case.
    pub shown: String,
    /// Whether clients get it too.
    pub returned: bool,
}

/// Who collects spans (OTLP over HTTP, in protobuf).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// The whole address that batches are sent to.
    pub endpoint: String,
    /// Where `headers` were read.
    pub headers_file: Option<PathBuf>,
    /// Fields that the collector asks for; marked as sensitive, so that they are never printed.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one batch may take.
    pub timeout: Duration,
    /// Spans that wait, at the most.
    pub queue: usize,
}
