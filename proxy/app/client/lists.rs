//! `tidegate events` and `tidegate audit`: what happened, and who changed what; the latest last, where the eye is.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::{Failed, Proxy, ended, escaped};
use crate::app::cli::{AuditArgs, EventsArgs, Output};
use crate::app::say;

/// From one look at what is new to the next.
const LOOK: Duration = Duration::from_secs(1);
/// As many as the proxy keeps.
const ALL: u32 = 1_000;

/// `tidegate events`
pub fn events(args: &EventsArgs) -> ExitCode {
    ended(list_events(args))
}

fn list_events(args: &EventsArgs) -> Result<ExitCode, Failed> {
    let proxy = Proxy::at(&args.admin);
    let (answer, process) = (proxy.get(&path(args, args.lines, 0))?, process(&proxy)?);
    if args.admin.output == Output::Json && !args.follow {
        say::line(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    let last = answer["events"][0]["id"].as_u64().unwrap_or_default();
    if print(&answer, args.admin.output) && args.follow {
        return go_on(args, &proxy, (process, last));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is new, for ever. A proxy that is gone is waited for; one that was restarted counts from 1 again.
#[expect(
    clippy::disallowed_methods,
    reason = "a command has one thread and nothing else to do"
)]
fn go_on(
    args: &EventsArgs,
    proxy: &Proxy<'_>,
    (mut known, mut last): (u64, u64),
) -> Result<ExitCode, Failed> {
    let mut gone = false;
    loop {
        std::thread::sleep(LOOK);
        let Ok(now) = process(proxy) else {
            if !gone {
                let addr = &args.admin.admin;
                say::complain(format_args!("the proxy at {addr} is gone; waiting for it"));
            }
            gone = true;
            continue;
        };
        if now != known || gone {
            say::complain(format_args!("the proxy at {} is back", args.admin.admin));
        }
        if now != known {
            (known, last) = (now, 0);
        }
        gone = false;
        // Gone between the two questions: the next round finds out.
        let Ok(answer) = proxy.get(&path(args, ALL, last)) else {
            continue;
        };
        last = answer["events"][0]["id"].as_u64().unwrap_or(last);
        if !print(&answer, args.admin.output) {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Which process answers.
fn process(proxy: &Proxy<'_>) -> Result<u64, Failed> {
    let status = proxy.get("/api/v1/status")?;
    status["pid"]
        .as_u64()
        .ok_or_else(|| proxy.is_somebody_else())
}

fn path(args: &EventsArgs, most: u32, after: u64) -> String {
    let mut path = format!("/api/v1/events?limit={most}&after={after}");
    if let Some(kind) = &args.kind {
        path.push_str(&format!("&kind={}", escaped(kind)));
    }
    path
}

/// Prints events, the latest last; `false` when nobody reads them any more.
fn print(answer: &Value, output: Output) -> bool {
    let events = answer["events"].as_array().into_iter().flatten();
    let shown: String = events
        .rev()
        .map(|event| match output {
            Output::Json => format!("{event}\n"),
            Output::Text => format!("{}\n", event_line(event)),
        })
        .collect();
    say::heard(shown)
}

fn event_line(event: &Value) -> String {
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    let about = match (word("upstream"), word("node")) {
        ("", "") => String::new(),
        (upstream, "") => format!("{upstream}: "),
        (upstream, node) => format!("{upstream}/{node}: "),
    };
    format!(
        "{}  {:<7}  {:<9}  {about}{}",
        word("at"),
        word("level"),
        word("kind"),
        word("text")
    )
}

/// `tidegate audit`
pub fn audit(args: &AuditArgs) -> ExitCode {
    let path = format!("/api/v1/audit?limit={}", args.lines);
    ended(Proxy::at(&args.admin).get(&path).map(|answer| {
        if args.admin.output == Output::Json {
            say::line(format_args!("{answer:#}"));
            return ExitCode::SUCCESS;
        }
        let deeds = answer["audit"].as_array().into_iter().flatten();
        let lines: String = deeds.rev().map(|deed| deed_line(deed) + "\n").collect();
        say::out(lines);
        ExitCode::SUCCESS
    }))
}

fn deed_line(deed: &Value) -> String {
    let word = |key: &str| deed[key].as_str().unwrap_or_default();
    let who = match word("who") {
        "" => word("from").to_owned(),
        who => format!("{who} ({})", word("from")),
    };
    let change = match (word("before"), word("after")) {
        ("", "") => String::new(),
        ("", after) => format!(": {after}"),
        (before, after) => format!(": {before} -> {after}"),
    };
    format!(
        "{}  {:<7}  {:<3}  {who}  {} {}{change}",
        word("at"),
        word("outcome"),
        deed["status"],
        word("action"),
        word("target"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_what_it_is_about() {
        let event = json!({
            "at": "2026-01-31T12:00:00.123Z", "level": "warning", "kind": "node", "upstream": "web", "node": "app-1",
            "text": "up healthy -> up unhealthy: refused",
        });
        assert_eq!(
            event_line(&event),
            "2026-01-31T12:00:00.123Z  warning  node       web/app-1: up healthy -> up unhealthy: refused"
        );
    }

    #[test]
    fn a_deed_says_who_did_what_and_what_became_of_it() {
        let mut deed = json!({
            "at": "2026-01-31T12:00:00.123Z", "who": "deploy", "from": "10.0.0.5:1234", "action": "drain",
            "target": "web/app-1", "before": "up", "after": "drain", "outcome": "ok", "status": 200,
        });
        assert_eq!(
            deed_line(&deed),
            "2026-01-31T12:00:00.123Z  ok       200  deploy (10.0.0.5:1234)  drain web/app-1: up -> drain"
        );
        deed["who"] = Value::Null;
        assert!(deed_line(&deed).contains("200  10.0.0.5:1234  drain"));
    }
}
