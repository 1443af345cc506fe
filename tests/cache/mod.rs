//! What a shared cache must do, a file a chapter: each point of RFC 9111 and its neighbours that the proxy promises.
//!
//! A story asks for the same thing more than once and counts how often the origin was asked: that is all a cache can be
//! seen by. Hours pass on the proxy's own clock, which a story puts forward; none of them sleeps to see something expire.

mod freshness;
mod invalidation;
mod keys;
mod memory;
mod ranges;
mod reviewed;
mod safety;
mod shared;
mod stale;
mod storing;
mod targeted;
mod together;
mod told;
mod validating;
mod wishes;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::support::client::{Answer, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::Tidegate;
use crate::support::reply::{Reply, Seen, Step};

/// Longer than anything a story waits for.
const EVER: u64 = u64::MAX;
/// Seconds beside the end of a freshness lifetime at which a story looks: a busy machine may be that late.
const BESIDE: u64 = 20;

/// One origin, and the proxy with a cache in front of it.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    /// Its route has these words behind `cache:`.
    async fn open(rules: &str) -> Self {
        Stage::under("", rules).await
    }

    /// The same, with further sections at the top of the file. What is below `/plain/` has no cache.
    async fn under(top: &str, rules: &str) -> Self {
        let app = Origin::start("app-1").await;
        let tide = Tidegate::run_with_faults(yaml(top, rules, &nodes([&app]))).await;
        Stage { app, tide }
    }

    /// The origin answers 200 with these lines, `Name: value` each, to everything.
    fn says(&self, lines: &'static str) {
        self.app.answers(move |seen| reply(seen, 200, lines));
    }

    /// The answer to a request on a connection of its own.
    async fn ask(&self, request: &Request) -> Answer {
        self.tide.ask(request).await
    }

    /// The answer to a GET.
    async fn get(&self, target: &str) -> Answer {
        self.tide.get(target).await
    }

    /// The answer to a GET with these lines.
    async fn get_with(&self, target: &str, lines: &str) -> Answer {
        self.ask(&with(Request::get(target), lines)).await
    }

    /// So many seconds pass.
    async fn passes(&self, seconds: u64) {
        self.tide.forward(Duration::from_secs(seconds)).await;
    }

    /// How often the origin was asked for this.
    fn asked(&self, target: &str) -> usize {
        let seen = self.app.seen();
        seen.iter().filter(|seen| seen.target() == target).count()
    }

    /// What the origin was asked last.
    fn last(&self) -> Seen {
        let mut seen = self.app.seen();
        seen.pop().expect("a request came through")
    }

    // -- answers in tables

    /// Each of these answers is stored: two requests, one fetch.
    async fn keeps(&self, rows: &[Row]) {
        self.judge(rows, 1).await;
    }

    /// None of these answers is stored, or none is used again: two requests, two fetches.
    async fn refuses(&self, rows: &[Row]) {
        self.judge(rows, 2).await;
    }

    async fn judge(&self, rows: &[Row], fetches: usize) {
        self.scripted(rows);
        let mut wrong = Vec::new();
        for row in rows {
            let request = with(Request::get(&row.path()), row.asked);
            let (first, second) = (self.ask(&request).await, self.ask(&request).await);
            let asked = self.asked(&row.path());
            let same = (first.status, &first.body) == (second.status, &second.body);
            if asked != fetches || same != (fetches == 1 || first.body.is_empty()) {
                wrong.push(format!(
                    "{}: {asked} fetches, {} {:?}, then {} {:?} ({})",
                    row.name,
                    first.status,
                    first.text(),
                    second.status,
                    second.text(),
                    told(&second)
                ));
            }
        }
        assert!(wrong.is_empty(), "not {fetches}: {wrong:#?}");
    }

