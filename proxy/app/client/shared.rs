//! The tier that proxies share, in a line of what commands print.

use serde_json::Value;

use super::status::{show_long, word};

/// How it is; `None`: there is none.
pub fn line(redis: &Value) -> Option<String> {
    let address = redis["address"].as_str()?;
    let since = show_long(redis["since_seconds"].as_f64().unwrap_or_default());
    let mut line = match redis["state"].as_str() {
        Some("up") => format!("redis {address}: used for {since}"),
        Some("down") => format!(
            "redis {address}: NOT USED for {since}: {}; requests are served without it",
            word(&redis["why"])
        ),
        _ => return Some(format!("redis {address}: not tried yet")),
    };
    if redis["state"] == "up" {
        let millis = |key: &str| Some(redis["latency"][key].as_f64()? * 1_000.0);
        if let (Some(p50), Some(p99)) = (millis("p50_seconds"), millis("p99_seconds")) {
            line.push_str(&format!(", p50 {p50:.1} ms, p99 {p99:.1} ms"));
        }
    }
    let errors = redis["errors"].as_object().into_iter().flatten();
    let failed: Vec<String> = errors
        .filter(|(_, n)| n.as_u64() > Some(0))
        .map(|(why, n)| format!("{} {n}", why.replace('_', " ")))
        .collect();
    if !failed.is_empty() {
        line.push_str(&format!("; errors since the start: {}", failed.join(", ")));
    }
    Some(line)
}

/// What became of answers there; `None`: none are kept there.
pub fn answers(redis: &Value) -> Option<String> {
    let entries = &redis["entries"];
    let number = |key: &str| entries[key].as_u64().unwrap_or_default();
    entries["found"].as_u64()?;
    let dropped = entries["dropped"].as_object().into_iter().flatten();
    let dropped: u64 = dropped.filter_map(|(_, n)| n.as_u64()).sum();
    Some(format!(
        "  found there {}, not found {}, written {}, dropped {dropped}, waiting to be written {} ({:.1} of {:.1} MiB)",
        number("found"),
        number("missed"),
        number("written"),
        number("queued"),
        mebibytes(number("queued_bytes")),
        mebibytes(number("queue_capacity_bytes")),
    ))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_told_where_they_are_kept_there() {
        assert_eq!(answers(&json!({ "entries": null })), None);
        let redis = json!({ "entries": { "found": 4, "missed": 3, "written": 2, "dropped": { "full": 1, "down": 5 },
            "queued": 7, "queued_bytes": 1_572_864, "queue_capacity_bytes": 33_554_432 } });
        assert_eq!(
            answers(&redis).unwrap(),
            "  found there 4, not found 3, written 2, dropped 6, waiting to be written 7 (1.5 of 32.0 MiB)"
        );
    }

    #[test]
    fn a_line_says_how_it_is_and_since_when() {
        assert_eq!(line(&Value::Null), None);
        let up = json!({ "address": "redis://a:1/0", "state": "up", "since_seconds": 62.0,
            "latency": { "p50_seconds": 0.0002, "p99_seconds": 0.0123 }, "errors": { "timeout": 2, "breaker_open": 0 } });
        assert_eq!(
            line(&up).unwrap(),
            "redis redis://a:1/0: used for 1 m 2 s, p50 0.2 ms, p99 12.3 ms; errors since the start: timeout 2"
        );
        let down = json!({ "address": "redis://a:1/0", "state": "down", "why": "it hangs", "since_seconds": 5.0 });
        assert_eq!(
            line(&down).unwrap(),
            "redis redis://a:1/0: NOT USED for 5 s: it hangs; requests are served without it"
        );
    }
}
