//! Series with labels, and how they become text.
//!
//! The values are those of the prometheus crate. Its families and its encoder are not used: they copy, escape and format
//! every label of every series at each scrape, which is nearly all that a scrape of a thousand nodes costs. Here the
//! labels of a series are made text once, when its handle is made. What is written is what the crate would write; a test
//! compares the two.
//!
//! Nobody who counts waits for who writes: a family is locked only while its list of series is copied.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use prometheus::core::Metric;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge};

/// What is what a state is when somebody asks.
mod mirror;

pub(super) use mirror::{Mirror, Sample};

/// What all names of ours begin with.
const PREFIX: &str = "tidegate_";

/// Everything that can be told, in the making.
#[derive(Debug, Default)]
pub(super) struct Families(Mutex<Vec<Box<dyn Tell>>>);

impl Families {
    /// Takes one in.
    ///
    /// # Panics
    /// When there is one of that name: names are literals of this folder.
    fn add(&self, family: impl Tell + 'static) {
        let mut all = self.0.lock();
        let is_new = all.iter().all(|f| f.name() != family.name());
        assert!(is_new, "invariant: {} is a name of its own", family.name());
        all.push(Box::new(family));
    }

    /// All of them, by name.
    pub(super) fn sorted(self) -> Vec<Box<dyn Tell>> {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }
}

/// A family that can be written.
pub(super) trait Tell: Debug + Send + Sync {
    /// With the prefix.
    fn name(&self) -> &str;
    /// Adds HELP, TYPE and all samples.
    fn write(&self, text: &mut String);
}

/// What the series of a family have in common.
#[derive(Debug)]
pub(super) struct Shape {
    name: String,
    help: &'static str,
    /// Upper bounds; of histograms alone.
    bounds: &'static [f64],
    /// Each of them as the end of a sample's labels: `le="0.005"} `.
    ends: Vec<String>,
}

impl Shape {
    fn new(name: &str, help: &'static str, bounds: &'static [f64]) -> Self {
        Shape {
            name: format!("{PREFIX}{name}"),
            help,
            bounds,
            ends: bounds.iter().map(|le| format!("le=\"{le}\"}} ")).collect(),
        }
    }

    fn begin(&self, kind: &str, text: &mut String) {
        let (name, help) = (&self.name, self.help);
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// The part of a sample before its value; `labels` have no braces yet.
    fn head(&self, suffix: &str, labels: &str, text: &mut String) {
        text.push_str(&self.name);
        text.push_str(suffix);
        if !labels.is_empty() {
            text.push('{');
            text.push_str(labels);
            text.push('}');
        }
        text.push(' ');
    }
}

/// A number that can be counted with, and told.
pub(super) trait Value: Clone + Debug + Send + Sync + 'static {
    /// The word behind TYPE.
    const KIND: &'static str;
    /// One at zero.
    fn make(shape: &Shape) -> Self;
    /// Adds its samples.
    fn write(&self, shape: &Shape, labels: &str, text: &mut String);
    /// What the family must remember of it when its series goes.
    fn count(&self) -> u64 {
        0
    }
}

/// Of a value without labels: they belong to the series.
const PLAIN: &str = "invariant: a literal name is valid";

fn whole(value: impl itoa::Integer, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(value));
    text.push('\n');
}

impl Value for IntCounter {
    const KIND: &'static str = "counter";

    fn make(shape: &Shape) -> Self {
        IntCounter::new(shape.name.as_str(), shape.help).expect(PLAIN)
    }

    fn write(&self, shape: &Shape, labels: &str, text: &mut String) {
        shape.head("", labels, text);
        whole(self.get(), text);
    }

    fn count(&self) -> u64 {
        self.get()
    }
}

impl Value for IntGauge {
    const KIND: &'static str = "gauge";

    fn make(shape: &Shape) -> Self {
        IntGauge::new(shape.name.as_str(), shape.help).expect(PLAIN)
    }

