//! The status table: what a person looks at first. Plain HTML that refreshes itself, no script.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Html;

use super::cache::{self, CacheView};
use super::status;
use super::views::{self, NodeView, UpstreamView};
use crate::live::control::Control;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="2">
<title>Tidegate</title>
<style>
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; max-width: 75rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bad { font-weight: bold; }
.bad::before { content: "! "; }
pre { overflow-x: auto; border-left: 3px solid; padding-left: .6rem; }
</style>
</head>
<body>
"#;

/// URLs of each list of the cache.
const TOP: usize = 5;

/// `GET /`
pub async fn status(State(control): State<Arc<Control>>) -> Html<String> {
    let now = Instant::now();
    let snapshot = control.hold.load();
    let mut page = String::with_capacity(8 * 1024);
    page.push_str(HEAD);
    summary(&mut page, &control, now);
    let last = control.last_reload();
    if !last.problems.is_empty() {
        page.push_str("<h2 class=\"bad\">The last reload was refused</h2><p>The configuration below is the one before it.</p>\n");
        for problem in &last.problems {
            let _ = writeln!(page, "<pre>{}</pre>", escaped(&problem.to_string()));
        }
    }
    for upstream in views::upstreams(&control, now).upstreams {
        table(&mut page, &upstream);
    }
    if snapshot.caches {
        cache_panel(&mut page, &cache::view(&control, TOP));
    }
    let _ = writeln!(
        page,
        "<p>Generation {} loaded {}.</p></body></html>",
        snapshot.generation,
        views::stamp(snapshot.loaded_at)
    );
    Html(page)
}

fn summary(page: &mut String, control: &Control, now: Instant) {
    let why = status::not_ready(control, &control.hold.load(), now);
    let ready = if why.is_empty() {
        "ready".to_string()
    } else {
        format!(
            "<span class=\"bad\">not ready: {}</span>",
            escaped(&why.join("; "))
        )
    };
    let (connections, _) = control.metrics.connection_totals();
    let _ = writeln!(
        page,
        "<h1>Tidegate</h1><p>{ready} · up {} · {} requests, {} in flight · {connections} connections · {} changed at run time</p>",
        age(now
            .duration_since(control.lifecycle.started())
            .as_secs_f64()),
        control.metrics.requests_total(),
        control.metrics.in_flight(),
        control.drift(),
    );
}

/// How full the cache is, how useful, and what it is asked for most.
fn cache_panel(page: &mut String, cache: &CacheView) {
    let ratio = cache.hit_ratio.map_or_else(
        || "no requests yet".into(),
        |ratio| format!("{:.1} % answered from it", ratio * 100.0),
    );
    let full = cache.bytes as f64 / cache.capacity_bytes.max(1) as f64;
    let _ = writeln!(
        page,
        "<h2>Cache</h2><p>{} answers and {} bodies in other encodings in {:.1} of {:.1} MiB ({:.0} %) · {ratio} · {} left for want of room · {} being fetched</p>",
        cache.entries,
        cache.encoded,
        mebibytes(cache.bytes),
        mebibytes(cache.capacity_bytes),
        full * 100.0,
        cache.evictions.get("capacity").copied().unwrap_or_default(),
        cache.fills,
    );
    for (title, list) in [
        ("hits", &cache.top.hits),
        ("misses", &cache.top.misses),
        ("bytes", &cache.top.bytes),
    ] {
        if list.is_empty() {
            continue;
        }
        let _ = writeln!(
            page,
            "<table><thead><tr><th>most {title}</th><th class=n>{title}</th></tr></thead><tbody>"
        );
        for one in list {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td class=n>{}</td></tr>",
                escaped(&one.url),
                one.at_least
            );
        }
        page.push_str("</tbody></table>\n");
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn table(page: &mut String, upstream: &UpstreamView) {
    let _ = writeln!(
        page,
        "<h2>{}</h2><p>{} · {} of {} nodes available{}{}</p>\n<table><thead><tr><th>node</th><th>address</th><th>state</th><th>health</th><th>for</th><th class=n>weight</th><th class=n>in flight</th><th class=n>answers</th><th class=n>errors</th><th>last check</th></tr></thead><tbody>",
        escaped(&upstream.name),
        upstream.balance,
        upstream.available,
        upstream.nodes.len(),
        match upstream.fail_open {
            true => " · <span class=\"bad\">too few: health is ignored, all are used</span>",
            false => "",
        },
        match upstream.waiting {
            0 => String::new(),
            n => format!(" · {n} requests wait for a place"),
        },
    );
    for node in &upstream.nodes {
        row(page, node);
    }
    for name in &upstream.names {
        let why = name
            .failure
            .as_deref()
            .unwrap_or("it was not looked up yet");
        let what = match (name.addresses, &name.failure) {
            (0, _) => format!("the name has no address yet: {why}"),
            (_, Some(_)) => {
                format!("the name cannot be resolved: {why}; its last addresses are used")
            }
            (_, None) => continue,
        };
        let seen = name.age_seconds.map_or("never".into(), |s| age(s) + " ago");
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td colspan=9 class=bad>{}; last answer: {seen}</td></tr>",
            escaped(&name.name),
            escaped(&what)
        );
    }
    page.push_str("</tbody></table>\n");
}

fn row(page: &mut String, node: &NodeView) {
    let mut state = node.state.to_string();
    for (on, word) in [
        (node.backup, ", backup"),
        (node.breaker == Some("open"), ", breaker open"),
        (node.breaker == Some("half_open"), ", breaker half open"),
        (node.removed, ", removed"),
        (node.drift, ", changed at run time"),
    ] {
        if on {
            state.push_str(word);
        }
    }
    if node.agent_share < 100 {
        let _ = write!(state, ", asks for {}%", node.agent_share);
    }
    if let Some(drain) = &node.drain {
        let _ = write!(state, ", {} left", drain.remaining);
    }
    let check = node.last_check.as_ref().map_or_else(
        || "-".into(),
        |c| format!("{}, {} ago", c.text, age(c.age_seconds)),
    );
    let health = if node.health == "healthy" {
        ""
    } else {
        " class=bad"
    };
    let _ = writeln!(
        page,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td{health} title=\"{}\">{}</td><td>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td>{}</td></tr>",
        escaped(&node.id),
        escaped(&node.addr),
        escaped(&state),
        escaped(&node.reason),
        node.health,
        age(node.since_seconds),
        weight(node),
        node.in_flight,
        node.requests_total,
        node.errors_total,
        escaped(&check),
    );
}

/// A node's weight, and how much of it counts while it starts slowly.
fn weight(node: &NodeView) -> String {
    let now = node.effective_weight;
    match now > 0.0 && now < f64::from(node.weight) {
        true => format!("{now:.2} of {}", node.weight),
        false => node.weight.to_string(),
    }
}

fn age(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        assert_eq!(
            escaped("<a href=\"&\">"),
            "&lt;a href=&quot;&amp;&quot;&gt;"
        );
    }

    #[test]
    fn ages_are_told_in_the_unit_that_matters() {
        assert_eq!(
            [age(59.9), age(60.0), age(7_300.0), age(90_000.0)],
            ["59 s", "1 min", "2 h", "1 d"]
        );
    }
}
