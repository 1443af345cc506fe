//! `tidegate log`: the slow requests of late, or all requests as they end.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::follow::{Cut, Event, Feed, Next};
use super::{Failed, Proxy, ended, escaped};
use crate::app::cli::{LogArgs, Output};
use crate::app::say;

/// From one try to reach a proxy that is gone to the next.
const AGAIN: Duration = Duration::from_millis(500);
/// How long an event is waited for at a time.
const WAIT: Duration = Duration::from_secs(5);

/// `tidegate log`
pub fn log(args: &LogArgs) -> ExitCode {
    ended(match args.follow {
        true => follow(args),
        false => slow(args),
    })
}

/// The slow requests, the latest last: where the eye is.
fn slow(args: &LogArgs) -> Result<ExitCode, Failed> {
    let mut path = format!("/api/v1/slow?limit={}", args.lines);
    if let Some(route) = &args.route {
        path.push_str(&format!("&route={}", escaped(route)));
    }
    let answer = Proxy::at(&args.admin).get(&path)?;
    if args.admin.output == Output::Json {
        say::line(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    let slow = answer["slow"].as_array().cloned().unwrap_or_default();
    say::complain(match slow.is_empty() {
        true => {
            "no slow requests of late (`slow` of a route says from when on one is); -f follows all requests"
        }
        false => "the slow requests of late; -f follows all requests",
    });
    for request in slow.iter().rev() {
        say::line(line(request));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints requests as they end, for ever. A proxy that is gone is waited for.
fn follow(args: &LogArgs) -> Result<ExitCode, Failed> {
    let proxy = Proxy::at(&args.admin);
    let path = path(args);
    let mut feed = match proxy.follow(&path) {
        Ok(feed) => feed,
        Err(Cut::Gone(why) | Cut::Refused(why)) => return Err(why),
    };
    loop {
        if !print_all(&mut feed, args.admin.output) {
            return Ok(ExitCode::SUCCESS);
        }
        say::complain(format_args!(
            "the proxy at {} is gone; waiting for it",
            args.admin.admin
        ));
        feed = come_back(&proxy, &path)?;
        say::complain(format_args!(
            "the proxy at {} is back; what it did before is not told again",
            args.admin.admin
        ));
    }
}

/// What a proxy that was gone tells once it is back.
#[expect(
    clippy::disallowed_methods,
    reason = "a command has one thread and nothing else to do"
)]
fn come_back(proxy: &Proxy<'_>, path: &str) -> Result<Feed, Failed> {
    loop {
        match proxy.follow(path) {
            Ok(feed) => return Ok(feed),
            Err(Cut::Refused(why)) => return Err(why),
            Err(Cut::Gone(_)) => std::thread::sleep(AGAIN),
        }
    }
}

/// Prints what comes until nothing does; `false` when nobody reads it any more.
fn print_all(feed: &mut Feed, output: Output) -> bool {
    loop {
        let event = match feed.next(WAIT) {
            Next::Event(event) => event,
            Next::Nothing => continue,
            Next::End => return true,
        };
        if !print(&event, output) {
            return false;
        }
    }
}

fn print(Event { name, data }: &Event, output: Output) -> bool {
    let value = || serde_json::from_str::<Value>(data).unwrap_or_default();
    match (name.as_str(), output) {
        ("line", Output::Json) => say::heard(format_args!("{data}\n")),
        ("line", Output::Text) => say::heard(format_args!("{}\n", line(&value()))),
        ("lost", _) => {
            let lost = value()["count"].as_u64().unwrap_or_default();
            say::complain(format_args!(
                "{lost} requests are missing here: they came faster than they were read; filters make them fewer"
            ));
            true
        }
        _ => true,
    }
}

/// The path of what is asked for.
fn path(args: &LogArgs) -> String {
    let asked = [
        ("min_time", &args.min_time),
        ("status", &args.status),
        ("route", &args.route),
        ("upstream", &args.upstream),
        ("node", &args.node),
        ("host", &args.host),
        ("path", &args.path),
        ("method", &args.method),
        ("end", &args.end),
        ("cache", &args.cache),
    ];
    let mut path = String::from("/api/v1/log");
    let mut before = '?';
    for (name, value) in asked {
        if let Some(value) = value {
            path.push_str(&format!("{before}{name}={}", escaped(value)));
            before = '&';
        }
    }
    path
}

/// A request as one line: of the access log, or of the list of slow ones. What a client chose is shown so that no
/// terminal obeys it.
fn line(request: &Value) -> String {
    let word = |key: &str| request[key].as_str().unwrap_or_default();
    let at = match word("ts") {
        "" => word("at"),
        at => at,
    };
    let time = at.split_once('T').map_or(at, |(_, time)| time);
    let target = match (word("target"), word("query")) {
        ("", "") => word("path").to_owned(),
        ("", query) => format!("{}?{query}", word("path")),
        (target, _) => target.to_owned(),
    };
    let mut line = format!(
        "{time}  {:>3}  {:>9}  {:>10}  {:<6} {}{}",
        match request["status"].as_u64() {
            None | Some(0) => "-".into(),
            Some(status) => status.to_string(),
        },
        show_seconds(request["t"]["total"].as_f64()),
        show_bytes(request["bytes_out"].as_u64().unwrap_or_default()),
        word("method"),
        harmless(word("host")),
        harmless(&target),
    );
    let nodes = request["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<&str> = nodes.filter_map(Value::as_str).collect();
    let upstream = match (word("upstream"), nodes.join(" > ")) {
        ("", nodes) => nodes,
        (upstream, nodes) if nodes.is_empty() => upstream.to_owned(),
        (upstream, nodes) => format!("{upstream}: {nodes}"),
    };
    let cache = match (word("cache"), word("cache_reason")) {
        ("", _) => String::new(),
        (cache, "") => cache.to_owned(),
        (cache, reason) => format!("{cache} ({reason})"),
    };
    let end = match word("end") {
        "ok" => "",
        end => end,
    };
    for more in [upstream.as_str(), &cache, end] {
        if !more.is_empty() {
            line.push_str("  ");
            line.push_str(more);
        }
    }
    line
}

/// Text of a client without what a terminal would obey.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    {
        true => '\u{fffd}',
        false => c,
    };
    text.chars().map(shown).collect()
}

/// Seconds as they are read at a glance.
pub fn show_seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(s) if s < 0.000_999_5 => format!("{:.0} us", s * 1e6),
        Some(s) if s < 0.009_995 => format!("{:.2} ms", s * 1e3),
        Some(s) if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        Some(s) if s < 99.95 => format!("{s:.1} s"),
        Some(s) => format!("{s:.0} s"),
    }
}