    /// Each of these answers is fresh for so many seconds and no longer; [`EVER`]: a hundred years are not enough.
    async fn lasts(&self, rows: &[(Row, u64)]) {
        let all: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
        self.scripted(&all);
        for (row, _) in rows {
            self.get(&row.path()).await;
        }
        // When which row is looked at, and how often it has been fetched then.
        let mut looks: Vec<(u64, &Row, usize)> = Vec::new();
        for (row, seconds) in rows {
            match *seconds {
                0 => looks.push((0, row, 2)),
                EVER => looks.push((100 * 365 * 86_400, row, 1)),
                seconds => {
                    looks.push((seconds - BESIDE, row, 1));
                    looks.push((seconds + 1, row, 2));
                }
            }
        }
        looks.sort_by_key(|(at, _, _)| *at);
        let (mut now, mut wrong) = (0, Vec::new());
        for (at, row, fetches) in looks {
            if at > now {
                self.passes(at - now).await;
                now = at;
            }
            self.get(&row.path()).await;
            let asked = self.asked(&row.path());
            if asked != fetches {
                wrong.push(format!("{} at {at} s: {asked} fetches", row.name));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The origin answers each path as its row says.
    fn scripted(&self, rows: &[Row]) {
        let by_path: HashMap<String, Row> = rows.iter().map(|row| (row.path(), *row)).collect();
        assert_eq!(by_path.len(), rows.len(), "rows have names of their own");
        self.app.answers(move |seen| {
            let row = by_path.get(seen.target());
            let row = row.copied().unwrap_or(row_of("unknown", ""));
            reply(seen, row.status, row.says)
        });
    }
}

/// The configuration of a [`Stage`].
fn yaml(top: &str, rules: &str, nodes: &str) -> String {
    format!(
        "{top}upstreams: {{ web: {{ nodes: {nodes}, outlier: off }} }}
routes:
  - {{ match: {{ path: /clock }}, redirect: {{ to: / }} }}
  - {{ match: {{ path: /plain/ }}, upstream: web }}
  - {{ upstream: web, cache: {rules} }}\n"
    )
}

/// An answer in a table, by what it says, with a name that tells it from the others.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    status: u16,
    says: &'static str,
    asked: &'static str,
}

/// A 200 that says these lines.
fn row_of(name: &'static str, says: &'static str) -> Row {
    let (status, asked) = (200, "");
    Row {
        name,
        status,
        says,
        asked,
    }
}

impl Row {
    /// With this status.
    fn status(self, status: u16) -> Row {
        Row { status, ..self }
    }

    /// To requests that say these lines.
    fn asked(self, asked: &'static str) -> Row {
        Row { asked, ..self }
    }

    /// Its own.
    fn path(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("/{}", self.name.chars().map(word).collect::<String>())
    }
}

/// An answer whose body is its own: target and serial; with these lines.
fn reply(seen: &Seen, status: u16, lines: &str) -> Reply {
    let body = format!("{} {}", seen.target(), seen.serial);
    let mut reply = match status {
        204 | 304 => Reply::steps([Step::Head(status, Vec::new())]),
        205 => Reply::sized(status, ""),
        _ => Reply::sized(status, body),
    };
    for (name, value) in fields(&dated(lines)) {
        reply = reply.field(name, value);
    }
    reply
}

/// An answer to a conditional request: 304 with these lines if it names `etag`, else a 200 that has it.
fn validated(seen: &Seen, etag: &str, lines: &str) -> Reply {
    let named = seen.head.get("if-none-match") == Some(etag);
    reply(seen, if named { 304 } else { 200 }, lines).field("ETag", etag)
}

/// A request with these lines.
fn with(request: Request, lines: &str) -> Request {
    let lines = dated(lines);
    fields(&lines).fold(request, |request, (name, value)| request.field(name, value))
}

fn fields(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| {
        let (name, value) = line.split_once(':').expect("a line is `Name: value`");
        (name.trim(), value.trim())
    })
}

/// The lines with `{now}`, `{now+60}`, `{now-60}` as dates.
fn dated(lines: &str) -> String {
    let mut text = String::new();
    let mut rest = lines;
    while let Some((before, after)) = rest.split_once("{now") {
        let (shift, after) = after.split_once('}').expect("a `}` behind `{now`");
        let shift: i64 = shift.parse().unwrap_or(0);
        text.push_str(before);
        text.push_str(&date(shift));
        rest = after;
    }
    text + rest
}

/// The date so many seconds from now.
fn date(shift: i64) -> String {
    let by = Duration::from_secs(shift.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if shift < 0 { now - by } else { now + by })
}

/// What `Cache-Status` says; nothing where there is none.
fn told(answer: &Answer) -> &str {
    answer.head.get("cache-status").unwrap_or_default()
}

/// Whether it came from the store.
fn is_hit(answer: &Answer) -> bool {
    told(answer).starts_with("tidegate; hit")
}
