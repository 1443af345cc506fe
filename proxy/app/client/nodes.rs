//! Commands about nodes: verbs, nodes that come and go, and what was changed at run time.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Failed, Proxy, ended};
use crate::app::cli::{
    AddArgs, AdminArgs, DrainArgs, DropArgs, NodesArgs, Output, RemoveArgs, SaveArgs, WeightArgs,
};
use crate::app::say;

/// From one look at a draining node to the next.
const LOOK: Duration = Duration::from_millis(100);
/// From one word on a drain to the next, for somebody who watches.
const PROGRESS: Duration = Duration::from_secs(1);

/// `tidegate undrain`, `tidegate down`
pub fn verb(args: &NodesArgs, verb: &str) -> ExitCode {
    ended(do_verb(args, verb).map(code))
}

/// `tidegate weight`
pub fn weight(args: &WeightArgs) -> ExitCode {
    let (node, admin) = (&args.node.node, &args.node.admin);
    ended(path_of(node, "/weight").and_then(|path| {
        let body = json!({ "weight": args.weight });
        let answer = Proxy::at(admin).post(&path, Some(&body))?;
        print_node(admin, node, &answer);
        Ok(ExitCode::SUCCESS)
    }))
}

/// `tidegate add`
pub fn add(args: &AddArgs) -> ExitCode {
    let mut node = Map::new();
    node.insert("addr".into(), args.addr.clone().into());
    for (key, value) in [
        ("id", args.id.clone().map(Value::from)),
        ("weight", args.weight.map(Value::from)),
        ("state", args.state.clone().map(Value::from)),
        ("backup", args.backup.then_some(Value::from(true))),
        ("priority", args.priority.map(Value::from)),
        ("max_conns", args.max_conns.map(Value::from)),
    ] {
        node.extend(value.map(|value| (key.to_string(), value)));
    }
    let path = format!("/api/v1/upstreams/{}/nodes", escaped(&args.upstream));
    let answer = Proxy::at(&args.admin).post(&path, Some(&Value::Object(node)));
    ended(answer.map(|answer| {
        let id = answer["id"].as_str().unwrap_or_default();
        print_node(&args.admin, &format!("{}/{id}", args.upstream), &answer);
        ExitCode::SUCCESS
    }))
}

/// `tidegate remove`
pub fn remove(args: &RemoveArgs) -> ExitCode {
    let (node, admin) = (&args.node.node, &args.node.admin);
    let removed = path_of(node, "").and_then(|path| Proxy::at(admin).delete(&path));
    ended(removed.and_then(|answer| match args.wait {
        Some(limit) => wait(admin, std::slice::from_ref(node), limit),
        None => {
            print_node(admin, node, &answer);
            Ok(ExitCode::SUCCESS)
        }
    }))
}

/// `tidegate drain`
pub fn drain(args: &DrainArgs) -> ExitCode {
    let nodes = &args.nodes;
    ended(match args.wait {
        None => do_verb(nodes, "drain").map(code),
        Some(limit) => asked(nodes, "drain").and_then(|results| {
            let failed = results.iter().find_map(|(_, ended)| ended.clone().err());
            failed.map_or_else(|| wait(&nodes.admin, &nodes.nodes, limit), Err)
        }),
    })
}

/// `tidegate drift`
pub fn drift(args: &AdminArgs) -> ExitCode {
    ended(Proxy::at(args).get("/api/v1/drift").map(|answer| {
        let entries = answer["entries"].as_array().into_iter().flatten();
        let texts: Vec<&str> = entries.filter_map(|one| one["text"].as_str()).collect();
        match args.output {
            Output::Json => say::line(format_args!("{answer:#}")),
            Output::Text if texts.is_empty() => {
                say::line(format_args!("everything runs as the file says"));
            }
            Output::Text => texts
                .iter()
                .for_each(|text| say::line(format_args!("{text}"))),
        }
        ExitCode::SUCCESS
    }))
}

/// `tidegate save`
pub fn save(args: &SaveArgs) -> ExitCode {
    let path = match args.dry_run {
        true => "/api/v1/save?dry_run=true",
        false => "/api/v1/save",
    };
    ended(Proxy::at(&args.admin).post(path, None).map(|answer| {
        let patch = answer["patch"].as_str().unwrap_or_default();
        match args.admin.output {
            Output::Json => say::line(format_args!("{answer:#}")),
            Output::Text if patch.is_empty() => {
                say::line(format_args!(
                    "nothing to save: everything runs as the file says"
                ));
            }
            Output::Text => {
                say::out(format_args!("{patch}"));
                if answer["saved"] == true {
                    say::line(format_args!("saved: generation {}", answer["generation"]));
                }
            }
        }
        ExitCode::SUCCESS
    }))
}

/// `tidegate drop`
pub fn forget(args: &DropArgs) -> ExitCode {
    let body = args.node.as_ref().map(|node| json!({ "node": node }));
    let answer = Proxy::at(&args.admin).post("/api/v1/drop", body.as_ref());
    ended(answer.map(|answer| {
        if args.admin.output == Output::Json {
            say::line(format_args!("{answer:#}"));
            return ExitCode::SUCCESS;
        }
        let dropped = answer["dropped"].as_array().into_iter().flatten();
        let texts: Vec<&str> = dropped.filter_map(Value::as_str).collect();
        for text in &texts {
            say::line(format_args!("dropped: {text}"));
        }
        if texts.is_empty() {
            say::line(format_args!(
                "nothing to drop: everything runs as the file says"
            ));
        }
        ExitCode::SUCCESS
    }))
}

