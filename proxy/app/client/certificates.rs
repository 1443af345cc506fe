//! Certificates that have expired or are about to, in lines of what commands print.

use serde_json::Value;

use super::status::{list, word};

/// A line for each of them.
pub fn lines(ending: &Value) -> impl Iterator<Item = String> + '_ {
    list(ending).map(line)
}

fn line(is: &Value) -> String {
    let names: Vec<String> = list(&is["names"]).map(word).collect();
    let (names, until) = (names.join(", "), word(&is["not_after"]));
    let days = is["days_left"].as_i64().unwrap_or_default();
    let days = match days {
        1 => "1 day".into(),
        _ => format!("{days} days"),
    };
    let told = match is["state"].as_str() {
        Some("expired") => format!("EXPIRED since {until}, served all the same"),
        _ => format!("expires in {days}, {until}"),
    };
    match is["file"].as_str() {
        Some(file) => format!("certificate {names} ({file}): {told}; put another one there"),
        None => format!("certificate {names} (from the CA): {told}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_which_one_since_when_and_what_to_do() {
        let ending = json!([
            { "names": ["a.test", "b.test"], "file": "site.pem", "state": "soon", "days_left": 6, "not_after": "2026-12-01" },
            { "names": ["c.test"], "file": null, "state": "expired", "days_left": -2, "not_after": "2026-11-01" },
        ]);
        let told: Vec<String> = lines(&ending).collect();
        assert_eq!(
            told,
            [
                "certificate a.test, b.test (site.pem): expires in 6 days, 2026-12-01; put another one there",
                "certificate c.test (from the CA): EXPIRED since 2026-11-01, served all the same",
            ]
        );
        assert_eq!(lines(&Value::Null).count(), 0);
    }
}