/// Bytes as they are read at a glance.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut left, mut unit) = (bytes as f64 / 1_024.0, 0);
    while left >= 1_023.95 && unit + 1 < UNITS.len() {
        left /= 1_024.0;
        unit += 1;
    }
    format!("{left:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_what_matters_in_columns() {
        let fine = json!({
            "ts": "2026-01-31T12:00:00.123Z", "status": 200, "bytes_out": 51_300, "t": { "total": 0.0012 },
            "method": "GET", "host": "shop.example.com", "path": "/a", "query": "b=1", "upstream": "web",
            "nodes": ["app-1"], "cache": "miss", "cache_reason": "unknown", "end": "ok",
        });
        assert_eq!(
            line(&fine),
            "12:00:00.123Z  200    1.20 ms    50.1 KiB  GET    shop.example.com/a?b=1  web: app-1  miss (unknown)"
        );
        let failed = json!({
            "at": "2026-01-31T12:00:00.123Z", "status": 0, "bytes_out": 0, "t": { "total": 61.04 },
            "method": "POST", "host": "a", "target": "/\u{1b}[31m\u{202e}", "upstream": "web",
            "nodes": ["app-1", "app-2"], "end": "client_abort",
        });
        assert_eq!(
            line(&failed),
            "12:00:00.123Z    -     61.0 s         0 B  POST   a/\u{fffd}[31m\u{fffd}  web: app-1 > app-2  client_abort"
        );
    }

    #[test]
    fn figures_are_short() {
        for (seconds, shown) in [
            (0.000_012, "12 us"),
            (0.001_5, "1.50 ms"),
            (0.25, "250 ms"),
            (0.999_9, "1.0 s"),
            (2.0, "2.0 s"),
            (600.0, "600 s"),
        ] {
            assert_eq!(show_seconds(Some(seconds)), shown);
        }
        for (bytes, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(show_bytes(bytes), shown);
        }
    }
}
