//! Which requests a stored answer may be used for, beyond its key (`Vary`, RFC 9111 §4.1).
//!
//! A name that is none selects nothing that could be compared: such an answer is for nobody else, as with `*`.

use std::sync::Arc;

use http::header::{ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::list::Members;
use super::select;
use crate::base::cached::Why;
use crate::base::fields::Fields;

/// The request fields that selected an answer, with the values they had.
///
/// Two are equal when they are of the same fields with the same values: one is stored in the place of the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Option<Arc<[Selected]>>);

/// One field that selected an answer.
#[derive(Debug)]
pub struct Selected {
    /// Its name.
    pub name: HeaderName,
    /// Its value in its one form; `None`: the request had no such field.
    pub value: Option<Box<[u8]>>,
    /// Of `Accept-Language`: the language of the answer, for who prefers it to all others.
    pub language: Option<Box<[u8]>>,
}

impl PartialEq for Selected {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for Selected {}

impl Selected {
    fn of(name: HeaderName, request: &HeaderMap, language: Option<Box<[u8]>>) -> Selected {
        let value = select::normal(&name, request).map(|text| text.to_vec().into());
        Selected {
            name,
            value,
            language,
        }
    }

    fn matches(&self, request: &impl Fields) -> bool {
        let value = select::normal(&self.name, request);
        if value.as_deref() == self.value.as_deref() {
            return true;
        }
        let preferred = || select::language(request);
        let speaks = |own: &[u8]| preferred().is_some_and(|wanted| wanted[..] == *own);
        self.language.as_deref().is_some_and(speaks)
    }
}

/// Fields that the proxy writes anew for every client: what the client sent there is not what the node chose by, and
/// nobody else would send the same.
const WRITTEN: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
];

impl Selection {
    /// What selected an answer with these `answer` fields to a request with these `request` fields.
    ///
    /// # Errors
    /// [`Why::VaryAny`] for `*`, wherever it stands, and for what cannot name a field.
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Result<Selection, Why> {
        Selection::with(answer, request, &[])
    }

    /// The same, as if the answer's `Vary` named what is in `also` too: fields that decide where a request goes.
    ///
    /// # Errors
    /// As [`Selection::of`].
    pub fn with(
        answer: &HeaderMap,
        request: &HeaderMap,
        also: &[HeaderName],
    ) -> Result<Selection, Why> {
        let lines = answer.get_all(VARY).iter();
        let members = lines.flat_map(|line| Members::of(line.as_bytes()));
        let mut names: SmallVec<[HeaderName; 4]> = SmallVec::new();
        for member in members.filter(|member| !member.is_empty()) {
            // `*` would do as a name.
            let name = HeaderName::from_bytes(member)
                .ok()
                .filter(|_| member != b"*");
            let name = name.filter(|name| !WRITTEN.contains(&name.as_str()));
            names.push(name.ok_or(Why::VaryAny)?);
        }
        names.extend(also.iter().cloned());
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        if names.is_empty() {
            return Ok(Selection(None));
        }
        let selected = |name: HeaderName| {
            let by_language = name == ACCEPT_LANGUAGE;
            let language = by_language
                .then(|| select::content_language(answer))
                .flatten();
            Selected::of(name, request, language)
        };
        Ok(Selection(Some(names.into_iter().map(selected).collect())))
    }

    /// Whether a request with these fields is given what this selected.
    pub fn matches(&self, request: &impl Fields) -> bool {
        self.fields().iter().all(|field| field.matches(request))
    }

    /// The fields and the values they had, each in its one form; `None`: the request had no such field.
    pub fn told(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let fields = self.fields().iter();
        fields.map(|field| (field.name.as_str(), field.value.as_deref()))
    }

    /// What answers that vary by these fields are selected by for a request.
    pub fn by(names: &[HeaderName], request: &HeaderMap) -> Selection {
        let selected = |name: &HeaderName| Selected::of(name.clone(), request, None);
        Selection::of_parts(names.iter().map(selected).collect())
    }

    /// One of these fields, in the order of their names.
    pub fn of_parts(fields: Vec<Selected>) -> Selection {
        Selection((!fields.is_empty()).then(|| fields.into()))
    }

    /// What selects, field by field.
    pub fn parts(&self) -> &[Selected] {
        self.fields()
    }

    /// The same for the same fields with the same values, on every machine; `None`: nothing selects.
    pub fn hash(&self) -> Option<u128> {
        let mut all = Vec::new();
        for field in self.fields() {
            // Each behind its length, so that no two selections make the same bytes; a name's is never that of no value.
            let value = field.value.as_deref();
            let length = value.map_or(u64::MAX, |value| value.len() as u64);
            let name = field.name.as_str().as_bytes();
            all.extend_from_slice(&(name.len() as u64).to_le_bytes());
            all.extend_from_slice(name);
            all.extend_from_slice(&length.to_le_bytes());
            all.extend_from_slice(value.unwrap_or_default());
        }
        (!all.is_empty()).then(|| xxhash_rust::xxh3::xxh3_128(&all))
    }

    /// Whether every request is.
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this and the other are of the same fields, whatever their values.
    pub fn names_same(&self, other: &Selection) -> bool {
        let (own, others) = (self.fields(), other.fields());
        let same = |(one, other): (&Selected, &Selected)| one.name == other.name;
        own.len() == others.len() && own.iter().zip(others).all(same)
    }

    /// What a request with these fields is selected by where answers vary as this one does.
    pub fn wants(&self, request: &HeaderMap) -> Selection {
        let wanted = |field: &Selected| Selected::of(field.name.clone(), request, None);
        Selection(self.0.as_ref().map(|all| all.iter().map(wanted).collect()))
    }

    /// Bytes it takes, beside itself.
    pub fn size(&self) -> usize {
        let text = |text: &Option<Box<[u8]>>| text.as_ref().map_or(0, |text| text.len());
        let one = |field: &Selected| {
            let name = field.name.as_str().len();
            size_of::<Selected>() + name + text(&field.value) + text(&field.language)
        };
        self.fields().iter().map(one).sum()
    }

    fn fields(&self) -> &[Selected] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Whether this line of `Vary` names `Accept-Encoding`, or everything there is.
pub fn names_encoding(line: &[u8]) -> bool {
    let is = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding");
    Members::of(line).any(is)
}

#[cfg(test)]
mod tests;