    fn write(&self, shape: &Shape, labels: &str, text: &mut String) {
        shape.head("", labels, text);
        whole(self.get(), text);
    }
}

impl Value for Gauge {
    const KIND: &'static str = "gauge";

    fn make(shape: &Shape) -> Self {
        Gauge::new(shape.name.as_str(), shape.help).expect(PLAIN)
    }

    fn write(&self, shape: &Shape, labels: &str, text: &mut String) {
        shape.head("", labels, text);
        let _ = writeln!(text, "{}", self.get());
    }
}

impl Value for Histogram {
    const KIND: &'static str = "histogram";

    fn make(shape: &Shape) -> Self {
        let options = HistogramOpts::new(shape.name.as_str(), shape.help);
        Histogram::with_opts(options.buckets(shape.bounds.to_vec())).expect(PLAIN)
    }

    fn write(&self, shape: &Shape, labels: &str, text: &mut String) {
        // One look: all its samples are of the same moment.
        let now = self.metric();
        let now = now.get_histogram();
        let counts = now.get_bucket().iter().map(|b| b.cumulative_count());
        let ends = shape.ends.iter().map(String::as_str);
        let all = (counts.zip(ends)).chain([(now.get_sample_count(), "le=\"+Inf\"} ")]);
        for (count, end) in all {
            text.push_str(&shape.name);
            text.push_str("_bucket{");
            text.push_str(labels);
            if !labels.is_empty() {
                text.push(',');
            }
            text.push_str(end);
            whole(count, text);
        }
        shape.head("_sum", labels, text);
        let _ = writeln!(text, "{}", now.get_sample_sum());
        shape.head("_count", labels, text);
        whole(now.get_sample_count(), text);
    }
}

/// The series of one name.
#[derive(Debug)]
pub(super) struct Family<V>(Arc<Inner<V>>);

pub(super) type Counters = Family<IntCounter>;
pub(super) type Gauges = Family<IntGauge>;
pub(super) type FloatGauges = Family<Gauge>;
pub(super) type Histograms = Family<Histogram>;

#[derive(Debug)]
struct Inner<V> {
    shape: Shape,
    labels: &'static [&'static str],
    all: RwLock<All<V>>,
}

#[derive(Debug)]
struct All<V> {
    /// By the values of their labels, in the order in which the family names them.
    series: BTreeMap<Vec<String>, Arc<Series<V>>>,
    /// What those counted that are gone, by the values of their labels but those they went by: sums must not go back.
    gone: BTreeMap<Vec<String>, u64>,
}

#[derive(Debug)]
struct Series<V> {
    /// `code="200",node="a"`: by name, escaped.
    labels: String,
    value: V,
}

impl<V> Clone for Family<V> {
    fn clone(&self) -> Self {
        Family(self.0.clone())
    }
}

impl<V: Value> Family<V> {
    fn new(families: &Families, shape: Shape, labels: &'static [&'static str]) -> Self {
        let all = RwLock::new(All {
            series: BTreeMap::new(),
            gone: BTreeMap::new(),
        });
        let family = Family(Arc::new(Inner { shape, labels, all }));
        families.add(family.clone());
        family
    }

    /// The handle of the series with these labels; it exists from now on.
    pub(super) fn with_label_values(&self, values: &[&str]) -> V {
        assert_eq!(values.len(), self.0.labels.len(), "{}", self.0.shape.name);
        let key: Vec<String> = values.iter().map(|value| (*value).to_string()).collect();
        let mut all = self.0.all.write();
        let series = all.series.entry(key).or_insert_with_key(|key| {
            Arc::new(Series {
                labels: labels(self.0.labels, key),
                value: V::make(&self.0.shape),
            })
        });
        series.value.clone()
    }

    /// Removes every series whose first labels have these values.
    pub(super) fn remove_under(&self, first: &[&str]) {
        let first: Vec<String> = first.iter().map(|value| (*value).to_string()).collect();
        let mut all = self.0.all.write();
        let under = all.series.range(first.clone()..);
        let keys: Vec<_> = (under.map(|(key, _)| key))
            .take_while(|key| key.starts_with(&first))
            .cloned()
            .collect();
        for key in keys {
            let count = all.series.remove(&key).map_or(0, |s| s.value.count());
            if count > 0 {
                *all.gone.entry(key[first.len()..].to_vec()).or_default() += count;
            }
        }
    }
}

