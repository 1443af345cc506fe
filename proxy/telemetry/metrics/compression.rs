//! What is counted of compression.
//!
//! Handles for every encoding and every reason exist from the start: nothing is looked up when an answer is sent.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::family::{Counters, Families, Histograms, counter, counters, gauge, histograms};
use crate::base::coding::{Coding, PerCoding, Skipped};

/// Upper bounds of the histogram of the time that one answer takes, in seconds: of all its pieces together. Large ones
/// at the best level take seconds.
const BUCKETS: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 5.0, 20.0,
];
/// The label `by`: while a client waited, or behind the answers.
const BY: [&str; 2] = ["live", "background"];
/// Why a body could not be decoded.
const FAULTS: [&str; 3] = ["broken", "too_large", "ratio"];

/// Metrics of compression. The time of decoding is not counted among them.
#[derive(Debug)]
pub struct CompressionMetrics {
    codings: PerCoding<CodingMetrics>,
    /// By [`Skipped`], in its order.
    skipped: Vec<IntCounter>,
    /// By [`FAULTS`].
    decode_failed: [IntCounter; FAULTS.len()],
    reduced: IntCounter,
    queue: IntGauge,
    dropped: IntCounter,
}

/// What is counted of one encoding.
#[derive(Debug)]
struct CodingMetrics {
    bytes_in: IntCounter,
    bytes_out: IntCounter,
    took: Histogram,
    /// By [`BY`].
    stored: [IntCounter; BY.len()],
}

impl CompressionMetrics {
    pub(super) fn new(f: &Families) -> Self {
        let skipped = counters(
            f,
            "compression_skipped_total",
            "Answers of routes that compress which were sent as they are, by reason.",
            &["reason"],
        );
        let failed = counters(
            f,
            "compression_decode_failed_total",
            "Encoded answers of nodes that could not be decoded for a client, by reason.",
            &["reason"],
        );
        let reduced = counter(
            f,
            "compression_reduced_total",
            "Answers compressed at the lowest level, because the thread was busy (max_cpu).",
        );
        let queue = gauge(
            f,
            "recompress_queue_entries",
            "Stored answers that wait to be compressed better.",
        );
        let dropped = counter(
            f,
            "recompress_dropped_total",
            "Stored answers that were worth it and found no place in the queue.",
        );
        CompressionMetrics {
            codings: CodingFamilies::new(f).handles(),
            skipped: (Skipped::ALL.iter())
                .map(|reason| skipped.with_label_values(&[reason.as_str()]))
                .collect(),
            decode_failed: FAULTS.map(|word| failed.with_label_values(&[word])),
            reduced,
            queue,
            dropped,
        }
    }

    /// An answer was compressed, whole or as far as it came.
    pub fn compressed(&self, coding: Coding, bytes_in: u64, bytes_out: u64, took: Duration) {
        if let Some(of) = self.codings.get(coding) {
            of.bytes_in.inc_by(bytes_in);
            of.bytes_out.inc_by(bytes_out);
            of.took.observe(took.as_secs_f64());
        }
    }

    /// An answer was sent as it is.
    pub fn skipped(&self, reason: Skipped) {
        if let Some(counter) = self.skipped.get(reason as usize) {
            counter.inc();
        }
    }

    /// An answer is compressed at the lowest level for want of time.
    pub fn reduced(&self) {
        self.reduced.inc();
    }

    /// A compressed form was kept beside a stored body; made behind the answers, or while a client waited.
    pub fn stored(&self, coding: Coding, in_background: bool) {
        if let Some(of) = self.codings.get(coding) {
            of.stored[usize::from(in_background)].inc();
        }
    }

    /// A body could not be decoded; `reason` is `broken`, `too_large` or `ratio`.
    pub fn decode_failed(&self, reason: &str) {
        let known = FAULTS.iter().position(|word| *word == reason);
        if let Some(at) = known {
            self.decode_failed[at].inc();
        }
    }

    /// So many more wait to be compressed better; fewer, below 0.
    pub fn queued(&self, more: i64) {
        self.queue.add(more);
    }

    /// One found no place among them.
    pub fn dropped(&self) {
        self.dropped.inc();
    }
}

/// The families that have a label for the encoding.
struct CodingFamilies {
    bytes_in: Counters,
    bytes_out: Counters,
    took: Histograms,
    stored: Counters,
}

impl CodingFamilies {
    fn new(f: &Families) -> Self {
        CodingFamilies {
            bytes_in: counters(
                f,
                "compression_bytes_in_total",
                "Bytes of answers before they were compressed.",
                &["encoding"],
            ),
            bytes_out: counters(
                f,
                "compression_bytes_out_total",
                "The same bytes after it.",
                &["encoding"],
            ),
            took: histograms(
                f,
                (
                    "compression_duration_seconds",
                    "Time a thread was busy compressing one answer.",
                ),
                &BUCKETS,
                &["encoding"],
            ),
            stored: counters(
                f,
                "compression_stored_total",
                "Compressed forms that were kept beside stored answers.",
                &["encoding", "by"],
            ),
        }
    }

