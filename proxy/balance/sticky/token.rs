//! The value of our own cookie: which node, since when, and that it was us who said so.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the node: the head of a keyed hash of its id |
//! | 8 | when it was issued, in milliseconds since 1970 |
//! | 32 | HMAC-SHA-256 of the 16 bytes before |
//!
//! Both hashes have keys of their own, made of the operator's key and the upstream's name, so that a value of one
//! upstream is nothing in another.
//!
//! base64url without padding makes 64 characters of it. Who does not have the key can neither make one nor read from
//! one which node it is. The time is that of its issue and not its end, so that a shorter `ttl` in the file holds for
//! cookies that are out already. Never compares a signature but in constant time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// Bytes that stand for a node.
const NODE: usize = 8;
/// Bytes of the node and the time.
const PAYLOAD: usize = NODE + 8;
/// Bytes of the whole.
const WHOLE: usize = PAYLOAD + 32;
/// Characters of a value.
const TEXT: usize = WHOLE / 3 * 4;
/// How far ahead the clock of another proxy may be that issued a cookie.
const SKEW: Duration = Duration::from_secs(60);

/// What the two keys are made for.
const SIGNS: &[u8] = b"tidegate sticky: signs";
const NAMES: &[u8] = b"tidegate sticky: names";

/// Makes and reads the cookies of one upstream in one generation.
#[derive(Debug)]
pub struct Tokens {
    signs: hmac::Key,
    /// How long a cookie holds; `None`: as long as the browser keeps it.
    ttl: Option<Duration>,
    /// What stands for each member of the pool.
    names: Vec<[u8; NODE]>,
    /// The same in order, each with its member.
    members: Vec<([u8; NODE], usize)>,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The session is on this member.
    On {
        /// Its position in the pool.
        member: usize,
        /// Whether more than half of the cookie's time is over.
        is_old: bool,
    },
    /// It was on a node that is no longer in the pool.
    Gone,
    /// Forged, expired, or no value of ours.
    Invalid,
}

