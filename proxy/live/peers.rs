//! Who else shares our Redis: each proxy says every five seconds that it is there, and hears who else is.
//!
//! For people alone: nothing is decided by it. Who says nothing for fifteen seconds is gone; who stops takes itself out.
//! What others say is shown, never believed, and bounded.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::timeout;
use xxhash_rust::xxh3::Xxh3;

use super::control::Control;
use super::shared::Shared;
use crate::kv::{Command, Fault, Op, Reply, Script};

/// How often we say that we are there.
const EVERY: Duration = Duration::from_secs(5);
/// Milliseconds after which who says nothing is gone.
const GONE: u64 = 15_000;
/// Who is asked more often gets what was heard this long ago.
const FRESH: Duration = Duration::from_secs(1);
/// Proxies that are shown.
const SHOWN: usize = 256;
/// Bytes of what a proxy says of itself.
const LONGEST: usize = 8 * 1024;
/// Bytes of one of its words.
const WORD: usize = 200;
/// How long a stopping process waits until its last purges are told.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Says who we are, forgets who is gone, and returns how many there are and what they say.
///
/// KEYS: who is there by when they are gone, what they say. ARGV: id, what we say, milliseconds, how many to return.
const SEEN: &str = r"#!lua flags=allow-oom
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function clears(key, kind)
  local is = redis.call('TYPE', key).ok
  if is ~= kind and is ~= 'none' then redis.call('DEL', key) end
end
clears(KEYS[1], 'zset')
clears(KEYS[2], 'hash')
local function number(n) return string.format('%.0f', n) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', number(now), 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
redis.call('ZADD', KEYS[1], number(now + ARGV[3]), ARGV[1])
if redis.call('HLEN', KEYS[2]) > redis.call('ZCARD', KEYS[1]) + 64 then redis.call('DEL', KEYS[2]) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 4)
redis.call('PEXPIRE', KEYS[2], ARGV[3] * 4)
local ids = redis.call('ZRANGE', KEYS[1], 0, ARGV[4] - 1)
return {redis.call('ZCARD', KEYS[1]), redis.call('HMGET', KEYS[2], unpack(ids))}
";

/// Who is there, as one proxy knows it.
#[derive(Debug)]
pub struct Peers {
    seen: Script,
    keys: [String; 2],
    /// Asks Redis, one at a time.
    asking: tokio::sync::Mutex<()>,
    view: Mutex<Option<(Arc<View>, Instant)>>,
    has_left: AtomicBool,
}

/// Who was there when Redis was asked.
#[derive(Debug)]
pub struct View {
    /// How many there were.
    pub total: usize,
    /// The first of them, by their names.
    pub peers: Vec<Peer>,
}

/// A proxy, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What tells it from others of the same name.
    pub id: String,
    /// What its machine is called.
    pub name: String,
    /// Where it takes requests, as its file has it.
    pub listen: Vec<String>,
    /// Where its stats port is.
    pub admin: Option<String>,
    /// Its version.
    pub version: String,
    /// Its generation of the configuration.
    pub generation: u64,
    /// What tells its configuration from others.
    pub config: String,
    /// When it started.
    pub started: SystemTime,
}

impl Peers {
    /// Nobody is known yet. `prefix`: of the keys in Redis.
    pub fn new(prefix: &str) -> Peers {
        Peers {
            seen: Script::new(SEEN),
            keys: ["seen", "info"].map(|key| format!("{prefix}:{{peers}}:{key}")),
            asking: tokio::sync::Mutex::default(),
            view: Mutex::default(),
            has_left: AtomicBool::new(false),
        }
    }

    /// Who was there when Redis answered last, and how long ago that was.
    pub fn view(&self) -> Option<(Arc<View>, Duration)> {
        let view = self.view.lock();
        view.as_ref().map(|(view, at)| (view.clone(), at.elapsed()))
    }

    async fn ask(&self, shared: &Shared, own: &Peer) -> Result<(), Fault> {
        if self.has_left.load(Relaxed) {
            return Ok(());
        }
        let keys: Vec<&[u8]> = self.keys.iter().map(|key| key.as_bytes()).collect();
        let said = own.said();
        let (gone, shown) = (GONE.to_string(), SHOWN.to_string());
        let args = [&own.id, &said, &gone, &shown].map(|arg| arg.as_bytes());
        let command = [Command::script(&self.seen, &keys, &args)];
        let replies = shared.kv.ask_patiently(Op::View, &command).await?;
        if let Some(view) = replies.first().and_then(View::of) {
            *self.view.lock() = Some((Arc::new(view), Instant::now()));
        }
        Ok(())
    }

    /// Takes us out.
    async fn leave(&self, shared: &Shared) -> Result<(), Fault> {
        self.has_left.store(true, Relaxed);
        let [seen, info] = &self.keys;
        let out = [
            Command::new("ZREM").arg(seen).arg(&*shared.id),
            Command::new("HDEL").arg(info).arg(&*shared.id),
        ];
        shared.kv.ask_patiently(Op::View, &out).await.map(drop)
    }
}

