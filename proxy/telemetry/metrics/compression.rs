//! What is counted of compression.
//!
//! Handles for every encoding and every reason exist from the start: nothing is looked up when an answer is sent.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, Registry, histogram_opts};

use super::{counters, register};
use crate::base::coding::{Coding, Skipped};

/// Upper bounds of the histogram of the time that one answer takes, in seconds: of all its pieces together.
const BUCKETS: [f64; 10] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0,
];

/// Metrics of compression. Decoding is not counted among them.
#[derive(Debug)]
pub struct CompressionMetrics {
    bytes_in: IntCounterVec,
    bytes_out: IntCounterVec,
    took: HistogramVec,
    skipped: IntCounterVec,
}

impl CompressionMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let bytes_in = counters(
            r,
            "compression_bytes_in_total",
            "Bytes of answers before they were compressed.",
            &["encoding"],
        );
        let bytes_out = counters(
            r,
            "compression_bytes_out_total",
            "The same bytes after it.",
            &["encoding"],
        );
        let options = histogram_opts!(
            "compression_duration_seconds",
            "Time a thread was busy compressing one answer.",
            BUCKETS.to_vec()
        );
        let took = register(r, HistogramVec::new(options, &["encoding"]));
        let skipped = counters(
            r,
            "compression_skipped_total",
            "Answers of routes that compress which were sent as they are, by reason.",
            &["reason"],
        );
        for coding in Coding::ALL.into_iter().skip(1) {
            let word = &[coding.as_str()];
            let _ = bytes_in.with_label_values(word);
            let _ = bytes_out.with_label_values(word);
            let _ = took.with_label_values(word);
        }
        for reason in Skipped::ALL {
            let _ = skipped.with_label_values(&[reason.as_str()]);
        }
        CompressionMetrics {
            bytes_in,
            bytes_out,
            took,
            skipped,
        }
    }

    /// An answer was compressed, whole or as far as it came.
    pub fn compressed(&self, coding: Coding, bytes_in: u64, bytes_out: u64, took: Duration) {
        let word = &[coding.as_str()];
        self.bytes_in.with_label_values(word).inc_by(bytes_in);
        self.bytes_out.with_label_values(word).inc_by(bytes_out);
        let took = took.as_secs_f64();
        self.took.with_label_values(word).observe(took);
    }

    /// An answer was sent as it is.
    pub fn skipped(&self, reason: Skipped) {
        let word = &[reason.as_str()];
        self.skipped.with_label_values(word).inc();
    }
}