impl Tokens {
    /// Cookies signed with `key` for the nodes with these `ids`, in the order of the pool.
    pub fn new<'a>(
        key: &[u8],
        upstream: &str,
        ttl: Option<Duration>,
        ids: impl Iterator<Item = &'a str>,
    ) -> Self {
        let names = derived(key, NAMES, upstream);
        let names: Vec<_> = ids.map(|id| name(&names, id)).collect();
        let mut members: Vec<_> = names.iter().copied().zip(0..).collect();
        members.sort_unstable();
        Tokens {
            signs: derived(key, SIGNS, upstream),
            ttl,
            names,
            members,
        }
    }

    /// The value for a session on `member`; `now` is the time since 1970.
    pub fn issue(&self, member: usize, now: Duration) -> String {
        let mut bytes = [0; WHOLE];
        bytes[..NODE].copy_from_slice(&self.names[member]);
        bytes[NODE..PAYLOAD].copy_from_slice(&millis(now).to_be_bytes());
        let signed = hmac::sign(&self.signs, &bytes[..PAYLOAD]);
        bytes[PAYLOAD..].copy_from_slice(signed.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What `value` says; `now` is the time since 1970.
    pub fn read(&self, value: &[u8], now: Duration) -> Verdict {
        let mut bytes = [0; WHOLE];
        let fits = value.len() == TEXT
            && URL_SAFE_NO_PAD.decode_slice_unchecked(value, &mut bytes) == Ok(WHOLE);
        let (payload, signature) = bytes.split_at(PAYLOAD);
        if !fits || hmac::verify(&self.signs, payload, signature).is_err() {
            return Verdict::Invalid;
        }
        let (named, issued) = payload.split_at(NODE);
        let issued = issued.try_into().map_or(0, u64::from_be_bytes);
        if issued > millis(now.saturating_add(SKEW)) {
            return Verdict::Invalid;
        }
        let age = Duration::from_millis(millis(now).saturating_sub(issued));
        if self.ttl.is_some_and(|ttl| age >= ttl) {
            return Verdict::Invalid;
        }
        match self
            .members
            .binary_search_by(|(name, _)| name[..].cmp(named))
        {
            Ok(at) => Verdict::On {
                member: self.members[at].1,
                is_old: self.ttl.is_some_and(|ttl| age > ttl / 2),
            },
            Err(_) => Verdict::Gone,
        }
    }
}

/// A key for one purpose in one upstream.
fn derived(key: &[u8], purpose: &[u8], upstream: &str) -> hmac::Key {
    let mut hash = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    hash.update(purpose);
    hash.update(upstream.as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hash.sign().as_ref())
}

/// What stands for a node.
fn name(key: &hmac::Key, id: &str) -> [u8; NODE] {
    let hash = hmac::sign(key, id.as_bytes());
    let mut name = [0; NODE];
    name.copy_from_slice(&hash.as_ref()[..NODE]);
    name
}

/// Whole milliseconds; enough for half a billion years.
fn millis(time: Duration) -> u64 {
    time.as_millis().min(u64::MAX.into()) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn tokens(key: &[u8], upstream: &str, ids: &[&str]) -> Tokens {
        Tokens::new(key, upstream, HOUR, ids.iter().copied())
    }

    fn on(member: usize, is_old: bool) -> Verdict {
        Verdict::On { member, is_old }
    }

    #[test]
    fn a_value_leads_back_to_its_node_wherever_that_stands_now() {
        let one = tokens(&KEY, "web", &["a", "b", "c"]);
        let other = tokens(&KEY, "web", &["new", "c", "b"]);
        for (member, there) in [(0, Verdict::Gone), (1, on(2, false)), (2, on(1, false))] {
            let value = one.issue(member, NOW);
            assert_eq!(value.len(), TEXT);
            assert_eq!(one.read(value.as_bytes(), NOW), on(member, false));
            assert_eq!(other.read(value.as_bytes(), NOW), there);
        }
    }

    #[test]
    fn a_value_of_another_upstream_or_key_is_nothing() {
        let value = tokens(&KEY, "web", &["a"]).issue(0, NOW);
        for other in [
            tokens(&KEY, "we", &["ba", "a"]),
            tokens(&KEY, "web2", &["a"]),
            tokens(&[8; 32], "web", &["a"]),
        ] {
            assert_eq!(other.read(value.as_bytes(), NOW), Verdict::Invalid);
        }
    }

    #[test]
    fn half_of_its_time_it_is_new_and_after_all_of_it_nothing() {
        let tokens = tokens(&KEY, "web", &["a"]);
        let value = tokens.issue(0, NOW);
        let after = |secs: u64| tokens.read(value.as_bytes(), NOW + Duration::from_secs(secs));
        assert_eq!(after(1_800), on(0, false));
        assert_eq!(after(1_801), on(0, true));
        assert_eq!(after(3_599), on(0, true));
        assert_eq!(after(3_600), Verdict::Invalid);
        let before = |secs: u64| tokens.read(value.as_bytes(), NOW - Duration::from_secs(secs));
        assert_eq!(before(60), on(0, false), "another proxy's clock is ahead");
        assert_eq!(before(61), Verdict::Invalid, "but not that far");
    }

    #[test]
    fn without_a_time_it_holds_and_a_new_time_holds_for_what_is_out() {
        let ids = || ["a"].into_iter();
        let for_ever = Tokens::new(&KEY, "web", None, ids());
        let value = for_ever.issue(0, NOW);
        let later = NOW + Duration::from_secs(400 * 86_400);
        assert_eq!(for_ever.read(value.as_bytes(), later), on(0, false));
        let now_an_hour = Tokens::new(&KEY, "web", HOUR, ids());
        assert_eq!(now_an_hour.read(value.as_bytes(), later), Verdict::Invalid);
    }

    #[test]
    fn neither_the_nodes_address_nor_the_upstream_can_be_read_from_it() {
        let ids = ["10.0.0.11:3000", "10.0.0.12:3000"];
        let value = tokens(&KEY, "web", &ids).issue(0, NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        let shows = |part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
        assert!(!shows(b"10.0") && !shows(b"web"));
        let of = |upstream| {
            let bytes = URL_SAFE_NO_PAD.decode(tokens(&KEY, upstream, &ids).issue(0, NOW));
            bytes.unwrap()[..NODE].to_vec()
        };
        assert_ne!(of("web"), of("api"), "nor that two upstreams share a node");
    }

    proptest! {
        #[test]
        fn nothing_but_what_was_issued_is_taken(
            noise in prop::collection::vec(any::<u8>(), 0..100),
            at in 0..TEXT,
            byte in any::<u8>(),
        ) {
            let tokens = tokens(&KEY, "web", &["a", "b"]);
            prop_assert_eq!(tokens.read(&noise, NOW), Verdict::Invalid);
            let mut value = tokens.issue(1, NOW).into_bytes();
            let is_same = value[at] == byte;
            value[at] = byte;
            let read = tokens.read(&value, NOW);
            prop_assert_eq!(read == on(1, false), is_same);
            prop_assert!(is_same || read == Verdict::Invalid);
        }
    }
}
