//! Commands that talk to a running proxy through its stats port.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cli::{AdminArgs, DiffArgs, DrainArgs, NodeArgs, Output, WeightArgs};
use super::say;
use crate::config;
use crate::config::diff;
use crate::live::source::Source;

/// Commands about the cache.
mod cache;
/// What a running proxy goes on telling.
mod follow;
/// What happened, and who changed what.
mod lists;
/// Requests as they end.
mod log;
/// What the proxy is and does.
mod status;
/// Rows of words in columns.
mod table;
/// The token they bring.
mod token;
/// What it does second by second.
mod top;

pub use cache::{cache, purge};
pub use lists::{audit, events};
pub use log::log;
pub use status::status;
pub use top::top;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// From one look at a draining node to the next.
const LOOK: Duration = Duration::from_millis(100);

/// From one word on a drain to the next, for somebody who watches.
const PROGRESS: Duration = Duration::from_secs(1);

/// Why a command failed, in words.
type Failed = String;

/// A running proxy.
struct Proxy<'a> {
    agent: ureq::Agent,
    addr: &'a str,
    /// The token to bring; why there is none is told at the first call.
    token: Result<Option<String>, Failed>,
}

impl<'a> Proxy<'a> {
    fn at(args: &'a AdminArgs) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Proxy {
            agent: config.into(),
            addr: args
                .admin
                .trim_start_matches("http://")
                .trim_end_matches('/'),
            token: token::of(args),
        }
    }

    fn get(&self, path: &str) -> Result<Value, Failed> {
        let request = self.agent.get(format!("http://{}{path}", self.addr));
        self.understood(self.with_token(request)?.call())
    }

    fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let request = self.agent.post(format!("http://{}{path}", self.addr));
        let request = self.with_token(request)?;
        let answer = match body {
            Some(body) => request.send_json(body),
            None => request.send_empty(),
        };
        self.understood(answer)
    }

    /// The request with the token that was named, if one was.
    fn with_token<Any>(
        &self,
        request: ureq::RequestBuilder<Any>,
    ) -> Result<ureq::RequestBuilder<Any>, Failed> {
        Ok(match self.token.as_ref().map_err(Clone::clone)? {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        })
    }

    fn is_somebody_else(&self) -> Failed {
        format!(
            "{} does not answer like a tidegate stats port\n  = help: --admin ADDR or TIDEGATE_ADMIN says where it is",
            self.addr
        )
    }

    fn unreachable(&self, why: &ureq::Error) -> Failed {
        format!(
            "cannot reach the stats port at {}: {why}\n  = help: is tidegate running? --admin ADDR or TIDEGATE_ADMIN says where its stats port is",
            self.addr
        )
    }

    fn understood(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failed> {
        let mut answer = answer.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        let body: Value = answer
            .body_mut()
            .read_json()
            .map_err(|_| self.is_somebody_else())?;
        if status.is_success() {
            return Ok(body);
        }
        let mut why = body["detail"].as_str().unwrap_or("refused").to_string();
        for error in body["errors"].as_array().into_iter().flatten() {
            if let Some(text) = error["text"].as_str() {
                why.push_str("\n\n");
                why.push_str(text);
            }
        }
        let brought = matches!(self.token, Ok(Some(_)));
        why.push_str(token::remedy(status.as_u16(), brought));
        Err(why)
    }
}

fn ended(result: Result<ExitCode, Failed>) -> ExitCode {
    result.unwrap_or_else(|why| {
        say::complain(format_args!("error: {why}"));
        ExitCode::FAILURE
    })
}

/// `tidegate reload`
pub fn reload(args: &AdminArgs) -> ExitCode {
    ended(Proxy::at(args).post("/api/v1/reload", None).map(|answer| {
        if args.output == Output::Json {
            say::line(format_args!("{answer:#}"));
            return ExitCode::SUCCESS;
        }
        say::line(format_args!(
            "{}: generation {}",
            answer["result"].as_str().unwrap_or_default(),
            answer["generation"]
        ));
        for line in answer["notes"].as_array().into_iter().flatten() {
            say::line(format_args!("  {}", line.as_str().unwrap_or_default()));
        }
        for line in answer["warnings"].as_array().into_iter().flatten() {
            say::complain(format_args!("{}\n", line.as_str().unwrap_or_default()));
        }
        ExitCode::SUCCESS
    }))
}

/// `tidegate undrain`, `tidegate down`
pub fn verb(args: &NodeArgs, verb: &str) -> ExitCode {
    ended(do_verb(args, verb).map(|node| {
        print_node(args, &node);
        ExitCode::SUCCESS
    }))
}

/// `tidegate weight`
pub fn weight(args: &WeightArgs) -> ExitCode {
    let node = &args.node;
    ended(path_of(node, "/weight").and_then(|path| {
        let body = json!({ "weight": args.weight });
        let answer = Proxy::at(&node.admin).post(&path, Some(&body))?;
        print_node(node, &answer);
        Ok(ExitCode::SUCCESS)
    }))
}

