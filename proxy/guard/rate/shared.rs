//! One count for all proxies: the same GCRA, run inside of Redis by its clock, in one round trip.
//!
//! Redis keeps one number a client: when it will have nothing left of what it took. A client that is refused is
//! remembered here until it may come again, so that a flood of it costs Redis nothing. Never decides when Redis does
//! not: who asks for a `Verdict` and gets none asks the proxy's own limit. Neither a name in Redis nor what is
//! remembered here shows who the client is. Time is told, never read.

use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use ring::hmac;

use super::{TooOften, Who, share};
use crate::base::fields::Fields;
use crate::config::checked::{RateKey, RateLimit};
use crate::kv::{Command, Reply, Script};

/// Refused clients that a route remembers; at most about 1 MiB. Of those beyond it Redis is asked again.
const MAX_REFUSED: usize = 16_384;

/// Takes one request out of what a client has (KEYS[1]), of which each costs ARGV[1] microseconds and ARGV[2] may come at
/// once. Answers 0, or the microseconds until the next may come.
///
/// Times are counted from 2025, so that a part of a microsecond has its place in the number. What is further ahead than a
/// whole burst was noted under a clock that went back since, or by somebody else: it is put right.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = (time[1] - 1735689600) * 1000000 + time[2]
local share, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local function note(spent)
  local left = string.format('%.0f', math.ceil((spent - now) / 1000))
  redis.call('SET', KEYS[1], string.format('%.3f', spent), 'PX', left)
end
local most = now + burst * share
local spent = tonumber(redis.call('GET', KEYS[1]) or now) or now
if not (spent <= most) then spent = most note(spent) end
spent = math.max(spent, now)
local wait = spent - (burst - 1) * share - now
if wait > 0 then return math.ceil(wait) end
note(spent + share)
return 0",
    )
});

/// What a client is known by, in Redis as here: the first half of an HMAC-SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(u128);

/// What Redis says to a client that asks.
pub type Verdict = Result<(), TooOften>;

/// The shared rate limit of one route.
pub struct Count {
    /// What a client's name in Redis begins with.
    beginning: Box<str>,
    /// Hashes clients.
    hmac: hmac::Key,
    key: RateKey,
    /// Microseconds that a request costs, and how many may come at once.
    args: [Box<str>; 2],
    /// Until when those wait who were refused.
    refused: Cache<Client, Instant>,
}

impl Count {
    /// The limit of the route of this name, which all proxies count that have the same prefix and the same limit. Another
    /// limit is another count: what was taken under a slow rate says nothing under a fast one.
    pub fn new(prefix: &str, route: &str, config: &RateLimit) -> Self {
        let (requests, per, burst) = (config.requests, config.per.as_nanos(), config.burst);
        let key = match &config.key {
            RateKey::Ip => "",
            RateKey::Header(name) => name.as_str(),
        };
        let name = format!("rate\0{prefix}\0{route}\0{requests}/{per}\0{burst}\0{key}");
        let nanos = share(config).as_nanos();
        Count {
            beginning: format!("{prefix}:r:{route}:").into(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, name.as_bytes()),
            key: config.key.clone(),
            args: [
                format!("{}.{:03}", nanos / 1_000, nanos % 1_000).into(),
                config.burst.to_string().into(),
            ],
            refused: Cache::new(MAX_REFUSED),
        }
    }

    /// Whether it counts what this one would count.
    pub fn is(&self, other: &Count) -> bool {
        self.hmac_of(b"") == other.hmac_of(b"")
    }

    /// What a client is known by.
    pub fn client(&self, client: IpAddr, fields: &impl Fields) -> Client {
        let mut tagged = [0; 9];
        match Who::of(&self.key, client, fields) {
            // The tag tells the kinds apart: a field never meets an address.
            Who::Field(value) => {
                let mut context = hmac::Context::with_key(&self.hmac);
                context.update(b"f");
                context.update(value);
                return half(context.sign());
            }
            Who::Four(addr) => {
                tagged[0] = b'4';
                tagged[1..5].copy_from_slice(&addr.to_be_bytes());
            }
            Who::Six(net) => {
                tagged[0] = b'6';
                tagged[1..].copy_from_slice(&net.to_be_bytes());
            }
        }
        self.hmac_of(&tagged)
    }

    fn hmac_of(&self, bytes: &[u8]) -> Client {
        half(hmac::sign(&self.hmac, bytes))
    }

    /// Whether the client was refused and has not waited for long enough.
    pub fn waits(&self, client: Client, now: Instant) -> Option<TooOften> {
        let until = self.refused.get(&client)?;
        let left = until.saturating_duration_since(now);
        if left.is_zero() {
            self.refused.remove(&client);
            return None;
        }
        Some(TooOften(left))
    }

    /// The question to Redis.
    pub fn question(&self, client: Client) -> Command {
        let name = format!("{}{:032x}", self.beginning, client.0);
        let [share, burst] = &self.args;
        Command::script(
            &TAKE,
            &[name.as_bytes()],
            &[share.as_bytes(), burst.as_bytes()],
        )
    }

