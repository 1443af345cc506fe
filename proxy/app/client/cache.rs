//! Commands about the cache of a running proxy.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Failed, Proxy, ended, escaped, shared};
use crate::app::cli::{CacheArgs, CacheCommand, ExplainArgs, Output, PurgeArgs};
use crate::app::say;

/// `tidegate purge`
pub fn purge(args: &PurgeArgs) -> ExitCode {
    ended(do_purge(args))
}

fn do_purge(args: &PurgeArgs) -> Result<ExitCode, Failed> {
    let asked = asked(args);
    let results = Proxy::at(&args.admin).post("/api/v1/purge", Some(&json!(asked)))?;
    let results = results.as_array().cloned().unwrap_or_default();
    let failed = results.iter().any(|result| result["purged"].is_null());
    if args.admin.output == Output::Json {
        let all = asked.iter().zip(&results);
        let all: Vec<Value> = all
            .map(|(asked, result)| json!({ "asked": asked, "result": result }))
            .collect();
        say::line(format_args!("{:#}", json!(all)));
    } else {
        for (asked, result) in asked.iter().zip(&results) {
            tell(asked, result);
        }
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// What the stats port is asked, one by one.
fn asked(args: &PurgeArgs) -> Vec<Value> {
    let hard = args.hard;
    let urls = args.url.iter();
    let tags = args.tag.iter();
    let mut all: Vec<Value> = urls
        .map(|url| json!({ "url": url, "hard": hard }))
        .chain(tags.map(|tag| json!({ "tag": tag, "hard": hard })))
        .collect();
    all.extend(match (&args.prefix, &args.host) {
        (Some(prefix), Some(host)) => Some(json!({ "prefix": prefix, "host": host, "hard": hard })),
        (Some(prefix), None) => Some(json!({ "prefix": prefix, "hard": hard })),
        (None, Some(host)) => Some(json!({ "host": host, "hard": hard })),
        (None, None) => args.all.then(|| json!({ "all": true, "hard": hard })),
    });
    all
}

fn tell(asked: &Value, result: &Value) {
    let word = |key: &str| asked[key].as_str();
    let what = match (word("url"), word("tag"), word("prefix"), word("host")) {
        (Some(url), ..) => url.to_string(),
        (_, Some(tag), ..) => format!("tag {tag}"),
        (_, _, Some(prefix), Some(host)) => format!("prefix {prefix} of {host}"),
        (_, _, Some(prefix), None) => format!("prefix {prefix}"),
        (_, _, _, Some(host)) => format!("host {host}"),
        _ => "everything".into(),
    };
    match result["purged"].as_u64() {
        Some(purged) => say::line(format_args!(
            "{what}: {purged} answers purged ({}){}",
            match result["mode"] == "hard" {
                true => "hard: they are gone",
                false => "soft: stale from now on",
            },
            match result["cluster"].as_str() {
                Some("sent") => "; the other proxies are told",
                Some(_) => "; the other proxies are told once Redis is back",
                None => "",
            }
        )),
        None => say::complain(format_args!(
            "error: {what}: {}",
            result["detail"].as_str().unwrap_or("refused")
        )),
    }
}

/// `tidegate cache`
pub fn cache(args: &CacheArgs) -> ExitCode {
    match &args.ask {
        Some(CacheCommand::Explain(asked)) => ended(explain(asked)),
        None => ended(stats(args)),
    }
}

fn stats(args: &CacheArgs) -> Result<ExitCode, Failed> {
    let stats = Proxy::at(&args.admin).get("/api/v1/cache")?;
    match args.admin.output {
        Output::Json => say::line(format_args!("{stats:#}")),
        Output::Text => say::out(format_args!("{}", stats_text(&stats))),
    }
    Ok(ExitCode::SUCCESS)
}

fn stats_text(stats: &Value) -> String {
    let number = |key: &str| stats[key].as_u64().unwrap_or_default();
    let mebibytes = |key: &str| number(key) as f64 / f64::from(1 << 20);
    let mut text = format!(
        "{} answers stored, {} bodies beside them in other encodings, {:.1} of {:.1} MiB taken, {} being fetched\n",
        number("entries"),
        number("encoded"),
        mebibytes("bytes"),
        mebibytes("capacity_bytes"),
        number("fills"),
    );
    match stats["hit_ratio"].as_f64() {
        Some(ratio) => text.push_str(&format!("{:.1} % answered from it", ratio * 100.0)),
        None => text.push_str("no requests yet"),
    }
    for (what, of) in [
        ("requests", &stats["requests"]),
        ("left", &stats["evictions"]),
    ] {
        text.push_str(&format!("\n{what}:"));
        for (word, n) in of.as_object().into_iter().flatten() {
            text.push_str(&format!(" {word} {n}"));
        }
    }
    text.push('\n');
    if let Some(line) = shared::line(&stats["redis"]) {
        text.push_str(&line);
        text.push('\n');
    }
    if let Some(line) = shared::answers(&stats["redis"]) {
        text.push_str(&line);
        text.push('\n');
    }
    for list in ["hits", "misses", "bytes"] {
        let top = stats["top"][list].as_array().into_iter().flatten();
        for (at, one) in top.enumerate() {
            if at == 0 {
                text.push_str(&format!("\nmost {list}, since the start\n"));
            }
            text.push_str(&format!(
                "  {:>12}  {}\n",
                one["at_least"].as_u64().unwrap_or_default(),
                one["url"].as_str().unwrap_or_default()
            ));
        }
    }
    text
}

fn explain(args: &ExplainArgs) -> Result<ExitCode, Failed> {
    let mut path = format!(
        "/api/v1/cache/explain?url={}&method={}",
        escaped(&args.url),
        escaped(&args.method)
    );
    for header in &args.header {
        path.push_str(&format!("&header={}", escaped(header)));
    }
    let told = Proxy::at(&args.admin).get(&path)?;
    match args.admin.output {
        Output::Json => say::line(format_args!("{told:#}")),
        Output::Text => say::out(format_args!("{}", explain_text(&told))),
    }
    Ok(ExitCode::SUCCESS)
}

fn explain_text(told: &Value) -> String {
    let word = |v: &Value| v.as_str().unwrap_or_default().to_string();
    let mut text = format!("{}\n  {}\n", word(&told["key"]), word(&told["decision"]));
    let variants = told["variants"].as_array().into_iter().flatten();
    for one in variants {
        let mine = match one["is_for_request"] == true {
            true => "for this request",
            false => "for other request fields",
        };
        text.push_str(&format!(
            "\n  stored {mine}: {}, {} bytes\n    {}\n",
            one["status"],
            one["size_bytes"],
            word(&one["state"])
        ));
        for (encoding, bytes) in one["encoded_bytes"].as_object().into_iter().flatten() {
            match bytes.as_u64() {
                Some(bytes) => text.push_str(&format!("    in {encoding}: {bytes} bytes\n")),
                None => text.push_str(&format!("    in {encoding}: no smaller, sent as it is\n")),
            }
        }
        for (name, value) in one["selected_by"].as_object().into_iter().flatten() {
            let value = value
                .as_str()
                .map_or("not there".into(), |v| format!("{v:?}"));
            text.push_str(&format!("    selected by {name}: {value}\n"));
        }
        let tags: Vec<String> = one["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(word)
            .collect();
        if !tags.is_empty() {
            text.push_str(&format!("    tags: {}\n", tags.join(", ")));
        }
        let refresh = one["stale_while_revalidate_seconds"]
            .as_u64()
            .unwrap_or_default();
        if refresh > 0 {
            text.push_str(&format!(
                "    stale while it is refreshed for {refresh} s\n"
            ));
        }
        if let Some(error) = one["stale_if_error_seconds"].as_u64() {
            text.push_str(&format!("    stale when nodes fail for {error} s\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::app::cli::{Cli, Command};

    fn purges(line: &str) -> Option<Vec<Value>> {
        let words = ["tidegate", "purge"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).ok()?.command {
            Command::Purge(args) => Some(asked(&args)),
            _ => None,
        }
    }

    #[test]
    fn what_is_purged_is_named_one_by_one() {
        assert_eq!(
            purges("--url http://a/ --url http://b/ --tag t --hard"),
            Some(vec![
                json!({ "url": "http://a/", "hard": true }),
                json!({ "url": "http://b/", "hard": true }),
                json!({ "tag": "t", "hard": true }),
            ])
        );
        assert_eq!(
            purges("--prefix /a --host b"),
            Some(vec![json!({ "prefix": "/a", "host": "b", "hard": false })])
        );
        assert_eq!(
            purges("--all"),
            Some(vec![json!({ "all": true, "hard": false })])
        );
    }

    #[test]
    fn nothing_and_contradictions_are_no_purge() {
        for line in [
            "--hard",
            "--all --url http://a/",
            "--host a --tag t",
            "--all --prefix /a",
        ] {
            assert_eq!(purges(line), None, "{line}");
        }
    }
}
