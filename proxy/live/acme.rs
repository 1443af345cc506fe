//! What is known of the certificates that are got from a CA: how each is, and what happens next.
//!
//! For people and metrics alone: `jobs/acme` writes it, and decides nothing by it. Bounded by the names of the file.

use std::time::SystemTime;

use parking_lot::Mutex;

/// How it stands with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none yet: handshakes for its names are refused.
    Missing,
    /// It is ordered.
    Ordering,
    /// There is one.
    Valid,
    /// There is one, and it has expired.
    Expired,
}

impl State {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Ordering => "ordering",
            State::Valid => "valid",
            State::Expired => "expired",
        }
    }
}

/// A certificate that the file asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The names it is for, in the order of the file.
    pub names: Vec<String>,
    /// It is being ordered at this moment.
    pub is_ordered: bool,
    /// Until when it holds; `None`: there is none.
    pub until: Option<SystemTime>,
    /// When it is ordered next.
    pub next: Option<SystemTime>,
    /// Orders that failed since one succeeded.
    pub failures: u32,
    /// Why the last one failed.
    pub failure: Option<String>,
}

impl Wanted {
    /// How it stands at `now`.
    pub fn state(&self, now: SystemTime) -> State {
        match self.until {
            _ if self.is_ordered => State::Ordering,
            None => State::Missing,
            Some(until) if until <= now => State::Expired,
            Some(_) => State::Valid,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Acme(Mutex<Vec<Wanted>>);

impl Acme {
    /// How they stand from now on.
    pub fn set(&self, all: Vec<Wanted>) {
        *self.0.lock() = all;
    }

    /// How they stand.
    pub fn all(&self) -> Vec<Wanted> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn how_it_stands_follows_from_the_clock_and_from_what_is_there() {
        let wanted = Wanted {
            names: vec!["a.test".into()],
            is_ordered: false,
            until: None,
            next: None,
            failures: 0,
            failure: None,
        };
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(wanted.state(at(5)), State::Missing);
        let there = Wanted {
            until: Some(at(10)),
            ..wanted.clone()
        };
        assert_eq!(there.state(at(9)), State::Valid);
        assert_eq!(there.state(at(10)), State::Expired);
        let ordered = Wanted {
            is_ordered: true,
            ..there
        };
        assert_eq!(ordered.state(at(5)), State::Ordering);
    }
}
