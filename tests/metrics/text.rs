//! A strict reader of the Prometheus text format 0.0.4: what is doubtful is an error, with its line.

use std::collections::{BTreeMap, BTreeSet};

/// What one scrape said.
#[derive(Debug, Clone)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug, Clone)]
pub struct Family {
    pub help: String,
    pub kind: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub struct Sample {
    /// With `_bucket`, `_sum` or `_count`.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Sample {
    /// What makes it a series, without `le`.
    pub fn series(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.remove("le");
        labels
    }
}

impl Exposition {
    /// Reads all of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut families = BTreeMap::new();
        let mut current: Option<(String, Family)> = None;
        let mut lines = text.split('\n');
        if lines.next_back() != Some("") {
            return Err("the last line does not end".into());
        }
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            let told = || format!("in the line {line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(told)?;
                let kind = lines.next().ok_or("HELP without TYPE")?;
                let kind = kind
                    .strip_prefix(&format!("# TYPE {name} "))
                    .ok_or_else(|| format!("no TYPE behind the HELP of {name}: {kind:?}"))?;
                if let Some((name, family)) = current.take() {
                    families.insert(name, family);
                }
                if families.contains_key(name) {
                    return Err(format!("{name} is there twice"));
                }
                let family = Family {
                    help: help.into(),
                    kind: kind.into(),
                    samples: Vec::new(),
                };
                current = Some((name.into(), family));
                continue;
            }
            let sample = sample(line).map_err(|e| format!("{e} {}", told()))?;
            let (name, family) = current
                .as_mut()
                .ok_or_else(|| format!("no HELP {}", told()))?;
            let rest = sample.name.strip_prefix(name.as_str());
            let fits = match family.kind.as_str() {
                "histogram" => matches!(rest, Some("_bucket" | "_sum" | "_count")),
                _ => rest == Some(""),
            };
            if !fits {
                return Err(format!("it is no sample of {name} {}", told()));
            }
            family.samples.push(sample);
        }
        families.extend(current);
        let told = Exposition { families };
        told.has_no_double()?;
        Ok(told)
    }

    fn has_no_double(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for sample in self.samples() {
            if !seen.insert((&sample.name, &sample.labels)) {
                return Err(format!("{sample:?} is there twice"));
            }
        }
        Ok(())
    }

    /// All samples.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    /// Whether a family has any.
    pub fn has_series(&self, name: &str) -> bool {
        let family = self.families.get(name);
        family.is_some_and(|family| !family.samples.is_empty())
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let name_ends = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .ok_or("no value")?;
    let (name, mut rest) = line.split_at(name_ends);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("no name".into());
    }
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").ok_or("a label without a value")?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if label.is_empty() || !label.chars().all(word) {
                return Err(format!("{label:?} is no name of a label"));
            }
            let (value, behind) = quoted(behind)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} is there twice"));
            }
            if let Some(end) = behind.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = behind.strip_prefix(',').ok_or("labels without a comma")?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    let value = match value {
        "+Inf" | "-Inf" | "NaN" => return Err("a value that is no number".into()),
        value => value.parse().map_err(|e| format!("{value:?}: {e}"))?,
    };
    Ok(Sample {
        name: name.into(),
        labels,
        value,
    })
}

/// The value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, '\\')) => value.push('\\'),
                Some((_, '"')) => value.push('"'),
                Some((_, 'n')) => value.push('\n'),
                other => return Err(format!("no such escape: {other:?}")),
            },
            c => value.push(c),
        }
    }
    Err("a value that does not end".into())
}

#[test]
fn what_is_doubtful_is_an_error() {
    let head = "# HELP a_total A.\n# TYPE a_total counter\n";
    let good = format!("{head}a_total{{b=\"x\\\"\\\\\\n\"}} 1\na_total 2.5\n");
    let read = Exposition::parse(&good).unwrap();
    assert_eq!(read.families["a_total"].samples[0].labels["b"], "x\"\\\n");
    for bad in [
        "a_total 1\n",
        "# TYPE a_total counter\n# HELP a_total A.\na_total 1\n",
        &format!("{head}b_total 1\n"),
        &format!("{head}a_total 1\na_total 1\n"),
        &format!("{head}a_total 1\n{head}"),
        &format!("{head}a_total  1\n"),
        &format!("{head}a_total 1"),
        &format!("{head}a_total{{}} 1\n"),
        &format!("{head}a_total{{b=\"x\",}} 1\n"),
        &format!("{head}a_total{{b=\"x\",b=\"y\"}} 1\n"),
        &format!("{head}a_total{{b=\"\\t\"}} 1\n"),
        &format!("{head}a_total one\n"),
        &format!("{head}\na_total 1\n"),
    ] {
        assert!(Exposition::parse(bad).is_err(), "{bad}");
    }
}
