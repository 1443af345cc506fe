//! What `top` shows: lines of text, the same on a terminal and in a file.

use serde_json::Value;

use super::super::log::show_seconds;
use super::super::shared;
use super::super::status::{list, show_long, word};
use super::super::table::{Head, Table, cut};
use super::view::View;

/// Blocks of a sparkline, from nothing to the most.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Seconds in one of them.
const SECONDS: usize = 3;

/// The whole picture.
pub fn page(view: &View, width: Option<usize>) -> Vec<String> {
    let mut lines = head(view);
    lines.extend(tables(view, width));
    lines
}

/// The part of the picture that fits a terminal, under what has to be said first.
pub fn screen(view: &View, banner: Option<&str>, (width, height): (usize, usize)) -> Vec<String> {
    let mut lines: Vec<String> = banner.map(str::to_owned).into_iter().collect();
    lines.extend(head(view));
    let mut rows = tables(view, Some(width));
    let room = height.saturating_sub(lines.len() + 1);
    let above = view.above.min(rows.len().saturating_sub(room));
    lines.extend(rows.drain(above..).take(room));
    lines.resize(height.saturating_sub(1), String::new());
    lines.push(format!(
        "q end   s sort (by {})   arrows move   space {}",
        view.sort.as_str(),
        if view.held {
            "go on: THE PICTURE IS HELD"
        } else {
            "hold"
        }
    ));
    lines.iter().map(|line| cut(line, width)).collect()
}

/// The proxy as a whole, and what somebody should look at.
fn head(view: &View) -> Vec<String> {
    let tick = &view.tick;
    if view.is_empty() {
        return vec!["waiting for the first figures".into()];
    }
    let ready = match (tick["state"] == "stopping", tick["ready"] == true) {
        (true, _) => "STOPPING",
        (false, true) => "ready",
        (false, false) => "NOT READY",
    };
    let mut first = format!(
        "tidegate {} {ready}, up {}, generation {}",
        word(&tick["version"]),
        show_long(tick["uptime_seconds"].as_f64().unwrap_or_default()),
        tick["generation"]
    );
    if let drift @ 1.. = tick["drift"].as_u64().unwrap_or_default() {
        first.push_str(&format!(", drift {drift}"));
    }
    let mut lines = vec![first];
    lines.extend(list(&tick["not_ready"]).map(|why| format!("not ready: {}", word(why))));
    let redis = &tick["redis"];
    lines.extend(shared::line(redis).filter(|_| redis["state"] == "down"));
    if tick["reload"]["ok"] == false {
        let error = list(&tick["reload"]["errors"])
            .next()
            .map(word)
            .unwrap_or_default();
        let error = error.lines().take(2).collect::<Vec<_>>().join(" ");
        lines.push(format!("the last reload was refused: {error}"));
    }
    let second = &tick["second"];
    let share = |part: &str, of: &str| match (second[part].as_f64(), second[of].as_f64()) {
        (Some(part), Some(of)) if of > 0.0 => format!("{:.1} %", part / of * 100.0),
        _ => "-".into(),
    };
    lines.push(format!(
        "{} req/s {}  errors {}  p50 {}  p99 {}  in flight {}  connections {}  cache hits {}",
        count(&second["requests"]),
        spark(view.past("total")),
        share("errors", "requests"),
        show_seconds(second["p50"].as_f64()),
        show_seconds(second["p99"].as_f64()),
        count(&second["in_flight"]),
        count(&tick["connections"]["active"]),
        share("cache_hits", "cache_lookups"),
    ));
    lines
}

const NODES: &[Head] = &[
    Head::Left("upstream / node"),
    Head::Left("state"),
    Head::Right("req/s"),
    Head::Right("errors"),
    Head::Right("retries"),
    Head::Right("p50"),
    Head::Right("p99"),
    Head::Right("in flight"),
    Head::Left("last 60 s"),
];

const ROUTES: &[Head] = &[
    Head::Left("route"),
    Head::Right("req/s"),
    Head::Right("errors"),
    Head::Right("p50"),
    Head::Right("p99"),
    Head::Right("hits"),
    Head::Left("last 60 s"),
];

