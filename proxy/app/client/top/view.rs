//! The figures of `top`: the last tick, the last minute of each series, and what the user wants of them.

use std::collections::{BTreeMap, VecDeque};

use crossterm::event::KeyCode;
use serde_json::Value;

use super::super::follow::Event;
use super::super::status::{list, word};

/// Seconds of the past that are shown.
pub const KEPT: usize = 60;

/// What is shown.
#[derive(Debug, Default)]
pub struct View {
    /// The tick that is shown; null: there was none.
    pub tick: Value,
    /// Requests of each second of late, the oldest first; `None`: that second is not known.
    past: BTreeMap<String, VecDeque<Option<f64>>>,
    /// By what rows are sorted.
    pub sort: Sort,
    /// Rows that are above what is seen.
    pub above: usize,
    /// Whether the picture is held.
    pub held: bool,
}

/// By what rows are sorted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// As in the file.
    #[default]
    Name,
    /// The busiest first.
    Requests,
    /// Those with most errors first.
    Errors,
    /// The slowest first.
    P99,
}

impl Sort {
    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Name => "name",
            Sort::Requests => "requests",
            Sort::Errors => "errors",
            Sort::P99 => "p99",
        }
    }

    fn next(self) -> Self {
        match self {
            Sort::Name => Sort::Requests,
            Sort::Requests => Sort::Errors,
            Sort::Errors => Sort::P99,
            Sort::P99 => Sort::Name,
        }
    }

    /// Puts rows in order by what is known of their last second; stable, so that names keep theirs.
    pub fn apply(self, rows: &mut [&Value]) {
        let figure = match self {
            Sort::Name => return,
            Sort::Requests => "requests",
            Sort::Errors => "errors",
            Sort::P99 => "p99",
        };
        let of = |row: &Value| row["second"][figure].as_f64().unwrap_or(-1.0);
        rows.sort_by(|a, b| of(b).total_cmp(&of(a)));
    }
}

/// The tick that an event is.
pub fn tick(event: &Event) -> Option<Value> {
    (event.name == "tick").then(|| serde_json::from_str(&event.data).ok())?
}

impl View {
    /// Whether there was no tick yet.
    pub fn is_empty(&self) -> bool {
        self.tick.is_null()
    }

    /// Takes a tick in.
    pub fn take(&mut self, tick: Value) {
        if self.held {
            return;
        }
        let figures = series_of(&tick);
        self.past
            .retain(|name, _| figures.iter().any(|(known, _)| known == name));
        for (name, second) in figures {
            let past = self.past.entry(name).or_default();
            past.push_back(second["requests"].as_f64());
            if past.len() > KEPT {
                past.pop_front();
            }
        }
        self.tick = tick;
    }

    /// Names of what has a past: the total, upstreams, routes, and the first nodes.
    pub fn series(&self, nodes: usize) -> Vec<String> {
        let mut left = nodes;
        let mut wanted = |name: &String| {
            let is_node = name.starts_with("node:");
            left -= usize::from(is_node && left > 0);
            !is_node || left > 0
        };
        self.past
            .keys()
            .filter(|name| wanted(name))
            .cloned()
            .collect()
    }

    /// Takes in what `/api/v1/history` says of a series.
    pub fn remember(&mut self, series: &str, told: &Value) {
        let past: VecDeque<_> = list(&told["points"]["requests"])
            .map(Value::as_f64)
            .collect();
        if !past.is_empty() {
            let from = past.len().saturating_sub(KEPT);
            self.past
                .insert(series.to_owned(), past.into_iter().skip(from).collect());
        }
    }

    /// What was known of a proxy that is another one now.
    pub fn forget(&mut self) {
        self.past.clear();
        self.held = false;
    }

    /// Requests of each second of late.
    pub fn past(&self, series: &str) -> impl Iterator<Item = Option<f64>> {
        self.past.get(series).into_iter().flatten().copied()
    }

    /// Does what a key says.
    pub fn press(&mut self, key: KeyCode, height: usize) {
        let page = height / 2;
        match key {
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char(' ') => self.held = !self.held,
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::Down => self.above += 1,
            KeyCode::PageUp => self.above = self.above.saturating_sub(page),
            KeyCode::PageDown => self.above += page,
            KeyCode::Home => self.above = 0,
            _ => {}
        }
    }
}

/// Every series of a tick with its last second.
fn series_of(tick: &Value) -> Vec<(String, &Value)> {
    let mut all = vec![("total".to_owned(), &tick["second"])];
    for upstream in list(&tick["upstreams"]) {
        let name = word(&upstream["name"]);
        for node in list(&upstream["nodes"]) {
            all.push((
                format!("node:{name}/{}", word(&node["id"])),
                &node["second"],
            ));
        }
        all.push((format!("upstream:{name}"), &upstream["second"]));
    }
    for route in list(&tick["routes"]) {
        all.push((format!("route:{}", word(&route["name"])), &route["second"]));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tick_of(requests: u64, nodes: &[&str]) -> Value {
        let second = json!({ "requests": requests, "errors": 0 });
        let nodes: Vec<_> = nodes
            .iter()
            .map(|id| json!({ "id": id, "second": second }))
            .collect();
        json!({ "second": second, "upstreams": [{ "name": "web", "second": null, "nodes": nodes }], "routes": [] })
    }

    #[test]
    fn a_minute_is_kept_of_what_is_there() {
        let mut view = View::default();
        for n in 0..70 {
            view.take(tick_of(n, &["a", "b"]));
        }
        let past: Vec<_> = view.past("total").collect();
        assert_eq!((past.len(), past[59]), (KEPT, Some(69.0)));
        assert_eq!(view.past("upstream:web").next(), Some(None));
        view.take(tick_of(1, &["b"]));
        assert_eq!(view.past("node:web/a").count(), 0, "it left");
        assert_eq!(view.series(9), ["node:web/b", "total", "upstream:web"]);
    }

    #[test]
    fn what_went_before_is_remembered_and_what_is_held_stands() {
        let mut view = View::default();
        view.take(tick_of(7, &[]));
        view.remember("total", &json!({ "points": { "requests": [1, null, 3] } }));
        view.press(KeyCode::Char(' '), 24);
        view.take(tick_of(9, &[]));
        assert_eq!(
            view.past("total").collect::<Vec<_>>(),
            [Some(1.0), None, Some(3.0)]
        );
        assert_eq!(view.tick["second"]["requests"], 7);
    }

    #[test]
    fn rows_are_sorted_the_worst_first_and_those_without_figures_last() {
        let rows = [
            json!({ "name": "a", "second": { "p99": 0.1 } }),
            json!({ "name": "b", "second": null }),
            json!({ "name": "c", "second": { "p99": 2.0 } }),
        ];
        let mut sorted: Vec<&Value> = rows.iter().collect();
        Sort::P99.apply(&mut sorted);
        let names: Vec<_> = sorted.iter().map(|row| word(&row["name"])).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }
}