    /// Those of every encoding; they exist, at zero, from now on.
    fn handles(&self) -> PerCoding<CodingMetrics> {
        let of = |coding: Coding| {
            let word = coding.as_str();
            CodingMetrics {
                bytes_in: self.bytes_in.with_label_values(&[word]),
                bytes_out: self.bytes_out.with_label_values(&[word]),
                took: self.took.with_label_values(&[word]),
                stored: BY.map(|by| self.stored.with_label_values(&[word, by])),
            }
        };
        PerCoding {
            zstd: of(Coding::Zstd),
            br: of(Coding::Brotli),
            gzip: of(Coding::Gzip),
            deflate: of(Coding::Deflate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[track_caller]
    fn says(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.text();
        for line in lines {
            let is_there = text
                .lines()
                .any(|l| l.strip_prefix("tidegate_") == Some(line));
            assert!(is_there, "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_series_is_there_before_anything_is_compressed() {
        let m = Metrics::new("1");
        for coding in Coding::ALL.into_iter().skip(1).map(Coding::as_str) {
            says(
                &m,
                &[
                    &format!("compression_bytes_in_total{{encoding=\"{coding}\"}} 0"),
                    &format!("compression_bytes_out_total{{encoding=\"{coding}\"}} 0"),
                    &format!("compression_duration_seconds_count{{encoding=\"{coding}\"}} 0"),
                    &format!("compression_stored_total{{by=\"live\",encoding=\"{coding}\"}} 0"),
                    &format!(
                        "compression_stored_total{{by=\"background\",encoding=\"{coding}\"}} 0"
                    ),
                ],
            );
        }
        for reason in Skipped::ALL.iter().map(|reason| reason.as_str()) {
            let line = format!("compression_skipped_total{{reason=\"{reason}\"}} 0");
            says(&m, &[&line]);
        }
        for reason in FAULTS {
            let line = format!("compression_decode_failed_total{{reason=\"{reason}\"}} 0");
            says(&m, &[&line]);
        }
        says(
            &m,
            &[
                "compression_reduced_total 0",
                "recompress_queue_entries 0",
                "recompress_dropped_total 0",
            ],
        );
        assert!(!m.text().contains("encoding=\"identity\""));
    }

    #[test]
    fn what_was_compressed_is_counted_by_its_encoding_alone() {
        let m = Metrics::new("1");
        let took = Duration::from_micros(700);
        m.compression.compressed(Coding::Brotli, 1_000, 250, took);
        m.compression.compressed(Coding::Brotli, 500, 50, took);
        m.compression.compressed(Coding::Identity, 7, 7, took); // nothing was
        m.compression.stored(Coding::Zstd, false);
        m.compression.stored(Coding::Gzip, true);
        says(
            &m,
            &[
                r#"compression_bytes_in_total{encoding="br"} 1500"#,
                r#"compression_bytes_out_total{encoding="br"} 300"#,
                r#"compression_bytes_in_total{encoding="gzip"} 0"#,
                r#"compression_duration_seconds_bucket{encoding="br",le="0.0005"} 0"#,
                r#"compression_duration_seconds_bucket{encoding="br",le="0.001"} 2"#,
                r#"compression_stored_total{by="live",encoding="zstd"} 1"#,
                r#"compression_stored_total{by="background",encoding="zstd"} 0"#,
                r#"compression_stored_total{by="background",encoding="gzip"} 1"#,
            ],
        );
    }

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let m = Metrics::new("1");
        for (n, reason) in Skipped::ALL.iter().enumerate() {
            (0..n).for_each(|_| m.compression.skipped(*reason));
        }
        for (n, reason) in Skipped::ALL.iter().enumerate() {
            let word = reason.as_str();
            let line = format!("compression_skipped_total{{reason=\"{word}\"}} {n}");
            says(&m, &[&line]);
        }
        for (n, reason) in FAULTS.into_iter().enumerate() {
            (0..=n).for_each(|_| m.compression.decode_failed(reason));
        }
        m.compression.decode_failed("what a client says");
        says(
            &m,
            &[
                r#"compression_decode_failed_total{reason="broken"} 1"#,
                r#"compression_decode_failed_total{reason="too_large"} 2"#,
                r#"compression_decode_failed_total{reason="ratio"} 3"#,
            ],
        );
    }

    #[test]
    fn who_waits_is_counted_in_and_out() {
        let m = Metrics::new("1");
        m.compression.queued(1);
        m.compression.queued(1);
        m.compression.queued(-1);
        m.compression.dropped();
        m.compression.reduced();
        says(
            &m,
            &[
                "compression_reduced_total 1",
                "recompress_queue_entries 1",
                "recompress_dropped_total 1",
            ],
        );
    }
}