/// Upstreams with their nodes, and routes.
fn tables(view: &View, width: Option<usize>) -> Vec<String> {
    if view.is_empty() {
        return Vec::new();
    }
    let mut nodes = Table::new(NODES);
    for upstream in list(&view.tick["upstreams"]) {
        let name = word(&upstream["name"]);
        let past = spark(view.past(&format!("upstream:{name}")));
        nodes.row(row(
            name.clone(),
            upstream_state(upstream),
            &upstream["second"],
            past,
        ));
        let mut below: Vec<&Value> = list(&upstream["nodes"]).collect();
        view.sort.apply(&mut below);
        for node in below {
            let id = word(&node["id"]);
            let past = spark(view.past(&format!("node:{name}/{id}")));
            nodes.row(row(
                format!("  {id}"),
                node_state(node),
                &node["second"],
                past,
            ));
        }
    }
    let mut routes = Table::new(ROUTES);
    let mut all: Vec<&Value> = list(&view.tick["routes"]).collect();
    view.sort.apply(&mut all);
    for route in all {
        let name = word(&route["name"]);
        let second = &route["second"];
        let past = spark(view.past(&format!("route:{name}")));
        routes.row(vec![
            name,
            count(&second["requests"]),
            count(&second["errors"]),
            show_seconds(second["p50"].as_f64()),
            show_seconds(second["p99"].as_f64()),
            count(&second["cache_hits"]),
            past,
        ]);
    }
    let mut lines = vec![String::new()];
    lines.extend(nodes.lines(0, width));
    lines.push(String::new());
    lines.extend(routes.lines(0, width));
    lines
}

fn row(name: String, state: String, second: &Value, past: String) -> Vec<String> {
    vec![
        name,
        state,
        count(&second["requests"]),
        count(&second["errors"]),
        count(&second["retries"]),
        show_seconds(second["p50"].as_f64()),
        show_seconds(second["p99"].as_f64()),
        count(&second["in_flight"]),
        past,
    ]
}

fn upstream_state(upstream: &Value) -> String {
    let mut state = format!("{} of {}", upstream["available"], upstream["total"]);
    if let waiting @ 1.. = upstream["waiting"].as_u64().unwrap_or_default() {
        state.push_str(&format!(", {waiting} wait"));
    }
    if upstream["fail_open"] == true {
        state.push_str(", fail open");
    }
    state
}

/// What is to be known of a node that is not simply up; what is left of a drain.
fn node_state(node: &Value) -> String {
    let (state, health) = (word(&node["state"]), word(&node["health"]));
    if let Some(left) = node["drain"]["remaining"].as_u64() {
        let ends = node["drain"]["ends_in_seconds"]
            .as_f64()
            .unwrap_or_default();
        return match left {
            0 => format!("{state}, empty"),
            _ => format!("{state}, {left} left, {}", show_long(ends)),
        };
    }
    match state == "up" && !health.is_empty() {
        true => health,
        false => state,
    }
}

