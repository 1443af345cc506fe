//! `tidegate status`: what the proxy is, what it does, and what somebody should look at.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::table::{Head, Table, width};
use super::{Proxy, acme, certificates, ended, shared};
use crate::app::cli::{Output, StatusArgs};
use crate::app::say;

/// `tidegate status`
pub fn status(args: &StatusArgs) -> ExitCode {
    let proxy = Proxy::at(&args.admin);
    ended(proxy.get("/api/v1/status").and_then(|status| {
        if status["generation"].as_u64().is_none() {
            return Err(proxy.is_somebody_else());
        }
        let upstreams = proxy.get("/api/v1/upstreams")?;
        match args.admin.output {
            Output::Json => {
                let mut all = status;
                all["upstreams"] = upstreams["upstreams"].clone();
                say::line(format_args!("{all:#}"));
            }
            Output::Text => say::out(text(&status, &upstreams, width())),
        }
        Ok(ExitCode::SUCCESS)
    }))
}

fn text(status: &Value, upstreams: &Value, width: Option<usize>) -> String {
    let mut lines = vec![first_line(status)];
    lines.extend(shared::line(&status["redis"]).map(|line| format!("  {line}")));
    lines.extend(acme::lines(&status["acme"]).map(|line| format!("  {line}")));
    lines.extend(certificates::lines(&status["certificates"]).map(|line| format!("  {line}")));
    lines.extend(to_look_at(status));
    for upstream in list(&upstreams["upstreams"]) {
        lines.push(String::new());
        lines.push(upstream_line(upstream));
        lines.extend(nodes(upstream).lines(2, width));
        for name in list(&upstream["unresolved"]) {
            lines.push(format!("  {}: the name has no address yet", word(name)));
        }
        for name in list(&upstream["names"]).filter(|name| name["failure"].is_string()) {
            lines.push(format!(
                "  {}: {}",
                word(&name["name"]),
                word(&name["failure"])
            ));
        }
    }
    lines.join("\n") + "\n"
}

/// Version, generation, and what is going on.
fn first_line(status: &Value) -> String {
    let ready = match (status["state"] == "stopping", status["ready"] == true) {
        (true, _) => "STOPPING",
        (false, true) => "ready",
        (false, false) => "NOT READY",
    };
    let up = status["uptime_seconds"].as_f64().unwrap_or_default();
    format!(
        "tidegate {} {ready}, up {}, generation {}, {} requests ({} in flight), {} connections",
        word(&status["version"]),
        show_long(up),
        status["generation"],
        status["requests"]["total"],
        status["requests"]["in_flight"],
        status["connections"]["active"],
    )
}

/// What is not as the operator wants it.
fn to_look_at(status: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for why in list(&status["not_ready"]) {
        lines.push(format!("  not ready: {}", word(why)));
    }
    if let drift @ 1.. = status["drift"].as_u64().unwrap_or_default() {
        lines.push(format!(
            "  drift: {drift} {} at run time and not in the file",
            if drift == 1 {
                "node was changed"
            } else {
                "nodes were changed"
            }
        ));
    }
    for waits in list(&status["waits_for_restart"]) {
        lines.push(format!("  {}", word(waits)));
    }
    let last = &status["config"]["last_reload"];
    for (at, error) in list(&last["errors"]).enumerate() {
        if at == 0 {
            lines.push(format!(
                "  the last reload ({}) was refused, generation {} stays in use:",
                word(&last["at"]),
                status["generation"]
            ));
        }
        lines.extend(word(error).lines().map(|line| format!("    {line}")));
    }
    lines
}

fn upstream_line(upstream: &Value) -> String {
    let all = list(&upstream["nodes"]).filter(|n| n["removed"] != true);
    let mut line = format!(
        "{} ({}, {} of {} available",
        word(&upstream["name"]),
        word(&upstream["balance"]),
        upstream["available"],
        all.count(),
    );
    if let waiting @ 1.. = upstream["waiting"].as_u64().unwrap_or_default() {
        line.push_str(&format!(", {waiting} requests wait for a place"));
    }
    if upstream["fail_open"] == true {
        line.push_str(", so few are healthy that health is ignored");
    }
    if upstream["unverified"] == true {
        line.push_str(", its nodes are believed whoever they are: `verify: false`");
    }
    line + ")"
}

const HEADS: &[Head] = &[
    Head::Left("node"),
    Head::Left("address"),
    Head::Left("state"),
    Head::Left("health"),
    Head::Right("weight"),
    Head::Right("in flight"),
    Head::Right("answers"),
    Head::Right("errors"),
    Head::Left("why"),
];

