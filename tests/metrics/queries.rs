//! Every query of the board and of the rules asks for something that there is.
//!
//! They are read as Prometheus reads them. A metric that was renamed, a label that a family does not have, a word that no
//! label ever has, a rate of something that is no counter: each would be an empty graph, or an alert that never fires.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use serde_json::Value;

use super::Busy;
use super::readme::{Row, rows};

/// What Prometheus itself adds to every series.
const TARGET: [&str; 2] = ["job", "instance"];

/// What can be asked for: families of the proxy, and what rules record of them.
struct World {
    rows: BTreeMap<String, Row>,
    /// The labels of each.
    recorded: BTreeMap<String, BTreeSet<String>>,
}

/// What comes of an expression.
#[derive(Debug, Clone, Default)]
struct Outcome {
    labels: BTreeSet<String>,
    /// `counter`, `gauge` or nothing in particular.
    kind: &'static str,
}

impl World {
    fn new() -> Self {
        World {
            rows: rows(),
            recorded: BTreeMap::new(),
        }
    }

    /// Reads a query.
    fn ask(&self, query: &str) -> Result<Outcome, String> {
        let expr = parser::parse(
            &query
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1h"),
        )?;
        self.outcome(&expr)
            .map_err(|e| format!("{e}\n  in {query}"))
    }

    fn outcome(&self, expr: &Expr) -> Result<Outcome, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selected(selector),
            Expr::MatrixSelector(matrix) => self.selected(&matrix.vs),
            Expr::Paren(paren) => self.outcome(&paren.expr),
            Expr::Unary(unary) => self.outcome(&unary.expr),
            Expr::Subquery(subquery) => self.outcome(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Outcome::default()),
            Expr::Aggregate(aggregate) => {
                let inner = self.outcome(&aggregate.expr)?;
                let labels = match &aggregate.modifier {
                    None => BTreeSet::new(),
                    Some(LabelModifier::Include(by)) => all_of(&by.labels, &inner)?,
                    Some(LabelModifier::Exclude(_)) => return Err("`without`: say `by`".into()),
                };
                Ok(Outcome { labels, kind: "" })
            }
            Expr::Binary(binary) => {
                let (left, right) = (self.outcome(&binary.lhs)?, self.outcome(&binary.rhs)?);
                let matching = binary.modifier.as_ref().and_then(|m| m.matching.as_ref());
                if let Some(on) = matching {
                    all_of(&on.labels().labels, &left)?;
                    all_of(&on.labels().labels, &right)?;
                } else if !left.labels.is_empty()
                    && !right.labels.is_empty()
                    && left.labels != right.labels
                {
                    return Err(format!("{left:?} and {right:?} never meet"));
                }
                let labels = if left.labels.is_empty() {
                    right.labels
                } else {
                    left.labels
                };
                Ok(Outcome { labels, kind: "" })
            }
            Expr::Call(call) => self.called(call),
            Expr::Extension(_) => Err("an extension".into()),
        }
    }

    fn called(&self, call: &parser::Call) -> Result<Outcome, String> {
        let name = call.func.name;
        let mut of = Outcome::default();
        for arg in &call.args.args {
            let arg = self.outcome(arg)?;
            if !arg.labels.is_empty() {
                of = arg;
            }
        }
        let wanted = match name {
            "rate" | "increase" => Some("counter"),
            "deriv" | "delta" | "min_over_time" | "changes" => Some("gauge"),
            "histogram_quantile" if !of.labels.remove("le") => {
                return Err("a quantile without le".into());
            }
            _ => None,
        };
        if wanted.is_some_and(|kind| kind != of.kind) {
            return Err(format!("{name}() of a {:?}", of.kind));
        }
        of.kind = "";
        if ["absent", "vector", "time"].contains(&name) {
            of.labels.clear();
        }
        Ok(of)
    }

    fn selected(&self, selector: &VectorSelector) -> Result<Outcome, String> {
        let name = selector
            .name
            .as_deref()
            .ok_or("a selector without a name")?;
        let target = TARGET.iter().map(|label| (*label).to_owned());
        if name == "up" {
            return Ok(Outcome {
                labels: target.collect(),
                kind: "gauge",
            });
        }
        if let Some(labels) = self.recorded.get(name) {
            return Ok(Outcome {
                labels: labels.clone(),
                kind: "gauge",
            });
        }
        let (row, part) = self.family(name)?;
        let kind = match (row.kind.as_str(), part) {
            ("gauge", _) => "gauge",
            _ => "counter",
        };
        let mut labels: BTreeSet<String> = row.labels.keys().cloned().chain(target).collect();
        if part == "_bucket" {
            labels.insert("le".into());
        }
        for matcher in &selector.matchers.matchers {
            let label = &matcher.name;
            if !labels.contains(label) {
                return Err(format!("{name} has no label {label}"));
            }
            fits_something(name, matcher, row)?;
        }
        Ok(Outcome { labels, kind })
    }

    fn family(&self, name: &str) -> Result<(&Row, &'static str), String> {
        if let Some(row) = self.rows.get(name) {
            return match row.kind.as_str() {
                "histogram" => Err(format!("{name} is a histogram: which part of it?")),
                _ => Ok((row, "")),
            };
        }
        let parts = ["_bucket", "_sum", "_count"].into_iter();
        let mut found = parts.filter_map(|part| {
            let row = self.rows.get(name.strip_suffix(part)?)?;
            (row.kind == "histogram").then_some((row, part))
        });
        found
            .next()
            .ok_or_else(|| format!("there is no metric {name}"))
    }
}