/// A whole number in threes; a dash where none is known.
fn count(value: &Value) -> String {
    let Some(number) = value.as_u64() else {
        return "-".into();
    };
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The seconds of late as blocks, the latest last, as high as the highest of them.
fn spark(past: impl Iterator<Item = Option<f64>>) -> String {
    let past: Vec<_> = past.collect();
    let most = past.iter().flatten().copied().fold(0.0, f64::max);
    // Whole blocks, counted from the latest second.
    let odd = past.len() % SECONDS;
    let (first, others) = past.split_at(odd);
    let block = |seconds: &[Option<f64>]| {
        let highest = seconds
            .iter()
            .flatten()
            .copied()
            .fold(None, |most: Option<f64>, n| {
                Some(most.map_or(n, |most| most.max(n)))
            });
        match highest {
            None => ' ',
            Some(_) if most == 0.0 => BLOCKS[0],
            Some(n) => BLOCKS[((n / most * 7.0).ceil() as usize).min(7)],
        }
    };
    let first = (!first.is_empty()).then_some(first);
    first
        .into_iter()
        .chain(others.chunks(SECONDS))
        .map(block)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> View {
        let second = |requests: u64, p99: f64| {
            json!({ "requests": requests, "errors": 1, "retries": 0, "p50": 0.001, "p99": p99, "in_flight": 2,
                "cache_hits": 50, "cache_lookups": 100 })
        };
        let node = |id: &str, requests, p99, drain: Value| {
            json!({ "id": id, "state": if drain.is_null() { "up" } else { "drain" }, "health": "healthy",
                "drain": drain, "second": second(requests, p99) })
        };
        let mut view = View::default();
        view.take(json!({
            "version": "1.2.3", "state": "running", "ready": true, "not_ready": [], "generation": 3, "drift": 1,
            "uptime_seconds": 65.0, "reload": { "ok": false, "errors": ["error: no\n  --> a.yaml:3:1\n   |"] },
            "connections": { "active": 9 }, "second": second(1_234, 0.25),
            "upstreams": [{ "name": "web", "available": 1, "total": 2, "waiting": 3, "fail_open": false,
                "second": second(1_200, 0.2),
                "nodes": [
                    node("app-1", 400, 0.1, Value::Null),
                    node("app-2", 800, 0.2, json!({ "remaining": 4, "ends_in_seconds": 59.0 })),
                ] }],
            "routes": [{ "name": "default", "second": null }],
        }));
        view
    }

    #[test]
    fn a_picture_has_what_matters() {
        let said = page(&view(), None).join("\n");
        for told in [
            "tidegate 1.2.3 ready, up 1 m 5 s, generation 3, drift 1",
            "the last reload was refused: error: no   --> a.yaml:3:1",
            "1,234 req/s █  errors 0.1 %  p50 1.00 ms  p99 250 ms  in flight 2  connections 9  cache hits 50.0 %",
            "1 of 2, 3 wait",
            "drain, 4 left, 59 s",
            "  app-1  ",
            "default",
        ] {
            assert!(said.contains(told), "{told:?} is missing in:\n{said}");
        }
    }

    #[test]
    fn rows_are_sorted_as_wanted() {
        let mut view = view();
        let place = |view: &View, id: &str| {
            let lines = page(view, None);
            lines
                .iter()
                .position(|line| line.contains(id))
                .expect("a row")
        };
        assert!(place(&view, "app-1") < place(&view, "app-2"));
        view.press(crossterm::event::KeyCode::Char('s'), 24);
        assert!(
            place(&view, "app-2") < place(&view, "app-1"),
            "the busiest first"
        );
    }

    #[test]
    fn a_screen_is_filled_and_never_overrun() {
        let mut view = view();
        for (width, height) in [(80, 24), (40, 8), (1, 1), (200, 60)] {
            let lines = screen(&view, Some("GONE"), (width, height));
            let widest = lines.iter().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{width} x {height}");
            if height >= 8 {
                assert_eq!(lines.len(), height);
            }
        }
        view.above = 1_000;
        assert!(
            screen(&view, None, (100, 9))
                .iter()
                .any(|line| line.contains("default")),
            "the end is there"
        );
    }

    #[test]
    fn sparklines_go_from_the_oldest_to_the_latest() {
        let seconds = |of: &[f64]| of.iter().map(|n| Some(*n)).collect::<Vec<_>>();
        let line = |past: Vec<Option<f64>>| spark(past.into_iter());
        assert_eq!(line(seconds(&[0.0; 6])), "▁▁");
        assert_eq!(line(seconds(&[0.0, 0.0, 1.0, 2.0, 4.0, 1.0, 8.0])), "▁▃█");
        // The odd one out is the oldest: [-], [- - 1].
        assert_eq!(line(vec![None, None, None, Some(1.0)]), " █");
        assert_eq!(line(vec![]), "");
    }

    #[test]
    fn numbers_are_written_in_threes() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(&json!(number)), shown);
        }
        assert_eq!(count(&Value::Null), "-");
    }
}
