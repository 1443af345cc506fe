//! What runs inside of Redis, so that nothing comes between a look and what follows from it.
//!
//! Who changes the form of a value changes it here and in `codec`.

use super::chain::Position;
use super::codec::{ANSWER, INDEX, MAGIC, PURGED};
use super::lease::Ticket;
use crate::kv::{Command, Script};

/// Puts a value at the place of a URL: an answer, or what its answers vary by with one of those beside it. 1: done, 0: a
/// purge that it does not know of is there, -1: the purges it knows of are not those of this Redis.
///
/// KEYS: the place, the variant's (or the same again), the chain's head where it is on this node.
/// ARGV: magic, kind, position, who was last there, milliseconds, value without its front, variant's value or nothing.
const PUT: &str = r"
local old = redis.call('GETRANGE', KEYS[1], 0, 36)
local floor, left = 0, 0
if string.sub(old, 1, 4) == ARGV[1] then
  floor = tonumber(string.sub(old, 6, 21)) or 0
  left = redis.call('PTTL', KEYS[1])
end
local n, px = tonumber(ARGV[3]), tonumber(ARGV[5])
if floor > n then return 0 end
if KEYS[3] then
  local head = redis.call('GET', KEYS[3])
  if head then
    local at, uid = string.match(head, '^(%d+):([^:]*)')
    at = tonumber(at)
    if not at or at < n or (at == n and uid ~= ARGV[4]) then return -1 end
  end
end
if ARGV[7] ~= '' then
  redis.call('SET', KEYS[2], ARGV[7], 'PX', px)
end
if left > px and (floor > 0 or ARGV[7] ~= '') then px = left end
local front = string.format('%016d%016d', floor, px)
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2] .. front .. front .. ARGV[6], 'PX', px)
return 1
";

/// What is at the place of a URL is over. That it was purged stays.
///
/// KEYS: the place. ARGV: magic, kind of a purge.
const FORGET: &str = r"
local old = redis.call('GETRANGE', KEYS[1], 0, 36)
if string.sub(old, 1, 4) ~= ARGV[1] or string.sub(old, 5, 5) == ARGV[2] then return 0 end
local floor, left = tonumber(string.sub(old, 6, 21)) or 0, redis.call('PTTL', KEYS[1])
if floor > 0 and left > 0 then
  local front = string.format('%016d%016d', floor, left)
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2] .. front .. front, 'PX', left)
else
  redis.call('DEL', KEYS[1])
end
return 1
";

/// Keeps a lease for so long, or leaves a word, or gives it up, if it is still the holder's.
///
/// KEYS: the lease. ARGV: token, milliseconds (0: it is given up), word or nothing.
const LEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
if ARGV[3] == '' then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
return 1
";

/// All of them.
#[derive(Debug)]
pub(super) struct Scripts {
    put: Script,
    forget: Script,
    lease: Script,
}

/// What is put at the place of a URL.
pub(super) struct Put<'a> {
    /// The place.
    pub(super) place: &'a str,
    /// The position of the last purge, where that can be asked.
    pub(super) head: Option<&'a str>,
    /// Which purges the answer knows of.
    pub(super) position: Position,
    /// Milliseconds that it stays.
    pub(super) millis: u64,
    /// What stands behind the front at the place.
    pub(super) value: &'a [u8],
    /// The variant's place and its whole value.
    pub(super) variant: Option<(&'a str, &'a [u8])>,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            put: Script::new(PUT),
            forget: Script::new(FORGET),
            lease: Script::new(LEASE),
        }
    }

    pub(super) fn put(&self, put: &Put<'_>) -> Command {
        let (kind, beside, variant) = match put.variant {
            Some((place, value)) => (INDEX, place, value),
            None => (ANSWER, put.place, &b""[..]),
        };
        let keys = [Some(put.place), Some(beside), put.head];
        let keys: Vec<&[u8]> = keys.iter().flatten().map(|key| key.as_bytes()).collect();
        let Position { n, uid } = put.position;
        Command::script(
            &self.put,
            &keys,
            &[
                MAGIC,
                &[kind],
                n.to_string().as_bytes(),
                format!("{uid:016x}").as_bytes(),
                put.millis.to_string().as_bytes(),
                put.value,
                variant,
            ],
        )
    }

    pub(super) fn forget(&self, place: &str) -> Command {
        Command::script(&self.forget, &[place.as_bytes()], &[MAGIC, &[PURGED]])
    }

    pub(super) fn lease(&self, ticket: &Ticket, millis: u64, word: &str) -> Command {
        let millis = millis.to_string();
        let args = [&ticket.token, &millis, word].map(str::as_bytes);
        Command::script(&self.lease, &[ticket.place.as_bytes()], &args)
    }
}