    /// What the answer to it says. `None`: nothing that can be understood. Who is refused is remembered, from `now` on.
    pub fn verdict(&self, client: Client, answer: Option<&Reply>, now: Instant) -> Option<Verdict> {
        let wait = u64::try_from(answer?.int()?).ok()?;
        if wait == 0 {
            return Some(Ok(()));
        }
        let wait = Duration::from_micros(wait);
        self.refused.insert(client, now + wait);
        Some(Err(TooOften(wait)))
    }
}

/// The first half of what a keyed hash comes to.
fn half(tag: hmac::Tag) -> Client {
    let mut half = [0; 16];
    half.copy_from_slice(&tag.as_ref()[..16]);
    Client(u128::from_be_bytes(half))
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Count")
            .field("beginning", &self.beginning)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::config::checked::Scope;

    fn limit(requests: u32) -> RateLimit {
        RateLimit {
            key: RateKey::Header("x-api-key".parse().unwrap()),
            requests,
            per: Duration::from_secs(1),
            burst: 10,
            scope: Scope::Cluster,
            dry_run: false,
        }
    }

    fn of(shared: &Count, client: &str, key: Option<&str>) -> Client {
        let mut fields = HeaderMap::new();
        if let Some(key) = key {
            fields.append("x-api-key", key.parse().unwrap());
        }
        shared.client(client.parse().unwrap(), &fields)
    }

    #[test]
    fn every_proxy_knows_a_client_by_the_same_name_and_no_two_limits_do() {
        let [one, same] = [5, 5].map(|n| Count::new("tg", "api", &limit(n)));
        assert!(one.is(&same));
        let others = [
            Count::new("tg", "api", &limit(6)),
            Count::new("tg", "shop", &limit(5)),
            Count::new("other", "api", &limit(5)),
        ];
        let asked = of(&one, "10.0.0.1", None);
        assert_eq!(asked, of(&same, "::ffff:10.0.0.1", None));
        for other in &others {
            assert!(!one.is(other));
            assert_ne!(asked, of(other, "10.0.0.1", None));
        }
    }

    #[test]
    fn addresses_networks_and_fields_never_meet() {
        let shared = Count::new("tg", "api", &limit(5));
        let all = [
            of(&shared, "10.0.0.1", None),
            of(&shared, "10.0.0.1", Some("a")),
            of(&shared, "97.98.99.100", None),
            of(&shared, "10.0.0.1", Some("abcd")),
            of(&shared, "6162:6364::", None),
            of(&shared, "2001:db8::1", None),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(one), "{i}");
        }
        assert_eq!(all[5], of(&shared, "2001:db8::ffff", None), "one /64");
        assert_eq!(all[1], of(&shared, "10.9.9.9", Some("a")));
    }

    #[test]
    fn who_was_refused_waits_here_and_is_let_go_when_its_time_has_come() {
        let (shared, t0) = (Count::new("tg", "api", &limit(5)), Instant::now());
        let client = of(&shared, "10.0.0.1", None);
        assert_eq!(shared.waits(client, t0), None);
        assert_eq!(
            shared.verdict(client, Some(&Reply::Int(0)), t0),
            Some(Ok(()))
        );
        assert_eq!(shared.waits(client, t0), None);
        let refused = shared.verdict(client, Some(&Reply::Int(1_500)), t0);
        let micros = |n| TooOften(Duration::from_micros(n));
        assert_eq!(refused, Some(Err(micros(1_500))));
        let later = |n| t0 + Duration::from_micros(n);
        assert_eq!(shared.waits(client, later(500)), Some(micros(1_000)));
        assert_eq!(shared.waits(client, later(1_500)), None);
        assert!(shared.refused.is_empty());
    }

    #[test]
    fn an_answer_that_is_none_decides_nothing() {
        let (shared, t0) = (Count::new("tg", "api", &limit(5)), Instant::now());
        let client = of(&shared, "10.0.0.1", None);
        for odd in [
            None,
            Some(Reply::Nil),
            Some(Reply::Ok),
            Some(Reply::Int(-1)),
            Some(Reply::Error("OOM".into())),
        ] {
            assert_eq!(shared.verdict(client, odd.as_ref(), t0), None, "{odd:?}");
        }
        assert_eq!(shared.waits(client, t0), None);
    }

    #[test]
    fn the_refused_are_bounded() {
        let (shared, t0) = (Count::new("tg", "api", &limit(5)), Instant::now());
        for n in 0..3 * MAX_REFUSED as u128 {
            let _ = shared.verdict(Client(n), Some(&Reply::Int(1_000)), t0);
        }
        assert!(shared.refused.len() <= MAX_REFUSED);
        let memory = shared.refused.memory_used().total();
        assert!(memory < 2 << 20, "{memory} bytes");
    }
}
