//! An answer as a value.
//!
//! How old it is needs no clock but that of Redis: the value says how old it was when it was written, and how long it
//! was to stay; what of that is left says how long ago that was.

use ::bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::bytes::{Rest, put_maybe, put_text};
use super::index::{self, FIELDS};
use super::{ANSWER, sealed};
use crate::base::coding::Coding;
use crate::cache::entry::Head;
use crate::cache::policy::life::{FOR_EVER, Life, Millis, Source};
use crate::cache::policy::vary::{Selected, Selection};
use crate::cache::shared::chain::Position;

/// The body is as it is.
const PLAIN: u8 = 0;
/// The body is one frame of zstd.
const ZSTD: u8 = 1;
/// The level: what it costs is little beside the round trip that it saves bytes of.
const LEVEL: i32 = 1;
/// Bytes of the smallest body that is made smaller.
const WORTH_IT: usize = 512;

const NO_CACHE: u8 = 1;
const MUST_REVALIDATE: u8 = 2;
const HAS_VALIDATOR: u8 = 4;
const STALE_IF_ERROR: u8 = 8;

const SOURCES: [Source; 8] = [
    Source::Override,
    Source::Targeted,
    Source::SMaxAge,
    Source::MaxAge,
    Source::Expires,
    Source::Heuristic,
    Source::Route,
    Source::Nothing,
];

/// An answer that is stored here.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The bytes of its key.
    pub key: &'a [u8],
    /// What decides whether it may be used.
    pub life: Life,
    /// Its head.
    pub head: &'a Head,
    /// The pieces of its body.
    pub body: &'a [Bytes],
    /// Which requests it is for.
    pub selection: &'a Selection,
}

/// An answer to be written.
#[derive(Debug)]
pub struct Encoded {
    /// What stands behind the front of the answer's value.
    pub answer: Vec<u8>,
    /// Which variant of its URL it is, and what stands behind the front of the URL's index. `None`: it is for all
    /// requests.
    pub variant: Option<(u128, Vec<u8>)>,
    /// Milliseconds that it is of use from now on.
    pub useful: u64,
}

/// An answer that was read.
#[derive(Debug)]
pub struct Stored {
    /// Which purges its fetch knew of.
    pub position: Position,
    /// Milliseconds that it was of use when it was written.
    pub useful: u64,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Bytes,
    /// Which requests it is for.
    pub selection: Selection,
    life: Life,
}

impl Stored {
    /// What decides whether it may be used, `elapsed` milliseconds after it was written. `None`: it is of no use any
    /// more.
    pub fn life(&self, elapsed: u64, now: Millis) -> Option<Life> {
        (elapsed < self.useful).then(|| Life {
            received: now.saturating_sub(elapsed),
            ..self.life
        })
    }
}

/// How long an answer is of use from now on, in milliseconds: fresh, or stale as somebody may still use it; never
/// longer than `ttl_max`. 0: it is of no use to others.
pub fn useful(life: &Life, now: Millis, ttl_max: u64) -> u64 {
    if life.no_cache || life.lifetime == 0 {
        return 0;
    }
    let stale = life
        .stale_while_revalidate
        .max(life.stale_if_error.unwrap_or(0));
    let until = life.fresh_until(None).saturating_add(stale);
    until.saturating_sub(now).min(ttl_max)
}

/// An answer as a value, `now`, of use for `ttl_max` milliseconds at the most. Takes as long as compressing it does.
/// `None`: it is of no use any more.
pub fn encode(own: &Answer<'_>, position: Position, now: Millis, ttl_max: u64) -> Option<Encoded> {
    let life = &own.life;
    let useful = useful(life, now, ttl_max);
    if useful == 0 {
        return None;
    }
    let mut rest = Vec::with_capacity(256 + own.head.lines().len());
    put_text(&mut rest, own.key)?;
    let numbers = [
        position.n,
        position.uid,
        useful,
        life.age(now),
        life.lifetime,
        life.stale_while_revalidate,
        life.stale_if_error.unwrap_or(0),
    ];
    for number in numbers {
        rest.extend_from_slice(&number.to_le_bytes());
    }
    rest.push(SOURCES.iter().position(|s| *s == life.source)? as u8);
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    rest.push(
        flag(life.no_cache, NO_CACHE)
            | flag(life.must_revalidate, MUST_REVALIDATE)
            | flag(life.has_validator, HAS_VALIDATOR)
            | flag(life.stale_if_error.is_some(), STALE_IF_ERROR),
    );
    rest.extend_from_slice(&own.head.status.as_u16().to_le_bytes());
    put_text(&mut rest, own.head.lines())?;
    put_selection(&mut rest, own.selection)?;
    put_body(&mut rest, own)?;
    let variant = match own.selection.hash() {
        None => None,
        Some(hash) => Some((hash, index::write(own.key, own.selection)?)),
    };
    Some(Encoded {
        answer: sealed(ANSWER, &rest),
        variant,
        useful,
    })
}

