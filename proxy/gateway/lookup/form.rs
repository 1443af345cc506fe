//! The form in which a stored answer, or one on its way into the store, goes to a client.
//!
//! What is there is taken; what is not is made once, and those who come meanwhile read along. Never makes anything for a
//! client that has it already, or that wants the head alone.

use std::sync::Arc;

use super::super::ctx::Ctx;
use super::super::encode::asks::Asks;
use super::super::encode::choice::{self, Choice};
use super::super::encode::live::worth;
use super::super::encode::make::{self, Source, is_quick};
use crate::base::coding::{Coding, Skipped};
use crate::cache::entry::{Body, Entry, Form};
use crate::cache::store::{Deriving, DerivingStored, Reader};
use crate::live::snapshot::Compressing;
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
    if let Some(form) = entry.form(choice.to)
        && (form.body.is_some() || asks.takes(from))
    {
        if !form.is_final {
            popular(ctx, entry, form, rules);
        }
        return match &form.body {
            Some(body) => (choice, From::Form(body.clone())),
            None => (choice.not(Skipped::NoGain), From::Store(entry)),
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
    asks: &Asks,
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

/// A form that could be smaller is sent once more.
fn popular(ctx: &Ctx, entry: &Arc<Entry>, form: &Form, rules: &Compressing) {
    let both = (ctx.snapshot.config.cache.recompress.as_ref(), &rules.rules);
    let metrics = &ctx.control.metrics.compression;
    ctx.control.recompress.used(entry, form, both, metrics);
}
