//! The words of the commands that watch a running proxy.

use std::time::Duration;

use clap::Args;

use super::{AdminArgs, duration};

/// `top`
#[derive(Debug, Args)]
#[command(after_help = TOP_KEYS)]
pub struct TopArgs {
    /// From one look to the next; a second at least.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = seconds)]
    pub interval: Duration,
    /// Look so many times, then end.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub times: Option<u64>,
    /// Look once: the same as -n 1. What is done when the output is no terminal.
    #[arg(short = '1', long, conflicts_with = "times")]
    pub once: bool,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

const TOP_KEYS: &str = "\
Keys:
  q, Esc, Ctrl-C        end
  s                     sort nodes and routes by the next column: name, requests, errors, p99
  Up, Down, PgUp, PgDn  move through a long table
  Space                 hold the picture, go on

With `-o json` it prints what /api/v1/stream tells, one JSON text for each look.";

/// `log`
#[derive(Debug, Args)]
#[command(after_help = LOG_EXAMPLES)]
pub struct LogArgs {
    /// Show all requests as they end, whatever the access log writes; go on when the proxy was restarted. Without it,
    /// the slow requests of late (`slow` of a route) are shown.
    #[arg(short, long)]
    pub follow: bool,
    /// At most so many slow requests.
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 100, conflicts_with = "follow", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    /// Of this route only.
    #[arg(long, value_name = "ROUTE")]
    pub route: Option<String>,
    /// Only requests that took at least so long: 500ms.
    #[arg(long, value_name = "DURATION", requires = "follow")]
    pub min_time: Option<String>,
    /// Only with this status: 503, 5xx, 500-504, several with commas between them; 0: no answer was sent.
    #[arg(long, value_name = "STATUS", requires = "follow")]
    pub status: Option<String>,
    /// Only those that this upstream was asked for.
    #[arg(long, value_name = "UPSTREAM", requires = "follow")]
    pub upstream: Option<String>,
    /// Only those that tried this node.
    #[arg(long, value_name = "NODE", requires = "follow")]
    pub node: Option<String>,
    /// Only for this host, with its port or without.
    #[arg(long, value_name = "HOST", requires = "follow")]
    pub host: Option<String>,
    /// Only paths that begin so.
    #[arg(long, value_name = "PREFIX", requires = "follow")]
    pub path: Option<String>,
    /// Only with this method, or several with commas between them.
    #[arg(long, value_name = "METHOD", requires = "follow")]
    pub method: Option<String>,
    /// Only those that ended so, as the access log says it, or several; "refused" is any refusal.
    #[arg(long, value_name = "END", requires = "follow")]
    pub end: Option<String>,
    /// Only those with which the cache did this, or several: hit, stale, revalidated, miss, bypass, error.
    #[arg(long, value_name = "WORD", requires = "follow")]
    pub cache: Option<String>,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

const LOG_EXAMPLES: &str = "\
Examples:
  tidegate log                                   the slow requests of late
  tidegate log -f --status 5xx --upstream web    what fails there, as it fails
  tidegate log -f --min-time 500ms -o json | jq .path

Columns: when (UTC), status, time taken, bytes sent, method, host and path, then upstream: nodes tried, what the cache did,
and how it ended where that is not \"ok\". With `-o json` each line is that of the access log.";

/// `events`
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with what happens from now on.
    #[arg(short, long)]
    pub follow: bool,
    /// Only of these kinds, with commas between them.
    #[arg(long, value_name = "KIND,…")]
    pub kind: Option<String>,
    /// At most so many of the past.
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// At most so many.
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// A duration of a second or more: the proxy takes its figures once a second.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time >= Duration::from_secs(1) {
        true => Ok(time),
        false => Err("the proxy takes its figures once a second; 1s is the least".into()),
    }
}