/// How each node fared.
type Results = Vec<(String, Result<Value, Failed>)>;

/// Asks for a verb on each node: of one as of one, of several in one request.
fn asked(args: &NodesArgs, verb: &str) -> Result<Results, Failed> {
    let proxy = Proxy::at(&args.admin);
    if let [node] = &args.nodes[..] {
        let answer = proxy.post(&path_of(node, &format!("/{verb}"))?, None)?;
        return Ok(vec![(node.clone(), Ok(answer))]);
    }
    for node in &args.nodes {
        split(node)?;
    }
    let items: Vec<Value> = args
        .nodes
        .iter()
        .map(|node| json!({ "node": node, "do": verb }))
        .collect();
    let answer = proxy.post("/api/v1/nodes", Some(&items.into()))?;
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let one = |(node, result): (&String, Value)| {
        let ended = match result["problem"]["detail"].as_str() {
            Some(why) => Err(why.to_string()),
            None => Ok(result["result"].clone()),
        };
        (node.clone(), ended)
    };
    Ok(args.nodes.iter().zip(results).map(one).collect())
}

/// Does a verb and prints what came of it; whether all went well.
fn do_verb(args: &NodesArgs, verb: &str) -> Result<bool, Failed> {
    let mut well = true;
    for (node, ended) in asked(args, verb)? {
        match ended {
            Ok(view) => print_node(&args.admin, &node, &view),
            Err(why) => {
                well = false;
                say::complain(format_args!("error: {node}: {why}"));
            }
        }
    }
    Ok(well)
}

fn code(well: bool) -> ExitCode {
    match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Waits until nothing is in flight on any of the nodes.
#[expect(
    clippy::disallowed_methods,
    reason = "a command has one thread and nothing else to do"
)]
fn wait(admin: &AdminArgs, nodes: &[String], limit: Duration) -> Result<ExitCode, Failed> {
    let begun = Instant::now();
    let mut told = begun;
    let attended = std::io::stderr().is_terminal();
    for node in nodes {
        loop {
            let (left, draining) = what_is_left(admin, node)?;
            if !draining {
                say::complain(format_args!(
                    "{node} was given requests again before it was empty"
                ));
                return Ok(ExitCode::FAILURE);
            }
            if left == 0 {
                say::line(format_args!(
                    "{node} is empty after {:.1} s",
                    begun.elapsed().as_secs_f64()
                ));
                break;
            }
            if begun.elapsed() >= limit {
                say::complain(format_args!(
                    "{node} still has {left} requests after {limit:?}"
                ));
                return Ok(ExitCode::FAILURE);
            }
            if attended && told.elapsed() >= PROGRESS {
                told = Instant::now();
                say::complain(format_args!(
                    "{node}: {left} requests left, {:.0} s of {:.0} s",
                    begun.elapsed().as_secs_f64(),
                    limit.as_secs_f64()
                ));
            }
            std::thread::sleep(LOOK.min(limit.saturating_sub(begun.elapsed())));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Requests in flight on the node, or on every address of the name, and whether none of them takes new ones.
fn what_is_left(admin: &AdminArgs, node: &str) -> Result<(u64, bool), Failed> {
    let (upstream, node) = split(node)?;
    let path = format!("/api/v1/upstreams/{}", escaped(upstream));
    let answer = Proxy::at(admin).get(&path)?;
    let is_it = |id: &str| {
        id.strip_prefix(node)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    let nodes = answer["nodes"].as_array().into_iter().flatten();
    let (mut left, mut draining) = (0, true);
    for node in nodes.filter(|n| n["id"].as_str().is_some_and(is_it)) {
        left += node["in_flight"].as_u64().unwrap_or_default();
        draining &= node["state"] != "up";
    }
    Ok((left, draining))
}

fn path_of(node: &str, tail: &str) -> Result<String, Failed> {
    let (upstream, node) = split(node)?;
    Ok(format!(
        "/api/v1/upstreams/{}/nodes/{}{tail}",
        escaped(upstream),
        escaped(node)
    ))
}

fn split(node: &str) -> Result<(&str, &str), Failed> {
    node.split_once('/')
        .filter(|(upstream, node)| !upstream.is_empty() && !node.is_empty())
        .ok_or_else(|| {
            format!("\"{node}\" does not name a node\n  = help: write UPSTREAM/NODE, for example web/app-3; `tidegate status` lists them")
        })
}

/// A segment of a path: what is not plainly allowed is escaped.
pub(super) fn escaped(segment: &str) -> String {
    segment
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn print_node(admin: &AdminArgs, name: &str, node: &Value) {
    if admin.output == Output::Json {
        say::line(format_args!("{node:#}"));
        return;
    }
    let word = |key: &str| node[key].as_str().unwrap_or_default();
    say::line(format_args!(
        "{name}: {} {}, weight {}, {} requests in flight",
        word("state"),
        word("health"),
        node["weight"],
        node["in_flight"]
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_upstream_and_id() {
        assert_eq!(split("web/app-3"), Ok(("web", "app-3")));
        assert_eq!(split("web/[::1]:80"), Ok(("web", "[::1]:80")));
        assert!(split("web").is_err() && split("/a").is_err() && split("a/").is_err());
        assert_eq!(escaped("[::1]:80"), "%5B::1%5D:80");
    }
}
