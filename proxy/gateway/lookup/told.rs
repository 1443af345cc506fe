//! What the operator is told of the cache: look-ups, answers that were not stored, what is asked for most.
//!
//! Every client's request is told once, at its end; a fetch is told by whoever began it. Nothing here decides anything.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::super::ctx::Ctx;
use super::fetch::Fetch;
use crate::base::cached::{Outcome, Why};
use crate::base::fields::Fields;
use crate::cache::key::Key;
use crate::cache::store::Found;
use crate::live::control::Control;
use crate::telemetry::metrics::LOOKUPS_PER_SAMPLE;

/// Looks into the store. One look in [`LOOKUPS_PER_SAMPLE`] is measured.
pub fn find(
    control: &Control,
    key: &Key<impl Deref<Target = [u8]>>,
    request: &impl Fields,
) -> Found {
    if fastrand::u32(..LOOKUPS_PER_SAMPLE) > 0 {
        return control.cache.find(key, request);
    }
    let begun = Instant::now();
    let found = control.cache.find(key, request);
    control.metrics.cache.looked_up(begun.elapsed());
    found
}

/// The answer of a fetch was not stored.
pub fn not_stored(fetch: &Fetch, why: Why) {
    fetch.control.metrics.cache.not_stored(why);
    fetch.control.lately.note(short(&fetch.asked.key), why);
}

/// An answer that was handed on was judged, and is not for the store.
pub fn handed_on(ctx: &Ctx, why: Why) {
    ctx.control.metrics.cache.not_stored(why);
    if let Some(key) = &ctx.cached.key {
        ctx.control.lately.note(short(key), why);
    }
}

/// The answer of a fetch was stored.
pub fn stored(fetch: &Fetch) {
    fetch.control.lately.forget(short(&fetch.asked.key));
}

/// A client's request for what is stored under this key is over: what was done with it, and how many bytes of a body
/// were sent.
pub fn finished(control: &Control, key: &Arc<Key>, outcome: Outcome, bytes: u64) {
    let (top, hash) = (&control.top, short(key));
    let list = match outcome {
        Outcome::Hit | Outcome::Stale => &top.hits,
        _ => &top.misses,
    };
    list.count(hash, 1, || key.clone());
    top.bytes.count(hash, bytes, || key.clone());
}

/// What the lists know a key by.
fn short(key: &Key) -> u64 {
    Control::short(key)
}
