//! The stream of purges in Redis: its keys, what is asked there, and what comes back.
//!
//! `{feed}` in braces: in a cluster the head and the log are on one node, since one script changes both. Nothing that is
//! read is believed: what has not our form is none of ours.

use bytes::Bytes;

use super::chain::{Concern, Head, Link, Position};
use super::codec::{MAGIC, PURGED};
use super::keys::Keys;
use super::record::Record;
use crate::kv::{Command, Reply, Script};

/// Entries of the log that are read at a time.
pub const PAGE: usize = 512;
/// Milliseconds that a reading waits for news.
pub const BLOCK: u64 = 1_000;

/// Puts a purge on the stream, and its mark where the answers of its URL are. A full Redis takes it too: a purge that is
/// not told is worse than an answer that is evicted.
///
/// KEYS: the head, the log, the place of the URL where there is one on this node.
/// ARGV: uid of the new place, uid of the first place of a new stream, `e` or `u`, record, places to keep, what a mark
/// begins with, milliseconds that it stays. Returns the number of the place.
const PUBLISH: &str = r"#!lua flags=allow-oom
local head = redis.call('GET', KEYS[1])
local n, uid, en, euid
if head then n, uid, en, euid = string.match(head, '^(%d+):(%x+):(%d+):(%x+)$') end
local function begin()
  redis.call('DEL', KEYS[2])
  n, uid, en, euid = 0, ARGV[2], 0, ARGV[2]
end
if n then n = tonumber(n) else begin() end
local function add()
  local time = redis.call('TIME')
  local millis = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  return redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], string.format('%.0f-0', n + 1),
    'p', uid, 'u', ARGV[1], 'k', ARGV[3], 't', millis, 'r', ARGV[4])
end
local added = add()
if type(added) == 'table' and added.err then
  begin()
  added = add()
  if type(added) == 'table' and added.err then return added end
end
n = n + 1
local at = string.format('%.0f', n)
if ARGV[3] == 'e' then en, euid = at, ARGV[1] end
redis.call('SET', KEYS[1], at .. ':' .. ARGV[1] .. ':' .. en .. ':' .. euid)
if KEYS[3] then
  local front = string.format('%016.0f%016.0f', n, ARGV[7])
  redis.call('SET', KEYS[3], ARGV[6] .. front .. front, 'PX', ARGV[7])
end
return n
";

/// The mark of a purge of a URL where the chain is on another node of a cluster.
///
/// KEYS: the place of the URL. ARGV: number of the purge, what a mark begins with, milliseconds that it stays.
const MARK: &str = r"#!lua flags=allow-oom
local front = string.format('%016.0f%016.0f', ARGV[1], ARGV[3])
redis.call('SET', KEYS[1], ARGV[2] .. front .. front, 'PX', ARGV[3])
return 1
";

/// Begins a new stream where there is none.
///
/// KEYS: the head, the log. ARGV: uid of the first place. Returns the head.
const BEGIN: &str = r"#!lua flags=allow-oom
local head = redis.call('GET', KEYS[1])
if head and string.match(head, '^%d+:%x+:%d+:%x+$') then return head end
redis.call('DEL', KEYS[2])
head = '0:' .. ARGV[1] .. ':0:' .. ARGV[1]
redis.call('SET', KEYS[1], head)
return head
";

/// The stream of a cluster of proxies.
#[derive(Debug)]
pub(super) struct Stream {
    keys: Keys,
    head: String,
    log: String,
    publish: Script,
    mark: Script,
    begin: Script,
}

/// A purge that was read.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) link: Link,
    /// `None`: it says nothing that this version knows.
    pub(super) record: Option<Record>,
    /// When it was told, in milliseconds of the clock of Redis.
    pub(super) time: u64,
}

impl Stream {
    pub(super) fn new(prefix: &str) -> Stream {
        let keys = Keys::new(prefix);
        Stream {
            head: keys.head().to_owned(),
            log: keys.log(),
            keys,
            publish: Script::new(PUBLISH),
            mark: Script::new(MARK),
            begin: Script::new(BEGIN),
        }
    }

