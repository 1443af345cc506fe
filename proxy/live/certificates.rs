//! The certificates that clients are shown, and how long they still hold: those of the file, and those that a CA gave.
//!
//! Only looks, and decides nothing: a certificate that has expired is served all the same, because a warning in a browser
//! tells more than a refused handshake. The time is told by who asks.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::acme::Acme;
use super::issued::Issued;
use super::tls::TlsPorts;
use crate::base::certificate::Facts;

/// So long before its end somebody should look at a certificate: the time that `check` warns at, too.
pub const SOON: Duration = Duration::from_secs(14 * 86_400);
/// Those of a CA may last a few days in all: they are looked at in the last fifth of their life. The next one is ordered
/// in its last third.
const LAST_PART: u32 = 5;

/// How long a certificate still holds, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Long enough.
    Ok,
    /// Not for long: another one is due.
    Soon,
    /// Not any more.
    Expired,
}

impl State {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Soon => "soon",
            State::Expired => "expired",
        }
    }
}

/// Where a certificate is from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum From {
    /// A file that the configuration names.
    File(PathBuf),
    /// A CA that gave it to this process.
    Acme,
}

/// A certificate in use.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// Where it is from.
    pub from: From,
    /// Who signed it, as RFC 4514 writes it.
    pub issuer: String,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// The ports that show it.
    pub ports: Vec<SocketAddr>,
}

impl Shown {
    fn new(facts: &Facts, from: From) -> Self {
        let addresses = facts.addresses.iter().map(ToString::to_string);
        Shown {
            names: facts.names.iter().cloned().chain(addresses).collect(),
            from,
            issuer: facts.issuer.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            ports: Vec::new(),
        }
    }

    /// How it stands at `now`.
    pub fn state(&self, now: SystemTime) -> State {
        let soon = match self.from {
            From::File(_) => SOON,
            From::Acme => {
                let life = self.not_after.duration_since(self.not_before);
                SOON.min(life.unwrap_or_default() / LAST_PART)
            }
        };
        match self.not_after.duration_since(now) {
            Err(_) => State::Expired,
            Ok(left) if left.is_zero() => State::Expired,
            Ok(left) if left < soon => State::Soon,
            Ok(_) => State::Ok,
        }
    }

    /// Whole days that it still holds at `now`; below zero where it has expired.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let days = |seconds: u64| i64::try_from(seconds / 86_400).unwrap_or(i64::MAX);
        match self.not_after.duration_since(now) {
            Ok(left) => days(left.as_secs()),
            Err(over) => -1 - days(over.duration().as_secs()),
        }
    }

    /// What is told of it when it comes to `state`; `None`: nothing, it holds.
    pub fn warning(&self, state: State, now: SystemTime) -> Option<String> {
        let told = match state {
            State::Ok => return None,
            State::Soon => match self.days_left(now) {
                0 => "expires within a day".into(),
                1 => "expires in a day".into(),
                days => format!("expires in {days} days"),
            },
            State::Expired => "has expired and is served all the same".into(),
        };
        let until = humantime::format_rfc3339_seconds(self.not_after);
        let (place, remedy) = match &self.from {
            From::File(path) => (
                format!(" ({})", path.display()),
                "put another one there, it is in use within a second",
            ),
            From::Acme => (
                " (from the CA)".into(),
                "`tidegate status` says why it was not renewed",
            ),
        };
        Some(format!(
            "the certificate for {}{place} {told} (until {until}): {remedy}",
            few(&self.names)
        ))
    }
}

/// The first names; a certificate may have hundreds.
fn few(names: &[String]) -> String {
    const FEW: usize = 3;
    let shown = names.iter().take(FEW).map(String::as_str);
    let mut told = shown.collect::<Vec<_>>().join(", ");
    if let more @ 1.. = names.len().saturating_sub(FEW) {
        told.push_str(&format!(" and {more} more"));
    }
    told
}

/// The certificates of these ports, each once: those of the file in its order, then those that a CA gave. One that was
/// not given yet is none.
pub fn shown(ports: &TlsPorts, issued: &Issued, acme: &Acme) -> Vec<Shown> {
    let mut out: Vec<Shown> = Vec::new();
    for (addr, tls) in ports.all() {
        for cert in &tls.rules.certs {
            let from = From::File(cert.path.clone());
            let same = |s: &&mut Shown| s.from == from && s.not_after == cert.facts.not_after;
            match out.iter_mut().find(same) {
                Some(told) => told.ports.push(addr),
                None => {
                    let mut told = Shown::new(&cert.facts, from);
                    told.ports.push(addr);
                    out.push(told);
                }
            }
        }
    }
    for wanted in acme.all() {
        let Some(first) = wanted.names.first() else {
            continue;
        };
        let key = issued.find(&first.to_ascii_lowercase());
        let Some(facts) = key.and_then(|key| Facts::read(key.cert.first()?)) else {
            continue;
        };
        let mut told = Shown::new(&facts, From::Acme);
        let has = |(addr, tls): (SocketAddr, &super::tls::PortTls)| {
            let names = &tls.rules.acme;
            names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(first))
                .then_some(addr)
        };
        told.ports = ports.all().filter_map(has).collect();
        out.push(told);
    }
    out
}

