//! `check` and `config`: what a file says, without running anything. Only `--probe` looks beyond it.

use std::process::ExitCode;

use serde_json::json;

/// Whether what the file names is there.
mod probe;

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
    let mut loaded = Source::File(args.file.config.clone()).load();
    if let Some(config) = loaded.config.as_ref().filter(|_| args.probe) {
        let found = probe::run(&loaded, config);
        loaded.problems.extend(found);
        loaded.problems.sort_by_key(|problem| problem.severity);
    }
    match args.output {
        Output::Json => print_json(&loaded),
        Output::Text => print_text(&loaded, &args.file.config.display().to_string()),
    }
    if !is_fine(&loaded) {
        ExitCode::FAILURE
    } else if args.strict && loaded.warnings().next().is_some() {
        ExitCode::from(WARNINGS)
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether the file can be used, and what was looked at beyond it.
fn is_fine(loaded: &Loaded) -> bool {
    loaded.config.is_some() && loaded.errors().next().is_none()
}

fn print_json(loaded: &Loaded) {
    let answer = json!({
        "ok": is_fine(loaded),
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
    match loaded.config.as_ref().filter(|_| is_fine(loaded)) {
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