/// `tidegate drain`
pub fn drain(args: &DrainArgs) -> ExitCode {
    ended(drain_and_wait(args))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command has one thread and nothing else to do"
)]
fn drain_and_wait(args: &DrainArgs) -> Result<ExitCode, Failed> {
    let begun = Instant::now();
    let node = do_verb(&args.node, "drain")?;
    let Some(limit) = args.wait else {
        print_node(&args.node, &node);
        return Ok(ExitCode::SUCCESS);
    };
    let mut told = Instant::now();
    let attended = std::io::stderr().is_terminal();
    loop {
        let (left, draining) = what_is_left(&args.node)?;
        if !draining {
            say::complain(format_args!(
                "{} was given requests again before it was empty",
                args.node.node
            ));
            return Ok(ExitCode::FAILURE);
        }
        if left == 0 {
            say::line(format_args!(
                "{} is empty after {:.1} s",
                args.node.node,
                begun.elapsed().as_secs_f64()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        if begun.elapsed() >= limit {
            say::complain(format_args!(
                "{} still has {left} requests after {limit:?}",
                args.node.node
            ));
            return Ok(ExitCode::FAILURE);
        }
        if attended && told.elapsed() >= PROGRESS {
            told = Instant::now();
            say::complain(format_args!(
                "{}: {left} requests left, {:.0} s of {:.0} s",
                args.node.node,
                begun.elapsed().as_secs_f64(),
                limit.as_secs_f64()
            ));
        }
        std::thread::sleep(LOOK.min(limit.saturating_sub(begun.elapsed())));
    }
}

/// Requests in flight on the node, or on every address of the name, and whether none of them takes new ones.
fn what_is_left(args: &NodeArgs) -> Result<(u64, bool), Failed> {
    let (upstream, node) = split(&args.node)?;
    let path = format!("/api/v1/upstreams/{}", escaped(upstream));
    let answer = Proxy::at(&args.admin).get(&path)?;
    let is_it = |id: &str| {
        id.strip_prefix(node)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let (mut left, mut draining) = (0, true);
    for node in nodes.filter(|n| n["id"].as_str().is_some_and(is_it)) {
        left += node["in_flight"].as_u64().unwrap_or_default();
        draining &= node["state"] != "up";
    }
    Ok((left, draining))
}

fn do_verb(args: &NodeArgs, verb: &str) -> Result<Value, Failed> {
    let path = path_of(args, &format!("/{verb}"))?;
    Proxy::at(&args.admin).post(&path, None)
}

fn path_of(args: &NodeArgs, tail: &str) -> Result<String, Failed> {
    let (upstream, node) = split(&args.node)?;
    Ok(format!(
        "/api/v1/upstreams/{}/nodes/{}{tail}",
        escaped(upstream),
        escaped(node)
    ))
}

fn split(node: &str) -> Result<(&str, &str), Failed> {
    node.split_once('/')
        .filter(|(upstream, node)| !upstream.is_empty() && !node.is_empty())
        .ok_or_else(|| {
            format!("\"{node}\" does not name a node\n  = help: write UPSTREAM/NODE, for example web/app-3; `tidegate status` lists them")
        })
}

/// A segment of a path: what is not plainly allowed is escaped.
fn escaped(segment: &str) -> String {
    segment
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn print_node(args: &NodeArgs, node: &Value) {
    if args.admin.output == Output::Json {
        say::line(format_args!("{node:#}"));
        return;
    }
    let word = |key: &str| node[key].as_str().unwrap_or_default();
    say::line(format_args!(
        "{}: {} {}, weight {}, {} requests in flight",
        args.node,
        word("state"),
        word("health"),
        node["weight"],
        node["in_flight"]
    ));
}

/// `tidegate diff`
pub fn diff(args: &DiffArgs) -> ExitCode {
    ended(differences(args))
}

fn differences(args: &DiffArgs) -> Result<ExitCode, Failed> {
    let running = Proxy::at(&args.admin).get("/api/v1/config")?;
    let waiting: Vec<&str> = running["waits_for_restart"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let text = running["effective"].as_str().unwrap_or_default();
    let no_variables = |_: &str| None;
    let in_use = config::load_text(text, "running", &no_variables)
        .config
        .ok_or("the running configuration cannot be read by this version of tidegate")?;
    let loaded = Source::File(args.file.config.clone()).load();
    let texts: Vec<_> = loaded.errors().map(ToString::to_string).collect();
    let Some(file) = loaded.config else {
        return Err(format!("the file cannot be used\n\n{}", texts.join("\n\n")));
    };
    let changes = diff::diff(&in_use, &file);
    if args.admin.output == Output::Json {
        let list: Vec<_> = changes
            .iter()
            .map(|c| json!({ "text": c.to_string(), "needs_restart": c.needs_restart }))
            .collect();
        let answer = json!({ "changes": list, "waits_for_restart": waiting });
        say::line(format_args!("{answer:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    if changes.is_empty() && waiting.is_empty() {
        say::line(format_args!("no difference"));
    }
    for change in &changes {
        say::line(format_args!("{change}"));
    }
    for line in waiting {
        say::line(format_args!("{line}"));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_upstream_and_id() {
        assert_eq!(split("web/app-3"), Ok(("web", "app-3")));
        assert_eq!(split("web/[::1]:80"), Ok(("web", "[::1]:80")));
        assert!(split("web").is_err() && split("/a").is_err() && split("a/").is_err());
        assert_eq!(escaped("[::1]:80"), "%5B::1%5D:80");
    }
}
