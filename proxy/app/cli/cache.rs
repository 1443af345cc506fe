//! The words of the commands about the cache.

use clap::{Args, Subcommand};

use super::AdminArgs;

/// `purge`
#[derive(Debug, Args)]
#[command(after_help = PURGE_EXAMPLES)]
#[group(id = "purged", required = true, multiple = true, args = ["url", "tag", "prefix", "host", "all"])]
pub struct PurgeArgs {
    /// All variants of this URL, as a client asks for it. May be given several times.
    #[arg(long, value_name = "URL")]
    pub url: Vec<String>,
    /// All answers with this tag (Cache-Tag, Surrogate-Key, xkey). May be given several times.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// All answers whose path begins so, of --host or of every host; also as "http://HOST/PATH*".
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["url", "tag"])]
    pub prefix: Option<String>,
    /// All answers of this host.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["url", "tag"])]
    pub host: Option<String>,
    /// Everything.
    #[arg(long, conflicts_with_all = ["url", "tag", "prefix", "host"])]
    pub all: bool,
    /// Remove it. Else it is stale from now on: validated, or used while it is refreshed or when the nodes fail, as far as the answer and
    /// its route let stale answers be used.
    #[arg(long)]
    pub hard: bool,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

const PURGE_EXAMPLES: &str = "\
Examples:
  tidegate purge --url https://shop.example.com/prices
  tidegate purge --tag product-17 --tag product-18
  tidegate purge --prefix /assets/ --host shop.example.com
  tidegate purge --all --hard";

/// `cache`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CacheArgs {
    /// What to ask; without it, how full and how useful the cache is.
    #[command(subcommand)]
    pub ask: Option<CacheCommand>,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}

/// What to ask the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Say what would become of a request, what is stored for it, and why.
    Explain(ExplainArgs),
}

/// `cache explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The URL, as a client asks for it.
    #[arg(value_name = "URL")]
    pub url: String,
    /// A field of the request. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Its method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    #[command(flatten)]
    /// The running proxy.
    pub admin: AdminArgs,
}
