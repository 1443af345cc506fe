//! The command line. Its help is written for somebody who sees it for the first time, at night.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::say;
use crate::base::units;
use crate::live::source::Source;

/// The cache.
mod cache;
/// Nodes, and what was changed of them.
mod nodes;

pub use cache::{CacheArgs, CacheCommand, ExplainArgs, PurgeArgs};
pub use nodes::{
    AddArgs, DrainArgs, DropArgs, NodeArgs, NodesArgs, RemoveArgs, SaveArgs, WeightArgs,
};

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
  tidegate drain web/app-3 --wait 60s            let a node finish its requests, then stop it";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy.
    ///
    /// The file is watched: a change is in use within a second, and a file that is wrong changes nothing. SIGHUP
    /// reloads at once; SIGUSR1 opens the access log anew; SIGTERM and SIGINT stop in good order, requests in flight
    /// finish (at most `shutdown.grace`), a second one stops at once.
    Run(RunArgs),
    /// Say everything that is wrong with a configuration file. Exit code 0: fine, 1: errors, 2: warnings with --strict.
    Check(CheckArgs),
    /// Print the configuration a file amounts to, every default and where it came from included.
    Config(ConfigArgs),
    /// Say what a reload of the file would change in the running proxy.
    Diff(DiffArgs),
    /// Read the file again, now. The old configuration stays when the file is wrong.
    Reload(AdminArgs),
    /// Show what the running proxy does. Exit code 1 when it cannot be reached.
    Status(StatusArgs),
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

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file. Watched: a change is in use within a second [env: TIDEGATE_CONFIG] [default:
    /// tidegate.yaml].
    #[arg(short, long, value_name = "FILE", conflicts_with = "listen")]
    config: Option<PathBuf>,
    /// Run without a file: the address to listen on, as ":8080" or "127.0.0.1:8080".
    #[arg(long, value_name = "ADDR", requires = "to")]
    listen: Option<String>,
    /// Run without a file: the app servers, as "10.0.0.11:3000,10.0.0.12:3000".
    #[arg(
        long,
        value_name = "ADDR,…",
        value_delimiter = ',',
        requires = "listen"
    )]
    to: Vec<String>,
    /// Run without a file: the stats port.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:9900",
        requires = "listen"
    )]
    admin: String,
    /// Cache answers for this long. Not supported yet.
    #[arg(long, value_name = "DURATION")]
    cache: Option<String>,
}

impl RunArgs {
    /// Where the configuration comes from.
    ///
    /// # Errors
    /// The exit code, once the caller has been told why.
    pub fn source(&self) -> Result<Source, ExitCode> {
        if self.cache.is_some() {
            say::complain(format_args!(
                "error: --cache is not supported yet\n  = help: leave it out; answers are passed on uncached"
            ));
            return Err(ExitCode::FAILURE);
        }
        Ok(match &self.listen {
            None => Source::File(self.config.clone().unwrap_or_else(default_file)),
            Some(listen) => Source::Text {
                name: "command line".into(),
                text: as_file(listen, &self.to, &self.admin),
            },
        })
    }
}

fn default_file() -> PathBuf {
    std::env::var_os("TIDEGATE_CONFIG").map_or_else(|| "tidegate.yaml".into(), PathBuf::from)
}

/// The file that `--listen` and `--to` stand for. JSON strings are YAML strings too, whatever they hold.
fn as_file(listen: &str, to: &[String], admin: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let nodes: Vec<String> = to.iter().map(|node| quoted(node.trim())).collect();
    format!(
        "listen: [{{ addr: {} }}]\nadmin: {{ addr: {} }}\nupstreams:\n  web:\n    health: {{ type: tcp }}\n    nodes: [{}]\nroutes:\n  - upstream: web\n",
        quoted(listen),
        quoted(admin),
        nodes.join(", ")
    )
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
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_without_a_file_is_a_file_nobody_wrote() {
        let text = as_file(
            ":8080",
            &["10.0.0.1:1".into(), "evil\"]\nadmin: x".into()],
            "127.0.0.1:9900",
        );
        let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(value["upstreams"]["web"]["nodes"][1], "evil\"]\nadmin: x");
        assert_eq!(value["listen"][0]["addr"], ":8080");
    }
}