/// What was told already. Bounded by the certificates in use.
#[derive(Debug, Default)]
pub struct Told(HashSet<(From, Vec<String>, SystemTime, State)>);

impl Told {
    /// What is to be told of these at `now`: each certificate once when it comes near its end, and once when it is there.
    pub fn news(&mut self, all: &[Shown], now: SystemTime) -> Vec<(State, String)> {
        let mut still = HashSet::new();
        let mut news = Vec::new();
        for cert in all {
            let state = cert.state(now);
            let Some(said) = cert.warning(state, now) else {
                continue;
            };
            let id = (cert.from.clone(), cert.names.clone(), cert.not_after, state);
            if !self.0.contains(&id) && !still.contains(&id) {
                news.push((state, said));
            }
            still.insert(id);
        }
        self.0 = still;
        news
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(n: u32) -> SystemTime {
        UNIX_EPOCH + DAY * n
    }

    fn cert(from: From, (begins, ends): (u32, u32)) -> Shown {
        Shown {
            names: vec!["shop.test".into()],
            from,
            issuer: "CN=ca".into(),
            not_before: day(begins),
            not_after: day(ends),
            ports: Vec::new(),
        }
    }

    fn file() -> From {
        From::File("site.pem".into())
    }

    #[test]
    fn two_weeks_before_its_end_one_of_the_file_is_to_be_looked_at() {
        let cert = cert(file(), (0, 30));
        let second = Duration::from_secs(1);
        for (now, state, days) in [
            (day(1), State::Ok, 29),
            (day(16), State::Ok, 14),
            (day(16) + second, State::Soon, 13),
            (day(30) - second, State::Soon, 0),
            (day(30), State::Expired, 0),
            (day(30) + second, State::Expired, -1),
            (day(31) + second, State::Expired, -2),
        ] {
            assert_eq!((cert.state(now), cert.days_left(now)), (state, days));
        }
    }

    #[test]
    fn one_of_a_ca_that_lasts_a_week_in_all_is_not_always_near_its_end() {
        let short = cert(From::Acme, (0, 10));
        assert_eq!(short.state(day(7)), State::Ok);
        assert_eq!(short.state(day(8) + DAY / 2), State::Soon);
        let usual = cert(From::Acme, (0, 90));
        assert_eq!(usual.state(day(75)), State::Ok);
        assert_eq!(usual.state(day(77)), State::Soon);
    }

    #[test]
    fn each_is_told_once_when_it_comes_near_its_end_and_once_at_it() {
        let mut told = Told::default();
        let old = [cert(file(), (0, 30)), cert(From::Acme, (0, 90))];
        let mut at = |all: &[Shown], now| {
            let news = told.news(all, now).into_iter();
            news.map(|(state, _)| state).collect::<Vec<_>>()
        };
        assert_eq!(at(&old, day(1)), []);
        assert_eq!(at(&old, day(20)), [State::Soon]);
        assert_eq!(at(&old, day(21)), []);
        assert_eq!(at(&old, day(30)), [State::Expired]);
        assert_eq!(at(&old, day(31)), []);
        // Another one in its place is told anew.
        let new = [cert(file(), (0, 40))];
        assert_eq!(at(&new, day(31)), [State::Soon]);
        assert_eq!(at(&[], day(32)), []);
        assert_eq!(told.0.len(), 0, "what is gone is forgotten");
    }

    #[test]
    fn what_is_told_has_name_place_time_and_remedy() {
        let cert = cert(file(), (0, 30));
        assert_eq!(cert.warning(State::Ok, day(1)), None);
        assert_eq!(
            cert.warning(State::Soon, day(20)).as_deref(),
            Some(
                "the certificate for shop.test (site.pem) expires in 10 days (until 1970-01-31T00:00:00Z): put another \
                 one there, it is in use within a second"
            )
        );
        let over = cert.warning(State::Expired, day(31)).expect("a warning");
        assert!(over.contains("has expired"), "{over}");
    }
}
