//! `check` and `config`: what a file says, without running anything.

use std::process::ExitCode;

use serde_json::json;

use super::cli::{CheckArgs, ConfigArgs, Output};
use super::say;
use crate::config::Loaded;
use crate::config::checked::{Action, Config};
use crate::config::effective::effective;
use crate::live::source::Source;

/// Exit code of `check --strict` when there are warnings only.
const WARNINGS: u8 = 2;

/// `tidegate check`
pub fn check(args: &CheckArgs) -> ExitCode {
    let loaded = Source::File(args.file.config.clone()).load();
    match args.output {
        Output::Json => print_json(&loaded),
        Output::Text => print_text(&loaded, &args.file.config.display().to_string()),
    }
    if loaded.config.is_none() {
        ExitCode::FAILURE
    } else if args.strict && loaded.warnings().next().is_some() {
        ExitCode::from(WARNINGS)
    } else {
        ExitCode::SUCCESS
    }
}

fn print_json(loaded: &Loaded) {
    let answer = json!({
        "ok": loaded.config.is_some(),
        "problems": loaded.problems,
        "files": loaded.files,
    });
    say::line(format_args!("{answer:#}"));
}

fn print_text(loaded: &Loaded, path: &str) {
    for problem in &loaded.problems {
        say::complain(format_args!("{problem}"));
    }
    let errors = counted(loaded.errors().count(), "error");
    let warnings = counted(loaded.warnings().count(), "warning");
    match &loaded.config {
        None => say::complain(format_args!("{path}: {errors}, {warnings}")),
        Some(config) => {
            say::out(format_args!("{}", summary(config)));
            say::line(format_args!("{path}: fine, {warnings}"));
        }
    }
}

fn counted(n: usize, what: &str) -> String {
    match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

/// What the file amounts to: routes in the order they are tried.
fn summary(config: &Config) -> String {
    let mut text = String::from("routes, the most specific first:\n");
    for (at, route) in config.routes.iter().enumerate() {
        let target = match &route.action {
            Action::Proxy(upstream) => {
                let upstream = &config.upstreams[*upstream];
                let nodes = counted(upstream.nodes.len(), "node");
                let balance = upstream.balance.as_str();
                let reads = route.split.as_ref().map_or(String::new(), |split| {
                    format!(", reads to {}", config.upstreams[split.reads].name)
                });
                format!("upstream {} ({balance}, {nodes}){reads}", upstream.name)
            }
            Action::Redirect { to, status } => format!("{} to {to}", status.as_u16()),
        };
        text.push_str(&format!("  {:>2}. {} -> {target}\n", at + 1, route.name));
    }
    text
}

/// `tidegate config --effective`
pub fn config(args: &ConfigArgs) -> ExitCode {
    let loaded = Source::File(args.file.config.clone()).load();
    for problem in loaded.errors() {
        say::complain(format_args!("{problem}"));
    }
    match effective(&loaded) {
        Some(text) => {
            say::out(format_args!("{text}"));
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}
