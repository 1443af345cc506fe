//! The form in which a stored answer, or one on its way into the store, goes to a client.
//!
//! What is there is taken; what is not is made once, and those who come meanwhile read along. Never makes anything for a
//! client that has it already, or that wants the head alone.

use std::sync::Arc;

use super::super::ctx::Ctx;
use super::super::encode::asks::Wants;
use super::super::encode::choice::{self, Choice};
use super::super::encode::live::worth;
use super::super::encode::make::{self, Source, is_quick};
use crate::base::coding::{Coding, Skipped};
use crate::cache::entry::{Body, Entry, Form};
use crate::cache::store::{Deriving, DerivingStored, Reader};
use crate::config::checked::Compress;
use crate::live::control::Control;
use crate::live::snapshot::{Compressing, Snapshot};
use crate::transform::pipe::Pipe;

/// Where a body comes from.
pub enum From<'a> {
    /// It is stored as it came.
    Store(&'a Arc<Entry>),
    /// It is stored in this form.
    Form(Body),
    /// It is being fetched, or made; this long, as far as that is known.
    Coming(Reader, Option<u64>),
    /// It is made for this request alone.
    Live(Arc<Entry>, Box<Pipe>),
    /// Nobody knows it yet, and it is not wanted.
    Unknown,
}

impl From<'_> {
    /// How long the body is, as far as that is known by now.
    pub fn length(&self) -> Option<u64> {
        match self {
            From::Store(entry) => Some(entry.body.len()),
            From::Form(body) => Some(body.len()),
            From::Coming(_, length) => *length,
            From::Live(..) | From::Unknown => None,
        }
    }
}

/// What is there in the form of a choice.
#[derive(Debug, Clone, Copy)]
pub struct AtHand<'a> {
    /// The choice, or the one that is left.
    pub choice: Choice,
    form: Option<&'a Form>,
}

impl<'a> AtHand<'a> {
    /// The body that is sent; `None`: the answer's own.
    pub fn body(&self) -> Option<&'a Body> {
        self.form.and_then(|form| form.body.as_ref())
    }

    /// It is sent once more: a form that could be smaller, and is popular, will be.
    pub fn is_used(
        &self,
        control: &Control,
        snapshot: &Snapshot,
        entry: &Arc<Entry>,
        rules: &Compress,
    ) {
        if let Some(form) = self.form.filter(|form| !form.is_final) {
            let both = (snapshot.config.cache.recompress.as_ref(), rules);
            let metrics = &control.metrics.compression;
            control.recompress.used(entry, form, both, metrics);
        }
    }
}

/// What there is of a stored answer in the form of this choice; `None`: it has to be made.
pub fn at_hand<'a>(entry: &'a Entry, choice: Choice, wants: Option<&Wants>) -> Option<AtHand<'a>> {
    let (Some(from), true) = (choice.from, choice.changes()) else {
        return Some(AtHand { choice, form: None });
    };
    let form = entry.form(choice.to)?;
    let choice = match &form.body {
        Some(_) => choice,
        None if wants.is_some_and(|wants| wants.takes(from)) => choice.not(Skipped::NoGain),
        None => return None,
    };
    Some(AtHand {
        choice,
        form: Some(form),
    })
}

