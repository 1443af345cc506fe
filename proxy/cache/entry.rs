//! A stored answer: immutable but for the moment it was purged softly, how far purges are known not to concern it, and
//! how often its forms were used.
//!
//! Bytes are shared with every connection that sends them and copied for none. A confirmed answer (304) is a new entry
//! with the same body; one whose body was made in one more coding is a new entry of the same answer.

/// The bytes of an answer.
mod body;
/// The same in other codings.
mod form;
/// Status and fields.
mod head;
/// Whether it was used often enough to be shared.
mod uses;

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::key::Key;
use super::policy::life::{Life, Millis};
use super::policy::vary::Selection;
use super::store::room::Charge;
use crate::base::coding::Coding;

pub use body::Body;
pub use form::Form;
pub use head::Head;

pub(super) use body::BodyId;
pub(super) use form::{Forms, with as with_form};
pub(super) use uses::Uses;

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
    /// Its body in other codings; almost none has any.
    forms: Option<Arc<Forms>>,
}

/// The memory of an entry that may be stored.
#[derive(Debug)]
pub(super) struct Held {
    /// Of the entry itself and its key.
    pub(super) own: Charge,
    /// How many uses it waits for.
    pub(super) uses: Uses,
    /// Bytes of its head, where they are not in the memory of its body.
    pub(super) head: u32,
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
            forms: None,
        }
    }

    /// The same answer with another life and head, to be sent and not to be stored.
    pub fn as_if(&self, life: Life, head: Head) -> Entry {
        let what = (life, head, self.body.clone());
        let (key, selection) = (self.key.clone(), self.selection.clone());
        let new = Entry::new(key, what, selection, self.tags.clone(), self.begun);
        new.beside(self.shared_forms())
    }

    /// The body in this coding, if it was ever made.
    pub fn form(&self, coding: Coding) -> Option<&Form> {
        self.forms().iter().find(|form| form.coding == coding)
    }

    /// The body in other codings, in no order.
    pub fn forms(&self) -> &[Form] {
        self.forms.as_ref().map_or(&[], |forms| forms.list())
    }

    /// Whether both are one answer as it was fetched or confirmed once, with whatever forms by now. One that was
    /// confirmed since is another one.
    pub fn is_same_answer(&self, other: &Entry) -> bool {
        std::ptr::eq(self, other)
            || self.body.is_same(&other.body)
                && self.head.lines().as_ptr() == other.head.lines().as_ptr()
                && (self.life, self.begun) == (other.life, other.begun)
    }

    /// After so many uses it is given to other proxies. Until then they are counted.
    pub fn waits_for(&self, uses: u32) {
        if let Some(held) = &self.held {
            held.uses.wait_for(uses);
        }
    }

    /// How many uses it still waits for; 0: none.
    pub fn uses_left(&self) -> u32 {
        self.held.as_ref().map_or(0, |held| held.uses.left())
    }

    /// It is used. `true`, once: that was the last use that it waited for.
    pub fn is_due(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.uses.is_due())
    }

    /// The forms, to be those of another entry with this body too.
    pub(super) fn shared_forms(&self) -> Option<Arc<Forms>> {
        self.forms.clone()
    }

    /// The same, with these forms.
    pub(super) fn beside(mut self, forms: Option<Arc<Forms>>) -> Entry {
        self.forms = forms;
        self
    }

    /// The same, with the memory it takes accounted for.
    pub(super) fn holding(mut self, held: Held) -> Entry {
        self.held = Some(held);
        self
    }

    /// Bytes it takes, all in all.
    pub(super) fn weight(&self) -> u64 {
        let held = self.held.as_ref();
        held.map_or(0, |held| {
            held.own.bytes() + u64::from(held.head) + held.body
        }) + self.forms_weight()
    }

    /// Bytes its head takes, where they are not in the memory of its body.
    pub(super) fn head_weight(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.head.into())
    }

    /// Bytes its body takes.
    pub(super) fn body_weight(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.body)
    }

    /// Bytes its forms take.
    pub(super) fn forms_weight(&self) -> u64 {
        self.forms.as_ref().map_or(0, |forms| forms.weight())
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

    /// Whatever purges have made of the other one is true of this one too. To be asked for while none is judged.
    pub(super) fn share_purges(&self, other: &Entry) {
        let judged = other.judged();
        self.expired.fetch_min(other.expired.load(Relaxed), Relaxed);
        self.expired_by.fetch_max(other.expired_by(), Relaxed);
        self.set_judged(judged);
    }
}
