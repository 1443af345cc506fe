//! Which requests a stored answer may be used for, beyond its key (`Vary`, RFC 9111 §4.1).

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::base::cached::Why;

/// The request fields that selected an answer, with the values they had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Option<Arc<[Selected]>>);

#[derive(Debug, PartialEq, Eq)]
struct Selected {
    name: HeaderName,
    /// `None`: the request had no such field.
    value: Option<Box<[u8]>>,
}

impl Selection {
    /// What selected an answer with these `answer` fields to a request with these `request` fields.
    ///
    /// # Errors
    /// [`Why::VaryAny`] for `*`.
    pub fn of(answer: &HeaderMap, request: &HeaderMap) -> Result<Selection, Why> {
        let _ = (answer, request);
        Ok(Selection(None))
    }

    /// Whether a request with these fields is given what this selected.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        let _ = request;
        self.0.is_none()
    }

    /// Whether this and the other are of the same fields, whatever their values.
    pub fn names_same(&self, other: &Selection) -> bool {
        self.is_any() == other.is_any()
    }

    /// What a request with these fields would be selected by, where this was what selected: the place of a variant
    /// that is not stored yet.
    pub fn wants(&self, request: &HeaderMap) -> Selection {
        let _ = request;
        self.clone()
    }

    /// Whether every request is.
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |all| {
            let one =
                |s: &Selected| size_of::<Selected>() + s.value.as_ref().map_or(0, |v| v.len());
            all.iter().map(one).sum()
        })
    }
}