fn put_selection(to: &mut Vec<u8>, selection: &Selection) -> Option<()> {
    let count = selection.parts().len();
    to.extend_from_slice(&u16::try_from(count).ok()?.to_le_bytes());
    for field in selection.parts() {
        put_text(to, field.name.as_str().as_bytes())?;
        put_maybe(to, field.value.as_deref())?;
        put_maybe(to, field.language.as_deref())?;
    }
    (count <= FIELDS).then_some(())
}

fn put_body(to: &mut Vec<u8>, own: &Answer<'_>) -> Option<()> {
    let body = own.body;
    let length = body.iter().map(Bytes::len).sum::<usize>();
    if length >= WORTH_IT && own.head.coding() == Some(Coding::Identity) {
        let small = match body {
            [one] => zstd::bulk::compress(one, LEVEL),
            _ => zstd::bulk::compress(&body.concat(), LEVEL),
        };
        if let Some(small) = small.ok().filter(|s| s.len() <= length - length / 8) {
            to.push(ZSTD);
            to.extend_from_slice(&(length as u64).to_le_bytes());
            to.extend_from_slice(&small);
            return Some(());
        }
    }
    to.push(PLAIN);
    to.extend_from_slice(&(length as u64).to_le_bytes());
    body.iter().for_each(|piece| to.extend_from_slice(piece));
    Some(())
}

/// Reads what was sealed.
pub(super) fn read(all: &Bytes, key: &[u8], most: u64) -> Option<Stored> {
    let mut rest = Rest(all);
    if rest.text()? != key {
        return None;
    }
    let position = Position {
        n: rest.long()?,
        uid: rest.long()?,
    };
    let useful = rest.long()?;
    let (initial_age, lifetime) = (rest.long()?, rest.long()?);
    let (stale_while_revalidate, stale_if_error) = (rest.long()?, rest.long()?);
    let source = *SOURCES.get(usize::from(rest.byte()?))?;
    let flags = rest.byte()?;
    let status = StatusCode::from_u16(rest.short()?).ok()?;
    let head = head(status, rest.text()?)?;
    let selection = selection(&mut rest)?;
    let body = body(&mut rest, all, most)?;
    let has = |flag: u8| flags & flag != 0;
    let life = Life {
        received: 0,
        initial_age: initial_age.min(FOR_EVER),
        lifetime: lifetime.min(FOR_EVER),
        source,
        stale_while_revalidate,
        stale_if_error: has(STALE_IF_ERROR).then_some(stale_if_error),
        no_cache: has(NO_CACHE),
        must_revalidate: has(MUST_REVALIDATE),
        has_validator: has(HAS_VALIDATOR),
    };
    Some(Stored {
        position,
        useful,
        head,
        body,
        selection,
        life,
    })
}

/// A head of these lines, every one of them whole and allowed.
fn head(status: StatusCode, lines: &[u8]) -> Option<Head> {
    let mut fields = Vec::new();
    let mut left = lines;
    while !left.is_empty() {
        let end = memchr::memmem::find(left, b"\r\n")?;
        let (line, rest) = (&left[..end], &left[end + 2..]);
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (&line[..colon], line.get(colon + 2..)?);
        HeaderName::from_bytes(name).ok()?;
        HeaderValue::from_bytes(value).ok()?;
        fields.push((name, value));
        left = rest;
    }
    Some(Head::new(status, fields))
}

fn selection(rest: &mut Rest<'_>) -> Option<Selection> {
    let count = usize::from(rest.short()?);
    if count > FIELDS {
        return None;
    }
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        fields.push(Selected {
            name: HeaderName::from_lowercase(rest.text()?).ok()?,
            value: rest.maybe()?.map(Box::from),
            language: rest.maybe()?.map(Box::from),
        });
    }
    Some(Selection::of_parts(fields))
}

fn body(rest: &mut Rest<'_>, all: &Bytes, most: u64) -> Option<Bytes> {
    let coding = rest.byte()?;
    let length = rest.long().filter(|length| *length <= most)?;
    let length = usize::try_from(length).ok()?;
    let bytes = std::mem::take(&mut rest.0);
    let body = match coding {
        PLAIN => all.slice_ref(bytes),
        ZSTD => zstd::bulk::decompress(bytes, length).ok()?.into(),
        _ => return None,
    };
    (body.len() == length).then_some(body)
}
