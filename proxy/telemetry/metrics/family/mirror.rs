//! Families whose samples are what a state is when somebody asks: they keep none of their own, so they cannot drift.

use std::fmt::Write as _;

use super::{Shape, whole};

/// A family whose samples are what a state is when somebody asks: it keeps none of its own, so it cannot drift.
#[derive(Debug)]
pub struct Mirror {
    shape: Shape,
    kind: &'static str,
}

impl Mirror {
    /// Of something that goes up and down.
    pub fn gauge(name: &str, help: &'static str) -> Self {
        let kind = "gauge";
        let shape = Shape::new(name, help, &[]);
        Mirror { shape, kind }
    }

    /// Of something that is counted elsewhere and never goes back.
    pub fn counter(name: &str, help: &'static str) -> Self {
        let kind = "counter";
        let shape = Shape::new(name, help, &[]);
        Mirror { shape, kind }
    }

    /// Of times that are counted elsewhere by these upper bounds, in seconds.
    pub fn histogram(name: &str, help: &'static str, bounds: impl Iterator<Item = f64>) -> Self {
        let kind = "histogram";
        let mut shape = Shape::new(name, help, &[]);
        shape.ends = bounds.map(|le| format!("le=\"{le}\"}} ")).collect();
        Mirror { shape, kind }
    }

    /// HELP and TYPE; the samples follow.
    pub fn begin(&self, text: &mut String) {
        self.shape.begin(self.kind, text);
    }

    /// One sample. `labels` are written as they are, one after the other: see [`label`](super::label).
    pub fn sample(&self, labels: &[&str], value: Sample, text: &mut String) {
        self.head("", labels, text);
        match value {
            Sample::Whole(value) => whole(value, text),
            Sample::Float(value) => {
                let _ = writeln!(text, "{value}");
            }
        }
    }

    /// The samples of one histogram: how many took so long, by its bounds and beyond them, and how long all of them took
    /// together.
    pub fn buckets(
        &self,
        labels: &[&str],
        counts: impl Iterator<Item = u64>,
        sum: f64,
        text: &mut String,
    ) {
        let labels_text = labels.join(",");
        let ends = self.shape.ends.iter().map(String::as_str);
        let mut up_to = 0;
        for (count, end) in counts.zip(ends.chain(["le=\"+Inf\"} "])) {
            up_to += count;
            text.push_str(&self.shape.name);
            text.push_str("_bucket{");
            text.push_str(&labels_text);
            text.push(',');
            text.push_str(end);
            whole(up_to, text);
        }
        self.head("_sum", labels, text);
        let _ = writeln!(text, "{sum}");
        self.head("_count", labels, text);
        whole(up_to, text);
    }

    fn head(&self, suffix: &str, labels: &[&str], text: &mut String) {
        self.shape.head(suffix, &labels.join(","), text);
    }
}

/// The value of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Sample {
    /// A count, a size, yes or no.
    Whole(u64),
    /// Anything else.
    Float(f64),
}
