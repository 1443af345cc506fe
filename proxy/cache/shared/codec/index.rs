//! What the answers of a URL vary by: the names of request fields. Which variant a request wants follows from them.

use ::bytes::Bytes;
use http::HeaderName;

use super::bytes::{Rest, put_text};
use super::{INDEX, sealed};
use crate::cache::policy::vary::Selection;

/// Fields that answers of one URL vary by, at the most.
pub(super) const FIELDS: usize = 64;

/// The names of the fields that the answers of a URL vary by, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Them.
    pub names: Vec<HeaderName>,
}

/// The rest of a value, for the answers of this key.
pub(super) fn write(key: &[u8], selection: &Selection) -> Option<Vec<u8>> {
    let names: Vec<&str> = selection.told().map(|(name, _)| name).collect();
    let count = u16::try_from(names.len()).ok()?;
    let mut rest = Vec::new();
    put_text(&mut rest, key)?;
    rest.extend_from_slice(&count.to_le_bytes());
    for name in names {
        put_text(&mut rest, name.as_bytes())?;
    }
    (usize::from(count) <= FIELDS).then(|| sealed(INDEX, &rest))
}

pub(super) fn read(rest: &Bytes, key: &[u8]) -> Option<Index> {
    let mut rest = Rest(rest);
    if rest.text()? != key {
        return None;
    }
    let count = usize::from(rest.short()?);
    if count == 0 || count > FIELDS {
        return None;
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(HeaderName::from_lowercase(rest.text()?).ok()?);
    }
    rest.0.is_empty().then_some(Index { names })
}