/// Exactly these labels, if there are all of them.
fn all_of(labels: &[String], of: &Outcome) -> Result<BTreeSet<String>, String> {
    match labels.iter().find(|label| !of.labels.contains(*label)) {
        Some(label) => Err(format!("no label {label} in {of:?}")),
        None => Ok(labels.iter().cloned().collect()),
    }
}

/// A matcher of a word of ours takes one of them, and not all: else it says nothing.
fn fits_something(name: &str, matcher: &Matcher, row: &Row) -> Result<(), String> {
    if matcher.value.contains('$') {
        return Ok(()); // the board's own choice
    }
    let codes: BTreeSet<String> = (100..600).map(|code: u16| code.to_string()).collect();
    let words = match row.labels.get(&matcher.name) {
        Some(Some(words)) => words,
        Some(None) if matcher.name == "code" => &codes,
        _ => return Ok(()),
    };
    let taken = words.iter().filter(|word| match &matcher.op {
        MatchOp::Equal => **word == matcher.value,
        MatchOp::NotEqual => **word != matcher.value,
        MatchOp::Re(re) => re.is_match(word),
        MatchOp::NotRe(re) => !re.is_match(word),
    });
    match taken.count() {
        0 => Err(format!("{name}: {} is never {matcher}", matcher.name)),
        n if n == words.len() => Err(format!("{name}: {} is always {matcher}", matcher.name)),
        _ => Ok(()),
    }
}

/// The labels that a text of templates names: `{{ $labels.node }}`, `{{node}}`.
fn named<'a>(text: &'a str, dollar: &str) -> Vec<&'a str> {
    let inside = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    inside
        .filter_map(|word| word.strip_prefix(dollar))
        .collect()
}

fn rules() -> Vec<serde_yaml::Value> {
    let text = include_str!("../../conf/prometheus/alerts.yaml");
    let file: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let groups = file["groups"].as_sequence().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().unwrap());
    rules.cloned().collect()
}

/// The world, with what the rules record.
fn world() -> World {
    let mut world = World::new();
    for rule in rules() {
        if let Some(name) = rule["record"].as_str() {
            let outcome = world.ask(rule["expr"].as_str().unwrap());
            world.recorded.insert(name.into(), outcome.unwrap().labels);
        }
    }
    world
}