    /// Tells a purge. `uids`: of its place, and of the first place should the stream begin with it. `marks`: for so many
    /// milliseconds it leaves a mark where the answers of its URL are; 0: not here.
    pub(super) fn publish(
        &self,
        record: &Record,
        uids: [u64; 2],
        history: usize,
        marks: u64,
    ) -> Command {
        let concern = record.deed.concern();
        let place = match concern {
            Concern::Url(url) if marks > 0 => Some(self.keys.place(url)),
            _ => None,
        };
        let [uid, first] = uids.map(hex);
        let kind = match concern {
            Concern::Url(_) => "u",
            Concern::Epochal => "e",
        };
        let bytes = record.bytes();
        let keys = [Some(&self.head), Some(&self.log), place.as_ref()];
        let keys: Vec<&[u8]> = keys.iter().flatten().map(|key| key.as_bytes()).collect();
        let (history, marks) = (history.to_string(), marks.to_string());
        let args = [&uid, &first, kind].map(str::as_bytes);
        let mark = mark_front();
        let more = [&bytes, history.as_bytes(), &mark, marks.as_bytes()];
        Command::script(&self.publish, &keys, &[&args[..], &more[..]].concat())
    }

    /// Leaves a mark where the answers of a URL are, on whatever node that is.
    pub(super) fn mark(&self, url: u128, n: i64, millis: u64) -> Command {
        let (n, millis) = (n.to_string(), millis.to_string());
        let mark = mark_front();
        let args = [n.as_bytes(), &mark, millis.as_bytes()];
        Command::script(&self.mark, &[self.keys.place(url).as_bytes()], &args)
    }

    /// Asks how far the chain goes.
    pub(super) fn head(&self) -> Command {
        Command::new("GET").arg(&self.head)
    }

    /// Begins a new stream where there is none, and asks the same.
    pub(super) fn begin(&self, first: u64) -> Command {
        let keys = [self.head.as_bytes(), self.log.as_bytes()];
        Command::script(&self.begin, &keys, &[hex(first).as_bytes()])
    }

    /// Waits for what follows this place.
    pub(super) fn news(&self, n: u64) -> Command {
        let read = Command::new("XREAD").arg("COUNT").arg(PAGE);
        let read = read.arg("BLOCK").arg(BLOCK).arg("STREAMS");
        read.arg(&self.log).arg(format!("{n}-0"))
    }

    /// Reads what is on the stream from this number on, so many at the most.
    pub(super) fn from(&self, n: u64, most: usize) -> Command {
        let range = Command::new("XRANGE").arg(&self.log);
        let range = range.arg(format!("{n}-0")).arg("+");
        range.arg("COUNT").arg(most)
    }
}

/// What a value begins with that says that its URL was purged.
fn mark_front() -> Vec<u8> {
    [&MAGIC[..], &[PURGED]].concat()
}

fn hex(uid: u64) -> String {
    format!("{uid:016x}")
}

/// The entries in the answer of [`Stream::news`]: those of its one stream, by whatever version of the protocol.
pub(super) fn entries_of(reply: &Reply) -> &[Reply] {
    let entries = match reply.list() {
        Some([Reply::Bytes(_), entries]) => entries.list(),
        Some([one]) => one.list().and_then(|one| one.get(1)?.list()),
        _ => None,
    };
    entries.unwrap_or_default()
}

/// How far the chain goes, by an answer; `None`: there is no chain.
pub(super) fn head_of(reply: &Reply) -> Option<Head> {
    Head::parse(reply.bytes()?)
}

/// An entry of the log; `None`: it is none of ours.
pub(super) fn told(entry: &Reply, seed: u64) -> Option<Told> {
    let [id, fields] = entry.list()? else {
        return None;
    };
    let id = std::str::from_utf8(id.bytes()?).ok()?;
    let n = id.strip_suffix("-0")?.parse().ok()?;
    let fields = fields.list()?;
    let field = |name: &str| -> Option<&Bytes> {
        let mut pairs = fields.chunks_exact(2);
        let is_it = |pair: &&[Reply]| pair[0].bytes().is_some_and(|n| n == name.as_bytes());
        pairs.find(is_it)?[1].bytes()
    };
    let uid = |name: &str| {
        let text = std::str::from_utf8(field(name)?).ok()?;
        u64::from_str_radix(text, 16).ok()
    };
    let time = std::str::from_utf8(field("t")?).ok()?.parse().ok()?;
    let record = Record::read(field("r")?, seed);
    let at = Position { n, uid: uid("u")? };
    // What is not understood may concern anything.
    let own = record
        .as_ref()
        .map(|record| (record.purge, record.deed.concern()));
    let (purge, mut concern) = own.unwrap_or((at.uid, Concern::Epochal));
    if field("k")?.as_ref() == b"e" {
        concern = Concern::Epochal;
    }
    Some(Told {
        link: Link {
            at,
            previous: uid("p")?,
            purge,
            concern,
        },
        record,
        time,
    })
}
