//! Refusals, told once a minute with a count: whoever is refused decides how often, and must neither fill the log nor
//! push what was really done out of the audit.
//!
//! The first of a kind is written at once; those that follow within a minute are counted in its line. Kinds are told
//! apart up to a bound, then all others are one. Time is passed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{WRONG_TOKEN, in_words};
use crate::telemetry::audit::{Audit, Deed, MOST_REFUSED};

/// So long refusals of a kind are one line.
const TOGETHER: Duration = Duration::from_secs(60);
/// Kinds that are told apart.
const KINDS: usize = 64;

/// A refusal.
#[derive(Debug)]
pub struct Refused {
    /// Whose it is.
    pub from: IpAddr,
    /// What is written of the first of its kind.
    pub deed: Deed,
}

/// The lines that are being counted in.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Kind, Line>>);

/// Refusals that are one line. Whoever has an address of a /64 has them all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Of {
        net: u128,
        who: Option<String>,
        status: u16,
        /// `None`: whoever is not known is refused for one reason, whatever they ask.
        action: Option<String>,
    },
    /// All that find no place.
    Others,
}

#[derive(Debug)]
struct Line {
    /// Its number in the audit.
    id: u64,
    since: Instant,
    count: u64,
    /// What is refused, in words.
    text: String,
    why: String,
}

impl Refusals {
    /// One more refusal, at `now`.
    pub fn note(&self, audit: &Audit, refused: Refused, now: Instant) {
        let mut lines = self.0.lock();
        let over = |line: &Line| now.saturating_duration_since(line.since) >= TOGETHER;
        lines.retain(|_, line| !over(line) || line.ends());
        let mut kind = Kind::of(&refused);
        let mut deed = refused.deed;
        if lines.len() >= KINDS && !lines.contains_key(&kind) {
            kind = Kind::Others;
            deed.who = None;
            deed.from = "several addresses".into();
            deed.action = "several".into();
            deed.target.clear();
        }
        if let Some(line) = lines.get_mut(&kind) {
            line.count += 1;
            let after = line.told();
            audit.change(line.id, |deed| deed.after = after);
            return;
        }
        let who = match &deed.who {
            Some(who) => format!("{who} ({})", deed.from),
            None => deed.from.clone(),
        };
        let text = in_words(&who, &deed);
        tracing::warn!("refused ({}): {text}", deed.status);
        let why = deed.after.clone();
        let id = audit.note_few(deed, MOST_REFUSED, |deed| deed.outcome() == "refused");
        let (since, count) = (now, 1);
        lines.insert(
            kind,
            Line {
                id,
                since,
                count,
                text,
                why,
            },
        );
    }

    /// Tells the log of the counts that are complete by `now`.
    pub fn tell(&self, now: Instant) {
        let over = |line: &Line| now.saturating_duration_since(line.since) >= TOGETHER;
        self.0.lock().retain(|_, line| !over(line) || line.ends());
    }
}

impl Kind {
    fn of(refused: &Refused) -> Kind {
        let net = match refused.from.to_canonical() {
            IpAddr::V4(addr) => addr.to_bits().into(),
            IpAddr::V6(addr) => addr.to_bits() >> 64 << 64,
        };
        let deed = &refused.deed;
        let (status, action) = match deed.status {
            // First looked at, then not any more.
            _ if deed.action == WRONG_TOKEN => (401, Some(deed.action.clone())),
            401 | 421 | 429 => (deed.status, None),
            _ => (deed.status, Some(deed.action.clone())),
        };
        Kind::Of {
            net,
            who: deed.who.clone(),
            status,
            action,
        }
    }
}

impl Line {
    fn told(&self) -> String {
        format!("{}; {} times within a minute", self.why, self.count)
    }

    /// Its minute is over. Always `false`: it is not kept.
    fn ends(&self) -> bool {
        if self.count > 1 {
            tracing::warn!(
                "refused {} times within a minute: {}",
                self.count,
                self.text
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::telemetry::audit;

    fn refused(from: &str, action: &str, status: u16) -> Refused {
        Refused {
            from: from.parse().expect("an address"),
            deed: Deed {
                at: SystemTime::UNIX_EPOCH,
                who: None,
                from: format!("{from}:1"),
                action: action.into(),
                target: "x".into(),
                before: String::new(),
                after: "no".into(),
                status,
            },
        }
    }

    fn all(audit: &Audit) -> Vec<String> {
        let all = audit.latest(2_000, (0, u64::MAX), |_| true);
        let line = |(_, deed): (u64, Deed)| format!("{} {} {}", deed.from, deed.action, deed.after);
        all.into_iter().map(line).collect()
    }

    #[test]
    fn ten_thousand_of_a_kind_are_one_line_a_minute_with_their_count() {
        let (audit, refusals) = (Audit::new(audit::KEPT), Refusals::default());
        let begin = Instant::now();
        for n in 0..10_000 {
            let now = begin + Duration::from_millis(n);
            refusals.note(&audit, refused("10.0.0.1", "wrong token", 401), now);
        }
        assert_eq!(
            all(&audit),
            ["10.0.0.1:1 wrong token no; 10000 times within a minute"]
        );
        let later = begin + TOGETHER;
        refusals.tell(later);
        refusals.note(&audit, refused("10.0.0.1", "wrong token", 401), later);
        assert_eq!(all(&audit).len(), 2);
        refusals.note(&audit, refused("10.0.0.2", "wrong token", 401), later);
        refusals.note(&audit, refused("10.0.0.1", "drain", 403), later);
        assert_eq!(all(&audit).len(), 4, "another caller, another refusal");
    }

    #[test]
    fn no_flood_of_callers_pushes_out_what_was_done() {
        let (audit, refusals) = (Audit::new(audit::KEPT), Refusals::default());
        let mut done = refused("127.0.0.1", "drain", 200).deed;
        done.after = "drained".into();
        audit.note(done);
        let begin = Instant::now();
        for n in 0..50_000_u32 {
            let from = std::net::Ipv4Addr::from_bits(n).to_string();
            // A new minute for each thousand.
            let now = begin + TOGETHER * (n / 1_000);
            refusals.note(&audit, refused(&from, "drain", 401), now);
        }
        assert!(refusals.0.lock().len() <= KINDS + 1);
        let all = all(&audit);
        assert_eq!(all.len(), MOST_REFUSED + 1);
        assert_eq!(all.last().expect("one"), "127.0.0.1:1 drain drained");
        assert!(
            all[0].starts_with("several addresses several no; 93"),
            "{}",
            all[0]
        );
    }

    #[test]
    fn neighbours_in_a_64_are_one_caller() {
        let (audit, refusals) = (Audit::new(audit::KEPT), Refusals::default());
        let now = Instant::now();
        for from in ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
            refusals.note(&audit, refused(from, "drain", 401), now);
        }
        assert_eq!(all(&audit).len(), 2);
    }
}
