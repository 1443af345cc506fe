//! A stored answer: immutable but for the moment it was purged softly, and how far purges are known not to concern it.
//!
//! Bytes are shared with every connection that sends them and copied for none. A confirmed answer (304) is a new entry
//! with the same body.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use bytes::Bytes;
use http::StatusCode;

use super::key::Key;
use super::policy::life::{Life, Millis};
use super::policy::vary::Selection;
use super::store::room::Charge;

/// A response head as it is kept: its lines as they are sent, `Name: value` each, CRLF included.
#[derive(Debug, Clone)]
pub struct Head {
    /// Status.
    pub status: StatusCode,
    lines: Bytes,
}

impl Head {
    /// A head of these fields, names in the letter case they came in.
    pub fn new<'a>(
        status: StatusCode,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Head {
        let mut lines = Vec::new();
        for (name, value) in fields {
            lines.extend_from_slice(name);
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
        lines.shrink_to_fit();
        Head {
            status,
            lines: lines.into(),
        }
    }

    /// Its fields, name and value, without a copy.
    pub fn fields(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let mut rest = self.lines.clone();
        std::iter::from_fn(move || {
            // No name has a `:`, and no name or value a CR.
            let name = memchr::memchr(b':', &rest)?;
            let end = memchr::memchr(b'\r', &rest)?;
            let mut line = rest.split_to(end + 2);
            line.truncate(end);
            let value = line.split_off((name + 2).min(end));
            line.truncate(name);
            Some((line, value))
        })
    }

    /// The value of its first field of this name.
    pub fn field(&self, name: &str) -> Option<Bytes> {
        let same = |field: &(Bytes, Bytes)| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields().find(same).map(|(_, value)| value)
    }

    /// Its lines as they are sent.
    pub fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// The same in other memory.
    pub fn with_lines(&self, lines: Bytes) -> Head {
        Head {
            status: self.status,
            lines,
        }
    }
}

/// A whole body, in as many pieces as it is kept in.
#[derive(Debug, Clone)]
pub enum Body {
    /// In one.
    One(Bytes),
    /// In several, none of them empty.
    Many(Arc<[Bytes]>),
}

impl Body {
    /// Its pieces, in order.
    pub fn pieces(&self) -> &[Bytes] {
        match self {
            Body::One(piece) => std::slice::from_ref(piece),
            Body::Many(pieces) => pieces,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.pieces().iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Not purged.
const NEVER: u64 = u64::MAX;

/// A stored answer.
#[derive(Debug)]
pub struct Entry {
    /// What it is stored under.
    pub key: Arc<Key>,
    /// What decides whether it may be used.
    pub life: Life,
    /// Its head, without framing fields and `Age`; `Content-Length` follows from the body.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// Which requests it is for.
    pub selection: Selection,
    /// Hashes of its tags (`Cache-Tag`, `Surrogate-Key`, `xkey`).
    pub tags: Box<[u64]>,
    /// How many purges there had been when its fetch began.
    pub begun: u64,
    /// When it was purged softly.
    expired: AtomicU64,
    /// How many purges there had been when it was purged softly last.
    expired_by: AtomicU64,
    /// Purges up to this one either do not concern it or are in `expired`.
    judged: AtomicU64,
    held: Option<Held>,
}

/// The memory of an entry that may be stored.
#[derive(Debug)]
pub(super) struct Held {
    /// Of the entry itself and its key.
    pub(super) own: Charge,
    /// Bytes of its head, where they are not in the memory of its body.
    pub(super) head: u64,
    /// Bytes of its body, which entries that were confirmed share.
    pub(super) body: u64,
}

impl Entry {
    /// A stored answer that has not been purged.
    pub fn new(
        key: Arc<Key>,
        (life, head, body): (Life, Head, Body),
        selection: Selection,
        tags: Box<[u64]>,
        begun: u64,
    ) -> Entry {
        Entry {
            key,
            life,
            head,
            body,
            selection,
            tags,
            begun,
            expired: AtomicU64::new(NEVER),
            expired_by: AtomicU64::new(0),
            judged: AtomicU64::new(begun),
            held: None,
        }
    }

    /// The same answer with another life and head, to be sent and not to be stored.
    pub fn as_if(&self, life: Life, head: Head) -> Entry {
        Entry::new(
            self.key.clone(),
            (life, head, self.body.clone()),
            self.selection.clone(),
            self.tags.clone(),
            self.begun,
        )
    }

    /// The same, with the memory it takes accounted for.
    pub(super) fn holding(mut self, held: Held) -> Entry {
        self.held = Some(held);
        self
    }

    /// Bytes it takes, all in all.
    pub(super) fn weight(&self) -> u64 {
        (self.held.as_ref()).map_or(0, |held| held.own.bytes() + held.head + held.body)
    }

    /// Bytes its body takes.
    pub(super) fn body_weight(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.body)
    }

    /// When it was purged softly.
    pub fn expired_at(&self) -> Option<Millis> {
        let at = self.expired.load(Relaxed);
        (at != NEVER).then_some(at)
    }

    /// Purges it softly: from `now` on it is stale.
    pub fn expire(&self, now: Millis) {
        self.expired.fetch_min(now, Relaxed);
    }

    /// Purges it softly, by the purge with this number.
    pub(super) fn expire_by(&self, now: Millis, purge: u64) {
        self.expire(now);
        self.expired_by.fetch_max(purge, Relaxed);
    }

    /// The number of the last purge that made it stale.
    pub(super) fn expired_by(&self) -> u64 {
        self.expired_by.load(Relaxed)
    }

    /// Up to which purge it is known whether it is concerned.
    pub(super) fn judged(&self) -> u64 {
        // What `expire` wrote before is seen by whoever sees this.
        self.judged.load(Acquire)
    }

    /// It is known now, up to this one.
    pub(super) fn set_judged(&self, purge: u64) {
        self.judged.fetch_max(purge, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_as_it_was_written() {
        let fields = [
            (&b"ETag"[..], &b"\"a:b\""[..]),
            (b"X-Empty", b""),
            (b"x-two", b"1"),
            (b"x-two", b"2"),
        ];
        let head = Head::new(StatusCode::OK, fields);
        let back: Vec<(Bytes, Bytes)> = head.fields().collect();
        assert_eq!(back.len(), 4);
        for ((name, value), (n, v)) in fields.iter().zip(&back) {
            assert_eq!((*name, *value), (&n[..], &v[..]));
        }
        assert_eq!(head.field("etag").as_deref(), Some(&b"\"a:b\""[..]));
        assert_eq!(head.field("x-none"), None);
    }
}
