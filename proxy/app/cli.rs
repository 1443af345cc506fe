//! The command line. Its help is written for somebody who sees it for the first time, at night.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::units;

/// The cache.
mod cache;
/// Nodes, and what was changed of them.
mod nodes;
/// Running it.
mod run;
/// Watching it.
mod watch;
/// What the program says of itself.
mod words;

pub use cache::{CacheArgs, CacheCommand, ExplainArgs, PurgeArgs};
pub use nodes::{
    AddArgs, DrainArgs, DropArgs, NodeArgs, NodesArgs, RemoveArgs, SaveArgs, WeightArgs,
};
pub use run::RunArgs;
pub use watch::{AuditArgs, EventsArgs, LogArgs, TopArgs};
pub use words::{CompletionsArgs, ManArgs};

/// A load-balancing reverse proxy: put it in front of your app servers, edit one YAML file to add or drain nodes,
/// watch the stats port.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tidegate demo                                  see it work: three app servers and the proxy in front of them
  tidegate run --listen :8080 --to 10.0.0.11:3000,10.0.0.12:3000
  tidegate run -c tidegate.yaml                  the usual way; the file may change while it runs
  tidegate check -c tidegate.yaml                say everything that is wrong with the file
  tidegate top                                   what it does, second by second
  tidegate log -f --status 5xx                   requests that fail, as they end
  tidegate drain web/app-3 --wait 60s            let a node finish its requests, then stop it

Exit codes:
  0  it is done
  1  it could not be done; standard error says why
  2  the command line is wrong, or `check --strict` has warnings";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy.
    ///
    /// The file is watched: a change is in use within a second, and a file that is wrong changes nothing. SIGHUP
    /// reloads at once; SIGUSR1 opens the access log anew; SIGUSR2 hands the ports to the binary on the disk; SIGTERM and
    /// SIGINT stop in good order, requests in flight finish (at most `shutdown.grace`), a second one stops at once.
    Run(RunArgs),
    /// Say everything that is wrong with a configuration file. Exit code 0: fine, 1: errors, 2: warnings with --strict.
    Check(CheckArgs),
    /// Print the configuration a file amounts to, every default and where it came from included.
    Config(ConfigArgs),
    /// Say what a reload of the file would change in the running proxy.
    Diff(DiffArgs),
    /// Read the file again, now. The old configuration stays when the file is wrong.
    Reload(AdminArgs),
    /// Let the binary on the disk take over, at no request's cost: the next process opens what the file names and serves,
    /// then the running one finishes what it has. Where the next one fails, the running one serves on, and the exit code
    /// is 1. Needs a token with the role admin; SIGUSR2 does the same.
    Upgrade(UpgradeArgs),
    /// Show what the running proxy does. Exit code 1 when it cannot be reached.
    Status(StatusArgs),
    /// Show what the running proxy does second by second; once when the output is no terminal. Exit code 1 when it
    /// cannot be reached.
    Top(TopArgs),
    /// Show the slow requests of late, or with --follow all requests as they end. Exit code 1 when the proxy cannot be
    /// reached.
    Log(LogArgs),
    /// Show what happened of late: nodes, reloads, purges. Exit code 1 when the proxy cannot be reached.
    Events(EventsArgs),
    /// Show who changed what of late. Exit code 1 when the proxy cannot be reached.
    Audit(AuditArgs),
    /// Give nodes no new requests and let those in flight finish. With --wait, exit code 0 once they are empty and 1 at
    /// the deadline.
    Drain(DrainArgs),
    /// Give drained or downed nodes requests again.
    Undrain(NodesArgs),
    /// Take nodes out: no new requests, no health checks.
    Down(NodesArgs),
    /// Change the weight of a node.
    Weight(WeightArgs),
    /// Add a node to an upstream, until the next restart unless it is saved.
    Add(AddArgs),
    /// Remove a node from its upstream: its requests in flight finish. With --wait, exit code 0 once it is empty and 1
    /// at the deadline.
    Remove(RemoveArgs),
    /// Show what was changed at run time and differs from the file.
    Drift(AdminArgs),
    /// Write what was changed at run time into the file, its comments and order kept. Where lines cannot be edited,
    /// nothing is written and the change is printed. Needs a token with the role admin.
    Save(SaveArgs),
    /// Forget what was changed at run time: everything is as the file says again.
    Drop(DropArgs),
    /// Say that stored answers are no longer right. Exit code 1 when a purge could not be carried out.
    Purge(PurgeArgs),
    /// Show how full and how useful the cache is, or what would become of a request.
    Cache(CacheArgs),
    /// Start three small app servers and the proxy in front of them, and print what to try.
    Demo(DemoArgs),
    /// Print the JSON Schema of the configuration file, for editors and deploy tools.
    Schema,
    /// Print what a shell needs to complete commands and flags.
    Completions(CompletionsArgs),
    /// Print the manual as a man page.
    Man(ManArgs),
}

/// Where a configuration file is.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Configuration file.
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        env = "TIDEGATE_CONFIG",
        default_value = "tidegate.yaml"
    )]
    pub config: PathBuf,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    /// The file.
    pub file: FileArgs,
    /// Count warnings as failures: exit code 2.
    #[arg(long)]
    pub strict: bool,
    /// Look beyond the file: connect to the Redis it names, write a key there, read and remove it, and see whether its
    /// nodes take connections. Takes seconds at most. Exit code 1 when the Redis cannot be used.
    #[arg(long)]
    pub probe: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    /// The file.
    pub file: FileArgs,
    /// Print every value in use, defaults included. The only thing `config` does so far.
    #[arg(long, required = true)]
    pub effective: bool,
}

/// How to reach a running proxy.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Stats port of the running proxy.
    #[arg(
        long,
        value_name = "ADDR",
        env = "TIDEGATE_ADMIN",
        default_value = "127.0.0.1:9900"
    )]
    pub admin: String,
    /// File with the token to bring. Without it the token is what the variable TIDEGATE_TOKEN holds, if it is set.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `upgrade`
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// How long the next process may take until it serves; at most 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub wait: Duration,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    /// The file.
    pub file: FileArgs,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Address of the proxy.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Address of the stats port.
    #[arg(long, default_value = "127.0.0.1:9900")]
    pub admin: String,
    /// Port of the first app server; the others follow. 0: any that are free.
    #[arg(long, default_value_t = 3001)]
    pub apps: u16,
    /// Configuration file; written when it is not there, used as it is when it is.
    #[arg(long, default_value = "tidegate-demo.yaml")]
    pub file: PathBuf,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
}

#[cfg(test)]
mod tests;
