//! A purge as proxies tell each other: what, how thoroughly, by whom.
//!
//! Version, kind, mode, the purge's own number, and its parts behind their lengths. A key travels as its bytes; its hash
//! is each process's own. Whoever reads believes nothing: what is not whole, too long or of another version is `None`.

use super::chain::Concern;
use super::keys::url_hash;
use crate::cache::key::Key;
use crate::cache::store::Purge;

/// The version of the form.
const VERSION: u8 = 1;
/// Bytes of a record. A URL has at most as many as `limits.uri_bytes` allows, which is less.
pub const LONGEST: usize = 256 * 1024;
/// Bytes of a name: of who purged, or of a proxy.
const NAME: usize = 200;

/// What took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Somebody purged.
    Purge {
        /// What.
        what: Purge,
        /// It is gone rather than stale.
        hard: bool,
    },
    /// A write went well, which makes what is stored of this URL wrong.
    Invalidate(Key),
}

impl Deed {
    /// What it may concern, as the chain has to know.
    pub fn concern(&self) -> Concern {
        match self.url() {
            Some(key) => Concern::Url(url_hash(key)),
            None => Concern::Epochal,
        }
    }

    /// The one URL that it concerns.
    pub fn url(&self) -> Option<&Key> {
        match self {
            Deed::Purge {
                what: Purge::Url(key),
                ..
            }
            | Deed::Invalidate(key) => Some(key),
            Deed::Purge { .. } => None,
        }
    }

    /// Whether somebody asked for what it concerns to be gone.
    pub fn is_hard_purge(&self) -> bool {
        matches!(self, Deed::Purge { hard: true, .. })
    }

    /// Whether whoever carries out this one need not carry out that one, of the same URL and no later. A write removes as
    /// a hard purge does; what somebody asked for is told by a word of its own.
    pub fn says(&self, other: &Deed) -> bool {
        match (self, other) {
            (Deed::Invalidate(_), Deed::Invalidate(_)) => true,
            (Deed::Invalidate(_), Deed::Purge { .. }) => false,
            (Deed::Purge { hard, .. }, Deed::Invalidate(_)) => *hard,
            (Deed::Purge { hard, .. }, Deed::Purge { hard: other, .. }) => *hard || !*other,
        }
    }
}

/// A purge as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is known by, on whatever place of the chain.
    pub purge: u64,
    /// What took effect.
    pub deed: Deed,
    /// Who purged, in words; cut to 200 bytes.
    pub by: Box<str>,
    /// The name of the proxy where it did; cut to 200 bytes.
    pub at: Box<str>,
}

const URL: u8 = b'u';
const TAG: u8 = b't';
const PREFIX: u8 = b'p';
const PREFIX_OF_HOST: u8 = b'q';
const HOST: u8 = b'h';
const ALL: u8 = b'a';
const INVALIDATED: u8 = b'i';

impl Record {
    /// What to do where a purge is not understood, as when a newer version told it: anything may be concerned.
    pub fn not_understood(purge: u64) -> Record {
        Record {
            purge,
            deed: Deed::Purge {
                what: Purge::All,
                hard: false,
            },
            by: "somebody whose words are not understood by this version".into(),
            at: "another proxy".into(),
        }
    }

    /// What is written. One that would be too long says that everything was purged, which is more and never less.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = self.as_bytes(&self.deed);
        if bytes.len() <= LONGEST {
            return bytes;
        }
        self.as_bytes(&Deed::Purge {
            what: Purge::All,
            hard: self.deed.is_hard_purge(),
        })
    }

    fn as_bytes(&self, deed: &Deed) -> Vec<u8> {
        let (kind, first, second): (u8, &[u8], &[u8]) = match deed {
            Deed::Invalidate(key) => (INVALIDATED, key.bytes(), b""),
            Deed::Purge { what, .. } => match what {
                Purge::Url(key) => (URL, key.bytes(), b""),
                Purge::Tag(tag) => (TAG, tag, b""),
                Purge::Prefix { host: None, path } => (PREFIX, path.as_bytes(), b""),
                Purge::Prefix {
                    host: Some(host),
                    path,
                } => (PREFIX_OF_HOST, path.as_bytes(), host.as_bytes()),
                Purge::Host(host) => (HOST, host.as_bytes(), b""),
                Purge::All => (ALL, b"", b""),
            },
        };
        let mut bytes = vec![VERSION, kind, u8::from(deed.is_hard_purge())];
        bytes.extend_from_slice(&self.purge.to_be_bytes());
        for part in [first, second, cut(&self.by), cut(&self.at)] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Reads one; `seed` is that of the store's keys. `None`: it is none of ours, or of another version.
    pub fn read(bytes: &[u8], seed: u64) -> Option<Record> {
        if bytes.len() > LONGEST {
            return None;
        }
        let (front, rest) = bytes.split_first_chunk::<3>()?;
        let (purge, mut rest) = rest.split_first_chunk::<8>()?;
        let mut part = || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (part, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(part)
        };
        let (first, second, by, at) = (part()?, part()?, part()?, part()?);
        let [VERSION, kind, hard @ (0 | 1)] = *front else {
            return None;
        };
        let is_whole = rest.is_empty() && (kind == PREFIX_OF_HOST || second.is_empty());
        let deed = deed(kind, hard == 1, first, second, seed).filter(|_| is_whole)?;
        Some(Record {
            purge: u64::from_be_bytes(*purge),
            deed,
            by: name(by)?,
            at: name(at)?,
        })
    }
}

fn deed(kind: u8, hard: bool, first: &[u8], second: &[u8], seed: u64) -> Option<Deed> {
    let what = match kind {
        INVALIDATED if !hard => return Some(Deed::Invalidate(Key::of_bytes(first, seed)?)),
        URL => Purge::Url(Key::of_bytes(first, seed)?),
        TAG => Purge::Tag(first.into()),
        PREFIX => Purge::Prefix {
            host: None,
            path: text(first)?,
        },
        PREFIX_OF_HOST => Purge::Prefix {
            host: Some(text(second)?),
            path: text(first)?,
        },
        HOST => Purge::Host(text(first)?),
        ALL if first.is_empty() => Purge::All,
        _ => return None,
    };
    Some(Deed::Purge { what, hard })
}

fn text(bytes: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(bytes).ok().map(Box::from)
}

fn name(bytes: &[u8]) -> Option<Box<str>> {
    text(bytes).filter(|name| name.len() <= NAME)
}

/// A name of bounded length.
fn cut(name: &str) -> &[u8] {
    let end = (0..=name.len().min(NAME)).rev();
    let end = { end }.find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    &name.as_bytes()[..end]
}

#[cfg(test)]
mod tests;
