//! Assembly: the command line, and the server made of everything below.

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Sockets that the process was started with.
mod activation;
/// Checking, printing and comparing configurations.
mod check;
/// The command line.
pub mod cli;
/// Commands that talk to a running proxy.
mod client;
/// Three small app servers with the proxy in front.
mod demo;
/// Opening ports.
mod listen;
/// What the service manager is told.
mod notify;
/// What the system lets the process hold.
mod room;
/// What commands print.
mod say;
/// The server.
mod server;
/// What a signal does.
mod signals;
/// How the process ends.
mod stop;
/// From one process to the next.
mod succession;
/// What the two say to each other.
mod upgrade;
/// What the program says of itself: completions, the manual, the shape of the file.
mod words;

use cli::{Cli, Command};
use upgrade::Replaces;

/// Carries out a command. What it printed and nobody could read because it could not be written is no success.
pub fn main(cli: Cli) -> ExitCode {
    let code = carry_out(cli);
    match say::is_lost() {
        true => ExitCode::FAILURE,
        false => code,
    }
}

fn carry_out(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(args) => {
            log_to_stderr();
            server::run(args.source(), Replaces::Proxy)
        }
        Command::Check(args) => check::check(&args),
        Command::Config(args) => check::config(&args),
        Command::Diff(args) => client::diff(&args),
        Command::Demo(args) => {
            log_to_stderr();
            demo::demo(&args)
        }
        Command::Reload(args) => client::reload(&args),
        Command::Upgrade(args) => client::upgrade(&args),
        Command::Status(args) => client::status(&args),
        Command::Drain(args) => client::drain(&args),
        Command::Undrain(args) => client::verb(&args, "undrain"),
        Command::Down(args) => client::verb(&args, "down"),
        Command::Weight(args) => client::weight(&args),
        Command::Add(args) => client::add(&args),
        Command::Remove(args) => client::remove(&args),
        Command::Drift(args) => client::drift(&args),
        Command::Save(args) => client::save(&args),
        Command::Drop(args) => client::forget(&args),
        Command::Purge(args) => client::purge(&args),
        Command::Cache(args) => client::cache(&args),
        Command::Top(args) => client::top(&args),
        Command::Log(args) => client::log(&args),
        Command::Events(args) => client::events(&args),
        Command::Audit(args) => client::audit(&args),
        Command::Schema => words::schema(),
        Command::Completions(args) => words::completions(&args),
        Command::Man(args) => words::man(&args),
    }
}

/// The operator's log. `TIDEGATE_LOG` takes the usual filter words; pingora's own errors are asked for there, since
/// the access log tells every failed request already.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| {
        EnvFilter::new("info,pingora_core=error,pingora_core::apps=off,pingora_proxy=error")
    });
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A log that cannot be written (its reader left) must cost nothing else.
        .log_internal_errors(false)
        .try_init();
}
