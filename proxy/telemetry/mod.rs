//! What the operator can see: metrics, the access log, and the one record both are fed from.

/// Requests, a line each.
pub mod access_log;
/// Who changed what.
pub mod audit;
/// What happened.
pub mod events;
/// What is told of a finished request.
pub mod finished;
/// A flood of refusals.
pub mod flood;
/// Figures of the last minutes and hours.
pub mod history;
/// Why answers were lately not stored.
pub mod lately;
/// Counters, gauges, histograms.
pub mod metrics;
/// The last of something, each with a number.
pub mod ring;
/// The slow requests of late.
pub mod slow;
/// Finished requests, for who listens now.
pub mod tap;
/// What is asked for most.
pub mod top;
/// Spans for who collects them.
pub mod traces;