impl Counters {
    /// What was counted so far, of series that are gone too.
    pub(super) fn total(&self) -> u64 {
        let all = self.0.all.read();
        let now: u64 = all.series.values().map(|s| s.value.get()).sum();
        now + all.gone.values().sum::<u64>()
    }

    /// The same of series whose last label has this value.
    pub(super) fn total_of(&self, last: &str) -> u64 {
        let is_it = |key: &Vec<String>| key.last().is_some_and(|value| value == last);
        let all = self.0.all.read();
        let now = all.series.iter().filter(|(key, _)| is_it(key));
        let gone = all.gone.iter().filter(|(key, _)| is_it(key));
        now.map(|(_, s)| s.value.get()).sum::<u64>() + gone.map(|(_, count)| count).sum::<u64>()
    }
}

impl Gauges {
    /// The sum over all series.
    pub(super) fn total(&self) -> i64 {
        let all = self.0.all.read();
        all.series.values().map(|s| s.value.get()).sum()
    }
}

impl<V: Value> Tell for Family<V> {
    fn name(&self) -> &str {
        &self.0.shape.name
    }

    fn write(&self, text: &mut String) {
        let series: Vec<_> = self.0.all.read().series.values().cloned().collect();
        self.0.shape.begin(V::KIND, text);
        for series in series {
            series.value.write(&self.0.shape, &series.labels, text);
        }
    }
}

/// A counter without labels that tells the sum of a family.
#[derive(Debug)]
struct Sum(Shape, Counters);

impl Tell for Sum {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn write(&self, text: &mut String) {
        self.0.begin("counter", text);
        self.0.head("", "", text);
        whole(self.1.total(), text);
    }
}

/// `name="value"`, escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    let mut text = format!("{name}=\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// All labels of a series, by name.
fn labels(names: &[&str], values: &[String]) -> String {
    let mut pairs: Vec<_> = names.iter().zip(values).collect();
    pairs.sort_unstable();
    let texts: Vec<String> = pairs
        .iter()
        .map(|(name, value)| label(name, value))
        .collect();
    texts.join(",")
}

pub(super) fn counters(
    families: &Families,
    name: &str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Counters {
    Family::new(families, Shape::new(name, help, &[]), labels)
}

pub(super) fn gauges(
    families: &Families,
    name: &str,
    help: &'static str,
    labels: &'static [&'static str],
) -> Gauges {
    Family::new(families, Shape::new(name, help, &[]), labels)
}

pub(super) fn float_gauges(
    families: &Families,
    name: &str,
    help: &'static str,
    labels: &'static [&'static str],
) -> FloatGauges {
    Family::new(families, Shape::new(name, help, &[]), labels)
}

pub(super) fn histograms(
    families: &Families,
    (name, help): (&str, &'static str),
    bounds: &'static [f64],
    labels: &'static [&'static str],
) -> Histograms {
    Family::new(families, Shape::new(name, help, bounds), labels)
}

/// A counter without labels.
pub(super) fn counter(families: &Families, name: &str, help: &'static str) -> IntCounter {
    counters(families, name, help, &[]).with_label_values(&[])
}

/// A gauge without labels.
pub(super) fn gauge(families: &Families, name: &str, help: &'static str) -> IntGauge {
    gauges(families, name, help, &[]).with_label_values(&[])
}

/// A counter without labels that tells the sum of a family.
pub(super) fn sum(families: &Families, name: &str, help: &'static str, of: &Counters) {
    families.add(Sum(Shape::new(name, help, &[]), of.clone()));
}

#[cfg(test)]
mod tests;
