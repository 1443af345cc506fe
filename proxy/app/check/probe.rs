//! `check --probe`: whether what the file names is there and can be used.
//!
//! What is found is told as everything else about the file: at the line that names it, with what to do. A Redis that cannot
//! be used is an error, though a proxy would serve without it: who asks this way wants to know. Nodes come and go, so one
//! that takes no connection is worth a note. All of it ends within seconds, whatever hangs.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::base::units::{show_duration, show_size};
use crate::config::Loaded;
use crate::config::checked::{Config, NodeAddr, Redis};
use crate::config::problem::{Place, Problem};
use crate::kv::Fault;
use crate::kv::probe::{Found, Step, probe};
use crate::live::shared::address;

/// How long all nodes together may take.
const NODES_TIME: Duration = Duration::from_secs(2);
/// Nodes that are connected to; of more than that the first are a sample.
const NODES: usize = 512;
/// Nodes that are named; the rest is counted.
const NAMED: usize = 20;
/// Policies of a Redis whose memory is full that make room by what is asked for least.
const GOOD_POLICIES: [&str; 6] = [
    "allkeys-lru",
    "allkeys-lfu",
    "volatile-lru",
    "volatile-lfu",
    "volatile-ttl",
    "volatile-random",
];

/// What there is to say of all that the file names.
pub fn run(loaded: &Loaded, config: &Config) -> Vec<Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        let place = loaded.files.first().map(|file| file.display().to_string());
        let place = Place::file(&place.unwrap_or_default());
        let what = "nothing can be connected to: this process may not open what that takes";
        let help = "raise its limit of open files (`ulimit -n`) and try again";
        return vec![Problem::error(place, what).help(help)];
    };
    let found = runtime.block_on(async {
        let redis = async {
            match &config.cache.redis {
                Some(redis) => of_redis(loaded, redis).await,
                None => Vec::new(),
            }
        };
        let (mut found, nodes) = tokio::join!(redis, of_nodes(loaded, config));
        found.extend(nodes);
        found
    });
    // A name that is still being resolved holds up a thread of its own, and nobody else.
    runtime.shutdown_background();
    found
}

async fn of_redis(loaded: &Loaded, redis: &Redis) -> Vec<Problem> {
    let place = |key: &str| {
        let place = loaded.place_of_redis(key);
        place.unwrap_or_else(|| Place::file("the configuration"))
    };
    match probe(&address(redis), &redis.prefix).await {
        Ok(found) => what_is_there(&found, redis, &place),
        Err((step, fault)) => vec![what_failed(step, &fault, redis, &place)],
    }
}

/// Why it cannot be used, and what to do.
fn what_failed(step: Step, fault: &Fault, redis: &Redis, place: &dyn Fn(&str) -> Place) -> Problem {
    let words = match fault {
        Fault::Refused(words) => &**words,
        _ => "",
    };
    let at = |key: &str, what: String, help: &str| Problem::error(place(key), what).help(help);
    let is_about_password = ["WRONGPASS", "NOAUTH"]
        .iter()
        .any(|code| words.starts_with(code));
    let (key, what, help) = match (step, fault) {
        (Step::Connect, _) => (
            "url",
            format!("nobody takes connections there: {}", plain(fault)),
            "is the server running, and does it listen on this address (`bind` and `port` of its configuration)? Is a firewall between?",
        ),
        (_, Fault::Refused(_)) if is_about_password => {
            return match &redis.password {
                Some(_) => at(
                    "password_file",
                    "Redis does not accept the password".into(),
                    "put into the file what `requirepass` or the user's ACL says on the server, and into `url` the user if it is not the default one; a server without a password takes none",
                ),
                None => at(
                    "url",
                    "Redis asks for a password".into(),
                    "write `password_file: FILE` beside `url`; the file holds the password alone",
                ),
            };
        }
        (_, Fault::Refused(_)) if words.starts_with("NOPERM") => (
            "url",
            format!("the user may not do what is needed: {words}"),
            "give the user the keys and commands that the README names (\"What Redis to run\")",
        ),
        (Step::Enter, Fault::Timeout) => (
            "url",
            "it takes the connection and does not answer within 1s".into(),
            match redis.url.starts_with("rediss:") {
                true => {
                    "does the server hang, or does it speak no TLS on this port (then write `redis://`)?"
                }
                false => {
                    "does the server hang, or does it speak TLS on this port (then write `rediss://`)? Is it a Redis at all?"
                }
            },
        ),
        (Step::Enter, _) => (
            "url",
            format!(
                "what answers there is no Redis, or lets nobody in: {}",
                plain(fault)
            ),
            "look at the host, the port, the number of the database, and whether TLS is spoken there (`rediss://`, with `ca` for an authority of your own)",
        ),
        (_, Fault::Refused(_)) if words.starts_with("READONLY") => (
            "url",
            format!("it is a replica and takes no writes: {words}"),
            "name the primary",
        ),
        (_, Fault::Refused(_)) if words.starts_with("MOVED") => (
            "url",
            "it is a node of a Redis Cluster".into(),
            "write `cluster: true`, in a program built with the feature `redis-cluster`",
        ),
        (Step::Write | Step::Read | Step::Remove, _) => {
            let deed = match step {
                Step::Read => "reading what was written",
                Step::Remove => "removing a key",
                _ => "writing a key by a script",
            };
            (
                "url",
                format!("{deed} fails: {}", plain(fault)),
                "try it by `redis-cli`; the server's log may say more",
            )
        }
    };
    at(key, what, help)
}