#[test]
fn every_rule_asks_for_what_there_is_and_says_what_to_do() {
    let world = world();
    let (rules, mut names) = (rules(), BTreeSet::new());
    for rule in rules.iter().filter(|rule| rule["record"].is_null()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(name.starts_with("Tidegate") && names.insert(name), "{name}");
        let outcome = world.ask(rule["expr"].as_str().unwrap());
        let outcome = outcome.unwrap_or_else(|e| panic!("{name}: {e}"));
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        for (key, least) in [("summary", 15), ("description", 80)] {
            let text = rule["annotations"][key].as_str().unwrap_or_default();
            assert!(text.len() >= least, "{name}: its {key} is short: {text}");
            for label in named(text, "$labels.") {
                assert!(
                    outcome.labels.contains(label),
                    "{name}: {outcome:?} has no {label}"
                );
            }
        }
    }
    assert!(names.len() > 15, "{names:?}");
}

fn board() -> Value {
    serde_json::from_str(include_str!("../../conf/grafana/tidegate.json")).unwrap()
}

#[test]
fn every_graph_of_the_board_asks_for_what_there_is() {
    let (world, board) = (world(), board());
    let (mut asked, mut ids) = (0, BTreeSet::new());
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is another's"
        );
        let kind = panel["type"].as_str().unwrap();
        let own = ["row", "stat", "table", "timeseries"];
        assert!(own.contains(&kind), "{title}: {kind} may be a plugin");
        for target in panel["targets"].as_array().into_iter().flatten() {
            asked += 1;
            let outcome = world.ask(target["expr"].as_str().unwrap());
            let outcome = outcome.unwrap_or_else(|e| panic!("{title}: {e}"));
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            for label in named(legend, "") {
                assert!(
                    outcome.labels.contains(label),
                    "{title}: {outcome:?} has no {label}"
                );
            }
        }
    }
    assert!(asked > 60, "{asked}");
    for annotation in board["annotations"]["list"].as_array().unwrap() {
        world.ask(annotation["expr"].as_str().unwrap()).unwrap();
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else {
            continue;
        };
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|q| q.strip_suffix(')'));
        let (selector, label) = inside.and_then(|q| q.rsplit_once(", ")).expect(query);
        let outcome = world.ask(selector).unwrap();
        assert!(outcome.labels.contains(label), "{query}");
    }
}

#[test]
fn panels_do_not_lie_on_each_other() {
    let board = board();
    let mut taken = BTreeMap::new();
    for panel in board["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for cell in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            if let Some(other) = taken.insert(cell, &panel["title"]) {
                panic!("{} lies on {other}", panel["title"]);
            }
        }
    }
}

#[test]
fn a_query_for_what_there_is_not_is_found_out() {
    let world = world();
    for wrong in [
        "sum(rate(tidegate_http_request_total[5m]))",
        "rate(tidegate_http_requests_total{upstream=\"web\"}[5m])",
        "rate(tidegate_cache_requests_total{result=\"hti\"}[5m])",
        "rate(tidegate_cache_requests_total{result=~\"hits|misses\"}[5m])",
        "rate(tidegate_http_requests_total{code=~\"6..\"}[5m])",
        "sum by (node) (rate(tidegate_http_requests_total[5m]))",
        "rate(tidegate_config_drift[5m])",
        "deriv(tidegate_http_requests_total[5m])",
        "tidegate_http_request_duration_seconds",
        "histogram_quantile(0.9, sum by (route) (rate(tidegate_http_request_duration_seconds_bucket[5m])))",
        "tidegate_node_health and on (route) tidegate_node_state",
        "sum by (route) (rate(tidegate_http_requests_total[5m])) / sum by (code) (rate(tidegate_http_requests_total[5m]))",
        "sum(rate(",
    ] {
        assert!(world.ask(wrong).is_err(), "{wrong}");
    }
}

/// The README is held against a real exposition in [`super::lint`]; here, what the queries ask for has answers.
#[tokio::test]
async fn what_is_asked_for_has_series_on_a_busy_proxy() {
    let busy = Busy::proxy().await;
    let board = board();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let asked: Vec<String> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .chain(
            rules()
                .iter()
                .map(|rule| rule["expr"].as_str().unwrap().to_owned()),
        )
        .collect();
    let rows = rows();
    let is_asked = |name: &&str| asked.iter().any(|query| query.contains(*name));
    let wanted: Vec<&str> = rows.keys().map(String::as_str).filter(is_asked).collect();
    assert!(wanted.len() > 45, "{wanted:?}");
    busy.tells(&wanted).await;
}
