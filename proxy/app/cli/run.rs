//! The words of `run`: a file, or two flags that stand for one.

use std::path::PathBuf;

use clap::Args;

use crate::base::units;
use crate::live::source::Source;

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
    /// Run without a file: store answers that say nothing of their freshness for so long, others as they say.
    #[arg(long, value_name = "DURATION", value_parser = a_duration, requires = "listen")]
    cache: Option<String>,
}

impl RunArgs {
    /// Where the configuration comes from.
    pub fn source(&self) -> Source {
        match &self.listen {
            None => Source::File(self.config.clone().unwrap_or_else(default_file)),
            Some(listen) => Source::Text {
                name: "command line".into(),
                text: as_file(listen, &self.to, &self.admin, self.cache.as_deref()),
            },
        }
    }
}

fn default_file() -> PathBuf {
    std::env::var_os("TIDEGATE_CONFIG").map_or_else(|| "tidegate.yaml".into(), PathBuf::from)
}

/// A duration as it was written.
fn a_duration(text: &str) -> Result<String, String> {
    units::duration(text).map(|_| text.to_owned())
}

/// The file that `--listen`, `--to` and `--cache` stand for. JSON strings are YAML strings too, whatever they hold.
fn as_file(listen: &str, to: &[String], admin: &str, cache: Option<&str>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let nodes: Vec<String> = to.iter().map(|node| quoted(node.trim())).collect();
    format!(
        "listen: [{{ addr: {} }}]\nadmin: {{ addr: {} }}\nupstreams:\n  web:\n    health: {{ type: tcp }}\n    nodes: [{}]\nroutes:\n  - upstream: web\n{}",
        quoted(listen),
        quoted(admin),
        nodes.join(", "),
        cache.map_or(String::new(), |ttl| format!(
            "    cache: {{ ttl: {} }}\n",
            quoted(ttl)
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_file_is_a_file_nobody_wrote() {
        let text = as_file(
            ":8080",
            &["10.0.0.1:1".into(), "evil\"]\nadmin: x".into()],
            "127.0.0.1:9900",
            Some("1m 30s"),
        );
        let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(value["upstreams"]["web"]["nodes"][1], "evil\"]\nadmin: x");
        assert_eq!(value["routes"][0]["cache"]["ttl"], "1m 30s");
        assert_eq!(value["listen"][0]["addr"], ":8080");
    }
}