/// The body of a stored answer in the form of this choice, or the choice that is left. `is_head`: nobody wants it.
pub fn of_stored<'a>(
    ctx: &Ctx,
    entry: &'a Arc<Entry>,
    choice: Choice,
    is_head: bool,
) -> (Choice, From<'a>) {
    let (Some(from), Some((rules, asks))) = (choice.from, choice::rules(ctx)) else {
        return (choice, From::Store(entry));
    };
    if !choice.changes() {
        return (choice, From::Store(entry));
    }
    if let Some(found) = at_hand(entry, choice, Some(asks)) {
        found.is_used(&ctx.control, &ctx.snapshot, entry, &rules.rules);
        return match found.body() {
            Some(body) => (found.choice, From::Form(body.clone())),
            None => (found.choice, From::Store(entry)),
        };
    }
    let (choice, level) = worth(choice, ctx);
    if !choice.changes() {
        return (choice, From::Store(entry));
    }
    if is_head {
        return (choice, From::Unknown);
    }
    let pipe = || pipe(rules, choice, from, level, Some(entry.body.len()));
    if entry.form(choice.to).is_some() {
        return ready(asks, entry, choice, pipe);
    }
    let is_final = is_final(rules, choice.to, level);
    if from == Coding::Identity && is_quick(choice.to, level, entry.body.len()) {
        let body = make::at_once(&ctx.control, entry, choice.to, pipe(), is_final);
        return match body {
            Some(body) if body.len() as u64 >= entry.body.len() && asks.takes(from) => {
                (choice.not(Skipped::NoGain), From::Store(entry))
            }
            Some(body) => (choice, From::Form(Body::One(body))),
            None => (choice, From::Store(entry)),
        };
    }
    match ctx.control.cache.derive(entry, choice.to) {
        DerivingStored::Follow(reader) => (choice, From::Coming(reader, None)),
        DerivingStored::Ready(entry) => ready(asks, &entry, choice, pipe),
        DerivingStored::Lead(maker) => {
            let reader = maker.reader();
            let source = Source::Stored(entry.body.clone(), 0);
            make::begin(&ctx.control, source, maker, pipe(), is_final);
            (choice, From::Coming(reader, None))
        }
    }
}

/// The body of an answer that is being fetched, in the form of this choice, or the choice that is left.
pub fn of_fetched<'a>(
    ctx: &Ctx,
    reader: Reader,
    choice: Choice,
    length: Option<u64>,
) -> (Choice, From<'a>) {
    let Some((rules, asks)) = choice::rules(ctx) else {
        return (choice, From::Coming(reader, length));
    };
    let (choice, level) = worth(choice, ctx);
    let Some(from) = choice.from.filter(|_| choice.changes()) else {
        return (choice, From::Coming(reader, length));
    };
    match reader.derive(choice.to) {
        Deriving::Ready(entry) => {
            let length = Some(entry.body.len());
            let pipe = || pipe(rules, choice, from, level, length);
            ready(asks, &entry, choice, pipe)
        }
        Deriving::Follow(reader) => (choice, From::Coming(reader, None)),
        Deriving::Lead(maker, source) => {
            let reader = maker.reader();
            let source = Source::Coming(source);
            let pipe = pipe(rules, choice, from, level, length);
            let is_final = is_final(rules, choice.to, level);
            make::begin(&ctx.control, source, maker, pipe, is_final);
            (choice, From::Coming(reader, None))
        }
    }
}

/// What is sent of a form that was made: its body; where it was not worth having the answer as it came, or, to who does
/// not take that, one that is made for them alone.
fn ready<'a>(
    asks: &Wants,
    entry: &Arc<Entry>,
    choice: Choice,
    pipe: impl FnOnce() -> Pipe,
) -> (Choice, From<'a>) {
    let body = entry.form(choice.to).and_then(|form| form.body.clone());
    let is_taken = choice.from.is_some_and(|from| asks.takes(from));
    match body {
        Some(body) => (choice, From::Form(body)),
        None if is_taken => {
            let own = From::Form(entry.body.clone());
            (choice.not(Skipped::NoGain), own)
        }
        None => (choice, From::Live(entry.clone(), Box::new(pipe()))),
    }
}

/// What makes the form of this choice.
fn pipe(
    rules: &Compressing,
    choice: Choice,
    from: Coding,
    level: u32,
    length: Option<u64>,
) -> Pipe {
    let limits = rules.rules.decode.unwrap_or_default();
    Pipe::new((from, choice.to), level, length, limits)
}

/// Whether a form of this level is as good as it will ever be.
fn is_final(rules: &Compressing, coding: Coding, level: u32) -> bool {
    let best = rules.rules.stored_level.get(coding);
    best.is_none_or(|best| level >= *best)
}
