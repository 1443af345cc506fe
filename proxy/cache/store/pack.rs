//! Makes entries, in memory of the right size that knows what it is charged.
//!
//! A small answer is one allocation, head and body together, unless two fit better. A large body keeps the pieces it came in, put together to
//! blocks, so that no allocation is much larger than the others and memory given back fits whoever comes next.

use std::sync::Arc;

use bytes::Bytes;

use super::core::Core;
use super::room::{allocated, charged, cost};
use crate::base::cached::Why;
use crate::cache::entry::{Body, Entry, Form, Forms, Head, Held, Uses};
use crate::cache::key::Key;
use crate::cache::policy::life::Life;
use crate::cache::policy::vary::Selection;

/// Bytes of a head and a body that are one allocation, and of a block that pieces are put together to.
const BLOCK: usize = 64 * 1024;
/// The counts in front of an `Arc`'s value.
const COUNTS: usize = 2 * size_of::<usize>();
/// An entry's place in the list of a key's variants.
const PLACE: u64 = 16;

/// What an entry is besides its answer: key, selection, tags, how many purges there had been.
pub(super) type Parts = (Arc<Key>, Selection, Box<[u64]>, u64);

/// An entry of a whole body.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn whole(
    core: &Core,
    parts: Parts,
    (head, life): (&Head, Life),
    pieces: &[Bytes],
) -> Result<Entry, Why> {
    let lines = head.lines();
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let together = cost(lines.len() + length);
    let is_small = lines.len() + length <= BLOCK;
    if is_small && together <= cost(lines.len()) + cost(length) {
        let all = join(core, &[std::slice::from_ref(lines), pieces].concat())?;
        let head = head.with_lines(all.slice(..lines.len()));
        let body = Body::One(all.slice(lines.len()..));
        // An empty slice keeps no memory alive, and the body outlives the head when the answer is confirmed.
        let weights = match length {
            0 => (together, 0),
            _ => (0, together),
        };
        return entry(core, parts, (life, head, body), weights);
    }
    if is_small {
        let body = join(core, pieces)?;
        let head = head.with_lines(join(core, std::slice::from_ref(lines))?);
        let weights = (cost(lines.len()), cost(length));
        return entry(core, parts, (life, head, Body::One(body)), weights);
    }
    let body_weight = pieces.iter().map(|piece| cost(piece.len())).sum();
    let head_weight = cost(lines.len());
    let head = head.with_lines(join(core, std::slice::from_ref(lines))?);
    let what = (life, head, Body::Many(pieces.into()));
    entry(core, parts, what, (head_weight, body_weight))
}

/// An entry of a body that came in one piece, in memory of the right size.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn adopted(
    core: &Core,
    parts: Parts,
    (head, life): (&Head, Life),
    body: &Bytes,
) -> Result<Entry, Why> {
    let body = std::slice::from_ref(body);
    if head.lines().len() + body[0].len() <= BLOCK {
        return whole(core, parts, (head, life), body);
    }
    whole(core, parts, (head, life), &blocks(core, body)?)
}

/// An entry with the body of another one.
///
/// # Errors
/// [`Why::NoRoom`], with the entry all the same: it takes memory that is not accounted for and must not be stored.
pub(super) fn renewed(
    core: &Core,
    parts: Parts,
    (head, life): (Head, Life),
    old: &Entry,
) -> Result<Entry, Box<Entry>> {
    let body = old.body.clone();
    let bare = |(key, selection, tags, begun): Parts, head, body| {
        Box::new(Entry::new(key, (life, head, body), selection, tags, begun))
    };
    let Ok(lines) = join(core, std::slice::from_ref(head.lines())) else {
        return Err(bare(parts, head, body));
    };
    let weights = (cost(lines.len()), old.body_weight());
    let what = (life, head.with_lines(lines), body.clone());
    match entry(core, parts.clone(), what, weights) {
        Ok(new) => Ok(new.beside(old.shared_forms())),
        Err(_) => Err(bare(parts, head, body)),
    }
}