/// A fault as part of a sentence.
fn plain(fault: &Fault) -> String {
    match fault {
        Fault::Broken(words) | Fault::Refused(words) => words.to_string(),
        Fault::Timeout => "no answer within 1s".into(),
        other => other.to_string(),
    }
}

/// It can be used; whether it is one to recommend.
fn what_is_there(found: &Found, redis: &Redis, place: &dyn Fn(&str) -> Place) -> Vec<Problem> {
    let mut said = Vec::new();
    let version = found.version.as_ref();
    match found.is_new_enough() {
        Some(false) => {
            let (name, version) = version.map_or(("", ""), |(name, v)| (*name, v.as_str()));
            let what = format!("{name} {version} is too old");
            let help = "run Redis 7 or later, or Valkey: purges are told by scripts that older ones refuse when they are full";
            said.push(Problem::error(place("url"), what).help(help));
            return said;
        }
        None => {
            let what = "it does not say which version it is";
            let help = "Redis 7 or later or Valkey is needed; the user may need the command `INFO` to be told";
            said.push(Problem::note(place("url"), what).help(help));
        }
        Some(true) => {}
    }
    said.extend(slow(found, redis, place));
    said.extend(full(found, redis, place));
    said
}

/// How long it takes, beside what it may take.
fn slow(found: &Found, redis: &Redis, place: &dyn Fn(&str) -> Place) -> Option<Problem> {
    let (usual, slowest) = (show_rounded(found.usual), show_rounded(found.slowest));
    let limit = show_duration(redis.timeout);
    let (what, is_hopeless) = if found.usual > redis.timeout {
        let what = format!(
            "half of the round trips take {usual} or longer, and {limit} is allowed: it would hardly ever be used"
        );
        (what, true)
    } else if found.slowest > redis.timeout {
        (
            format!("the slowest of nine round trips took {slowest}, and {limit} is allowed"),
            false,
        )
    } else {
        return None;
    };
    let help = "use a Redis that is nearer (the same zone) or less busy; or, if nodes are much slower still, raise `timeout`";
    Some(match is_hopeless {
        true => Problem::error(place("timeout"), what).help(help),
        false => Problem::warning(place("timeout"), what).help(help),
    })
}

fn show_rounded(time: Duration) -> String {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match micros {
        0..1_000 => format!("{micros}us"),
        _ => format!("{:.1}ms", micros as f64 / 1_000.0),
    }
}

/// What becomes of it when its memory is full.
fn full(found: &Found, redis: &Redis, place: &dyn Fn(&str) -> Place) -> Option<Problem> {
    let policy = found.policy.as_deref()?;
    let memory = found.memory.unwrap_or_default();
    if !redis.entries || GOOD_POLICIES.contains(&policy) && memory > 0 {
        return None;
    }
    let what = match memory {
        0 => format!(
            "its memory has no limit (`maxmemory` 0, policy {policy}): it may grow until the system ends it"
        ),
        _ if policy == "noeviction" && found.used >= Some(memory) => format!(
            "its {} are full: new answers are refused (policy {policy}) until old ones run out",
            show_size(memory)
        ),
        _ => format!(
            "once its {} are full, new answers are refused (policy {policy}) until old ones run out",
            show_size(memory)
        ),
    };
    let what = match (policy, memory) {
        ("allkeys-random", 1..) => {
            "once it is full, it makes room by chance (policy allkeys-random)".into()
        }
        _ => what,
    };
    let help = "set `maxmemory`, and `maxmemory-policy allkeys-lru` or `allkeys-lfu`; volatile-* does as well, all that is large runs out there";
    Some(Problem::warning(place("url"), what).help(help))
}

/// Nodes that take no connection, side by side and within one time.
async fn of_nodes(loaded: &Loaded, config: &Config) -> Vec<Problem> {
    let until = Instant::now() + NODES_TIME;
    // Names go by `dns` of the file in the proxy; what the system makes of them might be something else.
    let nodes = config
        .upstreams
        .iter()
        .enumerate()
        .flat_map(|(u, upstream)| {
            let nodes = upstream.nodes.iter().enumerate();
            nodes.filter_map(move |(n, node)| match &node.addr {
                NodeAddr::Socket(addr) => Some((u, n, *addr)),
                NodeAddr::Name { .. } => None,
            })
        });
    let mut asked: FuturesUnordered<_> = nodes
        .take(NODES)
        .map(|(u, n, addr)| async move { (u, n, addr, refused(addr, until).await) })
        .collect();
    let mut silent = Vec::new();
    while let Some((u, n, addr, refused)) = asked.next().await {
        silent.extend(refused.map(|why| (u, n, addr, why)));
    }
    silent.sort_unstable_by_key(|(u, n, ..)| (*u, *n));
    let more = silent.len().saturating_sub(NAMED);
    let mut said: Vec<Problem> = (silent.into_iter().take(NAMED))
        .filter_map(|(u, n, addr, why)| {
            let what = format!("node {addr} takes no connection: {why}");
            let help = "requests go to the others; with health checks it comes in when it is there";
            Some(Problem::note(loaded.place_of_node(u, n)?, what).help(help))
        })
        .collect();
    if let Some(last) = said.last_mut().filter(|_| more > 0) {
        last.help.push(format!("and {more} more nodes take none"));
    }
    said
}

/// Why a node takes no connection; `None`: it does, or this machine lacks what that takes.
async fn refused(addr: SocketAddr, until: Instant) -> Option<String> {
    match timeout_at(until, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {}", show_duration(NODES_TIME))),
    }
}
