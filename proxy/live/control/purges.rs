//! Purges: an operator's, which take effect here and are told to others, and those of others.
//!
//! Both take effect by the same function, so that nobody can tell where one came from but by its words.

use std::time::Duration;

use tokio::time::timeout;

use super::Control;
use crate::cache::key::Key;
use crate::cache::policy::life::Millis;
use crate::cache::shared::purges::Local;
use crate::cache::shared::record::{Deed, Record};
use crate::cache::store::Purge;
use crate::live::peers;

/// Purges of others that are told one by one, where they come together.
const TOLD: usize = 8;
/// How long Redis gets to take a purge before its author is told that it waits: a hundred usual round trips.
const TAKES: Duration = Duration::from_millis(100);

impl Control {
    /// Purges: `hard` removes, else what is stored is stale from now on. Returns how many answers it
    /// concerned. Nobody is given what it concerns from when this is called; it walks over all that is stored before
    /// it returns. Other proxies that share our Redis learn of it after that.
    pub fn purge(&self, what: &Purge, hard: bool, who: &str) -> u64 {
        let shared = self.hold.load().shared.clone();
        let told = shared.map(|shared| {
            let what = what.clone();
            let deed = Deed::Purge { what, hard };
            let purge = (shared.purges).begin(&deed, self.cache.sequence(), self.clock.now());
            (shared, deed, purge)
        });
        let purged = self.cache.purge(what, hard, self.clock.now());
        if let Some((shared, deed, purge)) = told {
            shared.purges.tell(Record {
                purge,
                deed,
                by: who.into(),
                at: peers::hostname().into(),
            });
        }
        self.purged(what, hard, who, purged);
        purged
    }

    /// Whether Redis has taken all purges that were carried out here (`sent`), for which it gets a moment, or some of them
    /// wait for it (`queued`); `None`: there are no others.
    pub async fn purge_reaches(&self) -> Option<&'static str> {
        let shared = self.hold.load().shared.clone()?;
        let told = timeout(TAKES, shared.purges.all_told()).await;
        Some(match told {
            Ok(()) => "sent",
            Err(_) => "queued",
        })
    }

    /// A write went well: what is stored of this URL is wrong, here and, where others may have it too, there.
    pub fn invalidate(&self, key: Key, is_cached: bool) {
        let snapshot = self.hold.load();
        let Some(shared) = snapshot.shared.as_ref().filter(|_| is_cached) else {
            self.cache.invalidate(&key);
            return;
        };
        let deed = Deed::Invalidate(key);
        let purge = (shared.purges).begin(&deed, self.cache.sequence(), self.clock.now());
        if let Some(key) = deed.url() {
            self.cache.invalidate(key);
        }
        shared.purges.tell(Record {
            purge,
            deed,
            by: "".into(),
            at: peers::hostname().into(),
        });
    }

    /// Tells a purge that was carried out.
    fn purged(&self, what: &Purge, hard: bool, who: &str, purged: u64) {
        self.metrics.cache.purged(kind(what), hard);
        let mode = mode(hard);
        // What is named may hold anything: it is shown escaped.
        let what = match what {
            Purge::Url(key) => {
                self.cache.unmark(key); // what was not storable may be now
                format!("the url {:?}", key.to_string())
            }
            Purge::Tag(tag) => format!("the tag {:?}", String::from_utf8_lossy(tag)),
            Purge::Prefix { host, path } => {
                let host = host.as_deref().unwrap_or("every host");
                format!("the prefix {path:?} of {host}")
            }
            Purge::Host(host) => format!("the host {host:?}"),
            Purge::All => "everything".into(),
        };
        let said = format!("{who} purged {what} ({mode}): {purged} answers");
        tracing::info!("{said}");
        self.note_purge(said);
    }

    /// Carries out one purge of another proxy.
    fn carry_out_one(&self, record: &Record, began: &mut dyn FnMut(u64, u64)) {
        match &record.deed {
            Deed::Purge { what, hard } => {
                let began = |at| began(record.purge, at);
                let now = self.clock.now();
                let purged = self.cache.purge_each([(what, *hard)], now, began);
                self.purged(what, *hard, &who(record), purged);
            }
            Deed::Invalidate(key) => {
                self.cache.invalidate(key);
            }
        }
    }

    /// Carries out many with one walk over all that is stored, and tells them in one line.
    fn carry_out_many(&self, records: &[Record], began: &mut dyn FnMut(u64, u64)) {
        let mut purges = Vec::with_capacity(records.len());
        let mut numbers = Vec::with_capacity(records.len());
        for record in records {
            match &record.deed {
                Deed::Purge { what, hard } => {
                    self.metrics.cache.purged(kind(what), *hard);
                    if let Purge::Url(key) = what {
                        self.cache.unmark(key);
                    }
                    purges.push((what, *hard));
                    numbers.push(record.purge);
                }
                Deed::Invalidate(key) => {
                    self.cache.invalidate(key);
                }
            }
        }
        let many = purges.len();
        let mut numbers = numbers.into_iter();
        let purged = self.cache.purge_each(purges, self.clock.now(), |at| {
            if let Some(purge) = numbers.next() {
                began(purge, at);
            }
        });
        if many > 0 {
            let said = format!("{many} purges of other proxies: {purged} answers");
            tracing::info!("{said}");
            self.note_purge(said);
        }
    }
}

impl Local for Control {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn seed(&self) -> u64 {
        self.cache.seed()
    }

    fn sequence(&self) -> u64 {
        self.cache.sequence()
    }

    fn carry_out(&self, records: &[Record], began: &mut dyn FnMut(u64, u64)) {
        match records.len() {
            ..=TOLD => records
                .iter()
                .for_each(|record| self.carry_out_one(record, began)),
            _ => self.carry_out_many(records, began),
        }
    }

    fn doubt_all(&self) -> u64 {
        self.cache.purge(&Purge::All, false, self.clock.now())
    }

    fn note(&self, said: String, is_bad: bool) {
        match is_bad {
            true => tracing::warn!("{said}"),
            false => tracing::info!("{said}"),
        }
        self.note_purge(said);
    }
}

/// Who purged, and where.
fn who(record: &Record) -> String {
    // Somebody else wrote both: they are shown escaped.
    let shown = |name: &str| name.escape_debug().to_string();
    format!("{} at {}", shown(&record.by), shown(&record.at))
}

/// The word of the metric for what is purged.
fn kind(what: &Purge) -> &'static str {
    match what {
        Purge::Url(_) => "url",
        Purge::Tag(_) => "tag",
        Purge::Prefix { .. } => "prefix",
        Purge::Host(_) => "host",
        Purge::All => "all",
    }
}

/// The word for how it is purged.
pub fn mode(hard: bool) -> &'static str {
    match hard {
        true => "hard",
        false => "soft",
    }
}
