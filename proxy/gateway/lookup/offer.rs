//! What there is to send of an answer, and how much of it a client wants: whole, in part, or nothing because it has it.
//!
//! Decides for both lanes, by the fields of the request alone, and sends nothing.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::super::encode::asks::Wants;
use super::super::encode::choice::Choice;
use super::parts::Parts;
use crate::base::coding::Coding;
use crate::base::fields::Fields;
use crate::cache::entry::Head;
use crate::cache::policy::condition::{Validators, if_range_holds, not_modified};
use crate::cache::policy::life::Life;
use crate::cache::policy::range::{self, Ranges};
use crate::transform::etag;

/// What there is to send.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// What is stored of its head.
    pub head: &'a Head,
    /// What decides whether it may be used.
    pub life: &'a Life,
    /// The form in which it goes out.
    pub choice: Choice,
    /// How long its body is, in the form of the choice.
    pub length: Option<u64>,
    /// What the client has, it has named by its date alone.
    pub is_by_date: bool,
}

/// Whether a request has fields by which less than the whole is sent.
pub fn has_terms(request: &impl Fields) -> bool {
    const TERMS: [HeaderName; 3] = [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::RANGE,
    ];
    TERMS.iter().any(|name| request.has(name))
}

/// The fields of a stored head that decide something.
#[derive(Debug, Default)]
pub struct Deciding {
    etag: Option<Bytes>,
    last_modified: Option<Bytes>,
    date: Option<Bytes>,
    content_type: Option<Bytes>,
    accept_ranges: Option<Bytes>,
}

impl Deciding {
    /// Those of a head.
    pub fn of(head: &Head) -> Deciding {
        let mut found = Deciding::default();
        for (name, value) in head.slices() {
            let place = match name.len() {
                4 if name.eq_ignore_ascii_case(b"etag") => &mut found.etag,
                4 if name.eq_ignore_ascii_case(b"date") => &mut found.date,
                13 if name.eq_ignore_ascii_case(b"last-modified") => &mut found.last_modified,
                12 if name.eq_ignore_ascii_case(b"content-type") => &mut found.content_type,
                13 if name.eq_ignore_ascii_case(b"accept-ranges") => &mut found.accept_ranges,
                _ => continue,
            };
            place.get_or_insert_with(|| head.lines().slice_ref(value));
        }
        found
    }

    /// What identifies the form of a choice.
    fn validators<'a>(&'a self, tag: Option<&'a [u8]>) -> Validators<'a> {
        Validators {
            etag: tag,
            last_modified: self.last_modified.as_deref(),
            date: self.date.as_deref(),
        }
    }

    /// The entity tag of a form of an answer that came in this coding.
    fn tag(&self, from: Option<Coding>, form: Coding) -> Option<Cow<'_, [u8]>> {
        let own = self.etag.as_deref()?;
        match from {
            Some(from) if from != form => etag::of_form(own, form).map(Cow::Owned),
            _ => Some(Cow::Borrowed(own)),
        }
    }
}

/// Which form of it the client has already. Preconditions count only where the answer would be a success (RFC 9110
/// §13.2.1). Which of the forms that a client takes it is given is ours to choose, so one that it has will do.
pub fn held(
    request: &impl Fields,
    wants: Option<&Wants>,
    offer: &Offer<'_>,
    deciding: &Deciding,
) -> Option<Coding> {
    if !offer.head.status.is_success() {
        return None;
    }
    let Choice {
        from, to, varies, ..
    } = offer.choice;
    let is_held = |form: Coding| {
        let tag = deciding.tag(from, form);
        let validators = deciding.validators(tag.as_deref());
        not_modified(request, &validators, offer.life.received)
    };
    if is_held(to) {
        return Some(to);
    }
    let wants = wants.filter(|_| varies)?;
    let others = Coding::ALL.into_iter();
    let mut others = others.filter(|form| *form != to && wants.takes(*form));
    others.find(|form| is_held(*form))
}

/// How much of it the client wants; `random` makes the words between several parts.
pub fn wanted(
    method: &Method,
    request: &HeaderMap,
    offer: &Offer<'_>,
    deciding: &Deciding,
    random: impl FnOnce() -> u64,
) -> Parts {
    let Some(length) = offer.length else {
        return Parts::Whole;
    };
    let asks = *method == Method::GET
        && offer.head.status == StatusCode::OK
        && request.contains_key(header::RANGE);
    // The node says that it has no parts, or we do, of what is not stored as it came.
    let has_parts = deciding.accept_ranges.as_deref() != Some(b"none");
    let Choice { from, to, .. } = offer.choice;
    // There are no parts of what we compressed: it may be made anew, of other bytes.
    if !asks || !has_parts || (to != Coding::Identity && from != Some(to) && from.is_some()) {
        return Parts::Whole;
    }
    let tag = deciding.tag(from, to);
    if !if_range_holds(request, &deciding.validators(tag.as_deref())) {
        return Parts::Whole;
    }
    match range::wanted(request, length) {
        Ranges::Whole => Parts::Whole,
        Ranges::None => Parts::Beyond { length },
        Ranges::One(range) => Parts::One { range, length },
        Ranges::Many(ranges) => {
            Parts::many(ranges, length, deciding.content_type.as_deref(), random())
        }
    }
}
