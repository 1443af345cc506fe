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

    /// HELP and TYPE; the samples follow.
    pub fn begin(&self, text: &mut String) {
        self.shape.begin(self.kind, text);
    }

    /// One sample. `labels` are written as they are, one after the other: see [`label`](super::label).
    pub fn sample(&self, labels: &[&str], value: Sample, text: &mut String) {
        text.push_str(&self.shape.name);
        text.push('{');
        for (at, label) in labels.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(label);
        }
        text.push_str("} ");
        match value {
            Sample::Whole(value) => whole(value, text),
            Sample::Float(value) => {
                let _ = writeln!(text, "{value}");
            }
        }
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
