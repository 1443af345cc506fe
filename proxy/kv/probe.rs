//! Whether a Redis is one that can be used: for who wants to know before anything depends on it.
//!
//! Does what a running proxy does: comes in, writes by a script, reads, removes. Leaves nothing there but, should it be cut
//! off, one key that goes by itself within seconds. Every step has a limit of its own.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::command::{Command, Reply, Script, not_only_errors};
use super::connect::{Address, Conn};
use super::fault::Fault;

/// How often it is asked for nothing, to see how long that takes.
const ROUNDS: usize = 9;
/// Milliseconds that what is written stays if nobody removes it.
const STAYS: &str = "10000";
/// Writes as all scripts of ours do.
const WRITES: &str =
    "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])";

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Somebody takes connections there.
    Connect,
    /// It is a Redis, and lets us in.
    Enter,
    /// It runs a script that writes a key of ours.
    Write,
    /// It gives that back.
    Read,
    /// It removes it.
    Remove,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// `redis` or `valkey`, and the version; `None`: it does not say.
    pub version: Option<(&'static str, String)>,
    /// What goes when its memory is full; `None`: it does not say.
    pub policy: Option<String>,
    /// Bytes that it may take; 0: as many as there are, `None`: it does not say.
    pub memory: Option<u64>,
    /// Bytes that it has taken; `None`: it does not say.
    pub used: Option<u64>,
    /// How long half of the round trips took at the most.
    pub usual: Duration,
    /// How long the slowest took.
    pub slowest: Duration,
}

impl Found {
    /// Whether it can do what is asked of it: Redis from 7 on, every Valkey; `None`: it does not say.
    pub fn is_new_enough(&self) -> Option<bool> {
        let (name, version) = self.version.as_ref()?;
        let major = version.split('.').next()?.parse::<u32>().ok()?;
        Some(*name == "valkey" || major >= 7)
    }
}

/// Asks a Redis all that a proxy will ask of it; keys begin with `prefix`.
///
/// # Errors
/// How far it came, and why no further.
pub async fn probe(address: &Address, prefix: &str) -> Result<Found, (Step, Fault)> {
    is_there(address)
        .await
        .map_err(|fault| (Step::Connect, fault))?;
    let enter = |fault| (Step::Enter, fault);
    let conn = address.connect(PATIENCE).await.map_err(enter)?;
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        ask(&conn, Command::new("PING")).await.map_err(enter)?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let info = info(&conn).await;
    let found = Found {
        version: version(&info),
        policy: field(&info, "maxmemory_policy").map(str::to_owned),
        memory: field(&info, "maxmemory").and_then(|bytes| bytes.parse().ok()),
        used: field(&info, "used_memory").and_then(|bytes| bytes.parse().ok()),
        usual: took[ROUNDS / 2],
        slowest: took[ROUNDS - 1],
    };
    if found.is_new_enough() != Some(false) {
        writes(&conn, prefix).await?;
    }
    Ok(found)
}

/// Whether somebody takes connections there at all: said apart from what is said once connected.
async fn is_there(address: &Address) -> Result<(), Fault> {
    let (host, port) = address.authority()?;
    match timeout(PATIENCE, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Fault::Broken(error.to_string().into())),
        Err(_) => Err(Fault::Timeout),
    }
}

/// Writes a key by a script, reads it and removes it.
async fn writes(conn: &Conn, prefix: &str) -> Result<(), (Step, Fault)> {
    let value = format!("{:016x}", fastrand::u64(..));
    let key = format!("{prefix}:probe:{value}");
    let script = Script::new(WRITES);
    let args = [value.as_bytes(), STAYS.as_bytes()];
    let write = Command::script(&script, &[key.as_bytes()], &args);
    ask(conn, write)
        .await
        .map_err(|fault| (Step::Write, fault))?;
    let read = ask(conn, Command::new("GET").arg(&key)).await;
    let is_it = |read: Reply| match read.bytes() {
        Some(bytes) if **bytes == *value.as_bytes() => Ok(()),
        _ => Err(Fault::Broken("it gave back something else".into())),
    };
    read.and_then(is_it).map_err(|fault| (Step::Read, fault))?;
    let removed = ask(conn, Command::new("DEL").arg(&key)).await;
    removed.map(drop).map_err(|fault| (Step::Remove, fault))
}

async fn ask(conn: &Conn, command: Command) -> Result<Reply, Fault> {
    let asked = [command];
    let replies = timeout(PATIENCE, conn.run(&asked)).await;
    let replies = replies.unwrap_or(Err(Fault::Timeout))?;
    let mut replies = not_only_errors(replies)?;
    Ok(replies.pop().unwrap_or(Reply::Nil))
}

/// What it says of itself; empty where it does not.
async fn info(conn: &Conn) -> String {
    let mut text = String::new();
    for part in ["server", "memory"] {
        if let Ok(reply) = ask(conn, Command::new("INFO").arg(part)).await {
            collect(&reply, &mut text);
        }
    }
    text
}

/// The texts of a reply: a cluster has one of each node.
fn collect(reply: &Reply, text: &mut String) {
    match reply {
        Reply::Bytes(bytes) => {
            text.push_str(&String::from_utf8_lossy(bytes));
            text.push('\n');
        }
        Reply::List(all) => all.iter().for_each(|one| collect(one, text)),
        _ => {}
    }
}

/// The value of a line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).map(str::trim)
}

/// A Valkey says of which Redis it does everything, too.
fn version(info: &str) -> Option<(&'static str, String)> {
    let of = |key, name| Some((name, field(info, key)?.to_owned()));
    of("valkey_version", "valkey").or_else(|| of("redis_version", "redis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(info: &str) -> Found {
        Found {
            version: version(info),
            ..Found::default()
        }
    }

    #[test]
    fn a_redis_before_7_is_too_old_and_every_valkey_new_enough() {
        for (info, new_enough) in [
            ("# Server\r\nredis_version:7.0.15\r\n", Some(true)),
            ("redis_version:6.2.14\r\n", Some(false)),
            ("redis_version:10.0.0\n", Some(true)),
            (
                "redis_version:7.2.4\r\nvalkey_version:8.1.0\r\n",
                Some(true),
            ),
            ("redis_version:next\n", None),
            ("", None),
        ] {
            assert_eq!(of(info).is_new_enough(), new_enough, "{info:?}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "maxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\nmaxmemory:0\r\n";
        assert_eq!(field(info, "maxmemory"), Some("0"));
        assert_eq!(field(info, "maxmemory_policy"), Some("noeviction"));
        assert_eq!(field(info, "memory"), None);
    }
}