fn nodes(upstream: &Value) -> Table {
    let mut table = Table::new(HEADS);
    for node in list(&upstream["nodes"]) {
        table.row(vec![
            word(&node["id"]),
            word(&node["addr"]),
            word(&node["state"]),
            word(&node["health"]),
            // JSON values ignore the width they are given.
            node["weight"].to_string(),
            node["in_flight"].to_string(),
            node["requests_total"].to_string(),
            node["errors_total"].to_string(),
            why(node),
        ]);
    }
    table
}

/// Why a node is as it is, what is left of its drain, and whether the file says otherwise.
fn why(node: &Value) -> String {
    let mut why = Vec::new();
    if let Some(left) = node["drain"]["remaining"].as_u64() {
        let ends = node["drain"]["ends_in_seconds"]
            .as_f64()
            .unwrap_or_default();
        why.push(match left {
            0 => "empty".into(),
            _ => format!("{left} left, cut in {}", show_long(ends)),
        });
    }
    let reason = word(&node["reason"]);
    if !reason.is_empty() {
        let since = node["since_seconds"].as_f64().unwrap_or_default();
        why.push(format!("{reason} ({})", show_long(since)));
    }
    if let Some(rests) = node["rests_for_seconds"].as_f64() {
        why.push(format!("rests for {}", show_long(rests)));
    }
    if node["breaker"]
        .as_str()
        .is_some_and(|state| state != "closed")
    {
        why.push(format!("breaker {}", word(&node["breaker"])));
    }
    if node["drift"] == true {
        why.push("changed at run time".into());
    }
    why.join(", ")
}

/// A time as people say it: two units at most.
pub fn show_long(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    match (
        whole / 86_400,
        whole / 3_600 % 24,
        whole / 60 % 60,
        whole % 60,
    ) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} m {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} m"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

/// A text of an answer; empty where there is none.
pub fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The entries of a list of an answer.
pub fn list(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_says_what_to_look_at() {
        let status = json!({
            "version": "1.2.3", "generation": 7, "uptime_seconds": 3_725.4, "ready": false, "state": "running",
            "not_ready": ["upstream web has no usable node"], "drift": 1, "waits_for_restart": [],
            "requests": { "total": 1200, "in_flight": 3 }, "connections": { "active": 9 },
            "config": { "last_reload": { "at": "2026-01-31T12:00:00.000Z", "errors": ["error: unknown key `x`\n  --> a.yaml:1:1"] } },
        });
        let node = |id: &str, state: &str, drain: Value, drift: bool| {
            json!({ "id": id, "addr": "10.0.0.1:80", "state": state, "health": "healthy", "weight": 1, "in_flight": 3,
                "requests_total": 1200, "errors_total": 0, "reason": "", "since_seconds": 5.0, "drain": drain,
                "drift": drift, "breaker": "closed" })
        };
        let upstreams = json!({ "upstreams": [{
            "name": "web", "balance": "least_conn", "available": 1, "waiting": 2, "fail_open": false,
            "unresolved": ["db:80"], "names": [{ "name": "db:80", "failure": "no answer" }],
            "nodes": [
                node("app-1", "up", Value::Null, false),
                node("app-2", "drain", json!({ "remaining": 3, "ends_in_seconds": 42.5 }), true),
            ],
        }] });
        let said = text(&status, &upstreams, None);
        for told in [
            "tidegate 1.2.3 NOT READY, up 1 h 2 m, generation 7, 1200 requests (3 in flight), 9 connections",
            "  not ready: upstream web has no usable node",
            "  drift: 1 node was changed at run time",
            "generation 7 stays in use:\n    error: unknown key `x`\n      --> a.yaml:1:1",
            "web (least_conn, 1 of 2 available, 2 requests wait for a place)",
            "3 left, cut in 42 s, changed at run time",
            "db:80: the name has no address yet",
            "db:80: no answer",
        ] {
            assert!(said.contains(told), "{told:?} is missing in:\n{said}");
        }
        let narrow = text(&status, &upstreams, Some(100));
        let rows = narrow.lines().filter(|line| line.contains("app-"));
        assert!(
            rows.clone().count() == 2 && rows.clone().all(|row| row.chars().count() <= 100),
            "{narrow}"
        );
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (seconds, shown) in [
            (-1.0, "0 s"),
            (59.9, "59 s"),
            (61.0, "1 m 1 s"),
            (7_265.0, "2 h 1 m"),
            (200_000.0, "2 d 7 h"),
        ] {
            assert_eq!(show_long(seconds), shown);
        }
    }
}