/// The same answer with these forms, whose bodies are charged already. What purges made of it is to be shared when it
/// takes its place.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn with_forms(core: &Core, old: &Entry, forms: Box<[Form]>) -> Result<Entry, Why> {
    let bodies = || forms.iter().filter_map(|form| form.body.as_ref());
    let own = allocated(COUNTS + size_of::<Forms>())
        + allocated(size_of_val(&*forms))
        + bodies().map(list_size).sum::<u64>();
    let pieces = bodies().flat_map(Body::pieces);
    let bytes = pieces.map(|piece| cost(piece.len())).sum();
    let own = core.take(own).ok_or(Why::NoRoom)?;
    let (key, selection) = (Arc::clone(&old.key), old.selection.clone());
    let parts = (key, selection, old.tags.clone(), old.begun);
    let what = (old.life, old.head.clone(), old.body.clone());
    let weights = (old.head_weight(), old.body_weight());
    let new = entry(core, parts, what, weights)?;
    new.waits_for(old.uses_left());
    Ok(new.beside(Some(Arc::new(Forms::new(forms, own, bytes)))))
}

/// The body of a form, of pieces in memory that is charged already.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn form(core: &Core, pieces: &[Bytes]) -> Result<Body, Why> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    match pieces {
        [one] => Ok(Body::One(one.clone())),
        _ if length <= BLOCK => Ok(Body::One(join(core, pieces)?)),
        _ => Ok(Body::Many(pieces.into())),
    }
}

/// A copy of these pieces in blocks.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn blocks(core: &Core, pieces: &[Bytes]) -> Result<Vec<Bytes>, Why> {
    let mut blocks = Vec::new();
    let mut block: Vec<Bytes> = Vec::new();
    let mut room = BLOCK;
    for piece in pieces {
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(room));
            room -= part.len();
            block.push(part);
            if room == 0 {
                blocks.push(join(core, &block)?);
                block.clear();
                room = BLOCK;
            }
        }
    }
    if !block.is_empty() {
        blocks.push(join(core, &block)?);
    }
    Ok(blocks)
}

/// Bytes of a body's list of pieces.
fn list_size(body: &Body) -> u64 {
    match body {
        Body::One(_) => 0,
        Body::Many(pieces) => allocated(COUNTS + size_of_val(&**pieces)),
    }
}

/// An entry of parts that are charged already.
fn entry(
    core: &Core,
    (key, selection, tags, begun): Parts,
    what: (Life, Head, Body),
    (head, body): (u64, u64),
) -> Result<Entry, Why> {
    let own = list_size(&what.2)
        + allocated(COUNTS + size_of::<Entry>())
        + allocated(COUNTS + size_of::<Key>())
        + allocated(key.size())
        + allocated(size_of_val(&*tags))
        + if selection.is_any() {
            0
        } else {
            PLACE + allocated(selection.size())
        };
    let own = core.take(own).ok_or(Why::NoRoom)?;
    let held = Held {
        own,
        uses: Uses::default(),
        // Heads are some kilobytes: no node is let send one that is larger.
        head: u32::try_from(head).unwrap_or(u32::MAX),
        body,
    };
    Ok(Entry::new(key, what, selection, tags, begun).holding(held))
}

/// Two pieces of a body as one, if that is not too large and there is room for it.
pub(super) fn merge(core: &Core, one: &Bytes, two: &Bytes) -> Option<Bytes> {
    let fits = one.len() + two.len() <= BLOCK;
    fits.then(|| join(core, &[one.clone(), two.clone()]).ok())?
}

/// A copy of these bytes in memory of their own.
///
/// # Errors
/// [`Why::NoRoom`].
pub(super) fn join(core: &Core, pieces: &[Bytes]) -> Result<Bytes, Why> {
    let length = pieces.iter().map(Bytes::len).sum();
    let charge = core.take(cost(length)).ok_or(Why::NoRoom)?;
    let mut all = Vec::with_capacity(length);
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    Ok(charged(all.into_boxed_slice(), charge))
}
