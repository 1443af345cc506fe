//! Commands that talk to a running proxy through its stats port.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::cli::{AdminArgs, DiffArgs, Output};
use super::say;
use crate::config;
use crate::config::diff;
use crate::live::source::Source;

/// Certificates that are got from a CA.
mod acme;
/// Commands about the cache.
mod cache;
/// Certificates that come to their end.
mod certificates;
/// What a running proxy goes on telling.
mod follow;
/// What happened, and who changed what.
mod lists;
/// Requests as they end.
mod log;
/// Nodes, and what was changed of them.
mod nodes;
/// The tier that proxies share, in a line.
mod shared;
/// What the proxy is and does.
mod status;
/// Rows of words in columns.
mod table;
/// The token they bring.
mod token;
/// What it does second by second.
mod top;
/// Another process takes over.
mod upgrade;

pub use cache::{cache, purge};
pub use lists::{audit, events};
pub use log::log;
use nodes::escaped;
pub use nodes::{add, drain, drift, forget, remove, save, verb, weight};
pub use status::status;
pub use top::top;
pub use upgrade::upgrade;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
        Proxy::patiently_at(args, PATIENCE)
    }

    /// The same; one call may take this long.
    fn patiently_at(args: &'a AdminArgs, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(patience))
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

    fn delete(&self, path: &str) -> Result<Value, Failed> {
        let request = self.agent.delete(format!("http://{}{path}", self.addr));
        self.understood(self.with_token(request)?.call())
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
        if let Some(patch) = body["patch"].as_str().filter(|patch| !patch.is_empty()) {
            why.push_str("\n\nto change by hand:\n");
            why.push_str(patch);
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
