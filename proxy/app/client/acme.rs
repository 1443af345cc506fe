//! Certificates that are got from a CA, in lines of what commands print.

use serde_json::Value;

use super::status::word;

/// How each of them is.
pub fn lines(all: &Value) -> impl Iterator<Item = String> + '_ {
    all.as_array().into_iter().flatten().map(line)
}

fn line(is: &Value) -> String {
    let names: Vec<&str> = is["names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let names = names.join(", ");
    let (until, next) = (word(&is["expires_at"]), word(&is["next_order_at"]));
    let mut line = match is["state"].as_str() {
        Some("valid") => format!("acme {names}: holds until {until}, renewed {next}"),
        Some("expired") => format!("acme {names}: EXPIRED since {until}, ordered {next}"),
        Some("ordering") => format!("acme {names}: is ordered at this moment"),
        _ => format!("acme {names}: NO CERTIFICATE yet, handshakes are refused; ordered {next}"),
    };
    if let Some(failure) = is["failure"].as_str() {
        let n = is["failures"].as_u64().unwrap_or_default();
        line.push_str(&format!("; {n} failed, the last: {failure}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_how_long_it_holds_or_what_is_wrong() {
        let all = json!([
            { "names": ["a.test", "b.test"], "state": "valid", "expires_at": "2027-01-01", "next_order_at": "2026-12-01", "failures": 0 },
            { "names": ["c.test"], "state": "missing", "next_order_at": "2026-12-01", "failures": 2, "failure": "no" },
        ]);
        let lines: Vec<String> = lines(&all).collect();
        assert_eq!(
            lines,
            [
                "acme a.test, b.test: holds until 2027-01-01, renewed 2026-12-01",
                "acme c.test: NO CERTIFICATE yet, handshakes are refused; ordered 2026-12-01; 2 failed, the last: no",
            ]
        );
        assert_eq!(super::lines(&Value::Null).count(), 0);
    }
}