impl View {
    fn of(reply: &Reply) -> Option<View> {
        let [total, said] = reply.list()? else {
            return None;
        };
        let said = said.list()?.iter().filter_map(Reply::bytes);
        let mut peers: Vec<Peer> = said.filter_map(|said| Peer::read(said)).collect();
        peers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Some(View {
            total: usize::try_from(total.int()?).ok()?,
            peers,
        })
    }
}

impl Peer {
    /// What we are.
    pub fn own(control: &Control, shared: &Shared) -> Peer {
        let snapshot = control.hold.load();
        let config = &snapshot.config;
        let up = control.lifecycle.started().elapsed();
        Peer {
            id: shared.id.to_string(),
            name: hostname(),
            listen: config.listen.iter().map(|l| l.addr.to_string()).collect(),
            admin: config.admin.as_ref().map(|admin| admin.addr.to_string()),
            version: env!("CARGO_PKG_VERSION").into(),
            generation: snapshot.generation,
            config: hash_of(&control.effective()),
            started: SystemTime::now().checked_sub(up).unwrap_or(UNIX_EPOCH),
        }
    }

    fn said(&self) -> String {
        let since = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Whatever does not fit is left out, so that others read the rest.
        let listen: Vec<&String> = self.listen.iter().take(32).collect();
        json!({
            "id": self.id, "name": self.name, "listen": listen, "admin": self.admin, "version": self.version,
            "generation": self.generation, "config": self.config, "started": since.as_secs(),
        })
        .to_string()
    }

    fn read(said: &[u8]) -> Option<Peer> {
        if said.len() > LONGEST {
            return None;
        }
        let said: Value = serde_json::from_slice(said).ok()?;
        let short = |value: &Value| {
            let word = value.as_str().filter(|word| word.len() <= WORD);
            word.map(String::from)
        };
        let word = |name: &str| short(&said[name]);
        let seconds = Duration::from_secs(said["started"].as_u64()?);
        Some(Peer {
            id: word("id")?,
            name: word("name")?,
            listen: said["listen"]
                .as_array()?
                .iter()
                .filter_map(short)
                .collect(),
            admin: word("admin"),
            version: word("version")?,
            generation: said["generation"].as_u64()?,
            config: word("config")?,
            started: UNIX_EPOCH.checked_add(seconds)?,
        })
    }
}

/// Says that we are there for as long as it runs. What fails is not told: how Redis is, is told elsewhere.
pub async fn keep(control: Arc<Control>, shared: Arc<Shared>) {
    let mut state = shared.kv.state();
    loop {
        if state.wait_for(crate::kv::State::is_up).await.is_err() {
            return;
        }
        let _ = shared
            .peers
            .ask(&shared, &Peer::own(&control, &shared))
            .await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks who is there, unless somebody did a moment ago.
pub async fn look(control: &Control, shared: &Shared) {
    let peers = &shared.peers;
    let _one_at_a_time = peers.asking.lock().await;
    let is_fresh = |(_, age): (_, Duration)| age < FRESH;
    if !peers.view().is_some_and(is_fresh) {
        let _ = peers.ask(shared, &Peer::own(control, shared)).await;
    }
}

/// The process ends: its last purges are told, and others see that it is gone. A Redis that is away holds it up for a
/// moment, and only while purges wait for it.
pub async fn leave(control: &Control) {
    let Some(shared) = control.hold.load().shared.clone() else {
        return;
    };
    let _ = timeout(LAST_WORDS, shared.purges.all_told()).await;
    let is_up = shared.kv.is_up();
    let waiting = shared.purges.waiting();
    if waiting > 0 {
        let why = if is_up {
            "did not take them in time"
        } else {
            "is away"
        };
        tracing::warn!(
            "{waiting} purges were never told to the other proxies, since Redis at {} {why}, and are lost as this one ends: \
             what they were about is still used by the others, and stays until its time is over. Purge it again on any of \
             them, or everything if you do not know what it was",
            shared.kv.address()
        );
    }
    if is_up {
        let _ = shared.peers.leave(&shared).await;
    }
}

/// What this machine is called.
pub fn hostname() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    name.chars().take(WORD / 4).collect()
}

/// What tells a configuration from others: the same on every machine where it means the same. `effective`: all of it,
/// with its defaults. Left out is what names the machine: where it listens, where its files are, how many processors it
/// has.
pub fn hash_of(effective: &str) -> String {
    let mut hasher = Xxh3::new();
    let mut section = "";
    for line in effective.lines() {
        let (said, origin) = line.rsplit_once(" # ").unwrap_or((line, ""));
        if !said.starts_with(' ') {
            section = said.split(':').next().unwrap_or_default();
        }
        let (key, _) = said.split_once(':').unwrap_or((said, ""));
        let name = key.trim_start().trim_start_matches("- ");
        let is_of_machine = match name {
            "addr" => matches!(section, "listen" | "admin"),
            "admin" => section == "admin",
            "path" => section == "access_log",
            "threads" => origin == "default",
            "ca" => true,
            name => name.ends_with("_file"),
        };
        let said = if is_of_machine { key } else { said };
        hasher.write(said.as_bytes());
        hasher.write(b"\n");
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests;
